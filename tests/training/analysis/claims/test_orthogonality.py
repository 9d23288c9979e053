"""Cosines of pairs of images against pairs one by one, and planted directions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from fastcaps.training.analysis.claims.orthogonality import orthogonality_claim
from fastcaps.training.errors import InputError
from tests.training.evaluation.made import tails

OTHER_DEFORMATION = "same person, different deformation"
OTHER_PERSON = "different person, same deformation"
BOTH = "different person, different deformation"


def images(people: int = 5, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Subjects and deformations, one image of each."""
    subjects = np.repeat([f"S{number}" for number in range(people)], classes)
    return subjects, np.tile(np.arange(classes), people)


def labels_of(deformations: Iterable[int]) -> np.ndarray:
    """One action unit for each deformation."""
    return np.eye(3, dtype=np.int8)[list(deformations)]


def kind_of(one: int, other: int, subjects: np.ndarray, classes: np.ndarray) -> str | None:
    same_person, same_class = subjects[one] == subjects[other], classes[one] == classes[other]
    if same_person:
        return None if same_class else OTHER_DEFORMATION
    return OTHER_PERSON if same_class else BOTH


def by_hand(
    vectors: np.ndarray, subjects: np.ndarray, classes: np.ndarray, times: dict[str, int]
) -> dict[str, float]:
    """Mean absolute cosines where each person counts several times."""
    sums = {OTHER_DEFORMATION: 0.0, OTHER_PERSON: 0.0, BOTH: 0.0}
    counts = dict.fromkeys(sums, 0)
    for one in range(len(vectors)):
        for other in range(one):
            kind = kind_of(one, other, subjects, classes)
            if kind is None:
                continue
            weight = times[subjects[one]]
            if kind != OTHER_DEFORMATION:
                weight *= times[subjects[other]]
            product = abs(vectors[one] @ vectors[other])
            sums[kind] += (
                weight * product / np.linalg.norm(vectors[one]) / np.linalg.norm(vectors[other])
            )
            counts[kind] += weight
    return {kind: sums[kind] / counts[kind] for kind in sums}


def test_values_and_intervals_are_those_of_pairs_one_by_one() -> None:
    random = np.random.default_rng(0)
    subjects, classes = images(people=6)
    before, after = random.normal(size=(2, 18, 4))
    found = orthogonality_claim(
        before.astype(np.float32),
        after.astype(np.float32),
        subjects,
        labels_of(classes),
        np.arange(18),
        resamples=40,
        seed=2,
    )
    names = sorted(set(subjects.tolist()))
    draws = np.random.default_rng(2).multinomial(6, [1 / 6] * 6, size=40)
    # A person drawn six times leaves no pair of different people; it does not come up here.
    assert draws.max() < 6
    values = []
    for drawn in [np.ones(6, int), *draws]:
        times = dict(zip(names, drawn.tolist(), strict=True))
        both = [by_hand(vectors, subjects, classes, times) for vectors in (before, after)]
        values.append([[both[0][k], both[1][k], both[1][k] - both[0][k]] for k in both[0]])
    for place, (kind, each) in enumerate(found.kinds.items()):
        for which, measure in enumerate((each.before, each.after, each.change)):
            column = np.array(values)[:, place, which]
            assert measure["value"] == pytest.approx(column[0], rel=1e-5), kind
            wanted = np.percentile(column[1:], tails(each.people))
            np.testing.assert_allclose((measure["low"], measure["high"]), wanted, rtol=1e-5)
    assert [each.pairs for each in found.kinds.values()] == [18, 45, 90]
    # Without five of six nobody is left to be compared with.
    assert [each.people for each in found.kinds.values()] == [6, 5, 5]
    assert (found.images, found.off, found.subjects) == (18, 0, 6)


def test_deformations_that_part() -> None:
    """Before, all directions are alike; after, each class has one of its own."""
    random = np.random.default_rng(0)
    subjects, classes = images(people=8)
    noise = 0.05 * random.normal(size=(2, 24, 6))
    before = np.ones(6) + noise[0]
    after = np.eye(6)[classes] * ([[1], [-1]] * 12) + noise[1]
    found = orthogonality_claim(
        before, after, subjects, labels_of(classes), np.arange(24), resamples=200
    )
    for kind in (OTHER_DEFORMATION, BOTH):
        assert found.kinds[kind].before["value"] > 0.95
        assert found.kinds[kind].after["value"] < 0.2
        assert found.kinds[kind].change["high"] < -0.7
    same = found.kinds[OTHER_PERSON]
    assert abs(same.change["value"]) < 0.05


def test_images_for_which_the_unit_is_off_do_not_count() -> None:
    random = np.random.default_rng(0)
    subjects, classes = images()
    before, after = random.normal(size=(2, 15, 3))
    before[4] = 0
    after[[0, 4]] = 0
    found = orthogonality_claim(
        before, after, subjects, labels_of(classes), np.arange(15), resamples=9
    )
    kept = np.delete(np.arange(15), [0, 4])
    alone = orthogonality_claim(
        before[kept], after[kept], subjects[kept], labels_of(classes)[kept], kept, resamples=9
    )
    assert (found.images, found.off) == (13, 2)
    assert found.kinds == alone.kinds


def test_each_person_counts_once_among_pairs_of_one_person() -> None:
    angles = np.radians([0, 90, 45, 0, 60])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    subjects = np.array(list("aaabb"))
    found = orthogonality_claim(
        vectors, vectors, subjects, labels_of([0, 1, 2, 0, 1]), np.arange(5), resamples=9
    )
    own = found.kinds[OTHER_DEFORMATION]
    assert (own.pairs, own.subjects) == (4, 2)
    assert own.before["value"] == pytest.approx((2 * 0.5**0.5 / 3 + 0.5) / 2)


def test_labels_tell_deformations() -> None:
    """Images that show the same are no pair of different ones, whatever they stand for."""
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    shown = np.array([[1, 1], [1, 1], [1, 0], [1, -1], [-1, 0]], dtype=np.int8)
    found = orthogonality_claim(vectors, vectors, np.full(5, "a"), shown, np.arange(5), resamples=9)
    # The fourth may show either; the fifth is known to be unlike the first two.
    assert found.kinds[OTHER_DEFORMATION].pairs == 4
    apart = np.array(list("abcde"))
    found = orthogonality_claim(vectors, vectors, apart, shown, np.arange(5), resamples=9)
    assert [each.pairs for each in found.kinds.values()] == [0, 1, 4]


def test_a_frame_is_no_pair_with_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    subjects = np.array(["a", "a", "a", "b"])
    found = orthogonality_claim(
        vectors, vectors, subjects, labels_of([0, 1, 2, 0]), np.array([7, 7, 8, 9]), resamples=9
    )
    assert found.kinds[OTHER_DEFORMATION].pairs == 2
    cosine = found.kinds[OTHER_DEFORMATION].before["value"]
    assert cosine < 0.99


def test_pairs_that_there_are_not() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 2))
    found = orthogonality_claim(
        vectors, vectors, np.full(3, "a"), labels_of(range(3)), np.arange(3), resamples=9
    )
    own = found.kinds[OTHER_DEFORMATION].change
    assert (own["value"], own["low"], own["high"]) == (0.0, None, None)
    for kind in (OTHER_PERSON, BOTH):
        assert found.kinds[kind].pairs == 0
        assert found.kinds[kind].change["undefined"] == f"no two images: {kind}"
    off = orthogonality_claim(
        0 * vectors, vectors, np.full(3, "a"), labels_of(range(3)), np.arange(3), resamples=9
    )
    assert (off.images, off.off, off.subjects) == (0, 3, 0)
    assert off.kinds[OTHER_DEFORMATION].before["undefined"]


def test_a_number_has_no_direction() -> None:
    subjects, classes = images()
    before, after = np.random.default_rng(0).random((2, 15, 1))
    found = orthogonality_claim(
        before, after, subjects, labels_of(classes), np.arange(15), resamples=9
    )
    for each in found.kinds.values():
        assert each.before["value"] == pytest.approx(1)
        assert each.change["value"] == pytest.approx(0)


def test_shapes_that_do_not_fit() -> None:
    subjects, classes = images()
    shown = labels_of(classes)
    with pytest.raises(InputError, match="after: expected vectors of 15 images as before"):
        orthogonality_claim(np.ones((15, 2)), np.ones((15, 3)), subjects, shown, np.arange(15))
    with pytest.raises(InputError, match=r"got \[14, 2\] and \[14, 2\]"):
        orthogonality_claim(np.ones((14, 2)), np.ones((14, 2)), subjects, shown, np.arange(15))


def test_numbers_rest_on_those_without_whom_there_is_no_pair() -> None:
    """One person shows another deformation than all others: of the pairs all are that one's."""
    subjects = np.array(list("abcdefgh"))
    vectors = np.random.default_rng(0).normal(size=(8, 4))
    claim = orthogonality_claim(
        vectors, -vectors, subjects, labels_of([1, 0, 0, 0, 0, 0, 0, 0]), np.arange(8), resamples=9
    )
    both, same = claim.kinds[BOTH], claim.kinds[OTHER_PERSON]
    assert (both.pairs, both.subjects, both.people, both.before["low"]) == (7, 8, 1, None)
    assert (same.pairs, same.subjects, same.people) == (21, 7, 6)
    # Three times two people who show the same.
    twos = orthogonality_claim(
        vectors[:6], vectors[:6], subjects[:6], labels_of([0, 0, 1, 1, 2, 2]), np.arange(6)
    )
    assert (twos.kinds[OTHER_PERSON].pairs, twos.kinds[OTHER_PERSON].people) == (3, 3)
