"""Running a study over joblib: one folder a run, finished runs are kept, failures stay apart."""

from __future__ import annotations

import csv
import json
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy

import masoft
from masoft.errors import ConfigurationError, MissingDependencyError, explain
from masoft.notation import looks_like_part, parse_part
from masoft.studies.study import Run, Study

INDEX, SETTINGS, CURVE, MODEL, DONE, FAILED = (
    "study.json", "settings.json", "evaluations.csv", "model.zip", "done.json", "failed.txt",
)  # fmt: skip
EVALUATION_SEED = 1_000_000


class Evaluations(BaseCallback):
    """Plays the deterministic team on its own environment now and then, and writes each result at once.

    Args:
        env: VecEnv of teams.
        run: says how often and how long.
        path: CSV file with the columns ``timesteps, mean_return, std_return``.
    """

    def __init__(self, env: Any, run: Run, path: Path) -> None:
        super().__init__()
        self._env, self._run, self._path, self._next, self._last = env, run, path, run.eval_every, -1
        path.write_text("timesteps,mean_return,std_return\n")

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next = (self.num_timesteps // self._run.eval_every + 1) * self._run.eval_every
            self._evaluate()
        return True

    def _on_training_end(self) -> None:
        if self._last != self.num_timesteps:
            self._evaluate()

    def _evaluate(self) -> None:
        self._last = self.num_timesteps
        returns, _ = evaluate_policy(
            self.model,
            self._env,
            n_eval_episodes=self._run.eval_episodes,
            return_episode_rewards=True,
            warn=False,
        )
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([self._last, float(np.mean(returns)), float(np.std(returns))])


def run(
    study: Study, folder: str | Path, *, n_jobs: int = 1, retry_failed: bool = False, progress_bar: bool = True
) -> dict[str, list[str]]:
    """Do what a study asks for and the folder does not hold yet.

    An interrupted study goes on when it is run again: finished runs stay, unfinished ones start afresh. A study that
    has grown (seeds, algorithms, environments) does only what is new.

    Args:
        study: what to run.
        folder: where to; made if absent.
        n_jobs: processes, as in joblib; other backends by ``joblib.parallel_config``.
        retry_failed: run those again that failed before.
        progress_bar: over the whole study.

    Returns:
        keys of the runs under ``"done"`` and ``"failed"``; a failed run's folder holds ``failed.txt``.

    Raises:
        MissingDependencyError: joblib is not installed.
    """
    try:
        from joblib import Parallel, delayed
    except ImportError:
        raise MissingDependencyError('Studies need joblib. pip install "masoft[studies]"') from None
    from tqdm import tqdm

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_index(study, folder)
    pending = [each for each in study.runs if is_pending(folder / each.key, retry_failed)]
    jobs = (delayed(execute)(each, folder / each.key) for each in pending)
    finished = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
    for _ in tqdm(finished, total=len(pending), unit="run", disable=not progress_bar):
        pass
    outcome: dict[str, list[str]] = {"done": [], "failed": []}
    for each in study.runs:
        outcome["done" if (folder / each.key / DONE).exists() else "failed"].append(each.key)
    return outcome


def is_pending(folder: Path, retry_failed: bool = False) -> bool:
    """Whether a run has still to be done."""
    if (folder / DONE).exists():
        return False
    return retry_failed or not (folder / FAILED).exists()


def write_index(study: Study, folder: Path) -> None:
    """Write which runs belong to the study, with the names that pictures use."""
    runs = {
        each.key: {"algorithm": each.variant.label, "environment": each.task.name, "scale": each.task.scale}
        for each in study.runs
    }
    (folder / INDEX).write_text(json.dumps({"masoft": masoft.__version__, "runs": runs}, indent=2) + "\n")


def execute(run: Run, folder: Path) -> bool:
    """One run from beginning to end in its folder; whether it succeeded."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILED).unlink(missing_ok=True)
    (folder / SETTINGS).write_text(json.dumps(run.settings(), indent=2, default=repr) + "\n")
    began, threads = time.monotonic(), torch.get_num_threads()
    torch.set_num_threads(1)  # runs share the processors by being many
    try:
        train(run, folder)
    except Exception:  # whatever went wrong in one run must not end the others
        (folder / FAILED).write_text(traceback.format_exc())
        return False
    finally:
        torch.set_num_threads(threads)
    (folder / DONE).write_text(json.dumps({"seconds": time.monotonic() - began, "masoft": masoft.__version__}) + "\n")
    return True


def train(run: Run, folder: Path) -> None:
    """Train, evaluate on the way, save."""
    env = masoft.make_vec(run.task.env, run.n_envs, seed=run.seed, **run.task.kwargs)
    arena = masoft.make_vec(run.task.env, 1, seed=EVALUATION_SEED + run.seed, **run.task.kwargs)
    try:
        parameters = {name: part(value) for name, value in run.variant.parameters.items()}
        model = getattr(masoft, run.variant.algorithm)(env=env, seed=run.seed, **parameters)
        model.learn(run.total_timesteps, callback=Evaluations(arena, run, folder / CURVE), log_interval=None)
        model.save(folder / MODEL)
    finally:
        env.close()
        arena.close()


def part(value: Any) -> Any:
    """A setting as the constructor takes it: text like ``KLDrift(0.5)`` becomes that object."""
    if not isinstance(value, str) or not looks_like_part(value):
        return value
    import masoft.mirror

    return parse_part(value, {name: getattr(masoft.mirror, name) for name in masoft.mirror.__all__})


def read_index(folder: str | Path) -> dict[str, Any]:
    """The runs of a study's folder by key.

    Raises:
        ConfigurationError: the folder holds no study.
    """
    path = Path(folder) / INDEX
    if not path.is_file():
        cure = "Give the folder that `masoft study` wrote."
        raise ConfigurationError(explain("The folder of a study", f"one with {INDEX} in it", str(folder), cure))
    runs: dict[str, Any] = json.loads(path.read_text())["runs"]
    return runs
