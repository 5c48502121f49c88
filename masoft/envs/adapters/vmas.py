"""VMAS: teams of robots in the plane, simulated in batches by torch.

Reference:
    Bettini et al., VMAS: A Vectorized Multi-Agent Simulator for Collective Robot Learning, 2022; ``vmas``.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv
from stable_baselines3.common.vec_env import VecMonitor
from torch import Tensor

from masoft.envs.adapters.vmas_world import SCENARIOS, VmasWorld
from masoft.envs.batched import BatchedStep, BatchedVecEnv, Joint, monitored
from masoft.envs.inspection import choose_team_reward
from masoft.errors import ConfigurationError, EnvironmentFault, explain
from masoft.spec import ACTIVE, make_team_spec

MAX_STEPS = 100
DECLARED = {"has_deaths": False, "has_masks": False, "team_reward": "mean", "state_is_observations": True}


class VmasTeam(ParallelEnv):
    """One world of a VMAS scenario. Each agent is rewarded by itself; nobody leaves before the end.

    An episode terminates when the scenario says so (many never do) and is truncated after ``max_steps``.

    Args:
        scenario: any name that ``vmas`` knows; masoft lists `SCENARIOS`.
        max_steps: steps of an episode.
        **options: ``continuous_actions=False`` (with ``multidiscrete_actions=True`` for one choice a motor), and the
            scenario's own, for example ``n_agents``.

    Raises:
        ConfigurationError: an unknown scenario or option.
    """

    def __init__(self, scenario: str, *, max_steps: int = MAX_STEPS, **options: Any) -> None:
        self.world = VmasWorld(scenario, 1, "cpu", options)
        self.max_steps = _checked(max_steps)
        self.possible_agents = list(self.world.names)
        self.agents: list[str] = []
        self.render_mode = None
        self.metadata = {"name": f"vmas/{scenario}", "render_modes": [], "is_parallelizable": True, **DECLARED}
        self._observation_spaces, self._action_spaces = self.world.spaces()
        self._sizes = [_size(self._action_spaces[agent]) for agent in self.possible_agents]
        self._elapsed = 0

    def observation_space(self, agent: str) -> Any:
        """What one agent's sensors tell."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """The range of one agent's motors."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode."""
        observations = self.world.start([seed])
        self._elapsed, self.agents = 0, self.possible_agents[:]
        return self._by_agent(observations), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Move the world; the infos are what vmas tells of each agent.

        Raises:
            EnvironmentFault: the episode has ended.
        """
        if not self.agents:
            got, must = "one that has ended", "running when step is called"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        agents, self._elapsed = self.possible_agents, self._elapsed + 1
        motors = [
            torch.as_tensor(np.asarray(actions[agent], np.float32).reshape(1, size))
            for agent, size in zip(agents, self._sizes, strict=True)
        ]
        observations, rewards, over, infos = self.world.step(motors)
        terminated = bool(over[0])
        truncated = self._elapsed >= self.max_steps and not terminated
        if terminated or truncated:
            self.agents = []
        told = [{key: value[0].numpy() for key, value in info.items()} for info in infos]
        return (
            self._by_agent(observations),
            {agent: float(reward[0]) for agent, reward in zip(agents, rewards, strict=True)},
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            dict(zip(agents, told, strict=True)),
        )

    def _by_agent(self, observations: list[Tensor]) -> dict[str, NDArray[np.float32]]:
        return {agent: seen[0].numpy() for agent, seen in zip(self.possible_agents, observations, strict=True)}


class VmasVecEnv(BatchedVecEnv):
    """Many worlds of one scenario, moved by one call; world i is what `VmasTeam` gives for its seed.

    Attributes:
        told: what vmas told of each agent in the last step, tensors (n_envs, ...) by name.

    Args:
        scenario: see `VmasTeam`.
        n_envs: number of worlds.
        max_steps: steps of an episode.
        device: where the simulation runs.
        tensors: keep all as tensors on that device, see `BatchedVecEnv`; by default where it is not the CPU. Without,
            on the CPU, arrays are windows into the simulator's tensors: no copy.
        team_reward: see `masoft.envs.TeamEnv`; ``"auto"``: the mean.
        seeding: ``"world"``: an episode's start depends on its own world's seed alone; the default of arrays.
            ``"batch"``: on the whole batch; then worlds that start at a reset, or all at once, do so in one call.
            ``"together"``: any that start anew do so, which hundreds of worlds need; the default of tensors.
        **options: see `VmasTeam`.
    """

    def __init__(
        self,
        scenario: str,
        n_envs: int = 1,
        *,
        max_steps: int = MAX_STEPS,
        device: torch.device | str = "cpu",
        tensors: bool | None = None,
        team_reward: str = "auto",
        seeding: str | None = None,
        **options: Any,
    ) -> None:
        self.tensors = torch.device(device).type != "cpu" if tensors is None else tensors
        seeding = ("together" if self.tensors else "world") if seeding is None else seeding
        self.world = VmasWorld(scenario, n_envs, device, options, seeding)
        self.max_steps = _checked(max_steps)
        self.told: list[dict[str, Tensor]] = []
        self._elapsed_in = torch.zeros(n_envs, dtype=torch.long, device=self.world.device)
        self._everybody = torch.ones(n_envs, len(self.world.names), dtype=torch.int8, device=self.world.device)
        chosen = choose_team_reward(SimpleNamespace(metadata=DECLARED), team_reward)
        team = make_team_spec(*self.world.spaces(), has_deaths=False)
        on = self.world.device if self.tensors else None
        super().__init__(n_envs, team, team_reward=chosen, name=f"vmas/{scenario}", device=on)

    def _start(self, seeds: Sequence[int | None]) -> Joint:
        self._elapsed_in.zero_()
        return self._joint(self.world.start(seeds))

    def _advance(self, actions: Any) -> BatchedStep:
        joint = actions if self.tensors else torch.as_tensor(np.asarray(actions, np.float32), device=self.world.device)
        seen, rewards, terminated, self.told = self.world.step([joint[:, where] for where in self.team.action_slices])
        self._elapsed_in += 1
        over = terminated | (self._elapsed_in >= self.max_steps)
        finals = observations = self._joint(seen)
        # vmas looks at its numbers in each step itself, so one more look costs no wait.
        if bool(over.any()):
            self._elapsed_in.masked_fill_(over, 0)
            observations = self._joint(self.world.restart(over, seen))
        ends = terminated, over & ~terminated
        own, (terminated, truncated) = self._given(torch.stack(rewards, 1)), map(self._given, ends)
        return BatchedStep(observations, finals, own, terminated, truncated)

    def _joint(self, seen: list[Tensor]) -> Joint:
        given = [self._given(values) for values in seen]
        return {**dict(zip(self.team.names, given, strict=True)), ACTIVE: self._given(self._everybody)}

    def _given(self, values: Tensor) -> Any:
        return values if self.tensors else values.cpu().numpy()


def make_vmas(scenario: str, **options: Any) -> VmasTeam:
    """See `VmasTeam`."""
    return VmasTeam(scenario, **options)


def make_vmas_vec(
    scenario: str,
    n_envs: int,
    *,
    seed: int | None = None,
    team_reward: str = "auto",
    monitor_dir: str | None = None,
    **options: Any,
) -> VecMonitor:
    """See `VmasVecEnv`; world i is seeded with seed + i."""
    vec_env = VmasVecEnv(scenario, n_envs, team_reward=team_reward, **options)
    if seed is not None:
        vec_env.seed(seed)
    return monitored(vec_env, monitor_dir)


def _checked(max_steps: int) -> int:
    if not isinstance(max_steps, int) or max_steps < 1:
        raise ConfigurationError(explain("max_steps", "an integer >= 1", max_steps))
    return max_steps


def _size(space: spaces.Space[Any]) -> int:
    return int(np.prod(space.shape)) if space.shape else 1


__all__ = ["SCENARIOS", "VmasTeam", "VmasVecEnv", "make_vmas", "make_vmas_vec"]
