"""The rollout buffer writes through windows into its tensors; a copy of it has windows of its own."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from masoft import HAPPO
from masoft.buffers.rollout import TeamRolloutBuffer
from masoft.testing.games import IdentityTeam


def add(buffer: TeamRolloutBuffer, obs: dict[str, Any], value: float) -> None:
    n = buffer.n_envs
    rewards, actions = np.full(n, value, np.float32), np.full((n, buffer.team.action_size), value, np.float32)
    buffer.add(obs, np.zeros(n, bool), actions, rewards, np.zeros(n, bool), [{}] * n)


def test_a_copy_is_written_apart() -> None:
    model = HAPPO(IdentityTeam(("box", "box")), n_steps=4, batch_size=None, seed=0, device="cpu")
    env = model.env
    assert env is not None
    obs: Any = env.reset()
    buffer = model.rollout_buffer
    buffer.reset()
    add(buffer, obs, 1.0)
    other = copy.deepcopy(buffer)
    add(other, obs, 2.0)
    assert (buffer.pos, other.pos) == (1, 2)
    torch.testing.assert_close(other.rewards[:2, 0], torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(other.actions[1, 0], torch.full((buffer.team.action_size,), 2.0))
    assert buffer.rewards[1, 0] == 0
    name = buffer.team.names[0]
    torch.testing.assert_close(other.frames[name][1], torch.as_tensor(obs[name]).to(other.frames[name].dtype))
