"""Quantal response equilibria over temperatures (the paper's Figure 5): exact above, learned below.

The game of Figure 1 from its biased start. At low temperatures play stays in the nearest equilibrium, at medium ones it
escapes to the best, at high ones it is close to uniform. About three minutes.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch

from masoft import HASAC, make_vec
from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF
from masoft.tabular import MarkovGame, haspi

TEMPERATURES = (1.0, 5.0, 10.0, 15.0, 20.0)


def exact(ent_coef: float) -> np.ndarray:
    """The joint policy that exact soft policy iteration ends in, (3, 3)."""
    start = np.array([BIASED_START])
    result = haspi(MarkovGame.matrix(MAXENT_PAYOFF), ent_coef=ent_coef, policies=[start, start])
    return np.outer(result.policies[0][0], result.policies[1][0])


def learned(ent_coef: float, steps: int) -> np.ndarray:
    """The joint policy that HASAC learns from samples, (3, 3)."""
    network = dict(net_arch=[64, 64], initial_action_probabilities=BIASED_START)
    settings = dict(ent_coef=ent_coef, learning_rate=3e-3, gradient_steps=1, tau=0.05, policy_kwargs=network, seed=0)
    model = HASAC(make_vec("matrix/maxent", n_envs=20, seed=0), **settings).learn(total_timesteps=steps)
    with torch.no_grad():
        one, two = (model.policy.distribution(i, torch.ones(1, 1)).probs[0].numpy() for i in range(2))
    return np.outer(one, two)


def main(steps: int = 16_000, out: str = "temperatures.png") -> list[float]:
    """Draw both rows; returns the largest difference between exact and learned for each temperature."""
    figure, panels = plt.subplots(2, len(TEMPERATURES), figsize=(11, 4.6), layout="constrained")
    gaps = []
    for column, ent_coef in enumerate(TEMPERATURES):
        tables = exact(ent_coef), learned(ent_coef, steps)
        gaps.append(float(np.abs(tables[0] - tables[1]).max()))
        for panel, table, name in zip(panels[:, column], tables, ("exact", "learned"), strict=True):
            image = panel.imshow(table, vmin=0, vmax=1, cmap="cividis")
            panel.set(xticks=range(3), yticks=range(3), xticklabels="ABC", yticklabels="ABC")
            panel.set_title(f"{name}, alpha = {ent_coef:g}", fontsize=9)
            for (row, col), value in np.ndenumerate(table):
                panel.text(col, row, f"{value:.2f}", ha="center", va="center", color="w" if value < 0.5 else "k")
    figure.colorbar(image, ax=panels, label="joint probability")
    figure.savefig(out, dpi=130)
    plt.close(figure)
    return gaps


if __name__ == "__main__":
    print(main())
