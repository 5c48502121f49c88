"""What learning curves say: the mean of the last points of each run, over seeds, and which method beats which.

    python -m benchmarks.curves halfcheetah_2x3 --labels hasac masac hatd3 --until 100000 --last 3

prints a row a label from ``docs/benchmarks/data/<task>_<label>_seed<k>.csv``; with several tasks, also how likely a run
of the first label beats one of the others on a task drawn at random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from masoft.studies.statistics import iqm, probability_of_improvement

DATA = Path("docs/benchmarks/data")


def run_scores(task: str, label: str, until: int, last: int, column: str = "eval_return_mean") -> np.ndarray:
    """Mean of the last points up to some step, a number a seed.

    Args:
        task, label: of the files.
        until: environment steps that still count.
        last: points averaged.
        column: what is averaged.
    """
    return np.array([curve[column].iloc[-last:].mean() for curve in curves(task, label, until)])


def curves(task: str, label: str, until: int) -> list[pd.DataFrame]:
    """The runs of one label on one task, cut at some step."""
    tables = [pd.read_csv(path) for path in sorted(DATA.glob(f"{task}_{label}_seed*.csv"))]
    return [table[table["env_steps"] <= until] for table in tables]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--labels", nargs="+", required=True)
    parser.add_argument("--until", type=int, default=10**9)
    parser.add_argument("--last", type=int, default=3)
    parser.add_argument("--column", default="eval_return_mean")
    given = parser.parse_args()
    print("| task | method | runs | interquartile mean [95 %] | CPU seconds a run |\n|---|---|---|---|---|")
    scores: dict[str, dict[str, np.ndarray]] = {label: {} for label in given.labels}
    for task in given.tasks:
        for label in given.labels:
            found = run_scores(task, label, given.until, given.last, given.column)
            if not len(found):
                continue
            scores[label][task] = found
            spent = np.mean([curve["cpu_s"].iloc[-1] for curve in curves(task, label, given.until)])
            each = ", ".join(f"{value:.4g}" for value in found)
            print(f"| {task} | {label} | {each} | {iqm({task: found})} | {spent:.0f} |")
    first, *others = given.labels
    for other in others:
        shared = scores[first].keys() & scores[other].keys()
        if shared:
            mine, theirs = ({task: scores[label][task] for task in shared} for label in (first, other))
            print(f"\n{first} beats {other} with probability {probability_of_improvement(mine, theirs)}")


if __name__ == "__main__":
    main()
