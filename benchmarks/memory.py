"""Peak memory of a process that trains with a full buffer of 100,000 transitions. Linux and macOS only."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIZE, N_ENVS = 100_000, 100


def train_with_a_full_buffer() -> float:
    """Fill the buffer, update a few times, and return this process's peak memory in MB."""
    from benchmarks.synthetic import SPREAD, SyntheticTeam
    from masoft import HASAC
    from masoft.envs import make_vec

    envs = make_vec(lambda: SyntheticTeam(SPREAD), N_ENVS)
    model = HASAC(envs, buffer_size=SIZE, batch_size=1000, device="cpu", seed=0)
    obs = envs.reset()
    assert isinstance(obs, dict)
    actions = np.zeros((N_ENVS, model.team.action_size), np.float32)
    for _ in range(SIZE // N_ENVS):
        following = dict(obs)
        model.replay_buffer.add(obs, following, actions, np.zeros(N_ENVS), np.zeros(N_ENVS, bool), [{}] * N_ENVS)
        obs = following
    model.learn(N_ENVS)
    model.train(3, 1000)
    return peak_megabytes()


def peak_megabytes() -> float:
    """Largest resident memory of this process so far, MB (2^20 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count what the parent held when it made this process.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """The memory row, measured in a process of its own."""
    code = "from benchmarks.memory import train_with_a_full_buffer as run; print(run())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak = float(done.stdout.strip().splitlines()[-1])
    yield "peak memory, 100,000 transitions, n = 3", "530 MB", "<= 450 MB", f"{peak:.0f} MB", "-"
