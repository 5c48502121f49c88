"""Hyper-parameter search with Optuna: trials are clones of one estimator, weak ones are stopped early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import masoft
from masoft.errors import ConfigurationError, MissingDependencyError, explain, nearest

Suggest = Callable[[Any], Mapping[str, Any]]
"""What a search space is: a function of an Optuna trial that gives constructor arguments."""


def off_policy_space(trial: Any) -> dict[str, Any]:
    """Rates, batch and target updates of methods with a replay buffer."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "gamma": 1 - trial.suggest_float("one_minus_gamma", 0.003, 0.1, log=True),
        "tau": trial.suggest_float("tau", 0.002, 0.05, log=True),
    }


def on_policy_space(trial: Any) -> dict[str, Any]:
    """Rates and horizons of methods that learn from fresh rollouts."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "gamma": 1 - trial.suggest_float("one_minus_gamma", 0.003, 0.1, log=True),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.8, 0.99),
    }


def space_of(algorithm: str) -> Suggest:
    """The ready search space of an algorithm.

    Raises:
        ConfigurationError: there is none that its constructor takes.
    """
    if algorithm not in masoft.ALGORITHMS:
        cure = nearest(algorithm, masoft.ALGORITHMS)
        raise ConfigurationError(explain("The algorithm", "a known one", algorithm, cure))
    names = set(getattr(masoft, algorithm).parameter_names())
    if {"learning_rate", "batch_size", "gamma", "tau"} <= names:
        return off_policy_space
    if {"learning_rate", "gamma", "gae_lambda"} <= names:
        return on_policy_space
    raise ConfigurationError(explain("space", f"given for {algorithm}", None, "Pass a function of an Optuna trial."))


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
        space: function of an Optuna trial that gives constructor arguments; None: `space_of` the algorithm.
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
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError('The search needs Optuna. pip install "masoft[studies]"') from None
    suggest = space or space_of(type(estimator).__name__)
    if study is None:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))

    def objective(trial: Any) -> float:
        parameters = dict(suggest(trial))
        trial.set_user_attr("parameters", parameters)
        train_env = masoft.make_vec(env, seed=seed)
        arena = masoft.make_vec(env if eval_env is None else eval_env, seed=None if seed is None else seed + 1)
        try:
            model = masoft.clone(estimator).set_params(**parameters, env=train_env, seed=seed)
            score = float("-inf")
            for report in range(1, n_reports + 1):
                due = total_timesteps * report // n_reports - model.num_timesteps
                if due > 0:
                    model.learn(due, reset_num_timesteps=False, log_interval=None)
                score = model.score(arena, eval_episodes)
                trial.report(score, model.num_timesteps)
                if trial.should_prune():
                    raise optuna.TrialPruned
            return score
        finally:
            train_env.close()
            arena.close()

    study.optimize(objective, n_trials=n_trials)
    return study
