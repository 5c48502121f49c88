"""How the cost of an update grows with team, batch and state, and that of a draw with the fill."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from benchmarks.learner import time_update
from benchmarks.replay import time_sample
from benchmarks.synthetic import SPREAD

SWEEPS = {
    "number of agents": [1, 2, 3, 5, 10, 20],
    "batch size": [64, 256, 1000, 2000],
    "length of the state": [10, 54, 200, 500],
    "transitions stored": [10_000, 100_000, 1_000_000],
}


def cost(what: str, value: int) -> float:
    """GEMMs of an update (of a draw, where transitions are counted) at one point of a sweep."""
    if what == "number of agents":
        return time_update(replace(SPREAD, n_agents=value, state_size=18 * value), 256, rounds=8).gemms
    if what == "batch size":
        return time_update(SPREAD, value, rounds=8).gemms
    if what == "length of the state":
        return time_update(replace(SPREAD, state_size=value), 256, rounds=8).gemms
    return time_sample(value).gemms


def measure_all(path: Path) -> None:
    """Measure all sweeps and write them as a CSV, which ``docs/benchmarks/_draw.py`` draws."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["what", "value", "gemms"])
        for what, values in SWEEPS.items():
            for value in values:
                gemms = cost(what, value)
                writer.writerow([what, value, f"{gemms:.1f}"])
                print(f"{what} {value:,}: {gemms:.1f} GEMMs", flush=True)
