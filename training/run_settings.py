"""All that decides the result of a training run, as its preset writes it down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_type_hints

from fastcaps.functional import SoftmaxOver
from fastcaps.training.action_units import LARGEST_INTENSITY
from fastcaps.training.augmentation import AugmentationSettings
from fastcaps.training.errors import InputError
from fastcaps.training.faces.landmarks import STORED_SIDES
from fastcaps.training.folds import Scheme
from fastcaps.training.readers.labels import check_action_units
from fastcaps.training.typed_values import check_known, converted

__all__ = ["AUTO", "HOG_SVM", "MarginOn", "Precision", "RunSettings", "Target", "Weights"]

Target = Literal["action_units", "emotions"]
Weights = Literal["random", "imagenet", "vggface", "run"]
MarginOn = Literal["lengths", "softmax"]
Precision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]

AUTO = "auto"
"""For ``alpha``: what makes both terms of the loss equal at the start."""

HOG_SVM = "HOG-SVM"
"""The ``network`` that is none: a linear support vector machine on histograms of gradients."""

OF_THE_DATA = ("side", "stored_side", "seed")
"""Fields of :class:`AugmentationSettings` that are not a preset's to change."""


@dataclass(frozen=True)
class RunSettings:
    """What decides the result of a run; a preset is a YAML file with these keys.

    Numbers may be given as text, keys of ``lr_from_epoch`` too, and pairs as lists.

    Attributes:
        title: the model's name where runs are compared or analysed; "" for that of the network.
        network: a key of :data:`fastcaps.training.networks.NETWORKS`, or :data:`HOG_SVM`.
        data_set: whose folds are meant: "bp4d", "disfa", "ckplus" or any other name.
        side: of the network's input, in pixels; None for that of the data, whatever it is.
        colour: whether the input is RGB, not gray; None for what the data is.
        target: what is learned: action units of the data, or its emotions.
        action_units: those that are learned; None for all of the data.
        folds: how subjects are divided, see :func:`fastcaps.training.folds.make_folds`.
        fold_count: how many folds, at least 2; None for as many as the literature makes.
        drop_inactive: whether frames without any action unit are left out, of training and test.
        positive_from: the intensity, 1 .. 5, from which an action unit is present; None takes the
            labels as they were prepared.
        weights: where the convolutions start: at random, from ImageNet, from VGG-Face, or from
            another run.
        epochs: how many.
        batch_size: images in a step, on all devices together.
        lr: learning rate.
        lr_from_epoch: learning rates of later epochs, by the first epoch that has them, counted
            from 1; from 2 on.
        lr_decay: what the learning rate is multiplied by in every ``lr_decay_steps`` steps, a
            little in each; above 0, at most 1.
        lr_decay_steps: see above.
        lr_factors: what the learning rate of some parts of the network is multiplied by; 0
            freezes them. Names are those of :meth:`Network.parts`.
        dropout: see :class:`fastcaps.training.networks.network.NetworkOptions`.
        softmax_over: of the routing, see :class:`fastcaps.CapsuleLinear`.
        capsule_bias: of the routing, see :class:`fastcaps.CapsuleLinear`.
        margin_on: what the margin loss of exclusive classes is taken of: the lengths of the
            capsules, or the softmax of these.
        absent_weight: the margin loss's lambda.
        alpha: weight of the reconstruction loss, a number or :data:`AUTO`.
        augmentation: changes to the ranges of
            :class:`fastcaps.training.augmentation.AugmentationSettings`; side, stored_side and
            seed are not among them, which follow from the data and from ``seed``.
        test_each_epoch: whether the test frames are scored after each epoch, for the log.
        seed: of everything random, 0 .. 2^31 - 1.
        precision: of the arithmetic.
        compile: whether the network goes through torch.compile.

    Raises:
        InputError: a value is of the wrong type or out of range.
    """

    title: str = ""
    network: str = "AUCapsNet"
    data_set: str = "other"
    side: int | None = None
    colour: bool | None = None
    target: Target = "action_units"
    action_units: tuple[int, ...] | None = None
    folds: Scheme = "sorted"
    fold_count: int | None = None
    drop_inactive: bool = False
    positive_from: int | None = None
    weights: Weights = "random"
    epochs: int = 10
    batch_size: int = 128
    lr: float = 1e-4
    lr_from_epoch: Mapping[int, float] = field(default_factory=dict)
    lr_decay: float = 1.0
    lr_decay_steps: int = 1
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    dropout: float = 0.0
    softmax_over: SoftmaxOver = "outputs"
    capsule_bias: bool = False
    margin_on: MarginOn = "lengths"
    absent_weight: float = 0.5
    alpha: float | Literal["auto"] = 1e-7
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    test_each_epoch: bool = False
    seed: int = 0
    precision: Precision = "32-true"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(RunSettings).items():
            object.__setattr__(self, name, converted(name, getattr(self, name), kind))
        object.__setattr__(self, "lr_from_epoch", dict(sorted(self.lr_from_epoch.items())))
        object.__setattr__(self, "augmentation", _augmentation(self.augmentation))
        if self.action_units is not None:
            object.__setattr__(self, "action_units", check_action_units(self.action_units))
        self._check_names()
        self._check_counts()
        self._check_numbers()

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> RunSettings:
        """The settings in a mapping, as :meth:`as_dict` gives them; what it lacks has its default.

        Raises:
            InputError: a key is unknown, or a value is of the wrong type or out of range.
        """
        check_known(mapping, (one.name for one in fields(cls)))
        return cls(**mapping)

    def as_dict(self) -> dict[str, Any]:
        """All settings as JSON has them: pairs as lists, all keys texts."""
        return json.loads(json.dumps(asdict(self)))

    def _check_names(self) -> None:
        # Not before it is needed: it imports all networks.
        from fastcaps.training.networks import NETWORKS

        known = (*NETWORKS, HOG_SVM)
        if self.network not in known:
            raise InputError(f"network: expected one of {', '.join(known)}, got {self.network!r}")
        if self.network == HOG_SVM and self.weights != "random":
            raise InputError(
                f"weights: expected random for {HOG_SVM}, which has no convolutions, "
                f"got {self.weights}"
            )
        if not self.data_set:
            raise InputError("data_set: expected a name, got an empty text")
        if self.margin_on == "softmax" and self.target != "emotions":
            raise InputError(
                "margin_on: softmax is of exclusive classes, target emotions; "
                f"expected lengths for target {self.target}"
            )

    def _check_counts(self) -> None:
        if self.side not in (None, *STORED_SIDES):
            expected = " or ".join(map(str, STORED_SIDES))
            raise InputError(f"side: expected {expected} or null, got {self.side}")
        for name, value, smallest, largest in (
            ("fold_count", self.fold_count, 2, None),
            ("positive_from", self.positive_from, 1, LARGEST_INTENSITY),
            ("epochs", self.epochs, 1, None),
            ("batch_size", self.batch_size, 1, None),
            ("lr_decay_steps", self.lr_decay_steps, 1, None),
            ("seed", self.seed, 0, 2**31 - 1),
            *(("lr_from_epoch, a key", epoch, 2, None) for epoch in self.lr_from_epoch),
        ):
            if value is None or (value >= smallest and (largest is None or value <= largest)):
                continue
            expected = f"at least {smallest}" if largest is None else f"{smallest} .. {largest}"
            raise InputError(f"{name}: expected {expected}, got {value}")

    def _check_numbers(self) -> None:
        rates = {"lr": self.lr}
        rates |= {f"lr_from_epoch.{epoch}": rate for epoch, rate in self.lr_from_epoch.items()}
        weights = {"absent_weight": self.absent_weight}
        weights |= {f"lr_factors.{part}": factor for part, factor in self.lr_factors.items()}
        if isinstance(self.alpha, float):
            weights["alpha"] = self.alpha
        for name, value, fits, expected in (
            *((name, rate, 0 < rate < math.inf, "above 0") for name, rate in rates.items()),
            *(
                (name, value, 0 <= value < math.inf, "at least 0")
                for name, value in weights.items()
            ),
            ("lr_decay", self.lr_decay, 0 < self.lr_decay <= 1, "above 0 and at most 1"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "at least 0 and below 1"),
        ):
            if not fits:
                raise InputError(f"{name}: expected a finite number {expected}, got {value}")


def _augmentation(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with their values checked, and pairs as tuples."""
    kinds = get_type_hints(AugmentationSettings)
    prefix = "augmentation."
    check_known(changes, kinds.keys() - set(OF_THE_DATA), prefix)
    found = {name: converted(prefix + name, value, kinds[name]) for name, value in changes.items()}
    try:
        AugmentationSettings(**found)
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error
    return found
