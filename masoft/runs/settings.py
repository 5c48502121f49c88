"""What a run is: its settings, and the names of the files that it leaves in its folder."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import masoft
from masoft.errors import ConfigurationError, explain
from masoft.files import read_json
from masoft.files.remote import address, local_folder
from masoft.files.text import check_record, write_json

SETTINGS, STUDY_RUN = "run.json", "settings.json"
"""Settings of a run of `masoft train`, and of one in a study."""
MODEL = "model.zip"
OUTCOME = "outcome.json"
BEST, TABLE = "best.zip", "evaluations.csv"
COLUMNS = ("timesteps", "mean_return", "std_return")
LOG = "progress.csv"
PICTURE = "learning_curve.png"
LOG_ROWS = 40


@dataclass(frozen=True)
class RunSettings:
    """Everything that is needed to repeat a run.

    Args:
        algorithm: name of the class.
        env: environment id.
        env_kwargs: its keyword arguments.
        n_envs: copies trained in.
        seed: of networks, draws and environments.
        total_timesteps: environment steps asked for.
        parameters: constructor keywords that were given, by the command line or by a preset.
        preset: name of the preset, where one was used.
        backend, on_env_error, env_timeout: of the environments, see `masoft.make_vec`.
        threads: CPU threads of PyTorch; sums come out differently with another number.
        checkpoint_every: environment steps between two checkpoints; 0: only at the start and the end.
        eval_every: environment steps between two evaluations; 0: none.
        eval_episodes: episodes of each of them.
        stop_at: mean return of an evaluation at which the run ends, or None.
        track: tracker that the log and the model are sent to, ``"wandb"`` or ``"mlflow"``, or None.
        masoft, python: versions.
    """

    algorithm: str
    env: str
    env_kwargs: dict[str, Any]
    n_envs: int
    seed: int | None
    total_timesteps: int
    parameters: dict[str, Any]
    preset: str | None = None
    backend: str = "auto"
    on_env_error: str = "raise"
    env_timeout: float | None = None
    threads: int = 1
    checkpoint_every: int = 0
    eval_every: int = 0
    eval_episodes: int = 10
    stop_at: float | None = None
    track: str | None = None
    masoft: str = masoft.__version__
    python: str = field(default_factory=platform.python_version)

    @property
    def log_every(self) -> int:
        """Environment steps between two rows of the log."""
        return max(self.total_timesteps // LOG_ROWS, 1)

    def make_env(self) -> Any:
        """The environments of the run, as a VecEnv."""
        return masoft.make_vec(
            self.env,
            self.n_envs,
            seed=self.seed,
            backend=self.backend,
            on_env_error=self.on_env_error,
            env_timeout=self.env_timeout,
            **self.env_kwargs,
        )

    def algorithm_class(self) -> Any:
        """The class of the algorithm.

        Raises:
            ConfigurationError: the name is not one of masoft's.
        """
        if self.algorithm not in masoft.ALGORITHMS:
            raise ConfigurationError(explain("The run's algorithm", "one of masoft's", self.algorithm))
        return getattr(masoft, self.algorithm)

    def save(self, folder: Path) -> None:
        """Write ``run.json``."""
        write_json(folder / SETTINGS, self.plain())

    def plain(self) -> dict[str, Any]:
        """By field, as ``run.json`` has them: a part of an algorithm is its repr, which rebuilds it."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return dict(json.loads(json.dumps(values, default=repr)))

    @classmethod
    def load(cls, folder: Path) -> RunSettings:
        """Read ``run.json``, or ``settings.json`` in the folder of a study's run.

        Raises:
            ConfigurationError: the folder is no run, or the file is damaged.
        """
        path = folder / (SETTINGS if (folder / SETTINGS).exists() else STUDY_RUN)
        try:
            values = read_json(path)
        except (FileNotFoundError, NotADirectoryError):
            cure = "Give the folder that `masoft train ... --out FOLDER` wrote."
            raise ConfigurationError(
                explain("The run folder", f"one with {SETTINGS} in it", address(folder), cure)
            ) from None
        check_record(cls, values, path)
        return cls(**values)


def new_folder(out: str | Path, *, overwrite: bool) -> Path:
    """Make the folder of a run.

    Raises:
        ConfigurationError: it holds a run already.
    """
    folder = local_folder(out)
    if (folder / SETTINGS).exists() and not overwrite:
        cure = "Choose another one, or pass --overwrite."
        raise ConfigurationError(explain("--out", "a folder without a run in it", str(out), cure))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
