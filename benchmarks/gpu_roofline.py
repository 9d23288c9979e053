"""What every Triton kernel of the fused layer costs at least on known GPUs, and is expected to.

``python benchmarks/gpu_roofline.py`` writes ``benchmarks/roofline.md``; a test compares the two.
The page says what is counted and why the expected times are above the floors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

# Last, so that an installed fastcaps is found before the source tree beside this folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.shapes import SHAPES, Size
from fastcaps.kernels import tiles

__all__ = ["GPUS", "PAGE", "Gpu", "Layer", "Work", "expected", "floor", "main", "page", "works"]

PAGE = Path(__file__).resolve().parent / "roofline.md"
NAMES = ("mnist", "au96", "wide")
"""Of the named shapes; at one batch size the others are equal to one of these."""
BATCH = 128
ITERATIONS = 3
SOFTMAX_OVER = ("outputs", "inputs")
DTYPES = {"TF32": torch.float32, "bfloat16": torch.bfloat16}
FLOAT32 = 4
"""Bytes of everything but the tensors of the call."""

RESIDENT = 2
"""Programs of a pass by input that share an L1 cache, and with it the vectors of their samples."""
USED = 0.5
"""The part of the rate of arithmetic that a pass reaches while it computes."""
L2_EXPECTED = 5.5e12
"""Bytes per second from L2 to expect: about three quarters of what NVIDIA gives for the A100."""
START = 2e-6
"""Seconds in which a kernel's programs start and its last ones end."""


@dataclass(frozen=True)
class Gpu:
    """A GPU and its published rates: operations and bytes per second, dense.

    ``l2`` is None where the maker publishes no rate.
    """

    name: str
    capability: int
    processors: int
    tensor: dict[str, float]
    float32: float
    memory: float
    l2: float | None
    source: str


GPUS = (
    Gpu(
        "A100",
        capability=8,
        processors=108,
        tensor={"TF32": 156e12, "bfloat16": 312e12},
        float32=19.5e12,
        memory=2.039e12,
        l2=5120 * 1.41e9,
        source="NVIDIA A100 datasheet (80 GB, SXM); L2 as in the A100 architecture whitepaper: "
        "5120 bytes per clock, at 1.41 GHz",
    ),
    Gpu(
        "H100",
        capability=9,
        processors=132,
        tensor={"TF32": 494.7e12, "bfloat16": 989.4e12},
        float32=66.9e12,
        memory=3.35e12,
        l2=None,
        source="NVIDIA H100 datasheet and architecture whitepaper (80 GB, SXM), dense rates",
    ),
    Gpu(
        "H200",
        capability=9,
        processors=132,
        tensor={"TF32": 494.7e12, "bfloat16": 989.4e12},
        float32=66.9e12,
        memory=4.8e12,
        l2=None,
        source="NVIDIA H200 datasheet (141 GB, SXM), dense rates, which are the H100's",
    ),
)


@dataclass(frozen=True)
class Work:
    """What one launch of a kernel does.

    Attributes:
        kernel: its name, and in which iteration it differs.
        tensor: operations of matrix products.
        float32: operations between them.
        memory: bytes, every input read and every result written once.
        l2: bytes that programs ask for, as often as they do.
        forward, backward: launches in a forward and in a backward pass.
    """

    kernel: str
    tensor: float
    float32: float
    memory: float
    l2: float
    forward: int = 0
    backward: int = 0


@dataclass(frozen=True)
class Layer:
    """A fused layer on a GPU: how large what its kernels touch is, and how they are cut."""

    size: Size
    precision: str
    over_inputs: bool
    gpu: Gpu

    @property
    def product(self) -> float:
        """Operations of one matrix product: 2 B I K J D."""
        return 2 * self.size.u_hat * self.size.in_dim

    @property
    def terms(self) -> int:
        """Terms of a float32 operand: what meets half types comes in two."""
        return 1 if self.item == FLOAT32 else 2

    @property
    def pairs(self) -> int:
        """Coupling coefficients: B I J."""
        return self.size.batch * self.size.inputs * self.size.outputs

    @property
    def item(self) -> int:
        """Bytes of a number of the call's tensors."""
        return DTYPES[self.precision].itemsize

    @property
    def u(self) -> int:
        """Bytes of u."""
        return self.size.batch * self.size.inputs * self.size.in_dim * self.item

    @property
    def grad_u(self) -> int:
        """Bytes of the sum that becomes dL/du, in float32."""
        return self.u // self.item * FLOAT32

    @property
    def weight(self) -> int:
        """Bytes of weight."""
        size = self.size
        return size.inputs * size.in_dim * size.outputs * size.out_dim * self.item

    @property
    def vectors(self) -> int:
        """Bytes of V, of s of an iteration or of a gradient of either."""
        return self.size.batch * self.size.outputs * self.size.out_dim * FLOAT32

    @property
    def plane(self) -> int:
        """Bytes of a number for every sample and input, which there is over outputs only."""
        return 0 if self.over_inputs else self.size.batch * self.size.inputs * FLOAT32

    def tile(self, kernel: str) -> tiles.RoutingTile:
        """The tile that the kernel is launched with."""
        return tiles.routing_tile(
            kernel,
            self.size.batch,
            self.size.in_dim,
            self.size.out_dim,
            products="tf32" if self.item == FLOAT32 else "half",
            capability=self.gpu.capability,
        )

    def sample_tiles(self, kernel: str) -> int:
        """Programs that read the same weights."""
        return -(-self.size.batch // self.tile(kernel).samples)

    def input_tiles(self, kernel: str) -> int:
        """Programs of a pass by input that read the same vectors."""
        return -(-self.size.inputs // self.tile(kernel).inputs)

    def slices(self, kernel: str, blocks: int | None = None) -> int:
        """Slices of a pass by output, or by so many blocks of the outputs' numbers."""
        size, processors = self.size, self.gpu.processors
        blocks = size.outputs if blocks is None else blocks
        return tiles.slices(size.batch, size.inputs, blocks, self.tile(kernel), processors)[0]

    def between(self, per_element: float, per_pair: float) -> float:
        """Operations on every W . V, of D_in numbers for each coefficient, and on coefficients."""
        return self.pairs * (per_element * self.size.in_dim + per_pair)


def works(layer: Layer) -> list[Work]:
    """Every kernel of a forward and a backward pass, in the order of their first launch."""
    kernels = [
        _arrange(layer),
        _first_sums(layer),
        _normalizer(layer),
        _sums(layer),
        _combine(layer),
    ]
    kernels += [_replay(layer), _input_gradients(layer), _agreement_gradients(layer)]
    kernels += [_combine_gradients(layer), _first_input_gradients(layer), _weight_gradients(layer)]
    return [work for work in kernels if not (layer.over_inputs and work.kernel == "normalizer")]


LATER = ITERATIONS - 1
"""Iterations after the first, whose coefficients are all equal."""


def _arrange(layer: Layer) -> Work:
    return Work("arrange", 0, 0, 2 * layer.u, 2 * layer.u, forward=1, backward=1)


def _first_sums(layer: Layer) -> Work:
    name = "uniform_sums_kernel"
    rereads = -(-layer.size.outputs * layer.size.out_dim // tiles.BLOCK_OUTPUTS)
    result = layer.slices(name, rereads) * layer.vectors
    return Work(
        "uniform_sums",
        tensor=layer.product,
        float32=0,
        memory=layer.u + layer.weight + result,
        l2=rereads * layer.u + layer.sample_tiles(name) * layer.weight + result,
        forward=1,
    )


def _normalizer(layer: Layer) -> Work:
    name, result = "normalizer_kernel", 2 * layer.plane
    return Work(
        "normalizer",
        tensor=layer.terms * layer.product,
        float32=layer.between(2, 10),
        memory=layer.u + layer.weight + layer.vectors + result,
        l2=layer.u
        + layer.sample_tiles(name) * layer.weight
        + layer.input_tiles(name) * layer.vectors / RESIDENT
        + result,
        forward=LATER,
    )


def _sums(layer: Layer) -> Work:
    name = "weighted_sums_kernel"
    slices, rereads = layer.slices(name), layer.size.outputs
    result = slices * layer.vectors
    return Work(
        "weighted_sums",
        tensor=2 * layer.terms * layer.product,
        float32=layer.between(3, 7 if layer.over_inputs else 4),
        memory=layer.u + layer.weight + layer.vectors + 2 * layer.plane + result,
        l2=rereads * (layer.u + 2 * layer.plane)
        + layer.sample_tiles(name) * layer.weight
        + slices * layer.vectors
        + result,
        forward=LATER,
    )


def _combine(layer: Layer) -> Work:
    read_and_written = (layer.slices("weighted_sums_kernel") + 3) * layer.vectors
    return Work("combine", 0, 0, read_and_written, read_and_written, forward=ITERATIONS)


def _replay(layer: Layer) -> Work:
    read_and_written = (2 * ITERATIONS + 2) * layer.vectors
    return Work("replay", 0, 0, read_and_written, read_and_written, backward=1)


def _input_gradients(layer: Layer) -> Work:
    name, result = "input_gradients_kernel", 3 * layer.plane + 2 * layer.grad_u
    # Over outputs the coefficients need a loop over all outputs of their own.
    loops = 1 if layer.over_inputs else 2
    return Work(
        "input_gradients",
        tensor=(loops + 1) * layer.terms * layer.product,
        float32=layer.between(8, 9) if layer.over_inputs else layer.between(12, 17),
        memory=layer.u + layer.weight + 3 * layer.vectors + result,
        l2=layer.u
        + loops * layer.sample_tiles(name) * layer.weight
        + 3 * layer.input_tiles(name) * layer.vectors / RESIDENT
        + result,
        backward=LATER,
    )


def _first_input_gradients(layer: Layer) -> Work:
    name, result = "input_gradients_kernel", 2 * layer.grad_u
    return Work(
        "input_gradients, first",
        tensor=layer.terms * layer.product,
        float32=layer.between(1, 0),
        memory=layer.weight + layer.vectors + result,
        l2=layer.sample_tiles(name) * layer.weight
        + layer.input_tiles(name) * layer.vectors / RESIDENT
        + result,
        backward=1,
    )


def _agreement_gradients(layer: Layer) -> Work:
    name = "agreement_gradients_kernel"
    slices, rereads = layer.slices(name), layer.size.outputs
    result = slices * layer.vectors
    return Work(
        "agreement_gradients",
        tensor=3 * layer.terms * layer.product,
        float32=layer.between(5, 6),
        memory=layer.u + layer.weight + 2 * layer.vectors + 3 * layer.plane + result,
        l2=rereads * (layer.u + 3 * layer.plane)
        + layer.sample_tiles(name) * layer.weight
        + 2 * slices * layer.vectors
        + result,
        backward=LATER,
    )


def _combine_gradients(layer: Layer) -> Work:
    read_and_written = (layer.slices("agreement_gradients_kernel") + 4) * layer.vectors
    return Work("combine_gradients", 0, 0, read_and_written, read_and_written, backward=LATER)


def _weight_gradients(layer: Layer) -> Work:
    vectors = (1 + 2 * LATER) * layer.vectors
    planes = 3 * LATER * layer.plane
    return Work(
        "weight_gradients",
        tensor=(2 * (layer.terms + 1) * LATER + 1) * layer.product,
        float32=layer.between(6 * LATER, 6 * LATER),
        memory=layer.u + 2 * layer.weight + vectors + planes,
        l2=layer.size.outputs * (ITERATIONS * layer.u + planes)
        + 2 * layer.weight
        + layer.input_tiles("weight_gradients_kernel") * vectors,
        backward=1,
    )


def floor(work: Work, gpu: Gpu, precision: str) -> tuple[float, str]:
    """The least time of a launch in seconds, and what sets it."""
    times = {
        "tensor cores": work.tensor / gpu.tensor[precision],
        "float32": work.float32 / gpu.float32,
        "memory": work.memory / gpu.memory,
        "L2": 0.0 if gpu.l2 is None else work.l2 / gpu.l2,
    }
    bound = max(times, key=lambda name: times[name])
    return times[bound], bound


def expected(work: Work, gpu: Gpu, precision: str) -> float:
    """The time of a launch to expect, in seconds; the page has the argument."""
    moving = max(work.memory / gpu.memory, work.l2 / L2_EXPECTED)
    computing = work.tensor / gpu.tensor[precision] + work.float32 / gpu.float32
    return START + moving + computing / USED


# The page

ARGUMENT = f"""\
# Floors of the Triton kernels

Written by `python benchmarks/gpu_roofline.py` (`make kernel-report` does it too). No time here is
measured: they are what the kernels of the fused layer (`kernels/passes.py`, `kernels/combine.py`)
must take, and what they are expected to take.

Counted for B samples, I inputs of K numbers, J outputs of D numbers, R = {ITERATIONS} iterations,
no bias and no prior, at B = {BATCH}:

- **Tensor operations**: 2 B I K J D for every matrix product. The first sums, a normalizer and the
  first input gradients have 1 product, later sums 2, agreement gradients 3, later input gradients
  3 with a softmax over outputs and 2 over inputs, weight gradients 4 for every iteration after
  the first and 1 for the first. With bfloat16, operands in float32 come in two terms: all of
  these count twice but the first sums and two in four of the weight gradients.
- **float32 operations**: what lies between the products, on tiles of B I K J and B I J numbers;
  an exponential counts as two.
- **Memory**: every input read once and every result written once.
- **L2**: what the programs ask for. The weights are read once for every tile of samples (twice by
  later input gradients over outputs). Passes by output (sums, agreement and weight gradients) read
  u and what belongs to an input once for every output, weight gradients u in every iteration too.
  Passes by input (normalizer, input gradients) read the vectors of their samples once for every
  tile of inputs; {RESIDENT} programs on a multiprocessor work on the same samples at the same time
  and share them through L1, so that they count once. Weight gradients also read the vectors for
  every tile of inputs, and share none. Other hits in L1 are not foreseen.

Both are given for the H100. float32 without TF32 takes three times the tensor operations.

**The floor** of a launch is the longest of the four at the published rates. Where the maker gives
no rate for L2, L2 is left out.

**The expected time** is longer, for these reasons:

1. Inside a tile each step waits for the one before: load, product, softmax, product. Registers
   leave two or three programs of four warps on a multiprocessor, too few to hide all of it. So
   moving data and computing are added, where the floor takes the longer one.
2. While a pass computes it reaches about {USED:.0%} of the published rates: its products have 16 to
   64 rows and columns and wait for operands from shared memory, TF32 operands that lie the wrong
   way round go through the older, slower matrix instructions (`kernels.md` counts them), and the
   operations between the products are not multiply-adds, which the published float32 rate counts
   double.
3. Data comes from memory at the published rate, or from L2 at {L2_EXPECTED / 1e12:.1f} TB/s if that
   takes longer: about three quarters of the A100's published rate, assumed for all three GPUs.
4. A launch takes {START * 1e6:.0f} us to start its programs and to wait for the last ones.

The model is coarse and its constants are round, chosen with kernel times of an H100 in view: take
the expected times to within a factor of two. They tell what to work on next: the passes by output,
weight gradients first, wait for L2, since every output reads u again.
"""


def page(names: Iterable[str] = NAMES) -> str:
    """The page: what is counted, the GPUs, and a table for every shape, precision and softmax."""
    lines = [ARGUMENT, "## The GPUs", "", *_gpu_table()]
    for name in names:
        size = replace(SHAPES[name].size, batch=BATCH)
        same = [x for x, shape in SHAPES.items() if replace(shape.size, batch=BATCH) == size]
        lines += ["", f"## {', '.join(same)}: {size}, B = {BATCH}"]
        for precision in DTYPES:
            for axis in SOFTMAX_OVER:
                lines += ["", f"### {precision}, softmax over {axis}", ""]
                lines += _table(size, precision, axis == "inputs")
    return "\n".join(lines) + "\n"


def _gpu_table() -> list[str]:
    rows = [
        [
            gpu.name,
            str(gpu.processors),
            *(f"{gpu.tensor[name] / 1e12:g}" for name in DTYPES),
            f"{gpu.float32 / 1e12:g}",
            f"{gpu.memory / 1e12:g}",
            "not published" if gpu.l2 is None else f"{gpu.l2 / 1e12:.1f}",
            gpu.source,
        ]
        for gpu in GPUS
    ]
    rates = [f"{name}, TFLOP/s" for name in (*DTYPES, "float32")]
    header = ["GPU", "multiprocessors", *rates, "memory, TB/s", "L2, TB/s", "source"]
    return _lines(header, rows)


def _table(size: Size, precision: str, over_inputs: bool) -> list[str]:
    columns = [(gpu, works(Layer(size, precision, over_inputs, gpu))) for gpu in GPUS]
    shown = next(kernels for gpu, kernels in columns if gpu.name == "H100")
    rows = [
        [
            work.kernel,
            f"{work.forward} + {work.backward}",
            f"{work.tensor / 1e9:.2f}",
            f"{work.float32 / 1e9:.2f}",
            f"{work.memory / 1e6:.1f}",
            f"{work.l2 / 1e6:.0f}",
            *(_times(kernels[index], gpu, precision) for gpu, kernels in columns),
        ]
        for index, work in enumerate(shown)
    ]
    rows += _totals(columns, precision)
    header = ["kernel", "launches", "tensor Gop", "float32 Gop", "memory MB", "L2 MB"]
    times = [f"{gpu.name}: floor (set by), expected, us" for gpu in GPUS]
    return _lines([*header, *times], rows)


def _times(work: Work, gpu: Gpu, precision: str) -> str:
    least, bound = floor(work, gpu, precision)
    return f"{least * 1e6:.1f} ({bound}), {expected(work, gpu, precision) * 1e6:.0f}"


def _totals(columns: list[tuple[Gpu, list[Work]]], precision: str) -> Iterator[list[str]]:
    """All launches of a forward pass, and of a forward and backward pass."""
    for name, both in (("forward", False), ("forward + backward", True)):
        cells = []
        for gpu, kernels in columns:
            counts = [work.forward + both * work.backward for work in kernels]
            pairs = list(zip(counts, kernels, strict=True))
            least = sum(count * floor(work, gpu, precision)[0] for count, work in pairs)
            likely = sum(count * expected(work, gpu, precision) for count, work in pairs)
            cells.append(f"{least * 1e6:.0f}, {likely * 1e6:.0f}")
        yield [f"**{name}**", str(sum(counts)), *["-"] * 4, *cells]


def _lines(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
