"""What HASAC, FOP, VDN, QMIX and HAD3QN end in on one-step games, by start and temperature; a CSV row a run.

``python -m benchmarks.matrix_games HASAC --game matrix/maxent --out docs/benchmarks/data/matrix_games.csv`` appends
the runs of one algorithm on one game (about two minutes of one core for HASAC and FOP);
``python -m benchmarks.matrix_games table --out docs/benchmarks/data/matrix_games.csv`` prints what a file holds.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import masoft
from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF, NON_MONOTONIC_PAYOFF

PAYOFFS = {"matrix/maxent": np.array(MAXENT_PAYOFF), "matrix/non_monotonic": np.array(NON_MONOTONIC_PAYOFF)}
# Away from the optimum in either game.
BIAS = {"matrix/maxent": BIASED_START, "matrix/non_monotonic": (0.2, 0.4, 0.4)}
SOFT = ("HASAC", "FOP")
COLUMNS = ("algorithm", "game", "start", "ent_coef", "seed", "steps", "greedy", "payoff", "expected", "p_best_joint")
SMALL: dict[str, Any] = {"learning_starts": 100, "batch_size": 64, "learning_rate": 2e-3, "tau": 0.02, "device": "cpu"}


def cells(algorithm: str, seeds: int) -> Iterator[tuple[str, float | None, int]]:
    """Start, temperature and seed of every run of an algorithm."""
    starts = ("uniform", "biased") if algorithm in SOFT else ("uniform",)
    temperatures = (1.0, 5.0, 10.0, 15.0) if algorithm in SOFT else (None,)
    yield from itertools.product(starts, temperatures, range(seeds))


def run(algorithm: str, game: str, start: str, ent_coef: float | None, seed: int, steps: int) -> dict[str, Any]:
    """Train once and look at the policies."""
    kwargs: dict[str, Any] = {"net_arch": [32]}
    settings: dict[str, Any] = {**SMALL, "seed": seed}
    if start == "biased":
        kwargs["initial_action_probabilities"] = BIAS[game]
    if ent_coef is None:
        settings.update(exploration_initial_eps=1.0, exploration_final_eps=1.0)
    else:
        settings["ent_coef"] = ent_coef
    model = getattr(masoft, algorithm)(game, policy_kwargs=kwargs, **settings).learn(steps)
    choices = [model.policy.distribution(i, torch.ones(1, 1)) for i in range(2)]
    greedy = tuple(int(choice.mode()) for choice in choices)
    payoff = PAYOFFS[game]
    if ent_coef is None:
        policies = [np.eye(3)[k] for k in greedy]
    else:
        policies = [choice.probs.detach().numpy()[0] for choice in choices]
    best = np.unravel_index(payoff.argmax(), payoff.shape)
    return {
        "algorithm": algorithm, "game": game, "start": start, "ent_coef": ent_coef, "seed": seed, "steps": steps,
        "greedy": "".join("ABC"[k] for k in greedy),
        "payoff": payoff[greedy],
        "expected": round(float(policies[0] @ payoff @ policies[1]), 2),
        "p_best_joint": round(float(policies[0][best[0]] * policies[1][best[1]]), 3),
    }  # fmt: skip


def table(path: Path) -> Iterator[str]:
    """A line for each algorithm, start and temperature: what the greedy actions of each seed pay in each game."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    yield "| algorithm | start | temperature | " + " | ".join(f"`{game}`" for game in PAYOFFS) + " |"
    yield "|---" * (3 + len(PAYOFFS)) + "|"
    for cell in dict.fromkeys(map(_cell, rows)):
        found = [
            [f"{float(row['payoff']):g}" for row in rows if _cell(row) == cell and row["game"] == game]
            for game in PAYOFFS
        ]
        algorithm, start, ent_coef = cell
        words = [algorithm, start, f"{float(ent_coef):g}" if ent_coef else "-", *map(", ".join, found)]
        yield "| " + " | ".join(words) + " |"


def _cell(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["algorithm"], row["start"], row["ent_coef"]


def main() -> None:
    """Run one algorithm on one game and append its rows, or print them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", choices=[*SOFT, "VDN", "QMIX", "HAD3QN", "table"])
    parser.add_argument("--game", choices=[*PAYOFFS], default="matrix/maxent")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()
    if args.algorithm == "table":
        print(*table(args.out), sep="\n")
        return
    torch.set_num_threads(1)
    is_new = not args.out.exists()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if is_new:
            writer.writeheader()
        for start, ent_coef, seed in cells(args.algorithm, args.seeds):
            row = run(args.algorithm, args.game, start, ent_coef, seed, args.steps)
            writer.writerow(row)
            file.flush()
            print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
