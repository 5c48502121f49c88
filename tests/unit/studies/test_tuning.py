"""The search clones its estimator, stops weak trials, and hands back arguments that the constructor takes."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

import masoft
from masoft.errors import ConfigurationError
from masoft.studies import search
from masoft.studies.tuning import space_of

optuna.logging.set_verbosity(optuna.logging.WARNING)
SMALL = {"policy_kwargs": {"net_arch": [4]}, "learning_starts": 8, "buffer_size": 64, "batch_size": 4}


@pytest.mark.parametrize("name", ["HASAC", "MASAC", "HATD3", "HAPPO", "MAPPO"])
def test_ready_spaces_give_arguments_of_the_constructor(name: str) -> None:
    parameters = space_of(name)(optuna.create_study().ask())
    getattr(masoft, name)(**parameters)


def test_finds_arguments_and_leaves_the_estimator_alone() -> None:
    estimator = masoft.HASAC(**SMALL)

    def space(trial: Any) -> dict[str, Any]:
        return {"gamma": trial.suggest_float("gamma", 0.0, 0.5)}

    found = search(estimator, "matrix/maxent", 16, space=space, n_trials=2, n_reports=2, eval_episodes=1, seed=0)
    assert len(found.trials) == 2
    best = found.best_trial.user_attrs["parameters"]
    assert estimator.num_timesteps == 0 and "gamma" not in repr(estimator)
    assert masoft.clone(estimator).set_params(**best).gamma == found.best_params["gamma"]
    again = search(estimator, "matrix/maxent", 16, space=space, n_trials=2, n_reports=2, eval_episodes=1, seed=0)
    assert [trial.value for trial in again.trials] == [trial.value for trial in found.trials]


class StopAll(optuna.pruners.BasePruner):  # type: ignore[misc]
    """Stops every trial after its first report."""

    def prune(self, study: Any, trial: Any) -> bool:
        return True


def test_weak_trials_are_stopped_early() -> None:
    study = optuna.create_study(direction="maximize", pruner=StopAll())
    search(
        masoft.HASAC(**SMALL), "matrix/maxent", 40, space=lambda trial: {}, n_trials=1, n_reports=5, eval_episodes=1,
        seed=0, study=study,
    )  # fmt: skip
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED
    assert [*study.trials[0].intermediate_values] == [8]


def test_refusals() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean"):
        space_of("HASACC")
