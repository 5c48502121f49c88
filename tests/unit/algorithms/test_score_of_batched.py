"""The score of a batched simulator, whose returns are float32, is a plain number."""

from __future__ import annotations

import importlib.util

import pytest

import masoft


@pytest.mark.skipif(importlib.util.find_spec("vmas") is None, reason="vmas comes with its extra")
def test_the_score_is_a_float() -> None:
    env = masoft.make_vec("vmas/balance", n_envs=2, seed=0, max_steps=5)
    model = masoft.HASAC(env=env, policy_kwargs={"net_arch": [8]}, seed=0)
    assert type(model.score(n_eval_episodes=2)) is float
    env.close()
