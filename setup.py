"""Builds the extension fastcaps._C with ninja; everything else is in pyproject.toml.

One shared library holds the CPU kernels of every instruction set and, where nvcc is found, the
CUDA half. It uses only libtorch's stable ABI and Python's limited API, so that one build serves
torch >= 2.10 and Python >= 3.10, CPU-only torch included.

Environment:
    FASTCAPS_CUDA: "auto" (default) builds the CUDA half where nvcc is found, "1" insists on it,
        "0" does without.
    TORCH_CUDA_ARCH_LIST: compute capabilities, as "8.0 9.0+PTX"; where unset, those of a default
        list that nvcc knows.
    FASTCAPS_SANITIZE: "1" builds with AddressSanitizer and UndefinedBehaviorSanitizer.
    CXX, MAX_JOBS: the compiler, and how many run at once.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
OLDEST_TORCH = "2.10"
TORCH_TARGET = "0x020a000000000000"  # 2.10
PYTHON_TARGET = "0x030a0000"  # 3.10
SANITIZE_FLAGS = (
    "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -O1"
)
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
DEFAULT_CUDA_ARCHITECTURES = ("8.0", "8.6", "8.9", "9.0", "10.0", "12.0")
OLDEST_CUDA_ARCHITECTURE = 8.0
AVX512_FLAGS = "-mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512"
AMX_FLAGS = "-mamx-tile -mamx-bf16"
ISA_FLAGS = {
    "amx": f"{AVX512_FLAGS} {AMX_FLAGS}",
    "avx512": AVX512_FLAGS,
    "avx2": "-mavx2 -mfma",
    "portable": "",
}


class BuildError(SystemExit):
    """A setting that cannot be met, said in one sentence."""


def choice(variable: str, *values: str) -> str:
    """The value of an environment variable, the first of ``values`` where it is unset."""
    value = os.environ.get(variable) or values[0]
    if value not in values:
        expected = f"{', '.join(values[:-1])} or {values[-1]}"
        raise BuildError(f"{variable}: expected {expected}, got {value!r}")
    return value


def sanitizing() -> bool:
    """Whether the build is one for the sanitizers."""
    return choice("FASTCAPS_SANITIZE", "0", "1") == "1"


def wanted_nvcc() -> str | None:
    """The nvcc to build with, or None, as FASTCAPS_CUDA says: CUDA_HOME's, else PATH's."""
    wanted = choice("FASTCAPS_CUDA", "auto", "0", "1")
    home = os.environ.get("CUDA_HOME")
    nvcc = shutil.which("nvcc", path=str(Path(home) / "bin") if home else None)
    if wanted == "1" and nvcc is None:
        place = f"CUDA_HOME/bin ({home}/bin)" if home else "PATH"
        raise BuildError(f"FASTCAPS_CUDA=1 needs nvcc, which is not in {place}")
    return None if wanted == "0" else nvcc


def cuda_libraries(nvcc: str) -> list[str]:
    """The linker's flags for the CUDA runtime of nvcc's toolkit, whose folder nvcc tells."""
    output = subprocess.run(
        [nvcc, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True, check=True
    ).stderr
    tops = [line.partition("TOP=")[2] for line in output.splitlines() if "TOP=" in line]
    if not tops:
        raise BuildError(f"{nvcc} --dryrun does not say where its toolkit is")
    toolkit = Path(tops[0].strip()).resolve()
    targets = toolkit / "targets" / f"{platform.machine()}-linux" / "lib"
    folders = [place for place in (toolkit / "lib64", toolkit / "lib", targets) if place.is_dir()]
    return [
        *("-L" + shlex.quote(str(folder)) for folder in folders),
        *("-lcudart_static", "-ldl", "-lrt", "-lpthread"),
    ]


def known_architectures(nvcc: str) -> str:
    """Those of the default list that this nvcc compiles for, with PTX of the newest for GPUs yet
    to come."""
    known = subprocess.run(
        [nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True
    ).stdout.split()
    names = [x for x in DEFAULT_CUDA_ARCHITECTURES if f"sm_{x.replace('.', '')}" in known]
    if not names:
        raise BuildError(f"{nvcc} compiles for none of {', '.join(DEFAULT_CUDA_ARCHITECTURES)}")
    return " ".join(names) + "+PTX"


def architecture_flags(nvcc: str) -> str:
    """nvcc's flags for TORCH_CUDA_ARCH_LIST: machine code, and PTX where an entry ends in +PTX."""
    entries = os.environ.get("TORCH_CUDA_ARCH_LIST") or known_architectures(nvcc)
    flags = []
    for entry in entries.replace(";", " ").split():
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", entry):
            raise BuildError(
                "TORCH_CUDA_ARCH_LIST: expected compute capabilities as in '8.0 9.0a 12.0+PTX', "
                f"got {entry!r}"
            )
        if float(entry.rstrip("afPTX+")) < OLDEST_CUDA_ARCHITECTURE:
            raise BuildError(
                "TORCH_CUDA_ARCH_LIST: the CUDA kernels need compute capability "
                f"{OLDEST_CUDA_ARCHITECTURE} or higher, got {entry!r}"
            )
        number = entry.removesuffix("+PTX").replace(".", "")
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if entry.endswith("+PTX"):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return " ".join(flags)


def knows_amx(compiler: str) -> bool:
    """Whether the compiler and its assembler know AMX, where Linux can be asked for its use."""
    if sys.platform != "linux" or not IS_X86:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "amx.cpp"
        source.write_text('void release() { asm volatile("tilerelease"); }\n')
        command = [*shlex.split(compiler), *AMX_FLAGS.split(), "-c", str(source)]
        try:
            process = subprocess.run(
                [*command, "-o", str(source.with_suffix(".o"))], capture_output=True, check=False
            )
        except OSError:
            return False  # which the build itself will tell better
    return process.returncode == 0


def torch_folders() -> tuple[list[str], str]:
    """torch's header folders and its library folder."""
    try:
        import torch
        from torch.utils.cpp_extension import include_paths, library_paths
    except ImportError as error:
        raise BuildError(
            f"building fastcaps without build isolation needs torch >= {OLDEST_TORCH} installed: "
            f"{error}"
        ) from None
    if torch.__version__ < OLDEST_TORCH:
        raise BuildError(
            f"building fastcaps needs torch >= {OLDEST_TORCH}, got {torch.__version__}"
        )
    return list(include_paths()), str(library_paths()[0])


class NinjaFile:
    """The text of a build.ninja that links the extension from csrc/."""

    def __init__(self, output: Path, build_folder: Path) -> None:
        self.output = output
        self.objects_folder = build_folder
        self.compiler = os.environ.get("CXX") or "g++"
        self.amx = knows_amx(self.compiler)
        self.nvcc = wanted_nvcc()
        self.sanitize = SANITIZE_FLAGS if sanitizing() else ""
        self.torch_headers, self.torch_library = torch_folders()
        self.lines = ["ninja_required_version = 1.3"]
        self.objects: list[str] = []

    def text(self) -> str:
        self._rules()
        for source in sorted((ROOT / "csrc").rglob("*.cpp")):
            self._object(source, "cxx", self._flags_of(source))
        if self.nvcc:
            for source in sorted((ROOT / "csrc" / "cuda").rglob("*.cu")):
                self._object(source, "nvcc", "")
        if not self.objects:
            raise BuildError(f"there are no C++ sources in {ROOT / 'csrc'}")
        self._edge(str(self.output), "link", self.objects)
        return "\n".join(self.lines) + "\n"

    def _flags_of(self, source: Path) -> str | None:
        """The flags of this source alone; None where it is not for this machine or compiler."""
        if source.stem == "dispatch":
            return "-DFASTCAPS_AMX" if self.amx else ""
        if not source.stem.startswith("kernels_"):
            return ""
        isa = source.stem.removeprefix("kernels_")
        if isa == "amx" and not self.amx:
            return None
        return ISA_FLAGS[isa] if IS_X86 or isa == "portable" else None

    def _object(self, source: Path, rule: str, extra_flags: str | None) -> None:
        if extra_flags is None:
            return
        target = self.objects_folder / source.relative_to(ROOT).with_suffix(f"{source.suffix}.o")
        self.objects.append(str(target))
        self._edge(str(target), rule, [str(source)], extra_flags)

    def _edge(self, target: str, rule: str, inputs: list[str], extra_flags: str = "") -> None:
        def escape(path: str) -> str:
            return path.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")

        self.lines.append(f"build {escape(target)}: {rule} {' '.join(map(escape, inputs))}")
        self.lines.append(f"  extra = {extra_flags}")

    def _rules(self) -> None:
        folders = [*self.torch_headers, sysconfig.get_paths()["include"]]
        headers = " ".join(f"-isystem {shlex.quote(folder)}" for folder in folders)
        common = f"-std=c++17 -O3 -DTORCH_TARGET_VERSION={TORCH_TARGET} {headers}"
        self._rule(
            "cxx",
            f"{self.compiler} -MMD -MF $out.d {common} -DPy_LIMITED_API={PYTHON_TARGET} -fPIC "
            "-fvisibility=hidden -ffp-contract=fast -fno-math-errno -Wall -Wextra -Wno-psabi "
            f"{self.sanitize} $extra -c $in -o $out",
            depfile=True,
        )
        # Kept whatever the compiler's default is: libtorch alone leads to what is in libtorch_cuda.
        keep = [] if sys.platform == "darwin" else ["-Wl,--no-as-needed"]
        libraries = ["-L" + shlex.quote(self.torch_library), *keep, "-ltorch", "-ltorch_cpu"]
        if self.nvcc:
            self._rule(
                "nvcc",
                f"{shlex.quote(self.nvcc)} -MD -MF $out.d {common} -DUSE_CUDA -ccbin "
                f"{self.compiler} -Xcompiler -fPIC,-fvisibility=hidden "
                f"{architecture_flags(self.nvcc)} $extra -c $in -o $out",
                depfile=True,
            )
            libraries += cuda_libraries(self.nvcc)
        undefined = "-undefined dynamic_lookup" if sys.platform == "darwin" else ""
        self._rule(
            "link",
            f"{self.compiler} -shared {self.sanitize} {undefined} $in -o $out "
            f"{' '.join(libraries)}",
        )

    def _rule(self, name: str, command: str, depfile: bool = False) -> None:
        self.lines += [f"rule {name}", f"  command = {command}", f"  description = {name} $out"]
        if depfile:
            self.lines += ["  depfile = $out.d", "  deps = gcc"]


class NinjaBuild(build_ext):
    """Builds the one extension through a generated build.ninja, incrementally."""

    def build_extension(self, ext: Extension) -> None:
        output = Path(self.get_ext_fullpath(ext.name)).resolve()
        kind = "sanitize" if sanitizing() else "release"
        folder = Path(self.build_temp).resolve() / kind
        folder.mkdir(parents=True, exist_ok=True)
        # Linked beside its objects, since ninja takes no note of another build's output.
        linked = folder / output.name
        (folder / "build.ninja").write_text(NinjaFile(linked, folder).text())
        jobs = os.environ.get("MAX_JOBS")
        command = [find_ninja(), "-C", str(folder), *(["-j", jobs] if jobs else [])]
        if subprocess.run(command, check=False).returncode:
            raise BuildError("the extension did not build; the compiler's messages are above")
        output.parent.mkdir(parents=True, exist_ok=True)
        self.copy_file(str(linked), str(output))


def find_ninja() -> str:
    """ninja from its Python package, or from PATH."""
    try:
        import ninja
    except ImportError:
        found = shutil.which("ninja")
        if found is None:
            raise BuildError("building fastcaps needs ninja: pip install ninja") from None
        return found
    return str(Path(ninja.BIN_DIR) / "ninja")


class LimitedApiWheel(bdist_wheel):
    """One wheel for Python 3.10 and everything later."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp310"
        super().finalize_options()


setup(
    ext_modules=[Extension("fastcaps._C", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": NinjaBuild, "bdist_wheel": LimitedApiWheel},
)
