"""Builds the extension fastcaps._C with ninja; everything else is in pyproject.toml.

One shared library holds the CPU kernels of every instruction set and, where nvcc is found, the
CUDA half. It uses only libtorch's stable ABI and Python's limited API, so that one build serves
torch >= 2.10 and Python >= 3.10, CPU-only torch included.

Environment:
    FASTCAPS_CUDA: "auto" (default) builds the CUDA half where nvcc is found, "1" insists on it,
        "0" does without.
    TORCH_CUDA_ARCH_LIST: compute capabilities, as "8.0 9.0+PTX"; a default list where unset.
    FASTCAPS_SANITIZE: "1" builds with AddressSanitizer and UndefinedBehaviorSanitizer.
    CXX, MAX_JOBS: the compiler, and how many run at once.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
TORCH_TARGET = "0x020a000000000000"  # 2.10
PYTHON_TARGET = "0x030a0000"  # 3.10
DEFAULT_CUDA_ARCHITECTURES = "8.0 8.6 8.9 9.0 10.0 12.0+PTX"
ISA_FLAGS = {
    "avx512": "-mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512",
    "avx2": "-mavx2 -mfma",
    "portable": "",
}


class BuildError(SystemExit):
    """A setting that cannot be met, said in one sentence."""


def find_nvcc() -> str | None:
    """nvcc from CUDA_HOME, or from PATH."""
    home = os.environ.get("CUDA_HOME")
    return shutil.which("nvcc", path=str(Path(home) / "bin")) if home else shutil.which("nvcc")


def wanted_nvcc() -> str | None:
    """The nvcc to build with, or None, as FASTCAPS_CUDA says."""
    choice = os.environ.get("FASTCAPS_CUDA", "auto")
    if choice not in ("auto", "0", "1"):
        raise BuildError(f"FASTCAPS_CUDA: expected auto, 0 or 1, got {choice!r}")
    nvcc = None if choice == "0" else find_nvcc()
    if choice == "1" and nvcc is None:
        raise BuildError(
            "FASTCAPS_CUDA=1 needs nvcc, which is neither in CUDA_HOME/bin nor on PATH"
        )
    return nvcc


def cuda_toolkit(nvcc: str) -> Path:
    """The toolkit's folder, as nvcc itself reports it."""
    output = subprocess.run(
        [nvcc, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True, check=True
    ).stderr
    tops = [line.partition("TOP=")[2] for line in output.splitlines() if "TOP=" in line]
    if not tops:
        raise BuildError(f"{nvcc} --dryrun does not say where its toolkit is")
    return Path(tops[0].strip()).resolve()


def architecture_flags() -> str:
    """nvcc's flags for TORCH_CUDA_ARCH_LIST: machine code, and PTX where an entry ends in +PTX."""
    entries = os.environ.get("TORCH_CUDA_ARCH_LIST") or DEFAULT_CUDA_ARCHITECTURES
    flags = []
    for entry in entries.replace(";", " ").split():
        number = entry.removesuffix("+PTX").replace(".", "")
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if entry.endswith("+PTX"):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return " ".join(flags)


def includes() -> list[str]:
    """Header folders of torch and Python."""
    from torch.utils.cpp_extension import include_paths

    return [*include_paths(), sysconfig.get_paths()["include"]]


def quoted(*words: object) -> str:
    return " ".join(shlex.quote(str(word)) for word in words)


class NinjaFile:
    """The text of a build.ninja that links the extension from csrc/."""

    def __init__(self, output: Path, build_folder: Path) -> None:
        self.output = output
        self.objects_folder = build_folder
        self.compiler = os.environ.get("CXX") or "g++"
        self.nvcc = wanted_nvcc()
        self.lines = ["ninja_required_version = 1.3"]
        self.objects: list[str] = []

    def text(self) -> str:
        self._rules()
        for source in sorted((ROOT / "csrc").rglob("*.cpp")):
            self._object(source, "cxx", self._isa_flags(source))
        if self.nvcc:
            for source in sorted((ROOT / "csrc" / "cuda").rglob("*.cu")):
                self._object(source, "nvcc", "")
        self._edge(str(self.output), "link", self.objects)
        return "\n".join(self.lines) + "\n"

    def _isa_flags(self, source: Path) -> str | None:
        if not source.stem.startswith("kernels_"):
            return ""
        isa = source.stem.removeprefix("kernels_")
        is_x86 = platform.machine().lower() in ("x86_64", "amd64")
        return ISA_FLAGS[isa] if is_x86 or isa == "portable" else None

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
        common = [f"-DTORCH_TARGET_VERSION={TORCH_TARGET}", f"-DPy_LIMITED_API={PYTHON_TARGET}"]
        headers = [word for folder in includes() for word in ("-isystem", folder)]
        sanitize = (
            "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
            if os.environ.get("FASTCAPS_SANITIZE") == "1"
            else ""
        )
        flags = (
            "-std=c++17 -O3 -fPIC -fvisibility=hidden -ffp-contract=fast -fno-math-errno "
            f"-Wall -Wextra -Wno-psabi {sanitize} {quoted(*common, *headers)}"
        )
        self._rule(
            "cxx", f"{self.compiler} -MMD -MF $out.d {flags} $extra -c $in -o $out", depfile=True
        )
        libraries = [f"-L{self._torch_library_folder()}", "-ltorch", "-ltorch_cpu"]
        if self.nvcc:
            toolkit = cuda_toolkit(self.nvcc)
            headers = [word for word in headers if word != "-isystem"]
            self._rule(
                "nvcc",
                f"{quoted(self.nvcc)} -MD -MF $out.d -std=c++17 -O3 -Xcompiler "
                f"-fPIC,-fvisibility=hidden -ccbin {self.compiler} {architecture_flags()} "
                f"-DUSE_CUDA {quoted(*common)} {quoted(*(f'-isystem={h}' for h in headers))} "
                "$extra -c $in -o $out",
                depfile=True,
            )
            folders = [toolkit / "lib64", toolkit / "lib", toolkit / "targets/x86_64-linux/lib"]
            libraries += [f"-L{folder}" for folder in folders if folder.is_dir()]
            libraries += ["-lcudart_static", "-ldl", "-lrt", "-lpthread"]
        undefined = "-undefined dynamic_lookup" if sys.platform == "darwin" else ""
        self._rule(
            "link",
            f"{self.compiler} -shared {sanitize} {undefined} $in -o $out {quoted(*libraries)}",
        )

    def _torch_library_folder(self) -> str:
        from torch.utils.cpp_extension import library_paths

        return str(library_paths()[0])

    def _rule(self, name: str, command: str, depfile: bool = False) -> None:
        self.lines += [f"rule {name}", f"  command = {command}", f"  description = {name} $out"]
        if depfile:
            self.lines += ["  depfile = $out.d", "  deps = gcc"]


class NinjaBuild(build_ext):
    """Builds the one extension through a generated build.ninja, incrementally."""

    def build_extension(self, ext: Extension) -> None:
        output = Path(self.get_ext_fullpath(ext.name)).resolve()
        output.parent.mkdir(parents=True, exist_ok=True)
        kind = "sanitize" if os.environ.get("FASTCAPS_SANITIZE") == "1" else "release"
        folder = Path(self.build_temp).resolve() / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "build.ninja").write_text(NinjaFile(output, folder).text())
        jobs = os.environ.get("MAX_JOBS")
        subprocess.run(
            [find_ninja(), "-C", str(folder), *(["-j", jobs] if jobs else [])], check=True
        )


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
