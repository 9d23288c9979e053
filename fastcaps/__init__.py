"""fastcaps: capsule layers fast enough to use."""

from fastcaps import functional
from fastcaps.functional import (
    coupling_coefficients,
    dynamic_routing,
    prediction_vectors,
    routed_capsules,
    squash,
)
from fastcaps.losses import MarginLoss, ReconstructionLoss, mask_capsules
from fastcaps.modules import CapsuleLinear, PrimaryCapsules

__version__ = "0.1.0"

__all__ = [
    "CapsuleLinear",
    "MarginLoss",
    "PrimaryCapsules",
    "ReconstructionLoss",
    "coupling_coefficients",
    "dynamic_routing",
    "functional",
    "mask_capsules",
    "prediction_vectors",
    "routed_capsules",
    "squash",
]
