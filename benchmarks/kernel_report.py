"""Compile the Triton kernels of the named shapes without a GPU, and report their machine code.

``python benchmarks/kernel_report.py``, or ``make kernel-report``. The operators' host code runs on
tensors without memory, with its launches recorded; every distinct kernel is then compiled for
each architecture, and its registers, spills, shared memory and tensor core instructions are
read from the binary. It writes ``benchmarks/results/kernels.json`` and ``benchmarks/kernels.md``,
and fails where a kernel spills registers or multiplies matrices without tensor cores.

From nothing that takes some eight minutes on two idle cores. What the committed report has of the
same code and the same Triton is not compiled again, unless ``--fresh``.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple
from unittest.mock import patch

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
import triton
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from benchmarks import gpu_roofline
from benchmarks.binaries import LOCAL_MEMORY, tool
from benchmarks.options import parse_names
from benchmarks.shapes import SHAPES, Shape
from fastcaps.kernels import plan, tiles

__all__ = [
    "ARCHITECTURES",
    "MARKDOWN",
    "NAMES",
    "PRECISIONS",
    "REPORT",
    "Code",
    "CompilationError",
    "Entry",
    "Variant",
    "compile_all",
    "differences",
    "digest",
    "known_code",
    "markdown",
    "problems",
    "quick",
    "read",
    "record",
    "write",
]

FOLDER = Path(__file__).resolve().parent
REPORT = FOLDER / "results" / "kernels.json"
MARKDOWN = FOLDER / "kernels.md"

NAMES = ("mnist", "au96", "au224", "latency", "wide")
"""The shapes whose kernels are compiled; ``real`` has those of ``mnist``."""
ARCHITECTURES = {"sm_80": 80, "sm_90": 90, "sm_100": 100}
"""A100; H100 and H200; B200: with ten times their compute capability."""
PROCESSORS = 132
"""Streaming multiprocessors the launches are cut for: these change grids, but no kernel."""
ITERATIONS = 3
WARP = 32

SOFTMAX_OVER = ("outputs", "inputs")
TYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
TENSOR_CORES = re.compile(r"U?\w*MMA")
INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)", re.M)


class Precision(NamedTuple):
    """A dtype of the tensors, and whether products of float32 may be TF32."""

    dtype: torch.dtype
    allow_tf32: bool = False


PRECISIONS = {
    "float32": Precision(torch.float32),
    "TF32": Precision(torch.float32, allow_tf32=True),
    "bfloat16": Precision(torch.bfloat16),
    "float16": Precision(torch.float16),
}
"""What the kernels are compiled for: float32 as three TF32 products, float32 as one, halves."""


@dataclass(frozen=True)
class Variant:
    """What Triton compiles one binary from for each architecture.

    Attributes:
        module, kernel: the kernel's name, and where it is.
        source: a digest of what it says; see :func:`digest`.
        types: of every argument in order; "constexpr" for those in ``constants``.
        aligned: arguments divisible by 16.
        constants: compile-time arguments, and what is the same as one.
        options: of the compiler: warps and pipeline stages, where the launch names them.
    """

    module: str
    kernel: str
    source: str
    types: tuple[tuple[str, str], ...]
    aligned: tuple[str, ...]
    constants: tuple[tuple[str, Any], ...]
    options: tuple[tuple[str, Any], ...]

    def describe(self) -> dict[str, Any]:
        """The variant as JSON holds it; arguments are types, %16 where divisible by 16."""
        return {
            "kernel": f"{self.module.rpartition('.')[2]}.{self.kernel}",
            "source": self.source,
            "arguments": " ".join(
                kind + ("%16" if name in self.aligned else "")
                for name, kind in self.types
                if kind != "constexpr"
            ),
            "constants": {
                name: x if isinstance(x, int | str | None) else str(x) for name, x in self.constants
            },
            "options": dict(self.options),
        }


@dataclass
class Uses:
    """Who launches a variant, in the order met."""

    operators: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    precisions: list[str] = field(default_factory=list)
    softmax_over: list[str] = field(default_factory=list)
    architectures: list[str] = field(default_factory=list)

    def add(self, *use: str) -> None:
        """Note one more launch: a name for every field, "" for none."""
        for known, name in zip(vars(self).values(), use, strict=True):
            if name and name not in known:
                known.append(name)


@dataclass(frozen=True)
class Code:
    """What the machine code of a variant says.

    Attributes:
        registers: of a thread.
        stack: bytes of a thread's stack and local memory, which hold what registers do not.
        local_accesses: instructions that read or write local memory (LDL, STL).
        shared: bytes of shared memory of a program.
        tensor_cores: matrix instructions by name: HMMA up to sm_80, HGMMA on sm_90,
            UTC*MMA on sm_100.
        matrix_products: whether the kernel has any, in Triton's intermediate language.
    """

    registers: int
    stack: int
    local_accesses: int
    shared: int
    tensor_cores: dict[str, int]
    matrix_products: bool


@dataclass
class Entry:
    """One variant of the report: what it is, who launches it, and its code by architecture."""

    variant: dict[str, Any]
    uses: dict[str, list[str]]
    code: dict[str, Code] = field(default_factory=dict)


# What is launched


def record(
    names: Iterable[str] = NAMES,
    precisions: Iterable[str] = tuple(PRECISIONS),
    architectures: Iterable[str] = tuple(ARCHITECTURES),
) -> dict[Variant, Uses]:
    """Every variant that the operators launch on these shapes and GPUs, and where."""
    found: dict[Variant, Uses] = {}
    for name, precision in product(names, precisions):
        size = SHAPES[name].size
        sizes = {"D_in": size.in_dim, "N_out": size.outputs, "D_out": size.out_dim}
        for operator, axis, run in _calls(SHAPES[name], PRECISIONS[precision]):
            if tiles.why_not(operator, **sizes) is not None:
                continue
            for architecture in architectures:
                use = (operator, name, precision, axis, architecture)
                with _recorded(found, use):
                    run()
    return found


def _calls(shape: Shape, precision: Precision) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Calls of every operator on a shape's tensors: its name, the softmax's axis or "", itself."""
    size, backward = shape.size, "forward+backward" in shape.modes
    new = partial(torch.empty, dtype=precision.dtype, device="meta")
    u = new(size.batch, size.inputs, size.in_dim)
    weight = new(size.inputs, size.in_dim, size.outputs, size.out_dim)
    u_hat = new(size.batch, size.inputs, size.outputs, size.out_dim)
    yield "squash", "", partial(_squash, u, backward)
    tf32 = precision.allow_tf32
    yield "prediction_vectors", "", partial(_prediction_vectors, u, weight, u_hat, tf32, backward)
    for axis in SOFTMAX_OVER:
        over_inputs = axis == "inputs"
        yield "dynamic_routing", axis, partial(_dynamic_routing, u_hat, over_inputs, backward)
        yield "routed_capsules", axis, partial(_routed, u, weight, over_inputs, tf32, backward)
        yield "coupling_coefficients", axis, partial(_coefficients, u, weight, over_inputs, tf32)


def _operator(name: str) -> Any:
    return import_module(f"fastcaps.kernels.{name}")


def _squash(capsules: Tensor, backward: bool) -> None:
    v = _operator("squash").forward(capsules)
    if backward:
        _operator("squash").backward(v, capsules)


def _prediction_vectors(
    u: Tensor, weight: Tensor, u_hat: Tensor, allow_tf32: bool, backward: bool
) -> None:
    _operator("prediction_vectors").forward(u, weight, allow_tf32)
    if backward:
        _operator("prediction_vectors").backward(u_hat, u, weight, allow_tf32, True, True)


def _dynamic_routing(u_hat: Tensor, over_inputs: bool, backward: bool) -> None:
    routing = _operator("dynamic_routing")
    options = (ITERATIONS, over_inputs, False)
    v, *saved = routing.forward(u_hat, None, None, *options)
    if backward:
        routing.backward(v, u_hat, None, None, *saved, *options)


def _routed(u: Tensor, weight: Tensor, over_inputs: bool, allow_tf32: bool, backward: bool) -> None:
    layer = _operator("routed_capsules")
    options = (ITERATIONS, over_inputs, False, allow_tf32)
    v, *saved = layer.forward(u, weight, None, None, *options)
    if backward:
        layer.backward(v, u, weight, None, None, *saved, *options, True, True)


def _coefficients(u: Tensor, weight: Tensor, over_inputs: bool, allow_tf32: bool) -> None:
    options = (ITERATIONS, over_inputs, allow_tf32)
    _operator("coupling_coefficients").forward(u, weight, None, None, *options)


@contextmanager
def _recorded(found: dict[Variant, Uses], use: tuple[str, ...]) -> Iterator[None]:
    """Launches are noted in ``found`` instead of run, as on a GPU of the use's architecture."""

    def run(kernel: JITFunction, *args: Any, grid: object, warmup: bool, **options: Any) -> None:
        given = dict(zip(kernel.arg_names, args, strict=False)) | options
        found.setdefault(specialised(kernel, given), Uses()).add(*use)

    answers = {"processors": PROCESSORS, "capability": ARCHITECTURES[use[-1]] // 10}
    with ExitStack() as stack:
        # Plans are kept for a device, and here one device stands for several.
        plan.forget_plans()
        stack.callback(plan.forget_plans)
        stack.enter_context(patch.object(JITFunction, "run", run))
        for module in (plan, _operator("dynamic_routing")):
            for name in answers.keys() & vars(module).keys():
                stack.enter_context(patch.object(module, name, lambda _, x=answers[name]: x))
        yield


def specialised(kernel: JITFunction, given: Mapping[str, Any]) -> Variant:
    """The variant that Triton compiles for these arguments, with tensors that are aligned."""
    types, aligned, constants = [], [], []
    for parameter in kernel.params:
        name, value = parameter.name, given[parameter.name]
        free = parameter.do_not_specialize
        if isinstance(value, Tensor):
            types.append((name, f"*{TYPES[value.dtype]}"))
            aligned.append(name)
        elif parameter.is_constexpr or value is None or (value == 1 and not free):
            types.append((name, "constexpr"))
            constants.append((name, value))
        else:
            types.append((name, "i32" if value < 2**31 else "i64"))
            aligned.extend([name] if value % 16 == 0 and not free else [])
    options = tuple((name, x) for name, x in given.items() if name not in kernel.arg_names)
    return Variant(
        kernel.fn.__module__,
        kernel.__name__,
        digest(kernel),
        tuple(types),
        tuple(aligned),
        tuple(constants),
        options,
    )


@cache
def digest(kernel: JITFunction) -> str:
    """Twelve hexadecimal digits that change with the code of a kernel, or of what it calls.

    They do not change with comments, docstrings and layout.
    """
    names, text = _code_of(kernel.src)
    for name in names:
        value = kernel.fn.__globals__.get(name)
        if isinstance(value, JITFunction):
            text += digest(value)
        elif isinstance(value, triton.language.constexpr):
            text += f"{name} = {value.value}"
    return sha256(text.encode()).hexdigest()[:12]


def _code_of(source: str) -> tuple[list[str], str]:
    """The names in a function's source, and the source in a layout of its own."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and ast.get_docstring(function) is not None:
            function.body = function.body[1:] or [ast.Pass()]
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return sorted(names), ast.unparse(tree)


def quick(found: Mapping[Variant, Uses]) -> list[tuple[Variant, str]]:
    """What is worth compiling in a minute: the passes of au96 and mnist with TF32 and bfloat16.

    sm_80 gets both shapes: it keeps all operands in registers and is the first to spill. The
    other two architectures get au96 with the usual softmax, over outputs. The kernels between
    the passes are left out, as they hold little.
    """
    jobs = []
    for variant, uses in found.items():
        if "routed_capsules" not in uses.operators or not variant.module.endswith(".passes"):
            continue
        if {"TF32", "bfloat16"}.isdisjoint(uses.precisions):
            continue
        wanted = set()
        if {"mnist", "au96"} & set(uses.shapes):
            wanted |= {"sm_80"}
        if "au96" in uses.shapes and "outputs" in uses.softmax_over:
            wanted |= {"sm_90", "sm_100"}
        jobs += [(variant, name) for name in uses.architectures if name in wanted]
    return jobs


# What is compiled


class CompilationError(RuntimeError):
    """A variant does not compile."""


def compile_variant(variant: Variant, architecture: str) -> Code:
    """Compile a variant, and read its machine code."""
    kernel = getattr(import_module(variant.module), variant.kernel)
    if digest(kernel) != variant.source:
        raise RuntimeError("its code changed after its launch was recorded")
    place = {name: (index,) for index, (name, _) in enumerate(variant.types)}
    source = ASTSource(
        kernel,
        dict(variant.types),
        constexprs={place[name]: value for name, value in variant.constants},
        attrs={place[name]: [["tt.divisibility", 16]] for name in variant.aligned},
    )
    target = GPUTarget("cuda", ARCHITECTURES[architecture], WARP)
    compiled = triton.compile(source, target=target, options=dict(variant.options))
    matrix_products = "tt.dot" in compiled.asm["ttir"]
    registers, stack, instructions = _machine_code(compiled.asm["cubin"], matrix_products)
    return Code(
        registers=registers,
        stack=stack,
        local_accesses=sum(instructions[name] for name in LOCAL_MEMORY),
        shared=compiled.metadata.shared,
        tensor_cores={
            name: count
            for name, count in sorted(instructions.items())
            if TENSOR_CORES.fullmatch(name)
        },
        matrix_products=matrix_products,
    )


def _machine_code(binary: bytes, matrix_products: bool) -> tuple[int, int, Counter[str]]:
    """Registers, bytes of stack and local memory, and how often there is every instruction.

    Without these bytes there is no access to local memory. The instructions of a kernel that has
    none and multiplies no matrices are not worth the time to look at.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(binary)
        usage = tool("cuobjdump", "-res-usage", str(file))
        found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage)
        if found is None:
            raise RuntimeError(f"expected registers and stack, got {usage}")
        registers, stack, local = map(int, found.groups())
        if stack + local == 0 and not matrix_products:
            return registers, 0, Counter()
        instructions = Counter(INSTRUCTION.findall(tool("nvdisasm", "-ndf", "-c", str(file))))
    if "EXIT" not in instructions:
        raise RuntimeError(f"expected instructions, got {instructions}")
    return registers, stack + local, instructions


def compile_all(
    found: Mapping[Variant, Uses],
    jobs: Iterable[tuple[Variant, str]],
    *,
    known: Mapping[tuple[str, str], Code] | None = None,
    workers: int = 2,
    console: Console | None = None,
) -> list[Entry]:
    """Compile variants for architectures in other processes; entries in the order of ``found``.

    What is ``known``, see :func:`known_code`, is taken from there.

    Raises:
        CompilationError: a variant does not compile.
    """
    entries = {variant: Entry(variant.describe(), asdict(uses)) for variant, uses in found.items()}
    missing = []
    for variant, architecture in jobs:
        code = (known or {}).get((_text(entries[variant].variant), architecture))
        if code is None:
            missing.append((variant, architecture))
        else:
            entries[variant].code[architecture] = code
    columns = (TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn())
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar,
    ):
        futures = {pool.submit(compile_variant, *job): job for job in missing}
        task = bar.add_task("", total=len(futures))
        for future in as_completed(futures):
            variant, architecture = futures[future]
            try:
                entries[variant].code[architecture] = future.result()
            except Exception as error:
                pool.shutdown(cancel_futures=True)
                name = f"{_title(entries[variant])} on {architecture}"
                raise CompilationError(f"{name}: does not compile: {error}") from error
            bar.advance(task)
    compiled = [entry for entry in entries.values() if entry.code]
    for entry in compiled:
        entry.code = {name: entry.code[name] for name in ARCHITECTURES if name in entry.code}
    return compiled


def problems(entries: Iterable[Entry]) -> list[str]:
    """What must not be: each with its kernel, shapes and architecture."""
    return [
        f"{_title(entry)} on {architecture}: {problem}"
        for entry in entries
        for architecture, code in entry.code.items()
        for problem in _problems(code)
    ]


def _problems(code: Code) -> list[str]:
    found = []
    if code.stack or code.local_accesses:
        found.append(
            f"spills: {code.registers} registers, {code.stack} bytes of stack, "
            f"{code.local_accesses} accesses to local memory"
        )
    if code.matrix_products and not code.tensor_cores:
        found.append("multiplies matrices without a tensor core instruction")
    return found


def _title(entry: Entry) -> str:
    axis = f", softmax over {' or '.join(entry.uses['softmax_over'])}"
    return (
        f"{entry.variant['kernel']} ({', '.join(entry.uses['shapes'])}; "
        f"{', '.join(entry.uses['precisions'])}"
        f"{axis if entry.uses['softmax_over'] else ''}{_flags(entry, before='; ')})"
    )


def _flags(entry: Entry, before: str = "") -> str:
    """The compile-time switches that are on."""
    on = [name for name, value in entry.variant["constants"].items() if value is True]
    on = [name for name in on if name != "OVER_INPUTS"]
    return before + ", ".join(on) if on else ""


# What is written


def write(entries: list[Entry], path: Path) -> None:
    """Write a report, a line for each variant."""
    lines = ",\n".join(json.dumps(asdict(entry)) for entry in entries)
    head = json.dumps({"triton": triton.__version__, "architectures": list(ARCHITECTURES)})
    path.write_text(f'{head[:-1]}, "variants": [\n{lines}\n]}}\n', encoding="utf-8")


def read(path: Path = REPORT) -> tuple[str, list[Entry]]:
    """Triton's version and the entries of a report."""
    data = json.loads(path.read_text(encoding="utf-8"))
    entries = [
        Entry(
            row["variant"],
            row["uses"],
            {name: Code(**code) for name, code in row["code"].items()},
        )
        for row in data["variants"]
    ]
    return data["triton"], entries


def known_code(path: Path = REPORT) -> dict[tuple[str, str], Code]:
    """The machine code in a report, by variant and architecture; none of another Triton's."""
    if not path.exists():
        return {}
    version, entries = read(path)
    if version != triton.__version__:
        return {}
    return {
        (_text(entry.variant), architecture): code
        for entry in entries
        for architecture, code in entry.code.items()
    }


def differences(found: Mapping[Variant, Uses], entries: Iterable[Entry]) -> list[str]:
    """What the code launches and the report lacks, and the other way round."""
    launched = {_text([x.describe(), asdict(uses)]): x.kernel for x, uses in found.items()}
    reported = {_text([x.variant, x.uses]): x.variant["kernel"] for x in entries}
    missing = [f"missing: {name} {key}" for key, name in launched.items() if key not in reported]
    return missing + [
        f"no longer launched: {name} {key}" for key, name in reported.items() if key not in launched
    ]


def _text(data: object) -> str:
    """Data as JSON that is the same for equal data."""
    return json.dumps(data, sort_keys=True)


def markdown(version: str, entries: list[Entry]) -> str:
    """The report as people read it: a summary, then every variant by kernel."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.variant["kernel"], []).append(entry)
    lines = [
        "# The machine code of the Triton kernels",
        "",
        "Written by `make kernel-report`; a test keeps it equal to what the code launches today.",
        f"Triton {version}, {len(entries)} variants, compiled for "
        f"{', '.join(ARCHITECTURES)} without a GPU:",
        f"what the operators launch on the shapes {', '.join(NAMES)} of `benchmarks/shapes.py`, "
        f"{ITERATIONS} iterations,",
        "without bias and prior, forward and (but for `latency`) backward. `float32` multiplies "
        "by three TF32 products,",
        "`TF32` by one. HMMA, HGMMA and UTC*MMA are matrix instructions of tensor cores; "
        "a spill is stack, LDL or STL.",
        "A tile is samples x inputs, or what else the kernel's BLOCK_ arguments say.",
        "",
        "## Summary",
        "",
        "Largest numbers of any variant: registers of a thread, shared memory of a program.",
        "",
        *_table(
            ("kernel", "variants", *ARCHITECTURES, "spilling variants"),
            (_summary(name, group) for name, group in groups.items()),
        ),
    ]
    for name, group in groups.items():
        lines += ["", f"## `{name}`", "", *_table(_HEADER, _rows(group))]
    return "\n".join(lines) + "\n"


_HEADER = ("launched by", "shapes", "precision", "softmax over", "switches", *ARCHITECTURES)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(header)
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _summary(name: str, group: list[Entry]) -> list[str]:
    cells = [f"`{name}`", str(len(group))]
    for architecture in ARCHITECTURES:
        codes = [x.code[architecture] for x in group if architecture in x.code]
        kinds = sorted({kind for code in codes for kind in code.tensor_cores})
        most = max((x.registers for x in codes), default=0)
        shared = max((x.shared for x in codes), default=0)
        cells.append(", ".join([f"{most} registers", _kilobytes(shared), *kinds]))
    spilling = sum(any(x.stack or x.local_accesses for x in e.code.values()) for e in group)
    return [*cells, str(spilling) if spilling else "none"]


def _rows(group: list[Entry]) -> list[list[str]]:
    """A row for each launch, with the variants of all architectures in it."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for entry in group:
        uses = entry.uses
        launched = (
            ", ".join(uses["operators"]),
            ", ".join(uses["shapes"]),
            ", ".join(uses["precisions"]),
            ", ".join(uses["softmax_over"]) or "-",
            _flags(entry) or "-",
        )
        cells = rows.setdefault(launched, {})
        for architecture, code in entry.code.items():
            cells[architecture] = f"{_tile(entry)}{_code_cell(code)}"
    return [
        [*launched, *(cells.get(name, "-") for name in ARCHITECTURES)]
        for launched, cells in rows.items()
    ]


def _tile(entry: Entry) -> str:
    """The sizes of the tile, and the warps and pipeline stages that the launch names."""
    constants, options = entry.variant["constants"], entry.variant["options"]
    sizes = [str(value) for name, value in constants.items() if name.startswith("BLOCK_")]
    words = ["x".join(sizes)] if sizes else []
    words += [f"{count} {name.removeprefix('num_')}" for name, count in options.items()]
    return ", ".join(words) + ": " if words else ""


def _code_cell(code: Code) -> str:
    parts = [f"{code.registers} registers", _kilobytes(code.shared)]
    parts += [f"{count} {name}" for name, count in code.tensor_cores.items()]
    if code.stack or code.local_accesses:
        parts.append(f"**spills {code.stack} B, {code.local_accesses} LDL/STL**")
    return ", ".join(parts)


def _kilobytes(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size else "0 KiB"


# The command

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def main(
    shapes: Annotated[
        str, typer.Option(help=f"Some of {', '.join(NAMES)}, separated by commas; or all.")
    ] = "all",
    precisions: Annotated[
        str, typer.Option(help=f"Some of {', '.join(PRECISIONS)}; or all.")
    ] = "all",
    architectures: Annotated[
        str, typer.Option(help=f"Some of {', '.join(ARCHITECTURES)}; or all.")
    ] = "all",
    quickly: Annotated[
        bool, typer.Option("--quick", help="Only what a minute allows; see quick() here.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compile nothing: is the committed report of today?")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Also compile what the committed report has already.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that compile.")] = 2,
) -> None:
    """Compile the kernels of the named shapes; with no choice made, write the reports too."""
    if triton.knobs.runtime.interpret:
        raise typer.BadParameter("TRITON_INTERPRET=1 interprets kernels and compiles none")
    console = Console(soft_wrap=True)
    if check:
        _finish(differences(record(), read()[1]), console)
        return
    try:
        chosen = parse_names(shapes, NAMES), parse_names(precisions, PRECISIONS)
        targets = parse_names(architectures, ARCHITECTURES)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    found = record(*chosen, targets)
    jobs = [(variant, target) for variant, uses in found.items() for target in uses.architectures]
    if quickly:
        jobs = quick(found)
    known = {} if fresh or quickly else known_code()
    try:
        entries = compile_all(found, jobs, known=known, workers=workers, console=console)
    except CompilationError as error:
        _finish([str(error)], console)
        raise
    console.print(f"{len(entries)} variants, {len(jobs)} binaries", highlight=False)
    if not quickly and (*chosen, targets) == (NAMES, tuple(PRECISIONS), tuple(ARCHITECTURES)):
        write(entries, REPORT)
        MARKDOWN.write_text(markdown(triton.__version__, entries), encoding="utf-8")
        gpu_roofline.main()
        written = ", ".join(str(path) for path in (REPORT, MARKDOWN, gpu_roofline.PAGE))
        console.print(f"[dim]wrote {written}[/dim]", highlight=False)
    _finish(problems(entries), console)


def _finish(wrong: list[str], console: Console) -> None:
    """Tell what is wrong, and fail if anything is."""
    for line in wrong:
        console.print(line, highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
