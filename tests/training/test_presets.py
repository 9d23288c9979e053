"""Presets and protocols: the paper's numbers, what protocols change, one's own files and changes.

Numbers are typed from Rashid and Lee's sections 3.1, 4.1 and 4.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fastcaps.training import presets
from fastcaps.training.errors import InputError
from fastcaps.training.networks import NetworkOptions, make_network
from fastcaps.training.presets import PRESETS, PROTOCOLS, load_preset, parse_changes
from fastcaps.training.run_settings import RunSettings

CONVOLUTIONS = tuple(f"conv{i}" for i in range(1, 6))
FILES = Path(presets.__file__).parent

SMALL = {"network": "AUCapsNet", "side": 96, "colour": False, "alpha": 1e-7, "batch_size": 128}
LARGE = {"network": "VGGCapsNet", "side": 224, "colour": True, "alpha": 1e-8, "batch_size": 32}
ROWS: dict[str, dict[str, Any]] = {
    "ours-bp4d": {**SMALL, "title": "Ours", "data_set": "bp4d", "weights": "random", "epochs": 10},
    "ours-disfa": {
        **SMALL,
        "title": "Ours",
        "data_set": "disfa",
        "weights": "run",
        "epochs": 10,
        "lr_from_epoch": {6: 1e-5},
    },
    "vgg-bp4d": {
        **LARGE,
        "title": "Ours-VGG",
        "data_set": "bp4d",
        "weights": "imagenet",
        "dropout": 0.5,
        "epochs": 10,
        "lr_factors": dict.fromkeys(CONVOLUTIONS, 0.1),
    },
    "vggf-bp4d": {
        **LARGE,
        "title": "Ours-VGGF",
        "data_set": "bp4d",
        "weights": "vggface",
        "dropout": 0.7,
        "epochs": 5,
        "lr_factors": {**dict.fromkeys(CONVOLUTIONS, 0.0), "conv5": 0.1},
    },
    "vggf-disfa": {
        **LARGE,
        "title": "Ours-VGGF",
        "data_set": "disfa",
        "weights": "run",
        "dropout": 0.7,
        "epochs": 4,
        "lr_factors": dict.fromkeys(CONVOLUTIONS, 0.0),
    },
    "ckplus": {
        **SMALL,
        "title": "Ours",
        "data_set": "ckplus",
        "target": "emotions",
        "weights": "random",
        "epochs": 100,
        "fold_count": 10,
        "test_each_epoch": True,
    },
}
IN_ALL_ROWS: dict[str, Any] = {
    "target": "action_units",
    "action_units": None,
    "folds": "sorted",
    "fold_count": 3,
    "lr": 1e-4,
    "lr_from_epoch": {},
    "lr_decay": 1.0,
    "lr_factors": {},
    "dropout": 0.0,
    "softmax_over": "outputs",
    "capsule_bias": False,
    "margin_on": "lengths",
    "absent_weight": 0.5,
    "augmentation": {},
    "drop_inactive": False,
    "positive_from": None,
    "test_each_epoch": False,
    "precision": "32-true",
}
AUTHOR: dict[str, Any] = {
    "softmax_over": "inputs",
    "capsule_bias": True,
    "lr": 1e-3,
    "lr_decay": 0.96,
    "lr_decay_steps": 350,
    "augmentation": {"power_spacing": "linear"},
}


def differences(name: str, protocol: str) -> dict[str, Any]:
    plain, changed = load_preset(name), load_preset(name, protocol)
    return {key: value for key, value in vars(changed).items() if value != getattr(plain, key)}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text("network: DRML\ntitle: DRML again\nlr: 1e-3\nlr_factors: {classes: 2}\n")
    return path


def test_there_is_a_preset_for_each_row_and_for_the_data_at_hand() -> None:
    assert set(PRESETS) == {*ROWS, "synthetic", "smiles"}
    assert PROTOCOLS == ("paper", "author", "community")


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_paper_s_numbers(name: str) -> None:
    found = vars(load_preset(name))
    expected = {**IN_ALL_ROWS, **ROWS[name]}
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "folds", "alpha"), [("synthetic", 3, "auto"), ("smiles", 5, 2e-6)]
)
def test_data_that_the_paper_does_not_have_has_presets_of_its_own(
    name: str, folds: int, alpha: float | str
) -> None:
    found = load_preset(name)
    assert (found.network, found.data_set, found.alpha) == ("AUCapsNet", name, alpha)
    assert (found.fold_count, found.side, found.precision) == (folds, None, "32-true")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_under_every_protocol(name: str, protocol: str) -> None:
    found = load_preset(name, protocol)
    assert RunSettings.from_dict(found.as_dict()) == found


@pytest.mark.parametrize("name", PRESETS)
def test_learning_rates_are_of_parts_that_the_network_has(name: str) -> None:
    found = load_preset(name)
    options = NetworkOptions(12, found.side or 96, 3 if found.colour else 1)
    with torch.device("meta"):
        network = make_network(found.network, options)
    assert found.lr_factors.keys() <= network.parts().keys()


def test_the_authors_protocol_changes_what_their_code_does_otherwise() -> None:
    small, large = {**AUTHOR, "alpha": 1e-5}, {**AUTHOR, "alpha": 1e-6}
    bp4d, disfa = {"drop_inactive": True}, {"positive_from": 1}
    assert differences("ours-bp4d", "author") == {**small, **bp4d}
    assert differences("ours-disfa", "author") == {**small, **disfa, "lr_from_epoch": {}}
    assert differences("vgg-bp4d", "author") == {**large, **bp4d}
    assert differences("vggf-bp4d", "author") == {**large, **bp4d}
    assert differences("vggf-disfa", "author") == {**large, **disfa}
    assert differences("ckplus", "author") == {**small, "margin_on": "softmax"}
    changes = {**load_preset("synthetic").augmentation, "power_spacing": "linear"}
    own = {"lr_from_epoch": {}, "augmentation": changes}
    assert differences("synthetic", "author") == {**small, **own}


def test_the_community_s_protocol_changes_folds_and_what_counts_as_present() -> None:
    folds = {"folds": "community"}
    assert differences("ours-bp4d", "community") == folds
    assert differences("vggf-bp4d", "community") == folds
    assert differences("ours-disfa", "community") == {**folds, "positive_from": 2}
    assert differences("vggf-disfa", "community") == {**folds, "positive_from": 2}
    assert differences("ckplus", "community") == differences("smiles", "community") == {}
    everything = load_preset("ours-bp4d", "community", {"data_set": "other"})
    assert (everything.folds, everything.drop_inactive) == ("sorted", False)


@pytest.mark.parametrize("protocol", PROTOCOLS[1:])
def test_protocols_speak_of_settings_and_sections_only(protocol: str) -> None:
    sections = yaml.safe_load((FILES / "protocols" / f"{protocol}.yaml").read_text())
    known = RunSettings().as_dict().keys()
    for section in sections:
        assert {"set"} <= section.keys() <= {"when", "set"}
        assert {key.partition(".")[0] for key in section["set"]} <= known
        assert section.get("when", {}).keys() <= known


def test_a_protocol_keeps_other_changes_of_the_augmentation(own: Path) -> None:
    own.write_text("augmentation: {mirror: 0, power_spacing: log}\ndrop_inactive: true\n")
    author, community = load_preset(own, "author"), load_preset(own, "community")
    assert author.augmentation == {"mirror": 0.0, "power_spacing": "linear"}
    assert (author.drop_inactive, community.drop_inactive) == (True, False)


def test_changes_have_the_last_word_and_protocols_look_at_them() -> None:
    changes = {"data_set": "disfa", "lr": "3e-4", "augmentation.power_spacing": "log"}
    found = load_preset("ours-bp4d", "author", changes)
    assert (found.data_set, found.lr) == ("disfa", 3e-4)
    assert (found.drop_inactive, found.positive_from) == (False, 1)
    assert found.augmentation == {"power_spacing": "log"}


def test_changes_are_read_as_yaml_unless_they_are_values() -> None:
    changes = {
        "fold_count": "",
        "compile": "yes",
        "augmentation.scale": "[0.9, 11e-1]",
        "lr_factors.conv5": "0.5",
        "lr_from_epoch": {3: 1e-6},
        "seed": 7,
    }
    found = load_preset("vggf-bp4d", changes=changes)
    assert (found.fold_count, found.compile, found.seed) == (None, True, 7)
    assert found.augmentation == {"scale": (0.9, 1.1)}
    assert found.lr_factors == {**ROWS["vggf-bp4d"]["lr_factors"], "conv5": 0.5}
    assert found.lr_from_epoch == {3: 1e-6}


def test_a_change_of_one_entry_replaces_that_of_the_file() -> None:
    changes = {"lr_from_epoch.6": "2e-5", "lr_from_epoch.8": "1e-6"}
    assert load_preset("ours-disfa", changes=changes).lr_from_epoch == {6: 2e-5, 8: 1e-6}


def test_another_network_does_not_go_by_the_preset_s_title() -> None:
    assert load_preset("ours-bp4d", changes={"network": "ConvNet"}).title == ""
    assert load_preset("ours-bp4d", changes={"network": "AUCapsNet"}).title == "Ours"
    changes = {"network": "ConvNet", "title": "Mine"}
    assert load_preset("ours-bp4d", changes=changes).title == "Mine"


@pytest.mark.parametrize("name", ["ours-disfa", "vgg-bp4d", "vggf-disfa"])
def test_machines_without_convolutions_start_from_nothing(name: str) -> None:
    assert load_preset(name).weights != "random"
    assert load_preset(name, changes={"network": "HOG-SVM"}).weights == "random"
    with pytest.raises(InputError, match=r"^weights: expected random for HOG-SVM"):
        load_preset(name, changes={"network": "HOG-SVM", "weights": "imagenet"})


@pytest.mark.parametrize("network", ["ConvNet", "DRML", "VGGCapsNet"])
def test_random_convolutions_are_not_spared(network: str) -> None:
    """The factors of these presets spare weights that are there already."""
    changes = {"network": network, "weights": "random", "lr_factors.decoder": "3"}
    kept = load_preset("vggf-bp4d", changes=changes).lr_factors
    assert kept == {"decoder": 3.0}
    mine = {"network": network, "weights": "random", "lr_factors.conv1": "0.5"}
    assert load_preset("vggf-bp4d", changes=mine).lr_factors == {"conv1": 0.5}


def test_a_file_of_one_s_own_is_a_preset(own: Path) -> None:
    for path in (own, str(own)):
        found = load_preset(path)
        assert found == RunSettings(
            network="DRML", title="DRML again", lr=1e-3, lr_factors={"classes": 2.0}
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epoch: 3\n", "epoch: .* did you mean epochs"),
        ("epochs: 3.5\n", r"epochs: expected an integer, got 3\.5"),
        ("lr: 1.0e-4\nepochs: 3\nlr: 1.0e-3\n", "line 3: the key lr stands here again"),
        ("lr_factors: {a: 1, a: 2}\n", "line 1: the key a stands here again"),
        ("lr_factors:\n  a: 1\n a: 2\n", "expected YAML, got something else in line 3"),
        ("", "expected KEY: VALUE in each line, got None"),
        ("- epochs\n", r"expected KEY: VALUE in each line, got \['epochs'\]"),
        ("title: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("title: 2020-13-45\n", "expected YAML, got something else: month"),
        ("? [a]\n: 1\n", "unhashable key"),
        ("a: 1\n---\na: 1\n", "expected YAML"),
        ("title: \x00\n", "expected YAML"),
    ],
)
def test_an_unfit_file_is_told_in_a_line_with_its_name(own: Path, text: str, told: str) -> None:
    own.write_text(text)
    with pytest.raises(InputError, match=told) as error:
        load_preset(own)
    assert str(error.value).startswith(f"{own}: ")
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: .*No such file"):
        load_preset(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    with pytest.raises(InputError, match=r"latin\.yaml: cannot be read: .*utf-8"):
        load_preset(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("preset", "protocol", "changes", "told"),
    [
        ("ours", "paper", {}, "^preset: expected one of ckplus, ours-bp4d, .*, got ours$"),
        ("ckplus", "papers", {}, "^protocol: expected one of paper, author, community, got papers"),
        ("ckplus", "paper", {"epoch": "3"}, r"^epoch: .* did you mean epochs\?$"),
        ("ckplus", "paper", {"epochs": "ten"}, "^epochs: expected an integer, got 'ten'$"),
        ("ckplus", "paper", {"lr.conv5": "3"}, "^lr: expected a number, got {'conv5': 3}$"),
        ("ckplus", "paper", {"lr_factor.conv5": "3"}, r"did you mean lr_factors"),
        ("ckplus", "paper", {"lr_factors": "[1"}, "^lr_factors: expected YAML"),
        ("ckplus", "paper", {"lr_factors": "{a: 1, a: 1}"}, "^lr_factors: .* the key a stands"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_told(
    preset: str, protocol: str, changes: dict[str, str], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        load_preset(preset, protocol, changes)


def test_changes_are_given_as_key_and_value() -> None:
    assert parse_changes(["lr=3e-4", "title=a=b", "fold_count="]) == {
        "lr": "3e-4",
        "title": "a=b",
        "fold_count": "",
    }
    for texts in (["lr"], ["=3"], ["lr=1", "lr=2"]):
        with pytest.raises(InputError, match=r"^set: expected .*, got "):
            parse_changes(texts)


def test_another_network_keeps_the_factors_of_parts_that_it_has() -> None:
    assert load_preset("smiles").lr_factors == {"classes": 0.2, "decoder": 10.0}
    assert load_preset("smiles", changes={"network": "ConvNet"}).lr_factors == {}
    frozen = load_preset("vggf-bp4d", changes={"network": "VGG"}).lr_factors
    assert frozen == {**dict.fromkeys(("conv1", "conv2", "conv3", "conv4"), 0.0), "conv5": 0.1}
    given = {"network": "ConvNet", "lr_factors": "{hidden: 0.1}"}
    assert load_preset("smiles", changes=given).lr_factors == {"hidden": 0.1}
