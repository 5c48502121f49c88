"""Resident memory over a long training on the matrix game: ``python -m benchmarks.resident [STEPS] [OUT.csv]``.

HASAC in ten copies, with a buffer that is full before the first look. Memory is read every 50,000 steps. The Monitors'
lists of recent episodes are full after 200,000, since an episode is one step here; what grows from there on is a leak.
The slope is that of a least-squares line through the looks from there on.
"""

from __future__ import annotations

import csv
import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

import masoft
from masoft.callbacks import CheckpointCallback, EvenLogging
from masoft.envs.recent import KEPT

EVERY = 50_000
N_ENVS = 10
SETTLED = 2 * KEPT * N_ENVS
"""Steps after which the Monitors hold as many episodes as they ever will."""


def resident_mib() -> float:
    """Resident memory of this process, MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Watch(BaseCallback):
    """Notes the resident memory every so many steps."""

    def __init__(self, every: int = EVERY) -> None:
        super().__init__()
        self.every = every
        self.seen: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            gc.collect()
            self.seen.append((self.num_timesteps, resident_mib()))
            print(f"{self.num_timesteps:,} steps: {self.seen[-1][1]:.1f} MiB", flush=True)
        return True


def slope(seen: list[tuple[int, float]], since: int = SETTLED) -> float:
    """MiB a million steps, by least squares over the looks from a step on; NaN where they are fewer than two."""
    late = [look for look in seen if look[0] >= since]
    if len(late) < 2:
        return float("nan")
    steps, memory = np.array(late).T
    return float(np.polyfit(steps / 1e6, memory, 1)[0])


def measure(steps: int, every: int = EVERY) -> list[tuple[int, float]]:
    """Train with log and checkpoints; (steps, MiB) at each look."""
    settings = dict(learning_starts=1_000, train_freq=50, gradient_steps=1, batch_size=32, buffer_size=20_000)
    env = masoft.make_vec("matrix/maxent", N_ENVS, seed=0)
    model = masoft.HASAC(env, **settings, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu")
    watch = Watch(every)
    with tempfile.TemporaryDirectory() as folder:
        # A gap that no look falls upon: a checkpoint's own memory is given back before the next step.
        saver = CheckpointCallback(folder, every=every // 5 + 7)
        model.learn(steps, callback=[watch, EvenLogging(1_000), saver], log_interval=None)
    return watch.seen


def main() -> None:
    """Measure, print the slope and write the looks."""
    torch.set_num_threads(1)
    seen = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    print(f"slope {slope(seen):+.2f} MiB a million steps")
    if len(sys.argv) > 2:
        with Path(sys.argv[2]).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["steps", "mib"])
            writer.writerows((step, f"{memory:.1f}") for step, memory in seen)


if __name__ == "__main__":
    main()
