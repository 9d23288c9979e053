"""Compile the CUDA kernels without a GPU, and report their machine code.

``python benchmarks/cuda_report.py``, or ``make kernel-report``. nvcc compiles every source in
``csrc/cuda`` for each architecture; registers, spills, tensor core instructions and the widths of
accesses to global memory are read from the binaries, and ``benchmarks/cuda_blocks.cu`` tells the
threads and shared memory of blocks, hence how many a multiprocessor holds. It writes
``benchmarks/results/cuda_kernels.json`` and ``benchmarks/cuda_kernels.md``, and fails where a
kernel spills registers.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
import typer
from rich.console import Console
from rich.progress import track
from torch.utils.cpp_extension import include_paths

from benchmarks.binaries import LOCAL_MEMORY, tool

__all__ = [
    "ARCHITECTURES",
    "MARKDOWN",
    "REPORT",
    "Kernel",
    "blocks",
    "compile_source",
    "compile_sources",
    "markdown",
    "problems",
    "read",
    "source_digest",
]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "csrc" / "cuda"
REPORT = ROOT / "benchmarks" / "results" / "cuda_kernels.json"
MARKDOWN = ROOT / "benchmarks" / "cuda_kernels.md"

BLOCKS = ROOT / "benchmarks" / "cuda_blocks.cu"

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
"""A100; H100 and H200; B200."""
SHARED_MEMORY = {"sm_80": 164, "sm_90": 228, "sm_100": 228}
"""KiB of a multiprocessor (CUDA C++ Programming Guide, compute capabilities), of which each block
takes 1 KiB for the system."""
REGISTERS = 65536
WARPS = 64
"""Of a multiprocessor, on all of these."""
FLAGS = ("-std=c++17", "-O3", "-DTORCH_TARGET_VERSION=0x020a000000000000", "-DUSE_CUDA")
INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", re.M)
TENSOR_CORES = ("HMMA", "HGMMA", "UTCHMMA")
GLOBAL_MEMORY = ("LDG", "STG", "LDGSTS")
COUPLINGS = ("uniform", "over outputs", "over inputs")
"""The enumerators of ``Coupling``, whose numbers are in the names of kernels."""
WIDTH = re.compile(r"\.(U8|U16|64|128)\b")


@dataclass(frozen=True)
class Kernel:
    """The machine code of one kernel for one architecture.

    Attributes:
        name: with its template arguments.
        source, architecture: what it was compiled from and for.
        registers: of a thread.
        stack: bytes of a thread's stack and local memory, which hold what registers do not.
        local_accesses: instructions that read or write local memory.
        threads, shared: of a block, and its bytes of shared memory; 0 where its launch needs none.
        tensor_cores: matrix instructions by name.
        global_accesses: instructions that access global memory, by name and width in bits.
    """

    name: str
    source: str
    architecture: str
    registers: int
    stack: int
    local_accesses: int
    threads: int
    shared: int
    tensor_cores: dict[str, int]
    global_accesses: dict[str, int]

    @property
    def blocks(self) -> int:
        """How many blocks of this size a multiprocessor holds."""
        warps = self.threads // 32
        # Registers are granted in units of 8 for each thread of a warp.
        of_registers = REGISTERS // (-(-self.registers // 8) * 8 * self.threads)
        of_shared = SHARED_MEMORY[self.architecture] * 1024 // (self.shared + 1024)
        return min(of_registers, of_shared, WARPS // warps)


def blocks() -> dict[str, tuple[int, int]]:
    """Threads and bytes of shared memory of a block, by kernel.

    Raises:
        FileNotFoundError: there is no nvcc.
    """
    with TemporaryDirectory() as folder:
        program = Path(folder) / "blocks"
        subprocess.run([_nvcc(), *FLAGS, "-o", str(program), str(BLOCKS)], check=True)
        text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    rows = (line.split("\t") for line in text.splitlines())
    return {name: (int(threads), int(shared)) for name, threads, shared in rows}


def compile_sources(architectures: Iterable[str] = ARCHITECTURES) -> list[Kernel]:
    """The kernels of every source in ``csrc/cuda``, by source, architecture and name.

    Raises:
        FileNotFoundError: there is no nvcc.
    """
    jobs = [(source, name) for source in sorted(SOURCES.glob("*.cu")) for name in architectures]
    console = Console(stderr=True)
    known = blocks()
    return [
        kernel
        for source, architecture in track(jobs, "compiling", console=console, transient=True)
        for kernel in compile_source(source, architecture, known)
    ]


def compile_source(
    source: Path, architecture: str, known: Mapping[str, tuple[int, int]]
) -> Iterator[Kernel]:
    """The kernels of one source, by name; ``known`` is what :func:`blocks` tells.

    Raises:
        FileNotFoundError: there is no nvcc.
    """
    number = architecture.removeprefix("sm_")
    with TemporaryDirectory() as folder:
        binary = Path(folder) / "kernels.cubin"
        headers = [part for path in include_paths() for part in ("-isystem", path)]
        target = f"-gencode=arch=compute_{number},code=sm_{number}"
        command = [_nvcc(), *FLAGS, *headers, target, "-cubin", "-o", str(binary), str(source)]
        subprocess.run(command, check=True)
        usage = tool("cuobjdump", "-res-usage", str(binary))
        listing = tool("cuobjdump", "-sass", str(binary))
    sections = re.split(r"^\s+Function : (\S+)$", listing, flags=re.M)[1:]
    code = dict(zip(sections[::2], sections[1::2], strict=True))
    pattern = r"Function (\S+?):\n.*?REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)"
    for symbol, *numbers in sorted(re.findall(pattern, usage)):
        registers, stack, local = map(int, numbers)
        name = _readable(symbol)
        threads, shared = known.get(name, (0, 0))
        instructions = Counter(INSTRUCTION.findall(code[symbol]))
        yield Kernel(
            name=name,
            source=source.name,
            architecture=architecture,
            registers=registers,
            stack=stack + local,
            local_accesses=_count(instructions, LOCAL_MEMORY),
            threads=threads,
            shared=shared,
            tensor_cores={x: n for x in TENSOR_CORES if (n := _count(instructions, (x,)))},
            global_accesses=_widths(instructions),
        )


def _nvcc() -> str:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise FileNotFoundError("nvcc is not on PATH")
    return nvcc


def _readable(symbol: str) -> str:
    """A kernel's name in C++, without its namespace and parameters."""
    output = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout
    name = output.strip().removeprefix("void ").rpartition("(")[0]
    for part in ("fastcaps::cuda::", "fastcaps::", "(anonymous namespace)::"):
        name = name.replace(part, "")
    return re.sub(r"\(Coupling\)(\d)", lambda found: COUPLINGS[int(found[1])], name)


def _count(instructions: Counter[str], names: Iterable[str]) -> int:
    """How often there are these instructions, whatever their modifiers."""
    wanted = set(names)
    return sum(n for text, n in instructions.items() if text.partition(".")[0] in wanted)


def _widths(instructions: Counter[str]) -> dict[str, int]:
    """Accesses to global memory: "LDG 128" and the like; 32 bits where none are named."""
    found: Counter[str] = Counter()
    for text, count in instructions.items():
        name = text.partition(".")[0]
        if name in GLOBAL_MEMORY:
            width = WIDTH.search(text)
            found[f"{name} {width.group(1).removeprefix('U') if width else 32}"] += count
    return dict(sorted(found.items()))


def problems(kernels: Iterable[Kernel]) -> list[str]:
    """Kernels that spill, each with its architecture."""
    return [
        f"{kernel.name} on {kernel.architecture} spills: {kernel.registers} registers, "
        f"{kernel.stack} bytes of stack, {kernel.local_accesses} accesses to local memory"
        for kernel in kernels
        if kernel.stack or kernel.local_accesses
    ]


def source_digest() -> str:
    """A digest of everything that the kernels are compiled from."""
    files = [*sorted(SOURCES.rglob("*.*")), *sorted(SOURCES.parent.glob("*.h")), BLOCKS]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def read() -> tuple[dict[str, Any], list[Kernel]]:
    """What the committed report was made from, and its kernels."""
    data = json.loads(REPORT.read_text(encoding="utf-8"))
    return data, [Kernel(**row) for row in data.pop("kernels")]


def markdown(made_from: dict[str, Any], kernels: Iterable[Kernel]) -> str:
    """The report as people read it: a row for each kernel."""
    rows: dict[str, dict[str, Kernel]] = {}
    for kernel in kernels:
        rows.setdefault(kernel.name, {})[kernel.architecture] = kernel
    lines = [
        "# The machine code of the CUDA kernels",
        "",
        "Written by `make kernel-report`; a test keeps it equal to the sources.",
        f"{made_from['nvcc']}, compiled for {', '.join(ARCHITECTURES)} without a GPU. Accesses to",
        "global memory are given with their width in bits. Where launches ask for shared memory:",
        "how many blocks a multiprocessor holds, and the part of its threads that they are.",
        "",
        f"| kernel | {' | '.join(ARCHITECTURES)} |",
        f"| --- |{' --- |' * len(ARCHITECTURES)}",
    ]
    for name, row in rows.items():
        cells = [_cell(row[architecture]) for architecture in ARCHITECTURES]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(kernel: Kernel) -> str:
    parts = [f"{kernel.registers} registers"]
    if kernel.shared:
        shared = f"{kernel.threads} threads and {kernel.shared / 1024:.0f} KiB a block"
        count = kernel.blocks
        occupancy = count * kernel.threads / (32 * WARPS)
        parts.append(
            f"{shared}, {count} at a time ({occupancy:.0%})" if count else f"{shared}: none"
        )
    counts = kernel.tensor_cores | kernel.global_accesses
    parts += [f"{count} {name}" for name, count in counts.items()]
    if kernel.stack or kernel.local_accesses:
        parts.append(f"**spills {kernel.stack} B**")
    return ", ".join(parts)


def _nvcc_version() -> str:
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release [\d.]+, V([\d.]+)", text)
    return f"nvcc {found.group(1) if found else 'unknown'}"


def main() -> None:
    """Compile all kernels and write the report."""
    console = Console(soft_wrap=True)
    kernels = compile_sources()
    made_from = {"nvcc": _nvcc_version(), "torch": torch.__version__, "sources": source_digest()}
    lines = ",\n".join(json.dumps(asdict(kernel)) for kernel in kernels)
    head = json.dumps(made_from)
    REPORT.write_text(f'{head[:-1]}, "kernels": [\n{lines}\n]}}\n', encoding="utf-8")
    MARKDOWN.write_text(markdown(made_from, kernels), encoding="utf-8")
    console.print(f"{len(kernels)} binaries\n[dim]wrote {REPORT}, {MARKDOWN}[/dim]")
    wrong = problems(kernels)
    for line in wrong:
        console.print(line, highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
