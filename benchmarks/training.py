"""A whole training, environments and updates together; needs MuJoCo."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.timing import measure
from masoft import HASAC, make_vec

N_ENVS, EVERY = 10, 50  # the reference's settings: 50 updates after 50 steps of 10 environments
REFERENCE_STEPS, REFERENCE_GEMM_MS = 106, 1.21


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """The end-to-end row: steps a second, and how often the reference's at an equally fast yardstick."""
    what = "training, HalfCheetah 2x3, 10 environments, 0.1 updates a step"
    reference = f"{REFERENCE_STEPS} steps a CPU-s at {REFERENCE_GEMM_MS} ms"
    if find_spec("gymnasium_robotics") is None:
        yield what, reference, ">= 2.2 times", "not measured: needs masoft[mamujoco]", "-"
        return
    model = HASAC(
        make_vec("mamujoco/HalfCheetah-2x3", n_envs=N_ENVS, seed=0),
        batch_size=1000,
        buffer_size=100_000,
        learning_starts=N_ENVS * 100,
        train_freq=EVERY,
        gradient_steps=EVERY,
        n_steps=10,
        policy_kwargs={"layer_norm": False},
        device="cpu",
        seed=0,
    )
    model.learn(N_ENVS * 100)
    found = measure(lambda: model.learn(N_ENVS * EVERY, reset_num_timesteps=False), rounds=4)
    steps = N_ENVS * EVERY / found.ms * 1000
    times = steps * found.gemm_ms / (REFERENCE_STEPS * REFERENCE_GEMM_MS)
    yield what, reference, ">= 2.2 times", f"{steps:.0f} a CPU-s, {times:.1f} times", f"{found.gemm_ms:.2f} ms"
