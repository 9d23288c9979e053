"""The named problem sizes of the benchmark, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["DEFAULT_SHAPES", "MODES", "SHAPES", "Shape", "Size"]

MODES = ("forward", "forward+backward")


@dataclass(frozen=True)
class Size:
    """Batch, capsules in and out, and their dimensions; every number at least 1."""

    batch: int
    inputs: int
    in_dim: int
    outputs: int
    out_dim: int

    @property
    def u_hat(self) -> int:
        """How many numbers the prediction vectors hold."""
        return self.batch * self.inputs * self.outputs * self.out_dim

    def __str__(self) -> str:
        return f"{self.inputs}x{self.in_dim} -> {self.outputs}x{self.out_dim}"


@dataclass(frozen=True)
class Shape:
    """A named size, where it comes from, what is timed on it and what is fed to it."""

    name: str
    size: Size
    about: str
    modes: tuple[str, ...] = MODES
    digits: bool = False
    """Feed primary capsules of real images instead of random ones."""

    def with_batch(self, batch: int | None) -> Shape:
        """The same shape with another batch size, or itself where ``batch`` is None."""
        return self if batch is None else replace(self, size=replace(self.size, batch=batch))


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "latency",
            Size(1, 1152, 8, 12, 32),
            "one face at a time through the action unit network",
            modes=("forward",),
        ),
        Shape(
            "au96",
            Size(128, 1152, 8, 12, 32),
            "action units from 96x96 faces: 6x6 maps of 32 capsules to 12 units",
        ),
        Shape(
            "au224",
            Size(32, 1152, 8, 12, 32),
            "action units on VGG-16: 14x14 map, 3x3 kernel, stride 2, again 6x6x32 capsules",
        ),
        Shape(
            "mnist",
            Size(128, 1152, 8, 10, 16),
            "the digit capsules of Sabour et al. (2017)",
        ),
        Shape(
            "real",
            Size(128, 1152, 8, 10, 16),
            "mnist, fed with primary capsules of real images of digits",
            digits=True,
        ),
        Shape(
            "wide",
            Size(512, 1152, 8, 64, 32),
            "prediction vectors of gigabytes from weights of megabytes",
        ),
    )
}

DEFAULT_SHAPES = ("latency", "au96", "real", "wide")
"""Those of a run of two minutes; real has the size of mnist, au224 a quarter of au96."""
