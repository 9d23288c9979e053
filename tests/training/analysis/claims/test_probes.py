"""Probes against planted vectors, scikit-learn's R^2 and a bootstrap that repeats frames."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import r2_score

from fastcaps.training.analysis.claims.held_out import people_folds, ridge_predictions
from fastcaps.training.analysis.claims.probes import capsule_representations, probes
from fastcaps.training.attributes import Attribute
from fastcaps.training.errors import InputError
from tests.training.evaluation.made import tails

PEOPLE, RECORDINGS, FRAMES = 9, 4, 6


def whose() -> tuple[np.ndarray, np.ndarray]:
    """Subjects and sequences."""
    count = PEOPLE * RECORDINGS * FRAMES
    place = np.arange(count)
    subjects = np.array([f"S{number}" for number in place // (RECORDINGS * FRAMES)], dtype=object)
    sequences = np.array([f"T{number}" for number in place // FRAMES % RECORDINGS], dtype=object)
    return subjects, sequences


def turned_capsules(random: np.random.Generator, yaw: np.ndarray) -> np.ndarray:
    """Capsules [M, 3, 8] whose directions are linear in yaw, and whose lengths say nothing."""
    frames = len(yaw)
    axes = np.linalg.qr(random.normal(size=(8, 8)))[0]
    directions = axes[0] + np.tanh(yaw)[:, None] * axes[1]
    v = directions[:, None] * np.ones((1, 3, 1)) + 0.02 * random.normal(size=(frames, 3, 8))
    v /= np.linalg.norm(v, axis=2, keepdims=True)
    return (v * random.uniform(0.2, 0.9, (frames, 3, 1))).astype(np.float32)


def test_representations_of_capsules() -> None:
    v = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    v[1, 0] = 0
    found = capsule_representations(v)
    assert list(found) == ["directions", "capsules", "lengths"]
    np.testing.assert_array_equal(found["capsules"][3], [*v[3, 0], *v[3, 1]])
    np.testing.assert_allclose(found["lengths"][3, 1], np.sqrt((v[3, 1] ** 2).sum()), rtol=1e-6)
    joined = found["directions"].reshape(5, 2, 3) * found["lengths"][:, :, None]
    np.testing.assert_allclose(joined, v, rtol=1e-6)
    assert (found["directions"][1, :3] == 0).all()


def test_yaw_is_read_from_directions_and_not_from_lengths() -> None:
    random = np.random.default_rng(0)
    subjects, sequences = whose()
    yaw = random.normal(size=len(subjects)) * 0.5
    found = probes(
        capsule_representations(turned_capsules(random, yaw)),
        [Attribute("yaw", "in degrees", yaw)],
        subjects,
        sequences,
        resamples=200,
    )
    assert found.dimensions == {"directions": 24, "capsules": 24, "lengths": 3}
    probe = found.attributes[0]
    assert (probe.name, probe.about, probe.chance) == ("yaw", "in degrees", 0.0)
    assert (probe.frames, probe.subjects) == (len(subjects), PEOPLE)
    assert probe.values["directions"]["low"] > 0.9
    assert probe.values["lengths"]["high"] < 0.1
    assert probe.differences["capsules"]["value"] > 0
    assert probe.differences["lengths"]["low"] > 0.5


def test_values_and_intervals_are_those_of_repeated_frames() -> None:
    random = np.random.default_rng(3)
    subjects, sequences = whose()
    owner = np.unique(subjects, return_inverse=True)[1]
    first, second = random.normal(size=(2, len(owner), 5))
    values = first[:, 0] + random.normal(size=len(owner)) + random.normal(size=PEOPLE)[owner]
    found = probes(
        {"first": first, "second": second},
        [Attribute("a", "", values)],
        subjects,
        sequences,
        resamples=120,
        seed=8,
    ).attributes[0]
    folds = people_folds(owner)
    told = [ridge_predictions(each, values[:, None], folds)[:, 0] for each in (first, second)]
    draws = np.random.default_rng(8).multinomial(PEOPLE, [1 / PEOPLE] * PEOPLE, size=120)
    resampled = []
    for times in [np.ones(PEOPLE, int), *draws]:
        rows = np.repeat(np.arange(len(owner)), times[owner])
        scores = [r2_score(values[rows], each[rows]) for each in told]
        resampled.append([*scores, scores[0] - scores[1]])
    measures = [found.values["first"], found.values["second"], found.differences["second"]]
    for measure, column in zip(measures, np.array(resampled).T, strict=True):
        assert measure["value"] == pytest.approx(column[0])
        wanted = np.percentile(column[1:], tails(PEOPLE))
        np.testing.assert_allclose((measure["low"], measure["high"]), wanted)


def test_people_are_known_by_themselves_and_not_by_their_recordings() -> None:
    random = np.random.default_rng(0)
    subjects, sequences = whose()
    owner = np.unique(subjects, return_inverse=True)[1]
    recording = np.arange(len(owner)) // FRAMES
    of_people = random.normal(size=(PEOPLE, 12))[owner] + 0.1 * random.normal(size=(len(owner), 12))
    of_recordings = np.eye(PEOPLE * RECORDINGS)[recording]
    half = np.where((owner < 4)[:, None], of_people, random.normal(size=of_people.shape))
    found = probes(
        {"people": of_people, "recordings": of_recordings, "half": half},
        [],
        subjects,
        sequences,
        resamples=200,
    )
    assert found.attributes == ()
    identity = found.identity
    assert identity.chance == pytest.approx(1 / PEOPLE)
    assert identity.values["people"]["low"] == 1
    assert identity.values["recordings"]["value"] < 0.25
    half_known = identity.values["half"]
    assert 4 / 9 < half_known["value"] < 0.7
    # People are either known or not, which resampling frames would not show.
    assert half_known["high"] - half_known["low"] > 0.4


def test_people_compete_on_equal_terms() -> None:
    """Who it is, is told by functions of the same strength; each with its own tell otherwise."""
    random = np.random.default_rng(1)
    subjects, sequences = whose()
    owner = np.unique(subjects, return_inverse=True)[1]
    features = random.normal(size=(PEOPLE, 30))[owner] * (owner < 5)[:, None]
    features += 2 * random.normal(size=features.shape)
    found = probes({"a": features}, [], subjects, sequences, resamples=2).identity.values["a"]
    folds = np.array([int(name[1:]) for name in sequences])
    shares = [
        (
            ridge_predictions(features, np.eye(PEOPLE)[owner], folds, one_strength=same).argmax(1)
            == owner
        ).mean()
        for same in (True, False)
    ]
    assert found["value"] == pytest.approx(shares[0])
    assert shares[0] != pytest.approx(shares[1])


def test_people_with_few_recordings_are_left_out() -> None:
    subjects, sequences = whose()
    sequences[subjects == "S2"] = "T0"
    features = np.random.default_rng(0).normal(size=(len(subjects), 4))
    found = probes({"a": features}, [], subjects, sequences, resamples=20).identity
    assert found.subjects == PEOPLE - 1
    assert found.frames == (PEOPLE - 1) * RECORDINGS * FRAMES
    assert found.about == "which of 8 people it is"


def test_what_cannot_be_probed_says_why() -> None:
    subjects, sequences = whose()
    count = len(subjects)
    features = np.random.default_rng(0).normal(size=(count, 4))
    asked = [Attribute("same", "", np.full(count, 0.1)), Attribute("b", "", features[:, 0])]
    found = probes({"a": features, "b": features}, asked, subjects, sequences, resamples=20)
    for measure in (*found.attributes[0].values.values(), found.attributes[0].differences["b"]):
        assert measure == {**measure, "value": None, "undefined": "the same in all frames"}
    assert found.attributes[1].values["a"]["value"] > 0.99

    two = np.isin(subjects, ["S1", "S4"])
    asked = [Attribute("b", "", features[two, 0])]
    few = probes({"a": features[two]}, asked, subjects[two], sequences[two], resamples=20)
    assert few.attributes[0].values["a"]["undefined"] == "fewer than 3 people"
    assert few.identity.values["a"]["value"] is not None

    alone = np.array([f"S{number}" for number in range(count)])
    faces = probes({"a": features}, [], alone, np.full(count, "faces"), resamples=20)
    assert faces.identity.values["a"]["undefined"] == "fewer than two people with 3 recordings"
    assert (faces.identity.frames, faces.identity.chance) == (0, 0.0)


def test_an_attribute_of_people_is_undefined_where_resamples_have_one_person_only() -> None:
    """Three people, of whom a resample has one only with probability 1/9."""
    subjects, sequences = whose()
    three = np.isin(subjects, ["S1", "S4", "S5"])
    owner = np.unique(subjects[three], return_inverse=True)[1]
    tone = np.array([0.1, 0.3, 0.7])[owner]
    features = np.random.default_rng(0).normal(size=(three.sum(), 2))
    found = probes(
        {"a": features}, [Attribute("tone", "", tone)], subjects[three], sequences[three]
    )
    measure = found.attributes[0].values["a"]
    assert measure["value"] is not None
    assert (measure["low"], measure["high"]) == (None, None)


def test_representations_must_be_of_the_frames() -> None:
    subjects, sequences = whose()
    with pytest.raises(InputError, match=r"representations: expected \[216, ...\], got \[5, 2\]"):
        probes({"a": np.zeros((5, 2))}, [], subjects, sequences)
    with pytest.raises(InputError, match="representations: expected at least one, got none"):
        probes({}, [], subjects, sequences)
    with pytest.raises(InputError, match="resamples: expected at least 1"):
        probes({"a": np.zeros((216, 2))}, [], subjects, sequences, resamples=0)


def test_progress_is_told() -> None:
    subjects, sequences = whose()
    steps: list[tuple[int, int]] = []
    features = np.random.default_rng(0).normal(size=(len(subjects), 2))
    probes(
        {"a": features, "b": features},
        [],
        subjects,
        sequences,
        resamples=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 2), (2, 2)]
