"""What a training costs beside its updates: the loop around an environment that does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.synthetic import SPREAD, SyntheticTeam
from benchmarks.timing import measure
from masoft import HASAC
from masoft.envs import make_vec

STEPS = 500
REFERENCE = {1: ("1,200 us", "<= 300 us"), 16: ("75 to 140 us", "<= 40 us")}


class NoUpdates(HASAC):
    """HASAC that acts and remembers, but never learns."""

    def train(self, gradient_steps: int, batch_size: int) -> None:
        pass


def time_loop(n_envs: int) -> Any:
    """Cost of ``STEPS`` vector steps: acting, stepping, storing, stable-baselines3's loop."""
    model = NoUpdates(
        make_vec(lambda: SyntheticTeam(SPREAD), n_envs), learning_starts=0, buffer_size=50_000, device="cpu", seed=0
    )
    model.learn(STEPS * n_envs)
    return measure(lambda: model.learn(STEPS * n_envs), rounds=7)


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """The loop rows: what, reference, goal, measured, yardstick."""
    for n_envs, (reference, goal) in REFERENCE.items():
        found = time_loop(n_envs)
        us = 1000 * found.ms / STEPS / n_envs
        yield (
            f"loop around one environment step, n_envs = {n_envs}", f"{reference} (SB3's SAC)", goal,
            f"{us:.0f} us", f"{found.gemm_ms:.2f} ms",
        )  # fmt: skip
