"""Figure 3a: in the game of Figure 1 HAPPO and MAPPO fall to (A, A); HASAC, and HAPPO at a temperature, escape."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from masoft import HAPPO, HASAC, MAPPO, make_vec
from masoft.envs.adapters.matrix import BIASED_START

GAMES_PER_EPISODE = 40  # 20 environments x 2 steps, then one training phase


class Rewards(BaseCallback):
    """Remembers the mean payoff of each episode."""

    def _on_training_start(self) -> None:
        self.rewards: list[float] = []

    def _on_step(self) -> bool:
        self.rewards.append(float(np.mean(self.locals["rewards"])))
        return True

    def by_episode(self) -> np.ndarray:
        """One number an episode."""
        return np.array(self.rewards[: len(self.rewards) // 2 * 2]).reshape(-1, 2).mean(axis=1)


def main(steps: int = 8_000, out: str = "happo_vs_hasac.png", seed: int = 0) -> dict[str, float]:
    """Train each method from the biased start and draw the payoffs; returns the mean of the last twenty episodes."""
    start: dict[str, Any] = dict(net_arch=[32], initial_action_probabilities=BIASED_START)
    on_policy = dict(n_steps=2, batch_size=None, n_epochs=5, gamma=0.0, learning_rate=5e-3, policy_kwargs=start)
    off_policy = dict(train_freq=1, gradient_steps=1, learning_rate=3e-3, tau=0.05, policy_kwargs=start)
    methods: dict[str, tuple[Any, dict[str, Any]]] = {
        "HAPPO": (HAPPO, on_policy),
        "MAPPO": (MAPPO, on_policy),
        "HAPPO, ent_coef 10": (HAPPO, {**on_policy, "ent_coef": 10.0}),
        "HASAC, ent_coef 10": (HASAC, {**off_policy, "ent_coef": 10.0, "learning_starts": 200}),
    }
    final = {}
    for name, (algorithm, settings) in methods.items():
        curve = Rewards()
        algorithm(make_vec("matrix/maxent", n_envs=20, seed=seed), seed=seed, **settings).learn(steps, callback=curve)
        plt.plot(curve.by_episode(), label=name)
        final[name] = float(curve.by_episode()[-20:].mean())
    plt.xlabel(f"episodes of {GAMES_PER_EPISODE} games")
    plt.ylabel("payoff")
    plt.legend()
    plt.savefig(out, dpi=150)
    plt.close()
    return final


if __name__ == "__main__":
    print(main())
