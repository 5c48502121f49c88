"""What a training run leaves behind: one folder with the settings, the log, the model and the picture."""

from __future__ import annotations

import csv
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import masoft
from masoft.errors import ConfigurationError, explain
from masoft.files import read_json, read_table, replace_file
from masoft.files.text import check_record, number, write_json

SETTINGS = "run.json"
MODEL = "model.zip"
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
        write_json(folder / SETTINGS, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> RunSettings:
        """Read ``run.json``.

        Raises:
            ConfigurationError: the folder is no run, or the file is damaged.
        """
        try:
            values = read_json(folder / SETTINGS)
        except (FileNotFoundError, NotADirectoryError):
            cure = "Give the folder that `masoft train ... --out FOLDER` wrote."
            raise ConfigurationError(
                explain("The run folder", f"one with {SETTINGS} in it", str(folder), cure)
            ) from None
        check_record(cls, values, folder / SETTINGS)
        return cls(**values)


def new_folder(out: str, *, overwrite: bool) -> Path:
    """Make the folder of a run.

    Raises:
        ConfigurationError: it holds a run already.
    """
    folder = Path(out)
    if (folder / SETTINGS).exists() and not overwrite:
        cure = "Choose another one, or pass --overwrite."
        raise ConfigurationError(explain("--out", "a folder without a run in it", out, cure))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read_curve(folder: Path) -> tuple[list[int], list[float]]:
    """Mean return of recent training episodes over environment steps, from SB3's CSV log."""
    steps, returns = [], []
    for row in read_table(folder / LOG)[1]:
        value, step = number(row.get("rollout/ep_rew_mean")), number(row.get("time/total_timesteps"))
        if value is not None and step is not None:
            steps.append(int(step))
            returns.append(value)
    return steps, returns


def draw_curve(folder: Path, title: str, reference: tuple[str, float] | None = None) -> Path | None:
    """Draw ``learning_curve.png``; None where no episode has ended yet.

    Args:
        folder: the run.
        title: above the picture.
        reference: name and height of a dashed line to compare with.
    """

    steps, returns = read_curve(folder)
    if not steps:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, returns, color="#0072B2", linewidth=1.8, label="in training")
    evaluations = read_evaluations(folder)
    if evaluations:
        at, means, _ = zip(*evaluations, strict=True)
        axes.plot(at, means, color="#009E73", marker="o", linewidth=1.8, label="evaluated")
    if reference is not None:
        axes.axhline(reference[1], color="#D55E00", linestyle="--", label=reference[0])
    if evaluations or reference is not None:
        axes.legend(frameon=False)
    axes.set(title=title, xlabel="environment steps", ylabel="mean return of episodes")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    replace_file(folder / PICTURE, lambda file: figure.savefig(file, dpi=150, format="png"))
    return folder / PICTURE


def read_evaluations(folder: Path) -> list[tuple[int, float, float]]:
    """Steps, mean and standard deviation of the return of each evaluation of a run; empty where there were none."""
    path = folder / TABLE
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS) and row[0].isdigit()]
    return [(int(steps), float(mean), float(std)) for steps, mean, std in rows]
