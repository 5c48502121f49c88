"""Teams of 10, 50 and 200 agents: what an update and a call of ``predict`` take, and the peak memory.

Run: ``python -m benchmarks.large_teams [ALGORITHM ...]``. Observations are Box(8); every other agent has five choices,
the others act in Box(2) (QMIX, which needs choices, has choices only). Batch 64, networks of [64, 64], a state of 64
numbers, one thread. Each row is a process of its own; times are medians of CPU time, so that other work on the machine
counts little.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from gymnasium import spaces

from benchmarks.memory import peak_megabytes
from benchmarks.synthetic import Shape, SyntheticTeam

ALGORITHMS = ("HASAC", "HAPPO", "MAPPO", "QMIX")
VARIANTS = {"HASAC-recorded": {"record": True}, "HASAC-part": {}, "HASAC-part-recorded": {"record": True}}
"""Settings of HASAC where updates are recorded, and where a fifth of the team moves in an update."""
PART = 5
SIZES = (10, 50, 200)
ROWS = 64
"""Transitions of an update: a batch, or a rollout in one minibatch and one epoch."""


class LargeTeam(SyntheticTeam):
    """Agents that choose and agents that steer, in turn."""

    def __init__(self, n_agents: int, only_choices: bool) -> None:
        super().__init__(Shape(f"{n_agents} agents", n_agents, 8, 64, 2))
        self.only_choices = only_choices

    def action_space(self, agent: str) -> spaces.Space[Any]:
        if self.only_choices or int(agent.partition("_")[2]) % 2 == 0:
            return spaces.Discrete(5)
        return spaces.Box(-1, 1, (2,), np.float32)


def milliseconds(play: Callable[[], Any], rounds: int) -> float:
    """Median CPU time of several calls, after one that is not counted."""
    play()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        play()
        times.append(1_000 * (time.process_time() - began))
    return statistics.median(times)


def measure(algorithm: str, n_agents: int, rounds: int) -> dict[str, float]:
    """One row, in this process."""
    import masoft
    from masoft.mirror import RandomSubset

    torch.set_num_threads(1)
    env = masoft.make_vec(lambda: LargeTeam(n_agents, algorithm == "QMIX"), 1, seed=0)
    settings: dict[str, Any] = {"policy_kwargs": {"net_arch": [64, 64]}, "seed": 0, "device": "cpu"}
    settings |= VARIANTS.get(algorithm, {})
    if "-part" in algorithm:
        settings["order"] = RandomSubset(n_agents // PART or 1)
    algorithm = algorithm.partition("-")[0]
    if algorithm in ("HAPPO", "MAPPO"):
        model = getattr(masoft, algorithm)(env, n_steps=ROWS, batch_size=ROWS, n_epochs=1, **settings)
        model.learn(ROWS)
        update = model.train
    else:
        model = getattr(masoft, algorithm)(env, batch_size=ROWS, buffer_size=1_000, learning_starts=ROWS, **settings)
        model.learn(ROWS + 26)

        def update() -> None:
            model.train(1, ROWS)

    seen = {agent.name: np.zeros(8, np.float32) for agent in model.team.agents}
    found = {
        "update": milliseconds(update, rounds),
        "predict": milliseconds(lambda: model.predict(seen, deterministic=True), rounds),
    }
    return {**found, "memory": peak_megabytes()}


def main() -> None:
    """Print the table, each row from a process of its own."""
    print("| team | algorithm | an update | `predict` | peak memory |\n|---|---|---|---|---|")
    for n_agents in SIZES:
        for algorithm in sys.argv[1:] or [*ALGORITHMS, *VARIANTS]:
            command = [sys.executable, "-m", "benchmarks.large_teams", algorithm, str(n_agents)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {n_agents} agents | {algorithm} | {row['update']:.0f} ms | {row['predict']:.1f} ms "
                f"| {row['memory']:.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[-1].isdecimal():
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), rounds=30)))
    else:
        main()
