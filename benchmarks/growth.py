"""A picture of how the cost of an update grows with team, batch and state, and that of a draw with the fill."""

from __future__ import annotations

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


def draw(path: Path) -> None:
    """Measure all sweeps and write the picture."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(SWEEPS), figsize=(14, 3.2), layout="constrained")
    for axis, (what, values) in zip(axes, SWEEPS.items(), strict=True):
        found = [cost(what, value) for value in values]
        print(f"{what}: " + ", ".join(f"{v:,}: {c:.1f}" for v, c in zip(values, found, strict=True)), flush=True)
        axis.plot(values, found, marker="o")
        axis.set(xlabel=what, ylim=(0, None))
        if what == "transitions stored":
            axis.set_xscale("log")
    axes[0].set_ylabel("GEMMs an update")
    axes[-1].set_ylabel("GEMMs a draw")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"written: {path}")
