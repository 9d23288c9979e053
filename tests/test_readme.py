"""The Python examples of the README run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where an example writes a file
    torch.manual_seed(0)
    text = README.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "readme"}
    examples = list(EXAMPLE.finditer(text))
    assert examples
    for example in examples:
        # Empty lines in front, so that an error shows its line in the README.
        lines_before = text.count("\n", 0, example.start(1))
        exec(compile("\n" * lines_before + example[1], str(README), "exec"), names)
