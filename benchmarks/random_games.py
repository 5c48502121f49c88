"""Which equilibrium mirror learning ends in on random games, by drift, ball and budget; a CSV row a run.

``python -m benchmarks.random_games run --out docs/benchmarks/data/derived-games.csv`` solves every game (some ten
minutes of one core); ``python -m benchmarks.random_games table --out docs/benchmarks/data/derived-games.csv`` prints,
for each size of game, how much a part adds to the soft return J of the first one, with a bootstrap interval over games.
``learn`` instead of ``run`` trains networks, 1,500 steps each, on other games of the first size, and ``budget`` does so
with HATRPO, 40 iterations of 64 steps, on games of all sizes. ``--states 4`` plays games of four states that go on, at
a discount of 0.9, instead of one-step games; there HATRPO has 40 iterations of 256 steps.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from masoft import HASAC, HATRPO, MEHAML
from masoft.errors import NumericalFault
from masoft.mirror import Greedy, KLDrift, SlopeBudget, SwitchedKLBall
from masoft.studies.statistics import bootstrap
from masoft.tabular import GameEnv, MarkovGame, evaluate, learned_policies, mehaml

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
ON_POLICY: dict[str, Any] = {"target_kl": 0.02, "device": "cpu"}
STEPS, ITERATIONS, GAMMA = 1_500, 40, 0.9
SMALL: dict[str, Any] = {"learning_starts": 100, "batch_size": 64, "learning_rate": 2e-3, "tau": 0.02, "device": "cpu"}
ENT_COEF, FIRST_SEED, FIRST_LEARNED = 0.1, 1_000, 2_000


def random_game(size: tuple[int, ...], seed: int, states: int) -> MarkovGame:
    """Standard normal payoffs; with several states, next states from flat Dirichlet distributions."""
    rng = np.random.default_rng(seed)
    return MarkovGame.matrix(rng.normal(size=size)) if states == 1 else MarkovGame.random(states, size, GAMMA, rng)


def run(size: tuple[int, ...], part: str, seed: int, states: int) -> dict[str, Any]:
    """One game, solved from uniform policies; NaN where the solver refuses.

    Of several tries, which differ in the random order of agents, the best counts, and sweeps are those of all.
    """
    game = random_game(size, seed, states)
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


def learn(size: tuple[int, ...], part: str, seed: int, states: int) -> dict[str, Any]:
    """The same row of a training."""
    game = random_game(size, seed, states)
    kwargs: dict[str, Any] = {"gamma": game.gamma, "ent_coef": ENT_COEF, "policy_kwargs": {"net_arch": [32]}}
    if part in BUDGETS:
        n_steps = 64 if states == 1 else 256
        steps, kwargs = ITERATIONS * n_steps, {**kwargs, **ON_POLICY, "n_steps": n_steps}
    else:
        steps, kwargs = STEPS, {**kwargs, **SMALL}
    method, settings = {**LEARNED, **BUDGETS}[part]
    model = method(lambda: GameEnv(game), seed=seed, **kwargs, **settings).learn(steps)
    soft_return = round(float(evaluate(game, learned_policies(model, game), ENT_COEF).soft_return), 6)
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
    parser.add_argument("--states", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.what != "table":
        work, parts, sizes, first = {
            "run": (run, PARTS, SIZES, FIRST_SEED),
            "learn": (learn, LEARNED, SIZES[:1], FIRST_LEARNED),
            "budget": (learn, BUDGETS, SIZES, FIRST_LEARNED),
        }[given.what]
        seeds = range(first, first + given.games)
        rows = [work(size, part, seed, given.states) for size in sizes for seed in seeds for part in parts]
        pd.DataFrame(rows).to_csv(given.out, index=False)
    print(table(pd.read_csv(given.out)))


if __name__ == "__main__":
    main()
