"""The models that come with the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastcaps.training.predictor import Predictor

MODELS = Path(__file__).parents[2] / "models"
SMILES = Path(__file__).parents[3] / "shared" / "data" / "smiles64.npz"


def test_every_model_can_be_used() -> None:
    found = {path.name: Predictor.load(path, "cpu").classes for path in MODELS.glob("*.pt")}
    assert found == {"smiles.pt": ("AU12",)}


@pytest.mark.skipif(not SMILES.exists(), reason="needs ../shared/data/smiles64.npz")
def test_the_model_of_smiles_knows_faces_that_it_never_saw() -> None:
    with np.load(SMILES) as data:
        # Every fifth face was kept from its training.
        faces, labels = data["images"][::20], data["labels"][::20]
    scores = Predictor.load(MODELS / "smiles.pt", "cpu").predict(faces)[:, 0]
    assert roc_auc_score(labels, scores) > 0.97
    assert ((scores > 0.5) == labels).mean() > 0.93
