"""The original Bi-DexHands on Isaac Gym, for those who still have it: a thin layer over its multi-agent environment.

Written against the interface alone and tested on a stand-in that keeps it; no machine with Isaac Gym was at hand. The
same tasks without Isaac Gym are `masoft.envs.dexhands`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from masoft.envs.batched import BatchedStep, BatchedVecEnv, Joint
from masoft.errors import ConfigurationError, EnvironmentFault, explain
from masoft.spec import ACTIVE, STATE, make_team_spec

HANDS = ("right_hand", "left_hand")

_NEEDED = ("num_envs", "num_agents", "observation_space", "share_observation_space", "action_space", "reset", "step")
_CURE = 'Make it with bidexhands, for example bidexhands.make("ShadowHandOver", "mappo").'


class IsaacHands(BatchedVecEnv):
    """A running multi-agent environment of Bi-DexHands as a VecEnv of teams.

    What it must have: ``num_envs``, ``num_agents``; lists of spaces, one an agent, ``observation_space``,
    ``share_observation_space``, ``action_space``; ``reset()``, which gives observations (n_envs, n_agents, size),
    states of the same form and anything; ``step(actions)``, which takes one tensor (n_envs, size) an agent and gives
    observations, states, rewards (n_envs, n_agents, 1), dones (n_envs, n_agents), infos and anything.

    Two habits of the original show through. An episode's last observation is also what the next one begins with, as
    worlds restart only inside the next step. And seeds are its own: those given to `reset` are ignored.

    Args:
        env: made by the original's package.
        clock: the object that counts steps, with tensors or numbers ``progress_buf`` and ``max_episode_length``; None:
            ``env.task`` where there is one. Without a clock every end counts as a termination, as in the original.

    Raises:
        ConfigurationError: ``env`` lacks something of the above.
    """

    def __init__(self, env: Any, *, clock: Any = None) -> None:
        missing = [name for name in _NEEDED if not hasattr(env, name)]
        if missing:
            must = "a multi-agent environment of Bi-DexHands"
            raise ConfigurationError(explain("env", must, f"{type(env).__name__} without {missing}", _CURE))
        self.env = env
        found = getattr(env, "task", None) if clock is None else clock
        self._clock = found if hasattr(found, "progress_buf") and hasattr(found, "max_episode_length") else None
        n_agents = int(env.num_agents)
        names = HANDS if n_agents == len(HANDS) else tuple(f"agent_{index}" for index in range(n_agents))
        observed = {name: _box(env.observation_space[index]) for index, name in enumerate(names)}
        acted = {name: _box(env.action_space[index]) for index, name in enumerate(names)}
        size = int(np.prod(env.share_observation_space[0].shape))
        team = make_team_spec(observed, acted, state_size=size)
        super().__init__(int(env.num_envs), team, team_reward="shared", name="bidexhands")
        self._device = torch.device("cpu")

    def close(self) -> None:
        """Close the original, where it can be closed."""
        if hasattr(self.env, "close"):
            self.env.close()

    def _start(self, seeds: Sequence[int | None]) -> Joint:
        observations, states, *_ = self.env.reset()
        self._device = observations.device
        return self._joint(observations, states)

    def _advance(self, actions: NDArray[Any]) -> BatchedStep:
        by_agent = [
            torch.as_tensor(actions[:, entries], dtype=torch.float32, device=self._device)
            for entries in self.team.action_slices
        ]
        observations, states, rewards, dones, *_ = self.env.step(by_agent)
        joint = self._joint(observations, states)
        ended = _numpy(dones).reshape(self.num_envs, -1).astype(bool)
        if (ended.any(1) != ended.all(1)).any():
            raise EnvironmentFault(explain("The agents of bidexhands", "done together", ended.tolist()))
        late = self._is_late()
        own = _numpy(rewards).reshape(self.num_envs, -1)
        return BatchedStep(joint, joint, own, ended[:, 0] & ~late, ended[:, 0] & late)

    def _is_late(self) -> NDArray[np.bool_]:
        """(n_envs,), whether the time limit is reached."""
        if self._clock is None:
            return np.zeros(self.num_envs, bool)
        elapsed = np.broadcast_to(_numpy(self._clock.progress_buf), (self.num_envs,))
        return np.asarray(elapsed >= float(self._clock.max_episode_length))

    def _joint(self, observations: Any, states: Any) -> Joint:
        seen = _numpy(observations)
        joint: Joint = {name: seen[:, index].astype(np.float32) for index, name in enumerate(self.team.names)}
        joint[STATE] = _numpy(states)[:, 0].astype(np.float32)
        joint[ACTIVE] = np.ones((self.num_envs, self.team.n_agents), np.int8)
        return joint


def _box(space: Any) -> spaces.Box:
    """The same Box in gymnasium, whichever library made it."""
    return spaces.Box(np.asarray(space.low, np.float32), np.asarray(space.high, np.float32), dtype=np.float32)


def _numpy(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


__all__ = ["HANDS", "IsaacHands"]
