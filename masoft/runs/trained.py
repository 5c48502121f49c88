"""The saved teams of a run's folder, be it of `masoft train` or one in a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import masoft
from masoft.errors import ConfigurationError, explain
from masoft.runs.own_code import ask_trust
from masoft.runs.settings import BEST, MODEL, RunSettings


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


@dataclass(frozen=True)
class Team:
    """A trained team in a folder.

    Args:
        folder: of the run.
        algorithm: name of its class.
        env: environment id.
        env_kwargs: its arguments.
        trusted: whether code of somebody's own that the settings name may be imported.
    """

    folder: Path
    algorithm: str
    env: str
    env_kwargs: dict[str, Any]
    trusted: bool = False

    @classmethod
    def of(cls, folder: Path, trusted: bool = False) -> Team:
        """Read the settings of a run or of a study's run.

        Raises:
            ConfigurationError: they are damaged, or name no algorithm of masoft's.
        """
        settings = RunSettings.load(folder)
        settings.algorithm_class()
        return cls(folder, settings.algorithm, settings.env, settings.env_kwargs, trusted)

    def load(self) -> Any:
        """The trained model."""
        return getattr(masoft, self.algorithm).load(model_file(self.folder), device="cpu", verbose=0)

    def make(self, **kwargs: Any) -> Any:
        """A new environment of the kind that it was trained in, unscaled.

        Raises:
            ConfigurationError: it is somebody's own code, and not trusted.
        """
        from masoft.envs.vector import make_alone  # here, since it imports torch

        ask_trust(self.env, self.folder, trusted=self.trusted)
        return make_alone(self.env, **{**self.env_kwargs, **kwargs})
