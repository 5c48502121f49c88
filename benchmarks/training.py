"""A whole training, environments and updates together; the off-policy row needs MuJoCo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from benchmarks.timing import measure
from masoft import HAPPO, HASAC, make_vec

N_ENVS, EVERY = 10, 50  # the reference's settings: 50 updates after 50 steps of 10 environments
REFERENCE_STEPS, REFERENCE_GEMM_MS = 106, 1.21
# On-policy: 200 steps of 10 environments, 5 epochs over all of them at once; 15 % of the reference's time is its own.
ROLLOUT, ON_POLICY_STEPS, ON_POLICY_GEMM_MS, ON_POLICY_SHARE = 200, 980, 1.17, 0.15

Row = tuple[str, str, str, str, str]


class Stopwatch(VecEnvWrapper):
    """Environments, and the seconds of processor time spent stepping them."""

    seconds = 0.0

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        start = time.process_time()
        answer = self.venv.step_wait()
        self.seconds += time.process_time() - start
        return answer


def rows() -> Iterator[Row]:
    """End to end: steps a second, and how often the reference's at an equally fast yardstick."""
    yield from off_policy()
    yield from on_policy()


def on_policy() -> Iterator[Row]:
    """HAPPO on simple_spread with the reference's settings, and what of a step is not the environment's."""
    env = Stopwatch(make_vec("mpe/simple_spread_v3", n_envs=N_ENVS, seed=0, continuous_actions=True))
    batch = N_ENVS * ROLLOUT
    model = HAPPO(
        env, n_steps=ROLLOUT, n_epochs=5, n_critic_epochs=5, batch_size=batch, critic_batch_size=batch, seed=0,
        device="cpu", policy_kwargs={"net_arch": [128, 128]},
    )  # fmt: skip
    model.learn(batch)

    def learn() -> None:
        model.learn(batch, reset_num_timesteps=False)

    whole = measure(learn, rounds=8)
    learner = measure(learn, rounds=8, apart=lambda: env.seconds)
    steps = batch / whole.ms * 1000
    times = steps * whole.gemm_ms / (ON_POLICY_STEPS * ON_POLICY_GEMM_MS)
    reference = ON_POLICY_SHARE * 1000 / ON_POLICY_STEPS / ON_POLICY_GEMM_MS
    yield (
        "training, HAPPO, simple_spread continuous, 10 environments",
        f"{ON_POLICY_STEPS} steps a second at {ON_POLICY_GEMM_MS} ms, learner {1000 * reference:.0f} GEMMs a 1000",
        f">= 1.2 times, <= {500 * reference:.0f} GEMMs a 1000",
        f"{steps:.0f} a CPU-s, {times:.1f} times, learner {1000 * learner.gemms / batch:.0f} GEMMs a 1000",
        f"{whole.gemm_ms:.2f} ms",
    )


def off_policy() -> Iterator[Row]:
    """HASAC on HalfCheetah."""
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
