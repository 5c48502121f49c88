"""Memory over a long training: ``python tests/faults/long_run.py [STEPS] [ENV]``.

A small network learns every few hundred steps from a buffer that is full long before the end, in worker processes that
are watched, with checkpoints. What is printed is the resident memory, the open file handles and the processes at each
quarter; all of them have to be flat from the second on.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback

import masoft
from masoft.callbacks import CheckpointCallback

N_ENVS = 4


def resident_mib(process: int | str = "self") -> float:
    """Resident memory of a process in MiB."""
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Watch(BaseCallback):
    """Prints what the process and its workers hold, a few times."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.seen: list[dict[str, Any]] = []

    def _on_training_start(self) -> None:
        self.look()

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every < N_ENVS:
            self.look()
        return True

    def look(self) -> None:
        gc.collect()
        workers = [worker.process.pid for worker in self.training_env.remotes]
        self.seen.append(
            {
                "steps": self.num_timesteps,
                "MiB": round(resident_mib(), 1),
                "MiB of a worker": round(max(resident_mib(number) for number in workers), 1),
                "handles": len(os.listdir("/proc/self/fd")),
            }
        )
        print(json.dumps(self.seen[-1]), flush=True)


def main(steps: int, env_id: str) -> None:
    """Train and watch."""
    torch.set_num_threads(1)
    env = masoft.make_vec(env_id, N_ENVS, seed=0, on_env_error="restart", env_timeout=600)
    before = len(os.listdir("/proc/self/fd"))
    model = masoft.HASAC(
        env, learning_starts=1_000, train_freq=250, gradient_steps=2, batch_size=32, buffer_size=20_000, seed=0,
        device="cpu", policy_kwargs={"net_arch": [16]},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        model.learn(steps, callback=[Watch(steps // 8), CheckpointCallback(folder, every=steps // 8)])
    env.close()
    print(json.dumps({"handles before": before, "handles after close": len(os.listdir("/proc/self/fd"))}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000, sys.argv[2] if len(sys.argv) > 2 else "matrix/maxent")
