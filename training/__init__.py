"""Training programs built on fastcaps; they need the dependencies of ``fastcaps[training]``."""

from importlib.util import find_spec

for needed in ("pytorch_lightning", "typer"):
    if find_spec(needed) is None:
        raise ModuleNotFoundError(
            f"fastcaps.training needs {needed}: pip install 'fastcaps[training]'", name=needed
        )
