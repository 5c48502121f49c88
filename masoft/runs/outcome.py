"""How a run came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from masoft.runs.settings import RunSettings


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
