"""Running a study over joblib: one folder a run, finished runs are kept, failures stay apart."""

from __future__ import annotations

import csv
import importlib
import json
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure

import masoft
from masoft.callbacks import EvenLogging
from masoft.errors import ConfigurationError, MissingDependencyError, explain, nearest
from masoft.notation import looks_like_part, parse_part
from masoft.studies.study import Run, Study

INDEX, SETTINGS, CURVE, MODEL, DONE, FAILED = (
    "study.json", "settings.json", "evaluations.csv", "model.zip", "done.json", "failed.txt",
)  # fmt: skip
EVALUATION_SEED = 1_000_000
LOG_ROWS = 40

# Backend -> the module that makes it known to joblib, and what installs that.
_BACKENDS = {
    "loky": ("joblib", "joblib"),
    "threading": ("joblib", "joblib"),
    "multiprocessing": ("joblib", "joblib"),
    "dask": ("distributed", '"dask[distributed]"'),
    "ray": ("ray.util.joblib", "ray"),
}


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
    study: Study,
    folder: str | Path,
    *,
    n_jobs: int = 1,
    backend: str = "loky",
    retry_failed: bool = False,
    progress_bar: bool = True,
) -> dict[str, list[str]]:
    """Do what a study asks for and the folder does not hold yet.

    An interrupted study goes on when it is run again: finished runs stay, unfinished ones start afresh. A study that
    has grown (seeds, algorithms, environments) does only what is new.

    Args:
        study: what to run.
        folder: where to; made if absent.
        n_jobs: runs at the same time, as in joblib.
        backend: joblib's: ``"loky"`` (processes), ``"threading"``, ``"multiprocessing"``, ``"dask"`` or ``"ray"``. Only
            processes of their own give the same numbers whatever runs beside them; for dask, make its client first.
        retry_failed: run those again that failed before.
        progress_bar: over the whole study.

    Returns:
        keys of the runs under ``"done"`` and ``"failed"``; a failed run's folder holds ``failed.txt``.

    Raises:
        ConfigurationError: an unknown backend.
        MissingDependencyError: joblib, or what the backend needs, is not installed.
    """
    work = _parallel(n_jobs, backend)
    from joblib import delayed
    from tqdm import tqdm

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_index(study, folder)
    pending = [each for each in study.runs if is_pending(folder / each.key, retry_failed)]
    finished = work(delayed(execute)(each, folder / each.key) for each in pending)
    for _ in tqdm(finished, total=len(pending), unit="run", disable=not progress_bar):
        pass
    outcome: dict[str, list[str]] = {"done": [], "failed": []}
    for each in study.runs:
        outcome["done" if (folder / each.key / DONE).exists() else "failed"].append(each.key)
    return outcome


def _parallel(n_jobs: int, backend: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """joblib's worker pool; one that can tell what has finished does so."""
    if backend not in _BACKENDS:
        raise ConfigurationError(explain("backend", "one of joblib's", backend, nearest(backend, _BACKENDS)))
    module, package = _BACKENDS[backend]
    try:
        from joblib import Parallel

        provider = importlib.import_module(module)
    except ImportError:
        cure = 'pip install "masoft[studies]"' if module == "joblib" else f"pip install {package}"
        raise MissingDependencyError(f"Studies with backend={backend!r} need {package}. {cure}") from None
    if backend == "ray":
        provider.register_ray()
    pool = Parallel(n_jobs=n_jobs, backend=backend, return_as="list")
    if pool._backend.supports_return_generator:
        pool = Parallel(n_jobs=n_jobs, backend=backend, return_as="generator_unordered")
    found: Callable[[Iterable[Any]], Iterable[Any]] = pool
    return found


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
    """Train, log, evaluate on the way, save."""
    with (
        closing(masoft.make_vec(run.task.env, run.n_envs, seed=run.seed, **run.task.kwargs)) as env,
        closing(masoft.make_vec(run.task.env, 1, seed=EVALUATION_SEED + run.seed, **run.task.kwargs)) as arena,
        closing(configure(str(folder), ["csv"])) as logger,
    ):
        parameters = {name: part(value) for name, value in run.variant.parameters.items()}
        model = getattr(masoft, run.variant.algorithm)(env=env, seed=run.seed, **parameters)
        model.set_logger(logger)
        watch = [Evaluations(arena, run, folder / CURVE), EvenLogging(max(run.total_timesteps // LOG_ROWS, 1))]
        model.learn(run.total_timesteps, callback=watch, log_interval=None)
        model.save(folder / MODEL)


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
