"""Settings of a run: what is refused and how that is told, and the way to JSON and back."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcaps.training.augmentation import AugmentationSettings
from fastcaps.training.errors import InputError
from fastcaps.training.networks import NETWORKS
from fastcaps.training.run_settings import AUTO, HOG_SVM, RunSettings

NAMES = sorted(one.name for one in fields(RunSettings))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
READ = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
RATES = st.floats(1e-12, 1e3)
AUGMENTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "mirror": st.floats(0, 1),
        "power": st.tuples(st.floats(0.1, 1), st.floats(1, 9)),
        "power_spacing": st.sampled_from(["log", "linear"]),
        "crop": st.booleans(),
    },
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", 3),
        ("network", "Alexnet"),
        ("data_set", ""),
        ("side", 100),
        ("colour", "RGB"),
        ("target", "action units"),
        ("action_units", []),
        ("action_units", [12, 12]),
        ("action_units", [3]),
        ("action_units", 12),
        ("action_units", ["smile"]),
        ("folds", "random"),
        ("fold_count", 1),
        ("fold_count", 3.0),
        ("drop_inactive", 1),
        ("positive_from", 0),
        ("positive_from", 6),
        ("weights", "vgg"),
        ("epochs", 0),
        ("epochs", True),
        ("epochs", 2.5),
        ("epochs", "ten"),
        ("batch_size", -1),
        ("lr", 0),
        ("lr", float("inf")),
        ("lr", float("nan")),
        ("lr", None),
        ("lr", False),
        ("lr", 10**400),
        ("lr_decay", 1.01),
        ("lr_decay", 0),
        ("lr_decay_steps", 0),
        ("lr_factors", {"conv1": -0.1}),
        ("lr_factors", {"conv1": "slow"}),
        ("lr_factors", {1: 0.1}),
        ("lr_factors", [0.1]),
        ("lr_from_epoch", {1: 1e-5}),
        ("lr_from_epoch", {2: 0}),
        ("lr_from_epoch", {2.5: 1e-5}),
        ("lr_from_epoch", {"2": 1e-5, 2: 1e-6}),
        ("dropout", 1),
        ("dropout", -0.1),
        ("softmax_over", "capsules"),
        ("capsule_bias", None),
        ("margin_on", "softmax"),  # where any number of classes may be present
        ("absent_weight", -1),
        ("alpha", "automatic"),
        ("alpha", -1e-7),
        ("augmentation", {"seed": 3}),
        ("augmentation", {"side": 96}),
        ("augmentation", {"mirror": "always"}),
        ("augmentation", {"mirror": 2}),
        ("augmentation", {"scale": 0.9}),
        ("augmentation", {"scale": [1.4, 0.7]}),
        ("augmentation", {"power_spacing": "even"}),
        ("test_each_epoch", "no"),
        ("seed", 2**31),
        ("seed", -1),
        ("precision", "32"),
        ("compile", 0),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_name(name: str, value: Any) -> None:
    with pytest.raises(InputError) as error:
        RunSettings.from_dict({name: value})
    # The name, what was expected and what was given, in one line.
    assert str(error.value).startswith(name)
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError):
        RunSettings(**{name: value})


@given(name=st.sampled_from(NAMES), value=READ)
@settings(max_examples=300, deadline=None)
def test_whatever_is_read_is_refused_by_name_or_kept(name: str, value: Any) -> None:
    try:
        found = RunSettings.from_dict({name: value})
    except InputError:
        with pytest.raises(InputError, match=f"^{name}"):
            RunSettings.from_dict({name: value})
        return
    assert RunSettings.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@given(
    st.fixed_dictionaries(
        {
            "network": st.sampled_from([*NETWORKS, HOG_SVM]),
            "side": st.sampled_from([None, 96, 224]),
            "fold_count": st.none() | st.integers(2, 99),
            "lr": RATES,
            "lr_from_epoch": st.dictionaries(st.integers(2, 2000), RATES, max_size=12),
            "lr_factors": st.dictionaries(st.text(max_size=5), st.floats(0, 2), max_size=3),
            "alpha": st.just(AUTO) | st.floats(0, 1),
            "augmentation": AUGMENTATIONS,
            "colour": st.none() | st.booleans(),
            "action_units": st.sampled_from([None, (12,), (1, 2, 4), (6, 25)]),
        }
    )
)
@settings(deadline=None)
def test_settings_come_back_from_json(values: dict[str, Any]) -> None:
    given_settings = RunSettings(**values)
    text = json.dumps(given_settings.as_dict(), sort_keys=True)
    back = RunSettings.from_dict(json.loads(text))
    assert back == given_settings
    assert all(getattr(back, name) == value for name, value in values.items())
    # Sorted as texts, epoch 10 stands before epoch 2.
    assert list(back.lr_from_epoch) == sorted(values["lr_from_epoch"])


def test_settings_as_json_have_no_pairs_and_no_numbers_for_keys() -> None:
    found = RunSettings(lr_from_epoch={6: 1e-5}, augmentation={"scale": (0.9, 1.1)}).as_dict()
    assert found["lr_from_epoch"] == {"6": 1e-5}
    assert found["augmentation"] == {"scale": [0.9, 1.1]}
    assert found.keys() == set(NAMES)


def test_numbers_may_be_texts() -> None:
    # YAML 1.1 reads 1e-4 as a text.
    found = RunSettings.from_dict(
        {
            "lr": "1e-4",
            "epochs": "7",
            "alpha": "1e-8",
            "lr_from_epoch": {"6": "1e-5"},
            "augmentation": {"offset": "5e-2", "gain": ["8e-1", 2]},
        }
    )
    assert (found.lr, found.epochs, found.alpha) == (1e-4, 7, 1e-8)
    assert found.lr_from_epoch == {6: 1e-5}
    assert found.augmentation == {"offset": 0.05, "gain": (0.8, 2.0)}
    assert AugmentationSettings(**found.augmentation).gain == (0.8, 2.0)


def test_settings_do_not_follow_what_they_were_made_from() -> None:
    factors = {"conv1": 0.1}
    found = RunSettings(lr_factors=factors)
    factors["conv1"] = 2.0
    assert found.lr_factors == {"conv1": 0.1}


def test_action_units_stand_in_their_order() -> None:
    assert RunSettings(action_units=(12, 1, 6)).action_units == (1, 6, 12)


def test_emotions_may_have_their_margin_loss_on_the_softmax() -> None:
    assert RunSettings(target="emotions", margin_on="softmax").margin_on == "softmax"


@pytest.mark.parametrize(
    ("given_name", "told"),
    [
        ("epoch", "did you mean epochs?"),
        ("optimiser", "known: absent_weight, "),
        ("batchsize", "did you mean batch_size?"),
        (3, "known: absent_weight, "),
    ],
)
def test_an_unknown_key_is_told_with_those_that_look_like_it(given_name: Any, told: str) -> None:
    with pytest.raises(InputError) as error:
        RunSettings.from_dict({"epochs": 3, given_name: 3})
    assert str(error.value).startswith(f"{given_name}: ")
    assert told in str(error.value)


def test_an_unknown_change_of_the_augmentation_is_told_likewise() -> None:
    with pytest.raises(InputError, match=r"^augmentation\.rotate: .* did you mean rotation\?$"):
        RunSettings(augmentation={"rotate": 3})
