"""The saved teams of a run's folder."""

from __future__ import annotations

from pathlib import Path

from masoft.cli.run_folder import BEST, MODEL
from masoft.errors import ConfigurationError, explain


def model_file(folder: Path, *, best: bool = False) -> Path:
    """The saved team of a run: the last one, or the best that an evaluation in training met.

    Raises:
        ConfigurationError: it is not there.
    """
    path = folder / (BEST if best else MODEL)
    if path.is_file():
        return path
    cure = "Train with --eval-every N to have one." if best else f"Finish the run: masoft train --resume {folder}"
    raise ConfigurationError(explain(f"The run {folder}", f"one with {path.name} in it", _names(folder), cure))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
