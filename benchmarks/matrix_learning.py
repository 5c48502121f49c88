"""Learning in the paper's matrix game from its biased start: Figures 3a, 4c and 5.

``python -m benchmarks.matrix_learning docs/benchmarks/data`` runs everything, a few minutes of one core. It writes a
CSV a run with the columns env_steps and eval_return_mean, the mean payoff of the last ``EVERY`` games; and one,
``game-policies.csv``, with what HASAC's agents do at the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from stable_baselines3.common.callbacks import BaseCallback

from masoft import HAPPO, HASAC, MAPPO, make_vec
from masoft.envs.adapters.matrix import BIASED_START

N_ENVS, STEPS, EVERY = 20, 8_000, 200  # 200 episodes of 40 games: HAPPO and MAPPO train after each
START: dict[str, Any] = {"net_arch": [32], "initial_action_probabilities": BIASED_START}
ON_POLICY: dict[str, Any] = {
    "n_steps": 2,
    "batch_size": None,
    "n_epochs": 5,
    "gamma": 0.0,
    "learning_rate": 5e-3,
}
OFF_POLICY: dict[str, Any] = {
    "train_freq": 1,
    "gradient_steps": 1,
    "learning_rate": 3e-3,
    "tau": 0.05,
    "learning_starts": 200,
}
TEMPERATURES = (1, 5, 10, 15, 20)
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "game-methods_happo": (HAPPO, ON_POLICY),
    "game-methods_mappo": (MAPPO, ON_POLICY),
    "game-methods_happo-soft": (HAPPO, {**ON_POLICY, "ent_coef": 10.0}),
    "game-methods_hasac": (HASAC, {**OFF_POLICY, "ent_coef": 10.0}),
    **{f"game-temperatures_alpha{a}": (HASAC, {**OFF_POLICY, "ent_coef": float(a)}) for a in TEMPERATURES},
}


class Payoffs(BaseCallback):
    """Remembers the mean payoff of each step's games."""

    def _on_training_start(self) -> None:
        self.found: list[float] = []

    def _on_step(self) -> bool:
        self.found.append(float(np.mean(self.locals["rewards"])))
        return True


def run(name: str, seed: int) -> tuple[Any, pd.DataFrame]:
    """One training: the model, and its payoffs averaged over ``EVERY`` games."""
    algorithm, settings = METHODS[name]
    payoffs = Payoffs()
    env = make_vec("matrix/maxent", n_envs=N_ENVS, seed=seed)
    model = algorithm(env=env, seed=seed, device="cpu", policy_kwargs=START, **settings)
    model.learn(STEPS, callback=payoffs)
    means = np.reshape(payoffs.found, (-1, EVERY // N_ENVS)).mean(axis=1)
    return model, pd.DataFrame({"env_steps": EVERY * np.arange(1, len(means) + 1), "eval_return_mean": means.round(3)})


def policies(model: Any) -> Iterator[dict[str, Any]]:
    """What each agent does, a row an agent."""
    for agent in range(2):
        with torch.no_grad():
            probs = model.policy.distribution(agent, torch.ones(1, 1)).probs[0].tolist()
        yield {"agent": agent, **{f"p_{action}": round(p, 4) for action, p in zip("ABC", probs, strict=True)}}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ends = []
    for name, (_, settings) in METHODS.items():
        last = []
        for seed in range(1, options.seeds + 1):
            model, curve = run(name, seed)
            curve.to_csv(options.folder / f"{name}_seed{seed}.csv", index=False)
            last.append(curve["eval_return_mean"].tail(4).mean())
            if name.startswith("game-temperatures"):
                ends += [{"ent_coef": settings["ent_coef"], "seed": seed, **row} for row in policies(model)]
        print(name, "last 20 episodes:", ", ".join(f"{value:.2f}" for value in last), flush=True)
    pd.DataFrame(ends).to_csv(options.folder / "game-policies.csv", index=False)


if __name__ == "__main__":
    main()
