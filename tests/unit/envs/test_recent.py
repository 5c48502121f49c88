"""Monitors that do not grow with the number of episodes."""

from __future__ import annotations

import pytest

from masoft import make_vec
from masoft.envs import recent


def test_a_monitor_keeps_the_last_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "KEPT", 5)
    env = make_vec("matrix/maxent", seed=0)
    env.reset()
    returns = []
    for _ in range(23):
        _, rewards, _, infos = env.step([env.action_space.sample()])
        returns.append(float(rewards[0]))
        assert infos[0]["episode"]["r"] == pytest.approx(returns[-1])
    (kept,) = env.env_method("get_episode_rewards")
    assert isinstance(kept, list) and 5 <= len(kept) < 10 and kept == pytest.approx(returns[-len(kept) :])
    assert len(env.env_method("get_episode_lengths")[0]) == len(env.env_method("get_episode_times")[0]) == len(kept)
    assert env.env_method("get_total_steps") == [23]
    env.close()
