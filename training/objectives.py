"""What training makes small: margin and reconstruction loss, or weighted cross entropy.

Every term is averaged over all that is known of a batch on all devices together, so that several
devices learn what one would from the same images. Each has as many images, but not as many labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from fastcaps.losses import MarginLoss, ReconstructionLoss, capsule_lengths
from fastcaps.training.action_units import UNKNOWN
from fastcaps.training.networks.network import CapsuleNetwork, LogitNetwork, Network

__all__ = ["CapsuleObjective", "LogitObjective", "Objective", "matching_alpha"]

Average = Callable[[Tensor], Tensor]
"""The mean of a number over the devices that share a batch."""


class Objective(nn.Module, ABC):
    """The loss of a network.

    Attributes:
        network: whose.
    """

    network: Network

    @abstractmethod
    def forward(self, images: Tensor, labels: Tensor, average: Average) -> dict[str, Tensor]:
        """The loss of a batch, and the terms it is made of.

        Args:
            images: [B, C, side, side] in 0 .. 1.
            labels: int8 [B, N]: 1 present, 0 absent, -1 unknown.
            average: of a count over all devices.

        Returns:
            ``loss`` and its terms by name, scalars.
        """


class CapsuleObjective(Objective):
    """Margin loss with class weights, plus ``alpha`` times the reconstruction's squared error.

    Rashid and Lee, section 3. The margin loss is averaged over the known labels of a batch. The
    squared error is that of standardised pixels, summed over an image and averaged over the
    batch. The paper calls it the mean square error; but with its weights of 1e-7 and 1e-8, meant
    to make it about as large as the margin loss at the start, only the sum is within reach of
    that. The authors' code sums, too.

    Args:
        network: what is trained.
        class_weights: float32 [N].
        absent_weight: the margin loss's lambda.
        alpha: weight of the reconstruction, at least 0; NaN where it is still to be set.
        margin_on: "softmax" to take the softmax of the capsules' lengths before the margin loss,
            as the authors' code does where classes are exclusive.
    """

    network: CapsuleNetwork
    alpha: Tensor

    def __init__(
        self,
        network: CapsuleNetwork,
        class_weights: Tensor,
        absent_weight: float,
        alpha: float,
        margin_on: Literal["lengths", "softmax"],
    ) -> None:
        super().__init__()
        self.network = network
        self.margin = MarginLoss(
            absent_weight=absent_weight, class_weights=class_weights, reduction="sum"
        )
        self.reconstruction = ReconstructionLoss(reduction="none")
        self.margin_on = margin_on
        self.register_buffer("alpha", torch.tensor(alpha))

    def forward(self, images: Tensor, labels: Tensor, average: Average) -> dict[str, Tensor]:
        """See :meth:`Objective.forward`; the terms are ``margin`` and ``reconstruction``."""
        v = self.network(images)
        measured = v
        if self.margin_on == "softmax":
            # A capsule of one number is as long as that.
            measured = capsule_lengths(v).softmax(1)[:, :, None]
        margin = self.margin(measured, labels) / _known(labels, average)
        errors = self.reconstruction(
            self.network.reconstruct(v, labels), self.network.standardise(images)
        )
        reconstruction = errors.mean()
        loss = margin + self.alpha * reconstruction
        return {"loss": loss, "margin": margin, "reconstruction": reconstruction}


class LogitObjective(Objective):
    """Cross entropy with the weights of the margin loss, for networks without capsules.

    For each class logistic cross entropy, absent ones counting ``absent_weight`` times, averaged
    over the known labels of a batch; where classes are exclusive, that of their softmax, averaged
    over the images.

    Args:
        network: what is trained.
        class_weights: float32 [N].
        absent_weight: as the margin loss's lambda.
    """

    network: LogitNetwork
    class_weights: Tensor

    def __init__(self, network: LogitNetwork, class_weights: Tensor, absent_weight: float) -> None:
        super().__init__()
        self.network = network
        self.absent_weight = absent_weight
        self.register_buffer("class_weights", class_weights.clone())

    def forward(self, images: Tensor, labels: Tensor, average: Average) -> dict[str, Tensor]:
        """See :meth:`Objective.forward`; there is the loss alone."""
        logits = self.network(images).to(self.class_weights.dtype)
        if self.network.options.exclusive:
            total = cross_entropy(
                logits, labels.argmax(1), weight=self.class_weights, reduction="sum"
            )
            return {"loss": total / len(images)}
        costs = torch.where(labels == 1, softplus(-logits), self.absent_weight * softplus(logits))
        known = torch.where(labels == UNKNOWN, 0, self.class_weights * costs)
        return {"loss": known.sum() / _known(labels, average)}


@torch.no_grad()
def matching_alpha(
    objective: CapsuleObjective, batches: Iterable[tuple[Tensor, Tensor]], average: Average
) -> float:
    """The weight of the reconstruction that makes both terms equal before anything is learned.

    Rashid and Lee, section 3: "to be similar to that of the averaged margin loss at the beginning
    of training".

    Args:
        objective: of the untrained network.
        batches: images [B, C, side, side] in 0 .. 1 and labels int8 [B, N].
        average: of a number over all devices.
    """
    sums = torch.zeros(2, dtype=torch.float64)
    for images, labels in batches:
        terms = objective(images, labels, average)
        both = torch.stack([average(terms["margin"]), average(terms["reconstruction"])])
        sums += both.double().cpu()
    margin, reconstruction = sums.tolist()
    return margin / reconstruction


def _known(labels: Tensor, average: Average) -> Tensor:
    return average((labels != UNKNOWN).sum().float()).clamp(min=1)
