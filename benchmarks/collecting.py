"""Steps a CPU-second of collecting with a policy from VMAS's worlds, without updates.

Run: ``python -m benchmarks.collecting [n_envs] [scenario]``; it takes the worlds' two ways of seeding in turn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import masoft

WARM_UP, STEPS = 5, 200


def steps_per_second(scenario: str, n_envs: int, seeding: str) -> float:
    """Environment steps a CPU-second, over `STEPS` vector steps; starting the worlds anew is in it.

    Args:
        scenario: of vmas.
        n_envs: worlds.
        seeding: see `masoft.envs.adapters.vmas.VmasVecEnv`.
    """
    env = masoft.make_vec(f"vmas/{scenario}", n_envs=n_envs, seed=0, seeding=seeding)
    small: dict[str, Any] = {"buffer_size": 200_000, "policy_kwargs": {"net_arch": [64, 64]}, "device": "cpu"}
    model = masoft.HASAC(env, learning_starts=3 * n_envs, gradient_steps=0, seed=0, **small)
    return rate_of(model, WARM_UP, STEPS)


def rate_of(model: Any, warm_up: int, steps: int, clock: Callable[[], float] = time.process_time) -> float:
    """Environment steps a CPU-second of a model's ``learn``.

    Args:
        model: fresh.
        warm_up: vector steps before the clock starts.
        steps: vector steps that it counts.
        clock: in seconds; the processor's, unless something else does the work.
    """
    ticks: list[float] = []

    def look(scope: dict[str, Any], _: Any) -> bool:
        taken = scope["self"].num_timesteps // model.n_envs
        if taken in (warm_up, warm_up + steps):
            ticks.append(clock())
        return taken < warm_up + steps

    model.learn(model.n_envs * (warm_up + steps + 1), callback=look)
    return float(model.n_envs * steps / (ticks[1] - ticks[0]))


def main(n_envs: int = 1024, scenario: str = "navigation", rounds: int = 2) -> None:
    """Print each round's figures."""
    torch.set_num_threads(1)
    for _ in range(rounds):
        for seeding in ("world", "batch"):
            reached = steps_per_second(scenario, n_envs, seeding)
            print(f"vmas/{scenario}, {n_envs} worlds, seeding={seeding!r}: {reached:,.0f}")


if __name__ == "__main__":
    main(*(int(word) if word.isdigit() else word for word in sys.argv[1:]))  # type: ignore[arg-type]
