"""Evaluation while a run trains: a table, the best team so far, and an end when the team is good enough."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy

from masoft.cli.run_folder import BEST, COLUMNS, TABLE, read_evaluations

SEED = 2_000_000
"""Added to the run's seed for the environment that is played in."""


class BestTeam(BaseCallback):
    """Plays the deterministic team every so many steps, always the same episodes as far as a seed decides them.

    Writes each result to ``evaluations.csv`` and to the log, and the best team so far to ``best.zip``. A resumed run
    goes on in the table that is there, from the step where it resumes.

    Args:
        env: a VecEnv of teams of its own.
        folder: of the run.
        every: environment steps between two evaluations, >= 1.
        episodes: of each, >= 1.
        seed: of the environment.
        stop_at: mean return at which learning ends; None: it does not.

    Attributes:
        latest: the last mean return, or None.
        has_stopped: whether ``stop_at`` was reached.
    """

    def __init__(
        self, env: Any, folder: Path, every: int, episodes: int, *, seed: int | None, stop_at: float | None = None
    ) -> None:
        super().__init__()
        self._env, self._folder, self._every, self._episodes = env, folder, every, episodes
        self._seed, self._stop_at = SEED + (seed or 0), stop_at
        self.latest: float | None = None
        self.has_stopped = False

    def _on_training_start(self) -> None:
        rows = [row for row in read_evaluations(self._folder) if row[0] <= self.model.num_timesteps]
        with (self._folder / TABLE).open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        self._next = (self.model.num_timesteps // self._every + 1) * self._every
        self._best = max((mean for _, mean, _ in rows), default=-np.inf)
        self.latest = rows[-1][1] if rows else None

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self._next:
            self._next = (self.model.num_timesteps // self._every + 1) * self._every
            self._evaluate()
        return not self.has_stopped

    def _evaluate(self) -> None:
        self._env.seed(self._seed)
        returns, _ = evaluate_policy(
            self.model, self._env, n_eval_episodes=self._episodes, return_episode_rewards=True, warn=False
        )
        mean, std = float(np.mean(returns)), float(np.std(returns))
        with (self._folder / TABLE).open("a", newline="") as file:
            csv.writer(file).writerow([self.model.num_timesteps, mean, std])
        self.logger.record("eval/mean_reward", mean)
        self.latest = mean
        if mean > self._best:
            self._best = mean
            self.model.save(self._folder / BEST)
        self.has_stopped = self._stop_at is not None and mean >= self._stop_at
