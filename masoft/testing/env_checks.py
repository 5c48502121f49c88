"""Whether an environment keeps the promises that masoft relies on; like scikit-learn's ``check_estimator``."""

from __future__ import annotations

from typing import Any

from masoft.envs.checks import CHECKS, legal_action
from masoft.envs.report import EnvReport, examine


def check_env(env: Any, *, n_steps: int = 200, seed: int = 0, strict: bool = False) -> EnvReport:
    """Put an environment through what training will ask of it; `masoft doctor --env` prints the same.

    Args:
        env: an id, a PettingZoo environment, a gymnasium environment, or a callable that makes one. It is reset and
            stepped, and not closed.
        n_steps: legal random steps in each check.
        seed: of resets and actions.
        strict: whether what trains all the same, such as episodes that their seed does not repeat, is an error too.

    Returns:
        Everything that was looked at, the sizes of each agent's spaces, what becomes of them, and the speed;
        ``print`` shows it.

    Raises:
        SpaceError, ConfigurationError: the environment cannot be a team.
        EnvironmentFault: it broke promises; the message says of each which, where, and the cure.

    Example:
        >>> from masoft.testing import check_env
        >>> check_env("matrix/maxent").passed
        True
    """
    report = examine(env, n_steps=n_steps, seed=seed, strict=strict)
    report.raise_faults()
    return report


__all__ = ["CHECKS", "check_env", "legal_action"]
