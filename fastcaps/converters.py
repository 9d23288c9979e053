"""Load the transformation matrices of other capsule implementations.

Public implementations store the same numbers in many orders. A layout is written with one letter
for each dimension: I input capsules, K their dimension, J output capsules, D their dimension.

========== ====================================== ========================================
layout     prediction vector u_hat[b, i, j, d]    commonly written as
========== ====================================== ========================================
``IKJD``   ``sum_k u[b, i, k] W[i, k, j, d]``     fastcaps' own
``JIKD``   ``sum_k u[b, i, k] W[j, i, k, d]``     ``u[None, :, :, None] @ W[:, None]``
``JIDK``   ``sum_k W[j, i, d, k] u[b, i, k]``     ``einsum("jidk,bik->bjid", W, u)``
``IJKD``   ``sum_k u[b, i, k] W[i, j, k, d]``     ``u[:, :, None, None] @ W``
``IJDK``   ``sum_k W[i, j, d, k] u[b, i, k]``     ``W @ u[:, :, None, :, None]``
``IK(JD)`` ``sum_k u[b, i, k] W[i, k, j * D + d]`` one matrix [K, J*D] for each input capsule
========== ====================================== ========================================

Dimensions of size 1 in front of these, as in [1, I, J, D, K], are dropped. The order of the input
capsules is that of the layer below, which :class:`fastcaps.PrimaryCapsules` documents for itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastcaps import arguments
from fastcaps.modules import CapsuleLinear

__all__ = ["LAYOUTS", "convert_weight", "load_weight"]

FUSED = "IK(JD)"
"""The layout whose last dimension holds both J and D."""

LAYOUTS = ("IKJD", "JIKD", "JIDK", "IJKD", "IJDK", FUSED)
"""The layouts that :func:`convert_weight` knows."""


def convert_weight(weight: Tensor, layout: str, *, out_capsules: int | None = None) -> Tensor:
    """Bring a weight of another implementation into the layout of :class:`CapsuleLinear`.

    Args:
        weight: the other implementation's weight; dimensions of size 1 may stand in front.
        layout: one of :data:`LAYOUTS`, see :mod:`fastcaps.converters`.
        out_capsules: J. Needed for ``IK(JD)``, which does not tell J from D; checked elsewhere.

    Returns:
        The weight [I, K, J, D], contiguous, dtype and device of ``weight``.

    Raises:
        TypeError: ``weight`` is not a floating tensor or ``out_capsules`` not an int.
        ValueError: the layout is unknown, or the sizes do not fit it.
    """
    arguments.check_tensor("weight", weight)
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
    if out_capsules is not None:
        arguments.check_positive_int("out_capsules", out_capsules)
    weight = _drop_leading_ones(weight, layout)
    if layout == FUSED:
        return _split_fused(weight, out_capsules).contiguous()
    converted = weight.permute([layout.index(letter) for letter in "IKJD"])
    if out_capsules is not None and converted.shape[2] != out_capsules:
        raise ValueError(
            f"out_capsules: expected J of the weight, {converted.shape[2]}, got {out_capsules}"
        )
    return converted.contiguous()


def load_weight(layer: CapsuleLinear, weight: Tensor, layout: str | None = None) -> None:
    """Copy a weight of another implementation into ``layer``, whose dtype and device stay.

    Args:
        layer: the layer to fill, of the sizes of the weight.
        weight: the other implementation's weight; dimensions of size 1 may stand in front.
        layout: one of :data:`LAYOUTS`, see :mod:`fastcaps.converters`; None to tell it from the
            sizes, where only one layout fits them.

    Raises:
        TypeError: ``layer`` is not a CapsuleLinear or ``weight`` not a floating tensor.
        ValueError: the layout is unknown, no layout fits the sizes, or several do.
    """
    if not isinstance(layer, CapsuleLinear):
        raise TypeError(f"layer: expected a CapsuleLinear, got {type(layer).__name__}")
    arguments.check_tensor("weight", weight)
    if layout is None:
        layout = _tell_layout(weight, layer)
    out_capsules = layer.out_capsules if layout == FUSED else None
    converted = convert_weight(weight, layout, out_capsules=out_capsules)
    if converted.shape != layer.weight.shape:
        raise ValueError(
            f"weight: expected sizes {_sizes(layer)} of the layer in layout {layout}, "
            f"got shape {list(weight.shape)}"
        )
    with torch.no_grad():
        layer.weight.copy_(converted)


def _tell_layout(weight: Tensor, layer: CapsuleLinear) -> str:
    fitting = [layout for layout in LAYOUTS if _fits(weight, layout, layer)]
    if len(fitting) == 1:
        return fitting[0]
    found = f"{' and '.join(fitting)} fit" if fitting else "none fits"
    raise ValueError(
        f"layout: expected to tell it from the shape {list(weight.shape)} and the sizes "
        f"{_sizes(layer)}, but {found}; name one of {', '.join(LAYOUTS)}"
    )


def _fits(weight: Tensor, layout: str, layer: CapsuleLinear) -> bool:
    sizes = dict(zip("IKJD", layer.weight.shape, strict=True))
    dimensions = ("I", "K", "JD") if layout == FUSED else tuple(layout)
    expected = [math.prod(sizes[letter] for letter in letters) for letters in dimensions]
    ahead = weight.dim() - len(expected)
    return ahead >= 0 and list(weight.shape) == [1] * ahead + expected


def _drop_leading_ones(weight: Tensor, layout: str) -> Tensor:
    if weight.numel() == 0:
        raise ValueError(f"weight: expected sizes of at least 1, got shape {list(weight.shape)}")
    rank = 3 if layout == FUSED else 4
    ahead = weight.dim() - rank
    if ahead < 0 or any(size != 1 for size in weight.shape[:ahead]):
        raise ValueError(
            f"weight: expected {rank} dimensions {layout}, or 1s before them, "
            f"got shape {list(weight.shape)}"
        )
    return weight.reshape(weight.shape[ahead:])


def _split_fused(weight: Tensor, out_capsules: int | None) -> Tensor:
    if out_capsules is None:
        raise ValueError(f"out_capsules: expected the number J for layout {FUSED}, got None")
    if weight.shape[2] % out_capsules:
        raise ValueError(
            f"out_capsules: expected a divisor of J * D = {weight.shape[2]}, got {out_capsules}"
        )
    return weight.reshape(*weight.shape[:2], out_capsules, -1)


def _sizes(layer: CapsuleLinear) -> str:
    return ", ".join(
        f"{letter}={size}" for letter, size in zip("IKJD", layer.weight.shape, strict=True)
    )
