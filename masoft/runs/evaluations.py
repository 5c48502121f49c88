"""Evaluation while a run trains: a table, the best team so far, and an end when the team is good enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from masoft.envs.wrapping import wrapped_alike
from masoft.files import read_table, write_text
from masoft.files.text import number
from masoft.runs.actions import ActionTable
from masoft.runs.playing import play
from masoft.runs.settings import COLUMNS
from masoft.runs.tables import as_csv


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Args:
        timesteps, updates: that the model has taken.
        mean_return, std_return: over its episodes.
        success: share of episodes with ``info["is_success"]``; None where the task reports none.
        sampled: the same of as many episodes in which actions are drawn; None: nobody asked.
        wall_s, cpu_s: seconds of learning since it began, without those of evaluations.
    """

    timesteps: int
    updates: int
    mean_return: float
    std_return: float
    success: float | None
    wall_s: float
    cpu_s: float
    sampled: float | None = None


Columns = Mapping[str, Callable[[Evaluation], Any]]
"""Name of a column -> what stands in it; the first is the number of environment steps."""
PLAIN: Columns = {name: attrgetter(name) for name in COLUMNS}


class Evaluations(BaseCallback):
    """Plays the deterministic team every so many environment steps, and writes each result at once.

    A resumed run goes on in the table that is there, from the step where it resumes.

    Args:
        env: a VecEnv of teams of its own; without a VecNormalize it is seen with the statistics of training.
        table: CSV file, written wholly or not at all; None: there is none.
        every: environment steps between two evaluations, >= 1.
        episodes: of each, >= 1.
        seed: of the environment before each evaluation, so that the same episodes are played as far as a seed decides
            them; None: it goes on.
        best: file for the best team so far; None: it is not kept. Needs the plain columns.
        stop_at: mean return at which learning ends; None: it does not.
        at_start, at_end: whether an evaluation is made after the first step and after the last one in any case.
        columns: of the table.
        is_enough: hears of each evaluation and says whether learning ends there.
        actions: takes what the team does; None: nobody looks.
        sampled: as many episodes again, in which the team draws its actions.

    Attributes:
        latest: the last mean return, or None.
        has_stopped: whether an evaluation has ended learning.
    """

    def __init__(
        self, env: Any, table: Path | None, every: int, episodes: int, *, seed: int | None = None,
        best: Path | None = None, stop_at: float | None = None, at_start: bool = False, at_end: bool = False,
        columns: Columns = PLAIN, is_enough: Callable[[Evaluation], bool] | None = None,
        actions: ActionTable | None = None, sampled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self._env, self._table, self._every, self._episodes = env, table, every, episodes
        self._seed, self._best_file, self._stop_at, self._is_enough = seed, best, stop_at, is_enough
        self._at_start, self._at_end, self._columns, self._actions = at_start, at_end, columns, actions
        self._rows: list[list[Any]] = []
        self._sampled = sampled
        self.latest: float | None = None
        self.has_stopped = False

    def _on_training_start(self) -> None:
        self._env = wrapped_alike(self._env, self.training_env)
        step = self.model.num_timesteps
        known = read_table(self._table)[1] if step and self._table and self._table.is_file() else []
        values = [[number(row.get(name)) for name in self._columns] for row in known]
        self._rows = [[int(row[0]), *row[1:]] for row in values if None not in row and row[0] <= step]  # type: ignore
        means = [dict(zip(self._columns, row, strict=True)).get("mean_return", -np.inf) for row in self._rows]
        self._best = max(means, default=-np.inf)
        self.latest = means[-1] if means else None
        self._next = 0 if self._at_start and not step else self._following(step)
        self._start, self._paused = (time.time(), time.process_time()), (0.0, 0.0)
        self._write()
        if self._actions is not None:
            self._actions.start(step)

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self._next:
            self._next = self._following(self.model.num_timesteps)
            self._evaluate()
        return not self.has_stopped

    def _on_training_end(self) -> None:
        is_over = self._at_end and self.model.num_timesteps >= self.model._total_timesteps
        if is_over and (not self._rows or self._rows[-1][0] != self.model.num_timesteps):
            self._evaluate()

    def _following(self, step: int) -> int:
        return (step // self._every + 1) * self._every

    def _evaluate(self) -> None:
        began = time.time(), time.process_time()
        if self._seed is not None:
            self._env.seed(self._seed)
        returns, success = self._play(deterministic=True)
        sampled = self._play(deterministic=False)[1] if self._sampled else None
        wall_s, cpu_s = (
            now - start - paused for now, start, paused in zip(began, self._start, self._paused, strict=True)
        )
        found = Evaluation(
            self.model.num_timesteps, getattr(self.model, "_n_updates", 0), float(np.mean(returns)),
            float(np.std(returns)), success, wall_s, cpu_s, sampled,
        )  # fmt: skip
        self._take(found)
        ended = time.time(), time.process_time()
        self._paused = (self._paused[0] + ended[0] - began[0], self._paused[1] + ended[1] - began[1])

    def _play(self, *, deterministic: bool) -> tuple[list[float], float | None]:
        """Returns, and the share of successes."""
        won: list[bool] = []

        def note(values: dict[str, Any], _: dict[str, Any]) -> None:
            if self._actions is not None and deterministic:
                self._actions.add(values["actions"][values["i"]])
            if values["done"] and "is_success" in values["info"]:
                won.append(values["info"]["is_success"])

        returns = play(self.model, self._env, self._episodes, deterministic=deterministic, callback=note)
        return returns, sum(won) / len(won) if won else None

    def _take(self, found: Evaluation) -> None:
        self._rows.append([column(found) for column in self._columns.values()])
        self._write()
        if self._actions is not None:
            self._actions.write(found.timesteps)
        self.logger.record("eval/mean_reward", found.mean_return)
        self.latest = found.mean_return
        if self._best_file is not None and found.mean_return > self._best:
            self._best = found.mean_return
            self.model.save(self._best_file)
        is_good = self._stop_at is not None and found.mean_return >= self._stop_at
        self.has_stopped = is_good or (self._is_enough is not None and self._is_enough(found))

    def _write(self) -> None:
        if self._table is None:
            return
        write_text(self._table, as_csv(self._columns, self._rows))
