"""How exactly matrix products of float32 are to be, as PyTorch is told."""

from __future__ import annotations

import torch

__all__ = ["tf32_is_allowed"]


def tf32_is_allowed() -> bool:
    """Whether products of float32 on a GPU may be TF32, by either of PyTorch's two settings.

    They are ``torch.set_float32_matmul_precision`` and
    ``torch.backends.cuda.matmul.fp32_precision``; PyTorch refuses to tell the older one after the
    newer.
    """
    newer = getattr(torch.backends.cuda.matmul, "fp32_precision", "none")
    if newer in ("tf32", "ieee"):
        return bool(newer == "tf32")
    return torch.get_float32_matmul_precision() != "highest"


# As torch.compiler.assume_constant_result does, which imports all of the compiler. Compiled code
# is compiled again when the settings change.
tf32_is_allowed._dynamo_marked_constant = True  # type: ignore[attr-defined]
