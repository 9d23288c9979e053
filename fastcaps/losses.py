"""The losses of capsule networks: margin on capsule lengths, and reconstruction of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from fastcaps import arguments

__all__ = ["MarginLoss", "ReconstructionLoss", "mask_capsules"]

UNKNOWN = -1
"""The label of a class of which it is not known whether it is present."""

MARGIN_REDUCTIONS = ("mean", "batchmean", "sum", "none")
RECONSTRUCTION_REDUCTIONS = ("mean", "batchmean", "none")


class MarginLoss(nn.Module):
    """Margin loss on capsule lengths, for any number of classes present at once.

    Sabour et al. (2017), equation 4, with the class weights of Rashid and Lee, section 3:

        ``L_c = w_c max(0, m_plus - |v_c|)^2`` where class c is present,
        ``L_c = w_c absent_weight max(0, |v_c| - m_minus)^2`` where it is absent.

    Where a capsule is 0 its length has gradient 0, as squash has there. Half types are computed,
    and returned, in float32.

    Args:
        m_plus: the length from which a present class costs nothing, in [0, 1].
        m_minus: the length up to which an absent class costs nothing, in [0, m_plus].
        absent_weight: the papers' lambda, the weight of absent classes, at least 0.
        class_weights: ``w_c``, one weight >= 0 for each class; 1 where None. Kept as a buffer.
        reduction: "mean" averages over all known labels, as Rashid and Lee; "batchmean" sums over
            classes and averages over samples, as Sabour et al.; "sum"; "none" gives [B, N_out]
            with 0 at unknown labels. Weights are not divided out. An empty mean is 0.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        m_plus: float = 0.9,
        m_minus: float = 0.1,
        absent_weight: float = 0.5,
        class_weights: Tensor | Sequence[float] | None = None,
        reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
    ) -> None:
        super().__init__()
        _check_number("m_plus", m_plus, 0, 1)
        _check_number("m_minus", m_minus, 0, m_plus)
        _check_number("absent_weight", absent_weight, 0, float("inf"))
        _check_choice("reduction", reduction, MARGIN_REDUCTIONS)
        self.m_plus = m_plus
        self.m_minus = m_minus
        self.absent_weight = absent_weight
        self.reduction = reduction
        self.register_buffer("class_weights", _class_weights(class_weights))

    def forward(self, v: Tensor, target: Tensor) -> Tensor:
        """The loss of capsules ``v`` given ``target``.

        Args:
            v: class capsules [B, N_out, D_out].
            target: class indices [B] of an integer dtype in 0 .. N_out - 1, or labels [B, N_out]
                of any dtype: 1 present, 0 absent, -1 unknown. The values are checked in eager
                mode on the CPU, outside ``vmap``; elsewhere a check would wait for the device.

        Returns:
            A scalar, or [B, N_out] for ``reduction="none"``.

        Raises:
            TypeError, ValueError: shapes, dtypes, devices or label values do not fit.
        """
        _check_capsules(v)
        if self.class_weights is not None and self.class_weights.shape[0] != v.shape[1]:
            raise ValueError(
                f"v: expected {self.class_weights.shape[0]} capsules, one for each of "
                f"class_weights, got shape {list(v.shape)}"
            )
        labels = _labels(target, v)  # [B, N_out]
        known = labels >= 0  # unlike != -1 also for unsigned dtypes, whose 255 would equal it
        present = labels > 0
        lengths = capsule_lengths(v)
        too_short = (self.m_plus - lengths).relu().square()
        too_long = self.absent_weight * (lengths - self.m_minus).relu().square()
        loss = torch.where(present, too_short, too_long)
        if self.class_weights is not None:
            loss = loss * self.class_weights.to(loss.dtype)
        loss = torch.where(known, loss, 0)
        if self.reduction == "none":
            return loss
        if self.reduction == "sum":
            return loss.sum()
        if self.reduction == "batchmean":
            return loss.sum() / max(v.shape[0], 1)
        return loss.sum() / known.sum().clamp(min=1)

    def extra_repr(self) -> str:
        """The options."""
        weighted = "" if self.class_weights is None else f", {self.class_weights.numel()} weights"
        return (
            f"m_plus={self.m_plus}, m_minus={self.m_minus}, absent_weight={self.absent_weight}, "
            f"reduction={self.reduction!r}{weighted}"
        )


class ReconstructionLoss(nn.Module):
    """Squared error between a decoder's reconstruction and the input image.

    The decoder is any network that is given ``mask_capsules(v, target).flatten(1)``. Multiply
    the loss by a small weight before adding it to the margin loss, so that it does not dominate
    (Sabour et al., section 4.1: 0.0005 with "batchmean"). Half types are computed, and returned,
    in float32.

    Args:
        reduction: "batchmean" sums the squared error over each sample and averages over samples,
            as Sabour et al.; "mean" averages over all pixels; "none" gives each sample's sum [B].
            An empty mean is 0. Rashid and Lee write of the average, but their weight of 1e-7
            fits "batchmean" only.

    Raises:
        ValueError: the reduction is unknown.
    """

    def __init__(self, reduction: Literal["mean", "batchmean", "none"] = "batchmean") -> None:
        super().__init__()
        _check_choice("reduction", reduction, RECONSTRUCTION_REDUCTIONS)
        self.reduction = reduction

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """The loss of ``reconstruction`` [B, ...] given ``image`` [B, ...] of as many numbers.

        The two may differ in shape beyond the batch, as a flat decoder's output and its image do.

        Raises:
            TypeError, ValueError: dtypes, devices or sizes do not fit.
        """
        arguments.check_tensor("reconstruction", reconstruction)
        arguments.check_tensor("image", image)
        sizes = [(*x.shape[:1], x.shape[1:].numel()) for x in (reconstruction, image)]
        if min(reconstruction.dim(), image.dim()) < 2 or sizes[0] != sizes[1]:
            raise ValueError(
                f"image: expected as many samples and pixels as reconstruction "
                f"{list(reconstruction.shape)}, got shape {list(image.shape)}"
            )
        if image.device != reconstruction.device:
            raise ValueError(
                f"image: expected device {reconstruction.device} like reconstruction, "
                f"got {image.device}"
            )
        error = _compute(reconstruction).flatten(1) - _compute(image).flatten(1)
        per_sample = error.square().sum(1)
        if self.reduction == "none":
            return per_sample
        terms = error.shape[0] if self.reduction == "batchmean" else error.numel()
        return per_sample.sum() / max(terms, 1)

    def extra_repr(self) -> str:
        """The option."""
        return f"reduction={self.reduction!r}"


def mask_capsules(
    v: Tensor, target: Tensor | None = None, *, threshold: float | None = None
) -> Tensor:
    """Set all capsules to 0 but those whose class is present.

    Sabour et al. (2017), section 4.1; Rashid and Lee, section 3. In training the true classes are
    kept, so that reconstruction does not teach classification; without ``target`` it is the
    predicted ones.

    Args:
        v: class capsules [B, N_out, D_out].
        target: class indices [B] or labels [B, N_out], see :meth:`MarginLoss.forward`; unknown
            classes are set to 0. None to keep the predicted classes.
        threshold: predict all capsules longer than this, a number in [0, 1], instead of the one
            longest capsule of each sample. Only without ``target``.

    Returns:
        The masked capsules, shape and dtype of ``v``; the gradient of masked capsules is 0.

    Raises:
        TypeError, ValueError: shapes, dtypes, devices or values do not fit.
    """
    _check_capsules(v)
    if threshold is not None:
        _check_number("threshold", threshold, 0, 1)
        if target is not None:
            raise ValueError("threshold: expected None where a target is given")
    if target is not None:
        keep = _labels(target, v) > 0
    elif threshold is not None:
        keep = capsule_lengths(v.detach()) > threshold
    else:
        longest = capsule_lengths(v.detach()).argmax(1)  # [B]
        keep = _one_hot(longest, v.shape[1])
    return torch.where(keep[:, :, None], v, 0)


def capsule_lengths(v: Tensor) -> Tensor:
    """Lengths [B, N_out] of v [B, N_out, D_out], in at least float32; gradient 0 at v = 0."""
    v = _compute(v)
    squares = v.square().sum(-1)
    nonzero = squares > 0
    return torch.where(nonzero, torch.where(nonzero, squares, 1).sqrt(), squares)


def _labels(target: Tensor, v: Tensor) -> Tensor:
    """Labels [B, N_out] from class indices [B] or labels [B, N_out], checked against ``v``."""
    if not isinstance(target, Tensor):
        raise TypeError(f"target: expected a torch.Tensor, got {type(target).__name__}")
    if target.device != v.device:
        raise ValueError(f"target: expected device {v.device} like v, got {target.device}")
    batch, classes, _ = v.shape
    if target.is_complex():
        raise TypeError(f"target: expected a real dtype, got {target.dtype}")
    if target.dim() == 1 and (target.is_floating_point() or target.dtype == torch.bool):
        raise TypeError(f"target: expected class indices of an integer dtype, got {target.dtype}")
    if target.shape not in ((batch,), (batch, classes)):
        raise ValueError(
            f"target: expected class indices [{batch}] or labels [{batch}, {classes}], "
            f"got shape {list(target.shape)}"
        )
    if _can_be_read(target):
        _check_values(target, classes)
    return target if target.dim() == 2 else _one_hot(target, classes)


def _one_hot(indices: Tensor, classes: int) -> Tensor:
    """bool [B, classes], with scatter's own range check on every device."""
    hot = indices.new_zeros((indices.shape[0], classes), dtype=torch.bool)
    return hot.scatter(1, indices.long()[:, None], True)


def _can_be_read(target: Tensor) -> bool:
    """Whether its values are at hand: not on another device, nor in a compiler or a ``vmap``."""
    if target.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(target)


def _check_values(target: Tensor, classes: int) -> None:
    if target.dim() == 1:
        wrong = (target < 0) | (target >= classes)
        expected = f"class indices in 0 .. {classes - 1}"
    else:
        wrong = (target != 0) & (target != 1)
        if target.dtype.is_signed:
            wrong &= target != UNKNOWN
        expected = "labels 1, 0 or -1"
    if wrong.any():
        raise ValueError(f"target: expected {expected}, got {target[wrong][0].item()}")


def _check_capsules(v: Tensor) -> None:
    arguments.check_tensor("v", v)
    arguments.check_shape("v", v, ("B", "N_out", "D_out"))


def _class_weights(weights: Tensor | Sequence[float] | None) -> Tensor | None:
    if weights is None:
        return None
    try:
        weights = torch.as_tensor(weights).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"class_weights: expected numbers, got {weights!r}") from error
    if weights.is_complex():
        raise TypeError(f"class_weights: expected real numbers, got {weights.dtype}")
    weights = weights if weights.is_floating_point() else weights.float()
    if weights.dim() != 1 or weights.numel() == 0:
        raise ValueError(f"class_weights: expected shape [N_out], got {list(weights.shape)}")
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise ValueError(f"class_weights: expected finite weights >= 0, got {weights.tolist()}")
    return weights


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if not low <= value <= high or value == float("inf"):
        raise ValueError(f"{name}: expected a finite number in [{low}, {high}], got {value}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _compute(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
