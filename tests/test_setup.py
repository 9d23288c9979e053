"""``setup.py`` and the list of what is installed: switches, architectures, no file forgotten."""

from __future__ import annotations

import runpy
import subprocess
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read pyproject.toml")

ROOT = Path(__file__).parents[1]
SWITCHES = ("FASTCAPS_CUDA", "FASTCAPS_SANITIZE", "TORCH_CUDA_ARCH_LIST", "CUDA_HOME", "CXX")

FAKE_NVCC = """#!/bin/sh
case "$1" in
  --list-gpu-code) echo sm_80; echo sm_90; echo sm_120 ;;
  --dryrun) echo '#$ TOP={toolkit}' >&2 ;;
esac
"""


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """What setup.py defines, with none of its environment variables set."""
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    return runpy.run_path(str(ROOT / "setup.py"))


@pytest.fixture
def nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Mapping[str, Any]) -> str:
    """A compiler for 8.0, 9.0 and 12.0, the only one there is."""
    program = tmp_path / "toolkit" / "bin" / "nvcc"
    (tmp_path / "toolkit" / "lib64").mkdir(parents=True)
    program.parent.mkdir()
    program.write_text(FAKE_NVCC.format(toolkit=tmp_path / "toolkit"))
    program.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "toolkit"))
    return str(program)


def refuse(function: Any, message: str, *args: Any) -> None:
    """Assert that a build would end with this one line."""
    with pytest.raises(SystemExit) as raised:
        function(*args)
    assert str(raised.value) == message


def test_cuda_is_built_where_there_is_a_compiler(
    build: Mapping[str, Any], nvcc: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = build["wanted_nvcc"]
    for switch, found in (("auto", nvcc), ("", nvcc), ("1", nvcc), ("0", None)):
        monkeypatch.setenv("FASTCAPS_CUDA", switch)
        assert wanted() == found
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "empty"))
    for switch in ("auto", "0"):
        monkeypatch.setenv("FASTCAPS_CUDA", switch)
        assert wanted() is None
    monkeypatch.setenv("FASTCAPS_CUDA", "1")
    place = f"CUDA_HOME/bin ({tmp_path / 'empty'}/bin)"
    refuse(wanted, f"FASTCAPS_CUDA=1 needs nvcc, which is not in {place}")
    monkeypatch.delenv("CUDA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    refuse(wanted, "FASTCAPS_CUDA=1 needs nvcc, which is not in PATH")
    monkeypatch.setenv("FASTCAPS_CUDA", "yes")
    refuse(wanted, "FASTCAPS_CUDA: expected auto, 0 or 1, got 'yes'")


@pytest.mark.parametrize(
    ("asked", "flags"),
    [
        (None, ["80,sm_80", "90,sm_90", "120,sm_120", "120,compute_120"]),
        ("9.0", ["90,sm_90"]),
        ("8.0;9.0a", ["80,sm_80", "90a,sm_90a"]),
        ("8.6+PTX 10.0", ["86,sm_86", "86,compute_86", "100,sm_100"]),
    ],
)
def test_architectures(
    build: Mapping[str, Any],
    nvcc: str,
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    flags: list[str],
) -> None:
    if asked is not None:
        monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", asked)
    expected = []
    for flag in flags:
        number, code = flag.split(",")
        expected.append(f"-gencode=arch=compute_{number},code={code}")
    assert build["architecture_flags"](nvcc).split() == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("7.5", "the CUDA kernels need compute capability 8.0 or higher, got '7.5'"),
        ("9.0 hopper", "expected compute capabilities as in '8.0 9.0a 12.0+PTX', got 'hopper'"),
    ],
)
def test_architectures_that_cannot_be(
    build: Mapping[str, Any], nvcc: str, monkeypatch: pytest.MonkeyPatch, asked: str, message: str
) -> None:
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", asked)
    refuse(build["architecture_flags"], f"TORCH_CUDA_ARCH_LIST: {message}", nvcc)


@pytest.mark.parametrize("switch", ["0", "1"])
def test_the_build_compiles_all_sources(
    build: Mapping[str, Any],
    nvcc: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    switch: str,
) -> None:
    monkeypatch.setenv("FASTCAPS_CUDA", switch)
    text = build["NinjaFile"](tmp_path / "_C.so", tmp_path / "objects").text()
    with_cuda = switch == "1"
    assert ("rule nvcc" in text) == with_cuda
    assert ("-lcudart_static" in text) == with_cuda
    assert (f"-L{tmp_path / 'toolkit' / 'lib64'}" in text) == with_cuda
    compiled = {line.split()[-1] for line in text.splitlines() if line.startswith("build ")}
    for source in (ROOT / "csrc").rglob("*.c*"):
        if source.suffix == ".cu":
            assert (str(source) in compiled) == with_cuda
        elif source.suffix == ".cpp" and not source.stem.startswith("kernels_"):
            assert str(source) in compiled


def test_every_folder_and_file_is_installed() -> None:
    """Packages are listed by hand; one that is not is missing in wheels and nowhere else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = settings["package-dir"]
    packages = {package: _folder(package, folders) for package in settings["packages"]}
    tracked = subprocess.run(
        ["git", "ls-files", *folders.values()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a checkout of git")
    names = {folder: package for package, folder in packages.items()}
    for path in map(Path, tracked.stdout.splitlines()):
        assert path.parent in names, f"{path.parent} is in no package"
        patterns = settings["package-data"].get(names[path.parent], [])
        if path.suffix != ".py":
            assert any(fnmatch(path.name, pattern) for pattern in patterns), path


def _folder(package: str, folders: Mapping[str, str]) -> Path:
    """The folder of a package, or of the nearest one above it that has one of its own."""
    parent, _, name = package.rpartition(".")
    return Path(folders[package]) if package in folders else _folder(parent, folders) / name
