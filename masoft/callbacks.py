"""Callbacks for stable-baselines3's loop: a progress bar that tells what the learner does, and evenly spaced logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from stable_baselines3.common.callbacks import BaseCallback

from masoft.saving.checkpoint_callback import CheckpointCallback as CheckpointCallback

_REFRESH_SECONDS = 0.2
# The estimate of what remains looks at the recent past only: warm-up steps cost nothing beside learning steps.
_WINDOW_SECONDS = 30.0


class TeamProgressBar(BaseCallback):
    """A bar over environment steps with the phase, updates per second and the time that remains.

    It moves during warm-up too. The remaining time follows the speed of the last half minute, and starts afresh when
    learning starts, so that quick random steps do not promise too much.

    Args:
        console: where to draw; None: standard error.
        evaluation: gives the mean return of the last evaluation, or None; shown beside the return in training.

    Example:
        ``model.learn(100_000, callback=TeamProgressBar())``
    """

    def __init__(self, console: Console | None = None, evaluation: Callable[[], float | None] | None = None) -> None:
        super().__init__()
        self._console = console
        self._evaluation = evaluation
        self._marks: list[tuple[float, int, int]] = []
        self._phase = ""
        self._drawn_at = 0.0

    def _on_training_start(self) -> None:
        self._start_steps, self._end = self.model.num_timesteps, end_of(self.model)
        self._progress = Progress(
            TextColumn("{task.fields[phase]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[returns]}"),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remaining]}"),
            console=self._console or Console(stderr=True),
        )
        total = max(self._end - self._start_steps, 0)
        self._task = self._progress.add_task("", total=total, phase="start", returns="", speed="", remaining="")
        self._progress.start()

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now - self._drawn_at >= _REFRESH_SECONDS:
            self._drawn_at = now
            self._draw(now)
        return True

    def _on_training_end(self) -> None:
        self._draw(time.monotonic())
        self._progress.stop()

    def _draw(self, now: float) -> None:
        phase = "warm-up" if self.model.num_timesteps < getattr(self.model, "learning_starts", 0) else "learning"
        if phase != self._phase:
            self._phase, self._marks = phase, []
        self._marks = [mark for mark in self._marks if now - mark[0] <= _WINDOW_SECONDS]
        self._marks.append((now, self.model.num_timesteps, getattr(self.model, "_n_updates", 0)))
        steps_per_second, updates_per_second = self._speeds()
        left = self._end - self.model.num_timesteps
        self._progress.update(
            self._task,
            completed=self.model.num_timesteps - self._start_steps,
            phase=phase,
            returns=self._returns(),
            speed=f"{steps_per_second:,.0f} steps/s  {updates_per_second:,.0f} updates/s",
            remaining=f"{clock(left / steps_per_second)} left" if steps_per_second > 0 and left > 0 else "",
        )

    def _returns(self) -> str:
        recent, evaluated = recent_return(self.model), self._evaluation() if self._evaluation else None
        parts = ["" if recent is None else f"return {recent:.1f}", "" if evaluated is None else f"eval {evaluated:.1f}"]
        return "  ".join(part for part in parts if part)

    def _speeds(self) -> tuple[float, float]:
        """Steps and updates a second over the window; zeros until there are two marks."""
        (t0, steps0, updates0), (t1, steps1, updates1) = self._marks[0], self._marks[-1]
        if t1 <= t0:
            return 0.0, 0.0
        return (steps1 - steps0) / (t1 - t0), (updates1 - updates0) / (t1 - t0)


def end_of(model: Any) -> int:
    """Environment steps at which ``learn`` will end: an on-policy method fills its last rollout, as in SB3."""
    total, start = model._total_timesteps, model.num_timesteps
    size = model.n_steps * model.n_envs if hasattr(model, "rollout_buffer") else 1
    return int(start + -(-(total - start) // size) * size)


class EvenLogging(BaseCallback):
    """Writes SB3's log every ``every`` environment steps, however long or short the episodes are.

    Rows come at the multiples of ``every``, so that a resumed run logs at the same steps as an uninterrupted one.
    Use it with ``learn(..., log_interval=None)``: SB3 itself counts episodes, and a matrix game ends one each step.

    Args:
        every: environment steps between two rows of the log, at least 1.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = max(every, 1)
        self._next = 0
        self._dumped_at = -1

    def _on_training_start(self) -> None:
        self._next = (self.model.num_timesteps // self.every + 1) * self.every

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self._next:
            self._next += self.every
            self._dump()
        return True

    def _on_training_end(self) -> None:
        if self._dumped_at != self.model.num_timesteps:
            self._dump()

    def _dump(self) -> None:
        model: Any = self.model
        model.dump_logs()
        self._dumped_at = model.num_timesteps


def recent_return(model: Any) -> float | None:
    """Mean return of the episodes that ended lately in training; None before the first."""
    ended = [episode["r"] for episode in model.ep_info_buffer or ()]
    return float(np.mean(ended)) if ended else None


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
