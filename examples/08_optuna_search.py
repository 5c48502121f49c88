"""Search learning rate and temperature with Optuna; every trial is a clone of one estimator."""

from __future__ import annotations

from typing import Any

from masoft import HASAC, clone
from masoft.studies import search

SHORT = 60


def space(trial: Any) -> dict[str, Any]:
    """What to try."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "ent_coef": trial.suggest_float("ent_coef", 1.0, 20.0, log=True),
    }


def main(steps: int = 2_000, trials: int = 3) -> float:
    """Search with trials of ``steps`` environment steps; returns the best mean return."""
    estimator = HASAC(learning_starts=20, batch_size=32, tau=0.05, policy_kwargs=dict(net_arch=[32]))
    found = search(estimator, "matrix/maxent", steps, space=space, n_trials=trials, eval_episodes=5, seed=0)
    best = clone(estimator).set_params(**found.best_trial.user_attrs["parameters"])
    print(f"{best!r} reached {found.best_value:.1f}")
    return float(found.best_value)


if __name__ == "__main__":
    main()
