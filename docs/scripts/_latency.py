"""Time of one call of an exported team beside the trained model's, for the table of the deployment page.

CPU time of the process with one thread, so that other work on the machine counts little; the median of many calls.
Run from the repository's root: ``python docs/scripts/_latency.py``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import masoft

CALLS = 300
# Label -> algorithm, policy, environment, its arguments, batch.
CASES: dict[str, tuple[str, str, str, dict[str, Any], int | None]] = {
    "3 agents, Box, one observation": (
        "HASAC",
        "MlpPolicy",
        "mpe/simple_spread_v3",
        {"continuous_actions": True},
        None,
    ),
    "the same, 64 at once": ("HASAC", "MlpPolicy", "mpe/simple_spread_v3", {"continuous_actions": True}, 64),
    "3 agents, Discrete, one observation": ("HASAC", "MlpPolicy", "mpe/simple_spread_v3", {}, None),
    "3 agents, Discrete, with memory": ("HAPPO", "RnnPolicy", "mpe/simple_spread_v3", {}, None),
}


def milliseconds(play: Callable[[], Any]) -> float:
    """Median CPU time of a call."""
    for _ in range(20):
        play()
    times = []
    for _ in range(CALLS):
        began = time.process_time()
        play()
        times.append(time.process_time() - began)
    return 1_000 * statistics.median(times)


def main() -> None:
    """Print the table's rows."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    for label, (algorithm, policy, env, kwargs, n) in CASES.items():
        model = getattr(masoft, algorithm)(policy, masoft.make_vec(env, seed=0, **kwargs), seed=0)
        with tempfile.TemporaryDirectory() as folder:
            team = masoft.deploy.load(model.export(folder))
        lead = () if n is None else (n,)
        seen = {a.name: rng.standard_normal((*lead, *a.observation_shape)).astype("f4") for a in model.team.agents}
        mine = milliseconds(lambda model=model, seen=seen: model.predict(seen, deterministic=True))  # type: ignore[misc]
        theirs = milliseconds(lambda team=team, seen=seen: team.predict(seen))  # type: ignore[misc]
        print(f"| {label} | {theirs:.2f} ms | {mine:.2f} ms |", flush=True)


if __name__ == "__main__":
    main()
