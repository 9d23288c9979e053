"""In which dtype and how exactly tensor cores multiply."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

__all__ = ["EXACT", "TWO_TERMS", "dot_operand", "dot_precision", "routing_precision", "single_term"]

EXACT = "tf32x3"
"""Products of float32 as three TF32 products, which keeps float32's accuracy: of numbers above
2^-100 or so, since TF32 has no digits below 2^-136."""
TWO_TERMS = tl.constexpr("tf32x2")
"""Products of float32 in two TF32 terms with numbers that TF32 holds as they are."""


def dot_operand(dtype: torch.dtype) -> tl.dtype:
    """What tensors of this dtype are multiplied as.

    float16 goes as TF32, which holds it, with the range of float32 for what it is multiplied
    with. The interpreter cannot multiply bfloat16.
    """
    if dtype == torch.bfloat16 and not triton.knobs.runtime.interpret:
        return tl.bfloat16
    return tl.float32


def dot_precision(dtype: torch.dtype, *, allow_tf32: bool) -> str:
    """Triton's ``input_precision`` of products of tensors of this dtype.

    float32 stays float32, by three TF32 products, unless less is allowed. TF32 holds half types
    as they are.
    """
    return EXACT if dtype == torch.float32 and not allow_tf32 else "tf32"


def routing_precision(dtype: torch.dtype, *, allow_tf32: bool) -> str:
    """The same where one operand was computed in float32: V, or what coefficients weigh.

    They decide the routing, which would not forgive their rounding after a few iterations.
    """
    if dtype == torch.float16:
        return TWO_TERMS.value
    return dot_precision(dtype, allow_tf32=allow_tf32)


@triton.constexpr_function
def single_term(precision: str) -> str:
    """What is left of a precision where the rounding of operands averages out."""
    return "tf32" if precision == TWO_TERMS.value else precision
