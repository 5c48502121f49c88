"""A search in a folder: several processes may work on it, it goes on after an interruption, and it ends in a preset."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from masoft.errors import ConfigurationError, FolderBusyError, NumericalFault, explain, nearest
from masoft.files import FolderLock, read_json
from masoft.files.text import write_json, write_text
from masoft.runs.command import preset_text
from masoft.runs.driver import environments, new_model
from masoft.runs.settings import RunSettings
from masoft.studies.spaces import Space
from masoft.studies.tuning import the_optuna, train_trial

SETTINGS, JOURNAL, BEST, TRIALS = "tune.json", "journal.log", "best.toml", "trials.csv"
ARENA_SEED = 2_000_000
SAMPLERS = ("tpe", "random", "qmc")
PRUNERS = ("median", "halving", "none")


@dataclass(frozen=True)
class Tuning:
    """What is searched for.

    Args:
        run: a trial without what is searched: algorithm, environment, length, seed, arguments that stay.
        space: what is searched.
        n_trials: how many, in all processes together; those that failed do not count.
        n_reports: evaluations of a trial, after each of which it may be stopped.
        sampler: ``"tpe"``, ``"random"`` or ``"qmc"``.
        pruner: ``"median"``, ``"halving"`` or ``"none"``.

    Raises:
        ConfigurationError: an unknown sampler or pruner, or a number below 1.
    """

    run: RunSettings
    space: Space
    n_trials: int = 20
    n_reports: int = 5
    sampler: str = "tpe"
    pruner: str = "median"

    def __post_init__(self) -> None:
        for name, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            value = getattr(self, name)
            if value not in known:
                raise ConfigurationError(explain(f"The {name}", f"one of {known}", value, nearest(value, known)))
        for name in ("n_trials", "n_reports"):
            if getattr(self, name) < 1:
                raise ConfigurationError(explain(name, "at least 1", getattr(self, name)))

    def plain(self) -> dict[str, Any]:
        """What two processes that work on one search have to agree about."""
        run = {name: value for name, value in self.run.plain().items() if name not in ("masoft", "python")}
        rest = {"n_reports": self.n_reports, "sampler": self.sampler, "pruner": self.pruner}
        return {"run": run, "space": json.loads(json.dumps(asdict(self.space)["arguments"])), **rest}


def tune(tuning: Tuning, folder: Path, tell: Callable[[Any, Any], None] = lambda study, trial: None) -> Any:
    """Search, or go on with the search that the folder holds, until there are as many trials as were asked for.

    Several processes may do so at the same time on a disk that they share; each takes the next trial. A trial whose
    process is gone is forgotten. A trial whose numbers blow up has failed; the search goes on.

    Args:
        tuning: what to search.
        folder: where to; made if absent.
        tell: called with Optuna's study and trial after each.

    Returns:
        the Optuna study; `write_preset` writes what was found.

    Raises:
        ConfigurationError: the folder holds another search, or the algorithm does not take what is to be tried.
        MissingDependencyError: Optuna is not installed.
    """
    optuna = the_optuna()
    folder.mkdir(parents=True, exist_ok=True)
    _agree(tuning, folder)
    with _worker(folder) as number, environments(tuning.run, arena_seed=_arena_seed(tuning.run)):
        study = open_study(tuning, folder, number)
        _forget_the_lost(study, folder)
        states = optuna.trial.TrialState

        def n_counted() -> int:
            return len(study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.RUNNING)))

        while n_counted() < tuning.n_trials:
            objective = _objective(tuning, number)
            study.optimize(objective, n_trials=1, catch=(NumericalFault,), callbacks=[tell])
    return study


def open_study(tuning: Tuning, folder: Path, number: int = 0) -> Any:
    """The Optuna study in a folder; each process that opens it draws numbers of its own."""
    optuna = the_optuna()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL)))
    study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
    seed = None
    if tuning.run.seed is not None:
        drawn = np.random.SeedSequence((tuning.run.seed, number, len(study.get_trials(deepcopy=False))))
        seed = int(drawn.generate_state(1)[0])
    start = max(min(10, tuning.n_trials // 3), 1)
    samplers = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=start),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False),
    }
    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=min(5, start)),
        "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(tuning.run.total_timesteps // tuning.n_reports, 1)
        ),
        "none": optuna.pruners.NopPruner,
    }
    study.sampler, study.pruner = samplers[tuning.sampler](), pruners[tuning.pruner]()
    return study


def _objective(tuning: Tuning, number: int) -> Callable[[Any], float]:
    def objective(trial: Any) -> float:
        trial.set_user_attr("worker", number)
        found = tuning.space.plain(trial)
        parameters = merged(tuning.run.parameters, found)
        trial.set_user_attr("parameters", json.loads(json.dumps(parameters, default=repr)))
        run = replace(tuning.run, parameters=parameters)
        seed = _arena_seed(run)
        with environments(run, arena_seed=seed) as (env, arena):
            model = new_model(run, env, verbose=0)
            return train_trial(
                trial, model, arena, run.total_timesteps, tuning.n_reports, run.eval_episodes, arena_seed=seed
            )

    return objective


def merged(fixed: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Arguments that stay and those that were found; tables are laid over each other."""
    both = dict(fixed)
    for name, value in found.items():
        is_table = isinstance(value, dict) and isinstance(both.get(name), dict)
        both[name] = {**both[name], **value} if is_table else value
    return both


def _arena_seed(run: RunSettings) -> int:
    return ARENA_SEED + (run.seed or 0)


def _agree(tuning: Tuning, folder: Path) -> None:
    """Write what is searched, or see that the folder holds the same search."""
    path, asked = folder / SETTINGS, tuning.plain()
    if not path.exists():
        write_json(path, asked)
        return
    there = read_json(path)
    for name, value in asked.items():
        if there.get(name) != value:
            cure = f"Its search has another {name}: give the same flags, or another --out."
            raise ConfigurationError(
                explain(f"{name} of the search in {str(folder)!r}", str(value), there.get(name), cure)
            )


@contextmanager
def _worker(folder: Path) -> Iterator[int]:
    """The lowest number that no other living process has."""
    for number in itertools.count():
        lock = FolderLock(folder / f"worker-{number}.lock", f"The search in {str(folder)!r}")
        try:
            lock.__enter__()
        except FolderBusyError:
            continue
        try:
            yield number
        finally:
            lock.__exit__(None, None, None)
        return


def _forget_the_lost(study: Any, folder: Path) -> None:
    """Trials that are running by their own account, whose process is gone, count as failed."""
    states = the_optuna().trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        path = folder / f"worker-{trial.user_attrs.get('worker', 0)}.lock"
        try:
            with FolderLock(path, "The worker of a trial", is_shared=True):
                study.tell(trial.number, state=states.FAIL)
        except FolderBusyError:
            continue


def write_preset(tuning: Tuning, study: Any, folder: Path) -> Path:
    """Write ``best.toml``, the best trial as a preset that ``masoft train --preset FILE`` takes, and ``trials.csv``.

    Raises:
        ConfigurationError: no trial has come to its end.
    """
    states = the_optuna().trial.TrialState
    if not study.get_trials(deepcopy=False, states=(states.COMPLETE,)):
        cure = "All were stopped early or failed: try --pruner none, or look at the search space."
        raise ConfigurationError(explain("The search", "one with a finished trial", str(folder), cure))
    study.trials_dataframe(multi_index=False).to_csv(folder / TRIALS, index=False)
    best, run = study.best_trial, tuning.run
    source = f"masoft tune, trial {best.number} of {len(study.trials)}: mean return {best.value:.6g}"
    write_text(folder / BEST, preset_text(replace(run, parameters=best.user_attrs["parameters"]), source))
    return folder / BEST
