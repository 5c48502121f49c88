"""The two-step game and the classic payoffs."""

from __future__ import annotations

import numpy as np
import pytest

from masoft.envs import make
from masoft.testing import check_env


@pytest.mark.parametrize("id", ["matrix/two_step", "matrix/climbing", "matrix/non_monotonic"])
def test_they_keep_an_environments_promises(id: str) -> None:
    check_env(id, n_steps=50)


@pytest.mark.parametrize(
    ("first", "second", "paid"),
    [(0, (0, 0), 7.0), (0, (1, 1), 7.0), (1, (0, 0), 0.0), (1, (0, 1), 1.0), (1, (1, 0), 1.0), (1, (1, 1), 8.0)],
)
def test_the_first_agents_first_action_chooses_the_second_game(
    first: int, second: tuple[int, int], paid: float
) -> None:
    env = make("matrix/two_step")
    observations, _ = env.reset()
    assert all(np.array_equal(seen, [1, 0, 0]) for seen in observations.values())
    observations, rewards, ends, _, _ = env.step({"agent_0": first, "agent_1": 1 - first})
    assert set(rewards.values()) == {0.0} and not any(ends.values())
    assert np.array_equal(observations["agent_1"], np.eye(3)[1 + first])
    _, rewards, ends, _, _ = env.step({"agent_0": second[0], "agent_1": second[1]})
    assert set(rewards.values()) == {paid} and all(ends.values()) and env.agents == []
