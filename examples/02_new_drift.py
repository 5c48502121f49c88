"""Derive a new algorithm: write a drift, check it, prove it on an exact game, train a deep team, draw both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from masoft import HASAC, MEHAML
from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF
from masoft.mirror import Drift, PolicyChange
from masoft.tabular import MarkovGame, mehaml
from masoft.testing import check_drift

START = np.array([BIASED_START])


@dataclass(frozen=True)
class ChiSquared(Drift):
    """D(new | s) = weight * E_old[(new/old - 1)^2]."""

    weight: float = 1.0

    def __call__(self, change: PolicyChange) -> Tensor:
        return self.weight * change.expect_old(lambda ratio: (ratio - 1) ** 2)


def main(steps: int = 6_000, out: str = "new_drift.png") -> list[float]:
    """Train HASAC and the new algorithm on the game of Figure 1; returns their mean rewards at the end."""
    check_drift(ChiSquared(5.0))  # raises, with the condition and numbers, where Definition 4 fails
    exact = mehaml(MarkovGame.matrix(MAXENT_PAYOFF), ent_coef=10.0, drift=ChiSquared(5.0), policies=[START, START])
    print(
        f"exact: J = {exact.soft_returns[0]:.2f} ... {exact.soft_returns[-1]:.2f}, QRE error {exact.qre_residual:.0e}"
    )
    settings = dict(ent_coef=10.0, learning_rate=3e-3, tau=0.05, train_freq=4, gradient_steps=1, seed=0)
    settings["policy_kwargs"] = dict(net_arch=[64, 64])
    final, window, figure = [], max(steps // 30, 1), Figure(layout="constrained")
    axes = figure.subplots()
    for algorithm, own in ((HASAC, {}), (MEHAML, {"drift": ChiSquared(5.0)})):
        rewards: list[float] = []
        model = algorithm("matrix/maxent", **settings, **own)
        model.learn(steps, callback=lambda names, _, rewards=rewards: rewards.append(names["rewards"].mean()) or True)
        means = np.convolve(rewards, np.ones(window) / window, mode="valid")
        axes.plot(means, label=" ".join([algorithm.__name__, *map(repr, own.values())]))
        final.append(float(means[-1]))
    axes.set(xlabel="environment steps", ylabel="reward, moving mean")
    axes.legend()
    figure.savefig(out, dpi=150)
    return final


if __name__ == "__main__":
    print(main())
