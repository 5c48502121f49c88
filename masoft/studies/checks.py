"""What can be known before a study's first run: that every environment is there, and that each algorithm takes it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from contextlib import closing

import masoft
from masoft.envs import team_of
from masoft.errors import ConfigurationError, MasoftError, MissingDependencyError
from masoft.presets import strategy
from masoft.spec import TeamSpec
from masoft.studies.study import Run, Variant

PACKAGES = ("joblib", "pandas", "scipy")


def check_runs(runs: Iterable[Run]) -> None:
    """Make each environment once, and each algorithm's networks for it, without a step of either.

    Args:
        runs: those that have still to be done.

    Raises:
        ConfigurationError: an environment or algorithm cannot be made as the study says; names it.
        MissingDependencyError: a simulator is not installed; the message has the command.
    """
    teams: dict[str, TeamSpec] = {}
    checked: set[str] = set()
    for run in runs:
        task, variant = run.task, run.variant
        if task.name not in teams:
            teams[task.name] = _team(run)
        pair = f"{variant.label or variant.algorithm} on {task.name}"
        if pair not in checked:
            checked.add(pair)
            _check_algorithm(variant, teams[task.name], pair)


def check_packages() -> None:
    """What a study needs from its first run to its report.

    Raises:
        MissingDependencyError: names what is not installed, with the command.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f'Studies need {", ".join(missing)}. pip install "masoft[studies]"')


def _team(run: Run) -> TeamSpec:
    with closing(masoft.make_vec(run.task.env, 1, **run.task.kwargs)) as env:
        return team_of(env)


def _check_algorithm(variant: Variant, team: TeamSpec, pair: str) -> None:
    try:
        parameters = {name: strategy(value) for name, value in variant.parameters.items()}
        model = getattr(masoft, variant.algorithm)(seed=0, device="cpu", **{**parameters, "verbose": 0})
        model.team = team
        model._check_team()
        model.build_for(team)
    except (MasoftError, TypeError) as error:
        raise ConfigurationError(f"The study cannot run {pair}. {error}") from error
