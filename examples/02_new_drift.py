"""Derive a new algorithm: write a drift, check it, prove it on an exact game, train a deep team, draw both."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from masoft import HASAC, MEHAML
from masoft.mirror import Drift, PolicyChange
from masoft.tabular import MarkovGame, mehaml
from masoft.testing import check_drift


@dataclass(frozen=True)
class ChiSquared(Drift):
    """D(new | s) = weight * E_old[(new/old - 1)^2]."""

    weight: float = 1.0

    def __call__(self, change: PolicyChange) -> Tensor:
        return self.weight * change.expect_old(lambda ratio: (ratio - 1) ** 2)


class Returns(BaseCallback):
    """Remembers what each step paid."""

    def _on_training_start(self) -> None:
        self.rewards: list[float] = []

    def _on_step(self) -> bool:
        self.rewards.append(float(np.mean(self.locals["rewards"])))
        return True


def main(steps: int = 6_000, out: str = "new_drift.png") -> list[float]:
    """Train HASAC and the new algorithm on the game of Figure 1; returns their mean rewards at the end."""
    check_drift(ChiSquared(5.0))  # raises, with the condition and numbers, where Definition 4 fails
    payoff = np.array([[5, -20, -20], [-20, 10, -20], [-20, -20, 20.0]])
    start = np.array([[0.6, 0.2, 0.2]])
    exact = mehaml(MarkovGame.matrix(payoff), ent_coef=10.0, drift=ChiSquared(5.0), policies=[start, start])
    first, last = exact.soft_returns[0], exact.soft_returns[-1]
    print(f"exact: J rises from {first:.2f} to {last:.2f}, distance from a QRE {exact.qre_residual:.1e}")
    settings = dict(ent_coef=10.0, learning_rate=3e-3, tau=0.05, train_freq=4, gradient_steps=1, seed=0)
    settings["policy_kwargs"] = dict(net_arch=[64, 64])
    final = []
    for name, model in {
        "HASAC": HASAC("matrix/maxent", **settings),
        "MEHAML with ChiSquared(5)": MEHAML("matrix/maxent", drift=ChiSquared(5.0), **settings),
    }.items():
        returns = Returns()
        model.learn(total_timesteps=steps, callback=returns)
        window = max(steps // 30, 1)
        plt.plot(np.convolve(returns.rewards, np.ones(window) / window, mode="valid"), label=name)
        final.append(float(np.mean(returns.rewards[-window:])))
    plt.xlabel("environment steps")
    plt.ylabel("reward, moving mean")
    plt.legend()
    plt.savefig(out, dpi=150)
    plt.close()
    return final


if __name__ == "__main__":
    print(main())
