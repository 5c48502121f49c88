"""Hyper-parameter search with Optuna: trials are clones of one estimator, weak ones are stopped early."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from stable_baselines3.common.logger import Logger

import masoft
from masoft.errors import MissingDependencyError
from masoft.runs.driver import loop
from masoft.runs.evaluations import Evaluation, Evaluations
from masoft.studies.spaces import Space as Space
from masoft.studies.spaces import Suggest as Suggest
from masoft.studies.spaces import read_space as read_space
from masoft.studies.spaces import space_of as space_of


def search(
    estimator: Any,
    env: Any,
    total_timesteps: int,
    *,
    space: Suggest | None = None,
    n_trials: int = 20,
    n_reports: int = 5,
    eval_env: Any = None,
    eval_episodes: int = 10,
    seed: int | None = None,
    study: Any = None,
) -> Any:
    """Look for constructor arguments with a high return.

    Args:
        estimator: what to clone, for example ``HASAC(policy_kwargs=dict(net_arch=[64, 64]))``.
        env: id or callable; each trial makes its own.
        total_timesteps: environment steps of a trial.
        space: function of an Optuna trial that gives constructor arguments, a `Space` for example; None: `space_of` the
            algorithm.
        n_trials: how many, >= 1.
        n_reports: evaluations of a trial, after each of which it may be stopped, >= 1.
        eval_env: id or callable to evaluate in; None: the same as ``env``.
        eval_episodes: episodes of an evaluation.
        seed: of the search and of every trial.
        study: Optuna study to go on with; None: a new one that maximises, with a median pruner.

    Returns:
        the Optuna study; ``estimator.set_params(**study.best_trial.user_attrs["parameters"])`` uses what was found.

    Raises:
        MissingDependencyError: Optuna is not installed.
    """
    optuna = the_optuna()
    suggest = space or space_of(type(estimator).__name__)
    if study is None:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))

    def objective(trial: Any) -> float:
        parameters = dict(suggest(trial))
        trial.set_user_attr("parameters", parameters)
        arena_seed = None if seed is None else seed + 1
        with (
            closing(masoft.make_vec(env, seed=seed)) as train_env,
            closing(masoft.make_vec(env if eval_env is None else eval_env, seed=arena_seed)) as arena,
        ):
            model = masoft.clone(estimator).set_params(**parameters, env=train_env, seed=seed)
            return train_trial(trial, model, arena, total_timesteps, n_reports, eval_episodes)

    study.optimize(objective, n_trials=n_trials)
    return study


def train_trial(
    trial: Any, model: Any, arena: Any, total_timesteps: int, n_reports: int, eval_episodes: int,
    *, arena_seed: int | None = None,
) -> float:  # fmt: skip
    """Train the model of a trial, which its evaluations may end.

    Args:
        trial: of Optuna.
        model: untrained.
        arena: VecEnv of its evaluations.
        total_timesteps: environment steps.
        n_reports: evaluations, >= 1.
        eval_episodes: of each.
        arena_seed: before each of them; None: they go on.

    Returns:
        the mean return of the last one.

    Raises:
        optuna.TrialPruned: the trial was stopped early.
    """

    def is_weak(found: Evaluation) -> bool:
        trial.report(found.mean_return, found.timesteps)
        return found.timesteps < total_timesteps and bool(trial.should_prune())

    every = max(total_timesteps // n_reports, 1)
    watch = Evaluations(arena, None, every, eval_episodes, seed=arena_seed, at_end=True, is_enough=is_weak)
    loop(model, total_timesteps, Logger(None, []), [watch])
    if watch.has_stopped:
        raise the_optuna().TrialPruned
    assert watch.latest is not None
    return watch.latest


def the_optuna() -> Any:
    """The module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError('The search needs Optuna. pip install "masoft[studies]"') from None
    return optuna
