"""The Python examples of the README run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def files(tmp_path: Path) -> None:
    """What the README's ``fastcaps-au`` commands make, but smaller."""
    for package in ("cv2", "pyarrow", "pytorch_lightning", "torchvision", "typer"):
        pytest.importorskip(package, reason="needs the extra au")
    from fastcaps.training.au_run import train_run
    from fastcaps.training.devices import Resources
    from fastcaps.training.networks import make_network
    from fastcaps.training.networks.network import NetworkOptions
    from fastcaps.training.predictor import save_model
    from fastcaps.training.prepared import Shape, open_prepared
    from fastcaps.training.presets import load_preset
    from fastcaps.training.synthetic.settings import Settings
    from fastcaps.training.synthetic.synthesis import synthesize

    synthesize(tmp_path / "faces", Settings("prepared", subjects=2, frames_per_subject=8))
    train_run(
        open_prepared(tmp_path / "faces"),
        load_preset("synthetic", changes={"fold_count": 2, "epochs": 1, "action_units": [6, 12]}),
        tmp_path / "runs" / "synthetic",
        folds=(1,),
        resources=Resources(device="cpu", progress=False),
    )
    network = make_network("AUCapsNet", NetworkOptions(classes=1, side=96, channels=1))
    save_model(tmp_path / "model.pt", network, "AUCapsNet", ["AU12"], Shape(96, colour=False))


@pytest.mark.usefixtures("files")
def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where an example reads and writes files
    torch.manual_seed(0)
    text = README.read_text(encoding="utf-8")
    names: dict[str, object] = {
        "__name__": "readme",
        "faces": np.zeros((3, 64, 64), dtype=np.uint8),
    }
    examples = list(EXAMPLE.finditer(text))
    assert examples
    for example in examples:
        # Empty lines in front, so that an error shows its line in the README.
        lines_before = text.count("\n", 0, example.start(1))
        exec(compile("\n" * lines_before + example[1], str(README), "exec"), names)
