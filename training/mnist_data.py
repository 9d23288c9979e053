"""Handwritten digits for ``fastcaps.training.mnist``: loading, checks, splits and batches."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastcaps.training.errors import InputError

__all__ = ["BUNDLED", "Batches", "Digits", "Images", "InOrder", "load_digits", "shift"]

BUNDLED = "digits"
"""Given instead of a file: scikit-learn's bundled digits."""

CLASSES = 10
SIDE = 28
"""Height and width of the images, in pixels."""

LARGEST_SHIFT = 2
"""How far training images are moved, in pixels; Sabour et al., section 5."""

SPLIT_SEED = 0
"""The held-out images are the same in every run, whatever its seed."""

ARRAYS = (
    "train_images [N, 28, 28] uint8, train_labels [N], test_images [M, 28, 28] uint8, "
    "test_labels [M], labels integers in 0 .. 9"
)


@dataclass(frozen=True)
class Images:
    """Images uint8 [N, 28, 28] and their labels int64 [N] in 0 .. 9."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.images.shape[0]

    def select(self, index: Tensor) -> Images:
        """Those images whose numbers are in ``index`` int64 [M]."""
        return Images(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Digits:
    """A data set: what to train on, what to choose checkpoints by, what to test on."""

    train: Images
    validation: Images
    test: Images
    digest: str
    """SHA-256 over all images and labels, in hexadecimal."""


def load_digits(source: str, validation_fraction: float) -> Digits:
    """Load and check the digits in an npz file, or scikit-learn's.

    Args:
        source: path of an npz file with train_images [N, 28, 28] uint8, train_labels [N],
            test_images [M, 28, 28] uint8 and test_labels [M]; or :data:`BUNDLED`, for the 1,797
            digits of scikit-learn, drawn 20 x 20 in the middle of 28 x 28 pixels, the last 297
            of them for testing.
        validation_fraction: the part of the training images to hold out, in (0, 1); at least one.

    Raises:
        InputError: there is no such file, it cannot be read, or an array is not as above.
    """
    train, test = _bundled() if source == BUNDLED else _read(Path(source))
    held_out = max(1, round(len(train) * validation_fraction))
    if held_out >= len(train):
        raise InputError(
            f"validation_fraction: expected less than all {len(train)} training images, "
            f"got {validation_fraction}"
        )
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return Digits(
        train=train.select(order[held_out:].sort().values),
        validation=train.select(order[:held_out].sort().values),
        test=test,
        digest=_digest(train, test),
    )


class Batches:
    """The batches of a training run; every epoch's order and shifts follow from seed and epoch.

    Iterating goes through one epoch and on to the next one the next time, so that a run that is
    taken up with :meth:`start_at` sees what it would have seen.

    Args:
        data: the images to train on.
        batch_size: images in a batch, at least 1; the last batch of an epoch may be smaller.
        seed: of order and shifts, 0 .. 2^31 - 1.
    """

    def __init__(self, data: Images, batch_size: int, seed: int) -> None:
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.start_at(epoch=0, batch=0)

    def start_at(self, epoch: int, batch: int) -> None:
        """Continue with ``batch`` of ``epoch``, both from 0."""
        self.epoch, self.batch = epoch + batch // len(self), batch % len(self)

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Torch's CPU generator looks at 32 bits of its seed; numpy mixes both numbers into them.
        (mixed,) = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1).tolist()
        generator = torch.Generator().manual_seed(mixed)
        order = torch.randperm(len(self.data), generator=generator)
        low, high = -LARGEST_SHIFT, LARGEST_SHIFT + 1
        shifts = torch.randint(low, high, (len(self.data), 2), generator=generator)
        parts = [torch.split(numbers, self.batch_size) for numbers in (order, shifts)]
        batches = list(zip(*parts, strict=True))[self.batch :]
        # Ahead of the batches, as whoever counts them need not ask for one beyond the last.
        self.start_at(self.epoch + 1, 0)
        for index, by in batches:
            batch = self.data.select(index)
            yield shift(batch.images, by), batch.labels


class InOrder:
    """Batches of all images in their order, unchanged."""

    def __init__(self, data: Images, batch_size: int) -> None:
        self.data = data
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images = torch.split(self.data.images, self.batch_size)
        labels = torch.split(self.data.labels, self.batch_size)
        yield from zip(images, labels, strict=True)


def shift(images: Tensor, by: Tensor) -> Tensor:
    """Move each image and fill with zeros.

    Args:
        images: [B, H, W] of any dtype.
        by: int64 [B, 2], pixels down and right, each within -LARGEST_SHIFT .. LARGEST_SHIFT.
    """
    batch, height, width = images.shape
    padded = torch.nn.functional.pad(images, (LARGEST_SHIFT,) * 4)
    corner = LARGEST_SHIFT - by
    rows = corner[:, :1] + torch.arange(height)  # [B, H]
    columns = corner[:, 1:] + torch.arange(width)  # [B, W]
    return padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _read(path: Path) -> tuple[Images, Images]:
    if not path.is_file():
        raise InputError(
            f"data: expected an npz file with {ARRAYS}, or {BUNDLED!r} for scikit-learn's; "
            f"there is no file {path}"
        )
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"data: expected an npz file with {ARRAYS}, {path} is not one")
        with archive:
            return _read_part(path, archive, "train"), _read_part(path, archive, "test")
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"data: {path} cannot be read, perhaps it is cut off: {error}") from error


def _read_part(path: Path, archive: np.lib.npyio.NpzFile, part: str) -> Images:
    for name in (f"{part}_images", f"{part}_labels"):
        if name not in archive:
            raise InputError(
                f"data: {path} has no array {name}, expected {ARRAYS}; it has "
                f"{', '.join(archive.files) or 'none'}"
            )
    images, labels = archive[f"{part}_images"], archive[f"{part}_labels"]
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise InputError(
            f"data: {part}_images: expected uint8 [N, {SIDE}, {SIDE}], "
            f"got {images.dtype} {list(images.shape)}"
        )
    if len(images) == 0:
        raise InputError(f"data: {part}_images: expected at least one image, got none")
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise InputError(
            f"data: {part}_labels: expected integers [{len(images)}], one for each image, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise InputError(
            f"data: {part}_labels: expected 0 .. {CLASSES - 1}, "
            f"got {labels.min()} .. {labels.max()}"
        )
    return Images(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))


def _bundled() -> tuple[Images, Images]:
    # scikit-learn takes a second to import, and a run on a file does not need it.
    try:
        from sklearn.datasets import load_digits as load_bundled
    except ImportError as error:
        raise InputError(f"data: {BUNDLED!r} needs scikit-learn: {error}") from error
    bundle = load_bundled()
    small = torch.from_numpy(bundle.images).float()[:, None] / 16  # [N, 1, 8, 8], 0 .. 1
    drawn = torch.nn.functional.interpolate(small, (20, 20), mode="bilinear")[:, 0]
    pixels = torch.nn.functional.pad(drawn, (4, 4, 4, 4)).mul(255).round().to(torch.uint8)
    labels = torch.from_numpy(bundle.target).long()
    return Images(pixels[:1500], labels[:1500]), Images(pixels[1500:], labels[1500:])


def _digest(*parts: Images) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.images.numpy().tobytes())
        digest.update(part.labels.numpy().tobytes())
    return digest.hexdigest()
