"""HASAC's defaults on a robot, at both ends: a short run with many updates, and a longer one with few."""

from __future__ import annotations

import pytest

import masoft

pytest.importorskip("mujoco")
pytestmark = pytest.mark.slow


def robot_return(steps: int, gradient_steps: int, seed: int = 2) -> float:
    """Mean return of HalfCheetah 2x3 after a run with ten environments; random actions get -295."""
    env = masoft.make_vec("mamujoco/HalfCheetah-2x3", n_envs=10, seed=seed)
    model = masoft.HASAC(env, gradient_steps=gradient_steps, seed=seed, device="cpu").learn(steps)
    shown = masoft.make_vec("mamujoco/HalfCheetah-2x3", n_envs=5, seed=50_000 + seed)
    return float(model.score(shown, n_eval_episodes=10))


def test_twenty_thousand_steps_with_an_update_for_each() -> None:
    reached = robot_return(20_000, 10)
    print(f"after 20,000 steps: {reached:.0f}")
    assert reached > 1_200  # 2,453 on this seed


def test_a_hundred_thousand_steps_with_an_update_for_ten() -> None:
    reached = robot_return(100_000, 1)
    print(f"after 100,000 steps: {reached:.0f}")
    assert reached > 1_500  # 2,886 on this seed; five-step returns all along stand near 1,500 for good
