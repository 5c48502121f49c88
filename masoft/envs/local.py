"""Copies of an environment in this process, stepped in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from masoft.envs.alike import check_alike, check_apart
from masoft.envs.reach import get_inside, set_inside
from masoft.envs.through import team_inside
from masoft.errors import MasoftError


class LocalVecEnv(DummyVecEnv):
    """stable-baselines3's `DummyVecEnv`, which copies observations by array, and infos as deep as teams fill them.

    A team's infos are fresh at every step; copying every number in them takes longer than the team's own step.
    """

    def __init__(self, builders: Sequence[Callable[[], gymnasium.Env[Any, Any]]]) -> None:
        envs = [build() for build in builders]
        try:
            check_apart(envs)
            check_alike([team_inside(env) for env in envs])
        except MasoftError:
            for env in envs:
                env.close()
            raise
        super().__init__([lambda env=env: env for env in envs])  # type: ignore[misc]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each environment: of a wrapper, of the team, or of the PettingZoo environment inside."""
        return [get_inside(env, attr_name) for env in self._get_target_envs(indices)]

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each environment: of a wrapper, of the team, or of the PettingZoo environment inside."""
        methods = [get_inside(env, method_name) for env in self._get_target_envs(indices)]
        return [method(*method_args, **kwargs) for method in methods]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute where it is: on a wrapper, on the team, or on the PettingZoo environment inside."""
        for env in self._get_target_envs(indices):
            set_inside(env, attr_name, value)

    def step_wait(self) -> VecEnvStepReturn:
        """Step all environments; one whose episode ends is reset, and its last observation goes into its info."""
        infos = []
        for index, env in enumerate(self.envs):
            seen, self.buf_rews[index], terminated, truncated, info = env.step(self.actions[index])
            info["TimeLimit.truncated"] = truncated and not terminated
            if terminated or truncated:
                info["terminal_observation"] = seen
                seen, self.reset_infos[index] = env.reset()
            self.buf_dones[index], self.buf_infos[index] = terminated or truncated, info
            for name, buffer in self.buf_obs.items():
                buffer[index] = seen[name]
            infos.append(_copied(info))
        return self._obs_from_buf(), self.buf_rews.copy(), self.buf_dones.copy(), infos

    def _obs_from_buf(self) -> VecEnvObs:
        return {name: buffer.copy() for name, buffer in self.buf_obs.items()}


def _copied(info: dict[str, Any], depth: int = 3) -> dict[str, Any]:
    """A copy with dicts of its own: the team's, that of each entry, and each agent's."""
    return {
        name: _copied(value, depth - 1) if depth > 1 and type(value) is dict else value for name, value in info.items()
    }
