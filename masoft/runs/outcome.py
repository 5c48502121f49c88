"""How a run came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from masoft.files.text import write_json
from masoft.runs.machine import machine
from masoft.runs.settings import OUTCOME, RunSettings


@dataclass(frozen=True)
class Outcome:
    """How a run came out.

    Args:
        folder: of the run.
        settings: of the run.
        steps: environment steps taken.
        score: mean return of the evaluation, or None.
        random: mean return of random actions beside it, or None.
        episodes: played for each.
        picture: the learning curve, or None.
        stopped_by: name of the signal that ended it early, or None.
        is_good_enough: whether ``--stop-at`` ended it.
        seconds: that learning has taken in all, its evaluations included.
    """

    folder: Path
    settings: RunSettings
    steps: int
    score: float | None
    random: float | None
    episodes: int
    picture: Path | None
    stopped_by: str | None
    is_good_enough: bool = False
    seconds: float = 0.0

    def save(self) -> None:
        """Write ``outcome.json`` into the run's folder, with the machine and the versions."""
        values = {
            "timesteps": self.steps, "mean_return": self.score, "random_return": self.random,
            "episodes": self.episodes, "seconds": round(self.seconds, 1), "stopped_by": self.stopped_by,
            "reached_stop_at": self.is_good_enough, **machine(),
        }  # fmt: skip
        write_json(self.folder / OUTCOME, values)
