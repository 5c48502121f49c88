"""A deployed team under load: ``python -m benchmarks.deployed [THREADS] [CALLS]``.

Eight threads share one team of exported actors and ask it 10,000 times each, with single observations and batches of
up to 32. Every answer is compared with what one thread got, and the resident memory is read before and after.
"""

from __future__ import annotations

import array
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import masoft
from benchmarks.resident import resident_mib
from masoft.testing.games import IdentityTeam

BATCHES = (None, None, 1, 4, 32)


def measure(n_threads: int = 8, calls: int = 10_000) -> dict[str, float]:
    """Ask from many threads; calls, wrong answers, memory and latency."""
    model = masoft.HASAC("MlpPolicy", IdentityTeam(), seed=0)
    with tempfile.TemporaryDirectory() as folder:
        team = masoft.deploy.load(model.export(folder))
    rng = np.random.default_rng(0)
    asked, right = [], []
    for n in BATCHES:
        lead = () if n is None else (n,)
        asked.append(
            {
                agent.name: rng.uniform(-1, 1, (*lead, *agent.observation_shape)).astype("f4")
                for agent in team.team.agents
            }
        )
        right.append(team.predict(asked[-1]))

    def ask(number: int) -> tuple[array.array[float], int]:
        times, wrong = array.array("d"), 0
        for i in range(calls):
            which = (number + i) % len(asked)
            began = time.perf_counter()
            got = team.predict(asked[which])
            times.append(time.perf_counter() - began)
            wrong += any(not np.array_equal(got[agent], right[which][agent]) for agent in got)
        return times, wrong

    with ThreadPoolExecutor(n_threads) as pool:
        [*pool.map(ask, range(n_threads))]  # a first round: what is allocated once is there after it
        before = resident_mib()
        began = time.perf_counter()
        found = [*pool.map(ask, range(n_threads))]
        seconds = time.perf_counter() - began
    times = sorted(1_000 * each for part, _ in found for each in part)
    return {
        "calls": len(times),
        "wrong": sum(wrong for _, wrong in found),
        "MiB before": round(before, 1),
        "MiB after": round(resident_mib(), 1),
        "median ms": round(statistics.median(times), 2),
        "99th percentile ms": round(times[int(0.99 * len(times))], 2),
        "calls a second": round(len(times) / seconds),
    }


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:]))))
