"""Which equilibrium mirror learning ends in on random one-step games, by drift and ball; a CSV row a run.

``python -m benchmarks.random_games run --out docs/benchmarks/data/derived-games.csv`` solves every game (some ten
minutes of one core); ``python -m benchmarks.random_games table --out docs/benchmarks/data/derived-games.csv`` prints,
for each size of game, how much a part adds to the soft return J of the first one, with a bootstrap interval over games.
``learn`` instead of ``run`` trains networks, 1,500 steps each, on other games of the first size, and ``budget`` does so
with HATRPO, 40 iterations of 64 steps, on games of all sizes.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from masoft import HASAC, HATRPO, MEHAML
from masoft.envs.adapters.matrix import MatrixGame
from masoft.errors import NumericalFault
from masoft.mirror import Greedy, KLDrift, SlopeBudget, SwitchedKLBall
from masoft.studies.statistics import bootstrap
from masoft.tabular import MarkovGame, mehaml
from masoft.tabular.evaluate import evaluate

SIZES = ((8, 8), (3, 3, 3), (4, 4, 4))
PARTS: dict[str, dict[str, Any]] = {
    "HASAC": {},
    "HASAC, greedy order": {"order": Greedy()},
    "HASAC, best of ten": {},
    "KLDrift(0.5)": {"drift": KLDrift(0.5)},
    "SwitchedKLBall(0.1)": {"neighborhood": SwitchedKLBall(0.1, direction="reverse")},
}
TRIES = {"HASAC, best of ten": 10}
LEARNED: dict[str, tuple[Any, dict[str, Any]]] = {
    "HASAC": (HASAC, {}),
    "KLDrift(0.5)": (MEHAML, {"drift": KLDrift(0.5), "reference": "every_100"}),
    "SwitchedKLBall(0.1)": (MEHAML, {"neighborhood": SwitchedKLBall(0.1), "reference": "every_100"}),
}
BUDGETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "HATRPO": (HATRPO, {}),
    "SlopeBudget()": (HATRPO, {"budget": SlopeBudget()}),
    "SlopeBudget(0.25)": (HATRPO, {"budget": SlopeBudget(0.25)}),
}
ON_POLICY: dict[str, Any] = {"n_steps": 64, "target_kl": 0.02, "device": "cpu"}
SMALL: dict[str, Any] = {"learning_starts": 100, "batch_size": 64, "learning_rate": 2e-3, "tau": 0.02, "device": "cpu"}
ENT_COEF, FIRST_SEED, FIRST_LEARNED = 0.1, 1_000, 2_000


def run(size: tuple[int, ...], part: str, seed: int) -> dict[str, Any]:
    """One game with standard normal payoffs, solved from uniform policies; NaN where the solver refuses.

    Of several tries, which differ in the random order of agents, the best counts, and sweeps are those of all.
    """
    game = MarkovGame.matrix(np.random.default_rng(seed).normal(size=size))
    row = {"actions": "x".join(map(str, size)), "part": part, "seed": seed}
    try:
        tries = [
            mehaml(game, ent_coef=ENT_COEF, max_iterations=300, tol=1e-6, seed=seed + k, **PARTS[part])
            for k in range(TRIES.get(part, 1))
        ]
    except NumericalFault:
        return {**row, "soft_return": math.nan, "iterations": -1, "converged": False}
    best = max(tries, key=lambda found: found.soft_returns[-1])
    soft_return, sweeps = round(float(best.soft_returns[-1]), 6), sum(found.iterations for found in tries)
    return {**row, "soft_return": soft_return, "iterations": sweeps, "converged": best.converged}


def learn(size: tuple[int, ...], part: str, seed: int, steps: int = 1_500) -> dict[str, Any]:
    """The same row of a training."""
    payoff = np.random.default_rng(seed).normal(size=size)
    method, settings = {**LEARNED, **BUDGETS}[part]
    small = ON_POLICY if part in BUDGETS else SMALL
    kwargs: dict[str, Any] = {**small, "ent_coef": ENT_COEF, "policy_kwargs": {"net_arch": [32]}, **settings}
    model = method(lambda: MatrixGame(payoff), seed=seed, **kwargs).learn(steps)
    choices = [model.policy.distribution(i, torch.ones(1, 1)).probs.detach().double() for i in range(len(size))]
    policies = tuple((probs / probs.sum()).numpy() for probs in choices)
    soft_return = round(float(evaluate(MarkovGame.matrix(payoff), policies, ENT_COEF).soft_return), 6)
    actions = "x".join(map(str, size))
    return {"actions": actions, "part": part, "seed": seed, "soft_return": soft_return, "iterations": steps}


def table(rows: pd.DataFrame) -> str:
    """What each part adds to the first one's return on the same games."""
    first = rows["part"].iloc[0]
    lines = [
        f"| actions | part | games | J - J of {first} [95 %] | better, worse | sweeps |",
        "|---|---|---|---|---|---|",
    ]
    for actions, games in rows.groupby("actions", sort=False):
        plain = games[games["part"] == first].set_index("seed")["soft_return"]
        for part, mine in games.groupby("part", sort=False):
            gap = (mine.set_index("seed")["soft_return"] - plain).dropna()
            gain = "" if part == first else str(bootstrap([gap.to_numpy()], lambda x, axis=-1: x.mean(axis=axis)))
            counts = "" if part == first else f"{(gap > 1e-3).sum()}, {(gap < -1e-3).sum()}"
            sweeps = mine["iterations"][mine["iterations"] >= 0].median()
            lines.append(f"| {actions} | {part} | {len(gap)} | {gain} | {counts} | {sweeps:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and run, or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "learn", "budget", "table"))
    parser.add_argument("--games", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "run":
        seeds = range(FIRST_SEED, FIRST_SEED + given.games)
        rows = [run(size, part, seed) for size in SIZES for part in PARTS for seed in seeds]
        pd.DataFrame(rows).to_csv(given.out, index=False)
    elif given.what == "learn":
        seeds = range(FIRST_LEARNED, FIRST_LEARNED + given.games)
        rows = [learn(SIZES[0], part, seed) for seed in seeds for part in LEARNED]
        pd.DataFrame(rows).to_csv(given.out, index=False)
    elif given.what == "budget":
        seeds = range(FIRST_LEARNED, FIRST_LEARNED + given.games)
        rows = [learn(size, part, seed, 40 * 64) for size in SIZES for seed in seeds for part in BUDGETS]
        pd.DataFrame(rows).to_csv(given.out, index=False)
    print(table(pd.read_csv(given.out)))


if __name__ == "__main__":
    main()
