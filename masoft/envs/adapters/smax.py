"""SMAX: StarCraft-like battles against a scripted enemy, in JAX, one at a time or many in one VecEnv.

Reference:
    Rutherford et al., JaxMARL: Multi-Agent RL Environments and Algorithms in JAX, 2024; ``jaxmarl``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv
from stable_baselines3.common.vec_env import VecMonitor

from masoft.envs.adapters.jax_scene import Scene, as_jax, as_tensor, keys_to_start, plain, restored, tensor_device
from masoft.envs.adapters.smax_battle import MAPS, View, shared_battle
from masoft.envs.batched import BatchedStep, BatchedVecEnv, Joint, monitored
from masoft.envs.inspection import choose_team_reward, read_team
from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTION_MASK, ACTIVE, STATE


class SmaxTeam(ParallelEnv):
    """One battle. Allies are agents; the enemy shoots what is nearest and walks towards what it sees.

    Actions: 0 to 3 move, 4 stops, 5 + i shoots enemy i; ``info["action_mask"]`` says which are possible. The reward,
    the same for all, is the share of the enemy's health that was taken, and 1 for the victory: at most about 2. A
    battle terminates when a side is dead; ``info["is_success"]`` then says whether the team has won, and no draw is a
    victory. It is truncated when the time is up. A unit that dies leaves the team.

    Args:
        map_name: one of `MAPS`.
        **options: jaxmarl's, for example ``max_steps=100`` (an episode has at most one step more: jaxmarl looks at the
            clock before it counts the step), ``attack_mode="random"``, ``walls_cause_death=False``.

    Raises:
        ConfigurationError: an unknown map or option.
    """

    def __init__(self, map_name: str, **options: Any) -> None:
        self.battle = battle = shared_battle(map_name, tuple(sorted(options.items())))
        self.possible_agents = list(battle.game.agents)
        self.agents: list[str] = []
        self.render_mode = None
        self.metadata = {
            "name": f"smax/{map_name}",
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": True,
            "has_masks": True,
            "team_reward": "shared",
        }
        self.state_space = spaces.Box(0, 1, (battle.state_size,), np.float32)
        self._observation_space = spaces.Box(-1, 1, (battle.observation_size,), np.float32)
        self._action_spaces: dict[str, Any] = {a: spaces.Discrete(battle.n_choices) for a in self.possible_agents}
        self._scene: Scene | None = None
        self._state = np.zeros(battle.state_size, np.float32)

    def observation_space(self, agent: str) -> spaces.Box:
        """Units within sight, and oneself."""
        return self._observation_space

    def action_space(self, agent: str) -> Any:
        """Move, stop, or shoot one of the enemies."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start a battle."""
        keys = keys_to_start([seed], self._scene)
        self._scene, view = self.battle.start(keys)
        self.agents = self.possible_agents[:]
        return self._observe(view, self.agents)

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Fight on.

        Raises:
            EnvironmentFault: the battle has ended.
        """
        if not self.agents:
            got, must = "one that has ended", "running when step is called"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        chosen = np.array([[actions.get(agent, 0) for agent in self.possible_agents]], np.int32)
        assert self._scene is not None
        self._scene, view, outcome = self.battle.step(self._scene, chosen)
        acted, is_over, is_cut = self.agents, bool(outcome.terminated[0]), bool(outcome.truncated[0])
        lives = dict(zip(self.possible_agents, np.asarray(view.active)[0].tolist(), strict=True))
        observations, infos = self._observe(view, acted)
        if is_over or is_cut:
            for info in infos.values():
                info["is_success"] = bool(outcome.won[0])
        self.agents = [] if is_over or is_cut else [agent for agent in acted if lives[agent]]
        return (
            observations,
            dict.fromkeys(acted, float(outcome.rewards[0])),
            {agent: is_over or not lives[agent] for agent in acted},
            {agent: is_cut and bool(lives[agent]) for agent in acted},
            infos,
        )

    def state(self) -> NDArray[np.float32]:
        """All units: health, place, cooldown, type and side, each in [0, 1]; zeros for the dead."""
        return self._state

    def get_snapshot(self) -> dict[str, Any] | None:
        """The battle, see `masoft.envs.snapshot`."""
        if self._scene is None:
            return None
        return {"agents": list(self.agents), "state": self._state.copy(), "scene": plain(self._scene)}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave, after a reset."""
        assert self._scene is not None
        self.agents, self._state = list(values["agents"]), np.array(values["state"])
        self._scene = restored(self._scene, values["scene"])

    def _observe(self, view: View, agents: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        seen, masks = np.array(view.observations)[0], np.array(view.masks)[0].astype(np.int8)
        self._state = np.array(view.state)[0]
        index = {agent: number for number, agent in enumerate(self.possible_agents)}
        return (
            {agent: seen[index[agent]] for agent in agents},
            {agent: {ACTION_MASK: masks[index[agent]]} for agent in agents},
        )


class SmaxVecEnv(BatchedVecEnv):
    """Many battles on one map, stepped by one compiled call; battle i is what `SmaxTeam` gives for its seed.

    Args:
        map_name: one of `MAPS`.
        n_envs: number of battles.
        team_reward: see `masoft.envs.TeamEnv`; ``"auto"``: all agents share the reward.
        tensors: keep all as tensors where JAX computes, see `BatchedVecEnv`; by default where that is not the CPU.
        **options: see `SmaxTeam`.
    """

    def __init__(
        self,
        map_name: str,
        n_envs: int = 1,
        *,
        team_reward: str = "auto",
        tensors: bool | None = None,
        **options: Any,
    ) -> None:
        single = SmaxTeam(map_name, **options)
        self.battle = single.battle
        self._scene: Scene | None = None
        chosen = choose_team_reward(single, team_reward)
        name, device = f"smax/{map_name}", tensor_device(tensors)
        super().__init__(n_envs, read_team(single), team_reward=chosen, name=name, device=device)

    def _start(self, seeds: Sequence[int | None]) -> Joint:
        self._scene, view = self.battle.start(keys_to_start(seeds, self._scene))
        return self._joint(view)

    def _advance(self, actions: Any) -> BatchedStep:
        if self.device is not None:
            return self._advance_on_device(actions)
        self._scene, view, outcome, final = self.battle.step_on(self._scene, actions.astype(np.int32))
        terminated, truncated = np.asarray(outcome.terminated), np.asarray(outcome.truncated)
        observations = self._joint(view)
        return BatchedStep(
            observations,
            self._joint(final) if (terminated | truncated).any() else observations,
            np.repeat(np.asarray(outcome.rewards)[:, None], self.team.n_agents, 1),
            terminated,
            truncated,
            np.asarray(outcome.won),
        )

    def _advance_on_device(self, actions: Any) -> BatchedStep:
        self._scene, view, outcome, final = self.battle.step_on(self._scene, as_jax(actions.int()))
        rewards = as_tensor(outcome.rewards).unsqueeze(1).expand(-1, self.team.n_agents)
        ends = as_tensor(outcome.terminated), as_tensor(outcome.truncated)
        return BatchedStep(self._joint(view), self._joint(final), rewards, *ends, as_tensor(outcome.won))

    def get_snapshot(self) -> dict[str, Any] | None:
        """All battles, see `masoft.envs.snapshot`."""
        if self._scene is None:
            return None
        assert self._mask is not None and self._active is not None
        mask, active = (
            np.array(each if self.device is None else each.cpu().numpy()) for each in (self._mask, self._active)
        )
        return {"scene": plain(self._scene), "mask": mask, "active": active}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave, after a reset."""
        assert self._scene is not None
        self._scene = restored(self._scene, values["scene"])
        self._mask, self._active = np.array(values["mask"]), np.array(values["active"])
        if self.device is not None:
            import torch

            self._mask, self._active = (
                torch.as_tensor(each, device=self.device) for each in (self._mask, self._active)
            )

    def _joint(self, view: View) -> Joint:
        if self.device is not None:
            seen = as_tensor(view.observations).unbind(1)
            masks, active = as_tensor(view.masks).flatten(1), as_tensor(view.active)
            own = dict(zip(self.team.names, seen, strict=True))
            return {**own, STATE: as_tensor(view.state), ACTION_MASK: masks, ACTIVE: active}
        stacked = np.ascontiguousarray(np.swapaxes(np.asarray(view.observations), 0, 1))
        return {
            **dict(zip(self.team.names, stacked, strict=True)),
            STATE: np.array(view.state),
            ACTION_MASK: np.array(view.masks).astype(np.int8).reshape(self.num_envs, -1),
            ACTIVE: np.array(view.active).astype(np.int8),
        }


def make_smax(map_name: str, **options: Any) -> SmaxTeam:
    """See `SmaxTeam`."""
    return SmaxTeam(map_name, **options)


def make_smax_vec(
    map_name: str,
    n_envs: int,
    *,
    seed: int | None = None,
    team_reward: str = "auto",
    monitor_dir: str | None = None,
    **options: Any,
) -> VecMonitor:
    """See `SmaxVecEnv`; battle i is seeded with seed + i."""
    vec_env = SmaxVecEnv(map_name, n_envs, team_reward=team_reward, **options)
    if seed is not None:
        vec_env.seed(seed)
    return monitored(vec_env, monitor_dir)


__all__ = ["MAPS", "SmaxTeam", "SmaxVecEnv", "make_smax", "make_smax_vec"]
