"""What ``masoft train`` does when it is told no length: a run of about a minute on two cores, in which return rises."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """Length of a first run.

    Args:
        timesteps: environment steps.
        evaluations: how often the team is evaluated on the way.
        eval_episodes: episodes of each of them; few where an episode is long.
        final_episodes: episodes at the end, of the trained team and of random actions.
    """

    timesteps: int
    evaluations: int = 8
    eval_episodes: int = 5
    final_episodes: int = 10


# Family of environment ids -> how long a first run is. Episodes of the last four have hundreds of steps or more.
LOOKS = {
    "matrix": Look(3_000, final_episodes=100),
    "mpe": Look(16_000, eval_episodes=20, final_episodes=100),
    "vmas": Look(16_000, eval_episodes=2),
    "smax": Look(16_000, evaluations=4),
    "mamujoco": Look(12_000, evaluations=4, eval_episodes=1),
    "dexhands": Look(6_000, evaluations=4, eval_episodes=2),
    "lag": Look(6_000, evaluations=4, eval_episodes=1),
    "football": Look(6_000, evaluations=4, eval_episodes=1),
}
OTHER = Look(12_000, evaluations=4, eval_episodes=2)
COPIES = 8
# A quarter of an update for each environment step, on small networks: what two cores do in a minute.
OFF_POLICY = {"gradient_steps": COPIES // 4, "policy_kwargs": {"net_arch": [64, 64]}}
# Rollouts of 1,024 steps instead of 16,384, so that there are more than a dozen of them.
ON_POLICY = {"n_steps": 128}


def look_of(env: str) -> Look:
    """The length for an environment id; those of the user's own and of gymnasium have one in common."""
    return LOOKS.get(env.partition("/")[0], OTHER)


def quick_parameters(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of a first run, those that were given before them."""
    is_on_policy = "gae_lambda" in inspect.signature(cls).parameters
    return {**(ON_POLICY if is_on_policy else OFF_POLICY), **given}


def describe(steps: int, n_envs: int) -> str:
    """What a user reads who gave no length."""
    return (
        f"No --total-timesteps: a first look of {steps:,} steps in {n_envs} copies with small settings. "
        "With --total-timesteps N the algorithm's own settings are taken."
    )
