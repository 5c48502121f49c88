"""The progress of a run where there is no terminal to draw a bar on: a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from masoft.callbacks import TeamProgressBar, clock, end_of, recent_return

LINES = 20


def progress(evaluation: Callable[[], float | None]) -> BaseCallback:
    """A bar on a terminal, lines on standard error elsewhere.

    Args:
        evaluation: gives the last evaluation's mean return, or None.
    """
    is_terminal = sys.stderr.isatty()
    return TeamProgressBar(evaluation=evaluation) if is_terminal else ProgressLines(evaluation)


class ProgressLines(BaseCallback):
    """Prints steps, recent return, last evaluation and the time that is left, twenty times in a run.

    Args:
        evaluation: gives the last evaluation's mean return, or None.
    """

    def __init__(self, evaluation: Callable[[], float | None]) -> None:
        super().__init__()
        self._evaluation = evaluation

    def _on_training_start(self) -> None:
        self._began, self._start = time.monotonic(), self.model.num_timesteps
        model: Any = self.model
        self._end = end_of(model)
        if self._end > model._total_timesteps:
            size = f"{model.n_steps * model.n_envs:,}"
            print(f"A rollout has {size} steps, so the run ends after {self._end:,}.", file=sys.stderr, flush=True)
        self._every = max((self._end - self._start) // LINES, 1)
        self._next = self._start + self._every

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self._next:
            self._next += self._every
            print(self._line(), file=sys.stderr, flush=True)
        return True

    def _line(self) -> str:
        model: Any = self.model
        done, total = model.num_timesteps, self._end
        left = (time.monotonic() - self._began) / (done - self._start) * max(total - done, 0)
        recent, evaluated = recent_return(model), self._evaluation()
        parts = [
            f"{done:,} of {total:,} steps",
            "" if recent is None else f"return {recent:.2f}",
            "" if evaluated is None else f"evaluated {evaluated:.2f}",
            f"{clock(left)} left",
        ]
        return "  ".join(part for part in parts if part)
