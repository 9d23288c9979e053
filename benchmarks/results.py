"""Results as data, and their JSON form.

The JSON file is a :class:`Report` with the names of the fields below; times are seconds,
sizes bytes, rates per second. ``schema`` counts changes that an older reader would misread.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.shapes import Size

__all__ = ["SCHEMA", "Machine", "Report", "Result", "Row", "ScalingPoint", "read", "write"]

SCHEMA = 1


@dataclass(frozen=True)
class Machine:
    """The hardware and software a report was measured on, and the rates measured first.

    ``flops_per_second`` is the rate in large matrix products of the benchmark's dtype,
    ``bytes_per_second`` the rate in large copies, bytes read plus bytes written.
    """

    device: str
    name: str
    capability: str
    threads: int
    system: str
    versions: dict[str, str]
    flops_per_second: float
    bytes_per_second: float

    def __str__(self) -> str:
        kind = f"{self.threads} threads" if self.device == "cpu" else "GPU"
        return f"{self.name} ({kind}, {self.capability}), PyTorch {self.versions['torch']}"


@dataclass(frozen=True)
class Result:
    """One contestant in one row; where ``skipped`` gives a reason, nothing was measured.

    Attributes:
        contestant: its name.
        is_fastcaps, detached: as in :class:`benchmarks.contestants.Contestant`.
        backend: the backend fastcaps chose; None for the alternatives.
        seconds: every repeat, in the order measured.
        median, quartiles: of ``seconds``.
        speedup: the best alternative's median divided by this one's; None without one.
        roofline: the least possible time divided by the median.
        saved_bytes: kept for the backward pass beyond the inputs; None for a forward pass.
        extra_bytes: peak memory beyond inputs, outputs and gradients; None where unknown.
        errors: relative Frobenius error against float64 of "v", "grad u", "grad weight".
    """

    contestant: str
    is_fastcaps: bool
    detached: bool
    backend: str | None = None
    skipped: str | None = None
    seconds: list[float] = field(default_factory=list)
    median: float | None = None
    quartiles: tuple[float, float] | None = None
    speedup: float | None = None
    roofline: float | None = None
    saved_bytes: int | None = None
    extra_bytes: int | None = None
    errors: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One race: a shape in one mode.

    ``floor`` is the least possible time and ``floor_set_by`` the rate that sets it, see
    :mod:`benchmarks.roofline`; ``read_weight`` is the time to read the weight once, measured
    between the contestants. ``skipped`` says why there are no results, where there are none.
    ``tf32`` and ``graphs`` are those of :class:`benchmarks.options.Settings`.
    """

    shape: str
    mode: str
    size: Size
    iterations: int
    softmax_over: str
    dtype: str
    u_hat_bytes: int
    source: str = "random capsules"
    floor: float | None = None
    floor_set_by: str | None = None
    read_weight: float | None = None
    results: list[Result] = field(default_factory=list)
    skipped: str | None = None
    tf32: bool = False
    graphs: bool = False

    def best(self, *, fastcaps: bool) -> Result | None:
        """fastcaps, or the fastest alternative to it, that was timed and gives exact gradients."""
        timed = [
            (result.median, result)
            for result in self.results
            if result.median is not None and result.is_fastcaps == fastcaps and not result.detached
        ]
        return min(timed, key=lambda pair: pair[0])[1] if timed else None


@dataclass(frozen=True)
class ScalingPoint:
    """The time of fastcaps at one size; ``varied`` names the field of the size that is."""

    varied: str
    mode: str
    size: Size
    seconds: float


@dataclass(frozen=True)
class Report:
    """Everything a run measured; ``exponents`` maps "field mode" to the fitted exponent."""

    machine: Machine
    rows: list[Row] = field(default_factory=list)
    scaling: list[ScalingPoint] = field(default_factory=list)
    exponents: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    schema: int = SCHEMA


def write(report: Report, path: Path) -> None:
    """Write a report as JSON, making the folder where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Report:
    """Read what :func:`write` wrote.

    Raises:
        ValueError: the file is not such a report, or has another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        schema = data["schema"]
        if schema == SCHEMA:
            return _report(data)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected a report of this benchmark ({error!r})") from error
    raise ValueError(f"{path}: expected schema {SCHEMA}, got {schema!r}")


def _report(data: dict[str, Any]) -> Report:
    return Report(
        machine=Machine(**data.pop("machine")),
        rows=[_row(row) for row in data.pop("rows")],
        scaling=[
            ScalingPoint(**{**point, "size": Size(**point["size"])})
            for point in data.pop("scaling")
        ],
        **data,
    )


def _row(data: dict[str, Any]) -> Row:
    results = [_result(result) for result in data.pop("results")]
    return Row(size=Size(**data.pop("size")), results=results, **data)


def _result(data: dict[str, Any]) -> Result:
    quartiles = data.pop("quartiles")
    return Result(quartiles=quartiles and tuple(quartiles), **data)
