# Everything runs in a virtual environment of its own, made on first use.
#   make bench      install and race capsule routing against its alternatives
#   make test       install and run the tests
#   make lint       ruff, mypy, clang-format
#   make sanitize   the tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   make gpu-check  on a GPU machine, with nothing downloaded: PYTHON=... OUT=...
PYTHON ?= python3
VENV ?= .venv
OUT ?= gpu-check

BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SOURCES := setup.py pyproject.toml $(shell find csrc -type f)
CXX_FILES := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')

.PHONY: bench test lint format sanitize gpu-check clean

bench: $(INSTALLED)
	$(BIN)/python benchmarks/routing.py

test: $(INSTALLED)
	$(BIN)/pytest

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
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[bench,lint,test,training]"
	touch $@

# The sanitizers' runtime has to be loaded before Python.
sanitize: $(INSTALLED)
	FASTCAPS_CUDA=0 FASTCAPS_SANITIZE=1 $(BIN)/pip install --quiet --no-deps --no-build-isolation \
	  --target build/sanitized --upgrade .
	env PYTHONSAFEPATH=1 PYTHONPATH=build/sanitized \
	  LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  $(BIN)/python -m pytest -k "not compile and not export and not memory" \
	  tests/test_squash.py tests/test_prediction_vectors.py tests/test_dynamic_routing.py \
	  tests/test_routed_capsules.py tests/test_coupling_coefficients.py tests/test_properties.py

gpu-check:
	$(PYTHON) -m pip install --no-deps --no-build-isolation --no-index --upgrade \
	  --target $(OUT)/package .
	env PYTHONSAFEPATH=1 PYTHONPATH=$(OUT)/package $(PYTHON) -m pytest --device cuda \
	  --ignore tests/training --ignore tests/benchmarks tests
	env PYTHONSAFEPATH=1 PYTHONPATH=$(OUT)/package:. $(PYTHON) -m benchmarks.measure \
	  --json $(OUT)/routing.json

clean:
	rm -rf $(VENV) build dist fastcaps/_C.abi3.so *.egg-info
