# Everything runs in a virtual environment of its own, made on first use.
#   make bench      install and race capsule routing against its alternatives
#   make test       install and run the tests
#   make lint       ruff, mypy, clang-format
#   make kernel-report
#                   compile the GPU kernels without a GPU, and report their machine code
#   make sanitize   the tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   make gpu-check  on a GPU machine, with nothing downloaded: install beside everything else,
#                   run the GPU tests, and benchmark into OUT: PYTHON=... OUT=...; its
#                   parts are gpu-test, gpu-race (BATCHES="1 32 128 512") and gpu-race-exact,
#                   float32 as such, by Triton and by CUDA C++
PYTHON ?= python3
VENV ?= .venv
OUT ?= build/gpu-check
DEVICE ?= cuda
BATCHES ?= 1 32 128 512
MEASURE = env PYTHONPATH=build/installed $(PYTHON) benchmarks/measure.py --device $(DEVICE)
RACE = $(MEASURE) --shapes mnist,au96 --graphs \
  --contestants "fastcaps,broadcast,einsum,broadcast compiled,einsum compiled"

BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SOURCES := setup.py pyproject.toml $(shell find csrc -type f)
KERNEL_TESTS := $(addprefix tests/test_,$(addsuffix .py,squash prediction_vectors dynamic_routing \
  routed_capsules coupling_coefficients properties instruction_sets))
CXX_FILES := $(shell find csrc benchmarks tests/cuda_host -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')

.PHONY: bench test lint format kernel-report sanitize gpu-check gpu-test gpu-race gpu-race-exact \
  gpu-install clean

bench: $(INSTALLED)
	$(BIN)/python benchmarks/routing.py

# Two files of tests at a time: most tests keep one core busy.
test: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

# torch comes first, since the extension is built against the one it will run with.
$(INSTALLED): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "setuptools>=77" wheel ninja "torch>=2.10"
	$(BIN)/pip install --quiet --no-build-isolation --editable \
	  ".[au,bench,dlib,face-alignment,lint,rig,test,training]"
	touch $@

kernel-report: $(INSTALLED)
	$(BIN)/python benchmarks/cuda_report.py
	$(BIN)/python benchmarks/kernel_report.py

# The sanitizers' runtimes have to be loaded before Python, and libstdc++ with them.
sanitize: $(INSTALLED)
	CXX=g++ FASTCAPS_CUDA=0 FASTCAPS_SANITIZE=1 $(BIN)/pip install --quiet --no-deps \
	  --no-build-isolation --upgrade --target build/sanitized .
	env PYTHONPATH=build/sanitized \
	  LD_PRELOAD="$(foreach name,asan ubsan stdc++,$$(g++ -print-file-name=lib$(name).so))" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  $(BIN)/pytest --capture sys --package build/sanitized \
	  -k "not compile and not export and not memory" $(KERNEL_TESTS)

gpu-check: gpu-test gpu-race gpu-race-exact

# The package is installed into a folder of its own, which leaves everything else as it was.
gpu-install:
	$(PYTHON) -m pip install --no-deps --no-build-isolation --no-index --upgrade \
	  --target build/installed .
	mkdir -p $(OUT)

# Most of the time goes into compiling kernels, on as many cores as there are, and a new one for
# nearly every random shape. A run cut short has told which tests failed.
gpu-test: gpu-install
	env PYTHONSAFEPATH=1 PYTHONPATH=build/installed \
	  FASTCAPS_TEST_EXAMPLES=$${FASTCAPS_TEST_EXAMPLES:-20} \
	  $(PYTHON) -m pytest --verbose --package build/installed \
	  $(shell $(PYTHON) -c "import xdist" 2> /dev/null && echo "-n auto") \
	  --device $(DEVICE) --junitxml $(OUT)/tests.xml $(if $(filter cuda,$(DEVICE)),-m gpu) tests

gpu-race: gpu-install
ifeq ($(DEVICE),cuda)
	for batch in $(BATCHES); do \
	  $(RACE) --batch $$batch --tf32 --json $(OUT)/float32-$$batch.json && \
	  $(RACE) --batch $$batch --dtype bfloat16 --json $(OUT)/bfloat16-$$batch.json || exit 1; \
	done
else
	$(MEASURE) --json $(OUT)/routing.json
endif

gpu-race-exact: gpu-install
ifeq ($(DEVICE),cuda)
	for backend in triton cuda; do \
	  FASTCAPS_BACKEND=$$backend $(MEASURE) --shapes mnist,au96 --graphs --batch 128 \
	    --contestants "fastcaps,einsum compiled" --json $(OUT)/exact-$$backend.json || exit 1; \
	done
endif

clean:
	rm -rf $(VENV) build dist fastcaps/_C.abi3.so *.egg-info
