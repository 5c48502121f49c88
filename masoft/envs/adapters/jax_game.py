"""Games written in JAX, as one team or as many in one VecEnv that a compiled call steps and restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv
from stable_baselines3.common.vec_env import VecMonitor

from masoft.envs.adapters.jax_scene import (
    Scene,
    as_jax,
    as_tensor,
    keys_to_start,
    load_jax,
    plain,
    restored,
    tensor_device,
)
from masoft.envs.batched import BatchedStep, BatchedVecEnv, Joint, monitored
from masoft.envs.inspection import choose_team_reward, read_team
from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTIVE


class Outcome(NamedTuple):
    """What a step of one game brought; in a batch every array has a leading n.

    Args:
        rewards: (agents,).
        terminated: the game is over.
        truncated: the time is up, and the game is not over.
        won: what ``info["is_success"]`` says at the end.
    """

    rewards: Any
    terminated: Any
    truncated: Any
    won: Any


class Game(Protocol):
    """One game as pure functions; nobody leaves it before its end, and there is no state but the observations."""

    name: str
    n_agents: int
    observation_space: spaces.Box
    action_space: spaces.Space[Any]
    team_reward: str

    def reset(self, key: Any) -> tuple[Any, Any]:
        """A key gives the observations (agents, size) and the simulator's state."""

    def step(self, key: Any, state: Any, actions: Any) -> tuple[Any, Any, Outcome]:
        """Actions (agents,) or (agents, size) give the observations, the next state and the outcome."""


class Batch:
    """A game's compiled functions, for any number of games at once (each number is compiled once).

    Args:
        game: the game.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self._jax = load_jax()
        self.start = self._jax.jit(self._jax.vmap(self._start_one))
        self.step = self._jax.jit(self._jax.vmap(self._step_one))
        self.step_on = self._jax.jit(self._step_on)

    def _start_one(self, key: Any) -> tuple[Scene, Any]:
        key, now = self._jax.random.split(key)
        seen, state = self.game.reset(now)
        return Scene(key, state), seen

    def _step_one(self, scene: Scene, actions: Any) -> tuple[Scene, Any, Outcome]:
        key, now = self._jax.random.split(scene.keys)
        seen, state, outcome = self.game.step(now, scene.state, actions)
        return Scene(key, state), seen, outcome

    def _step_on(self, scene: Scene, actions: Any) -> tuple[Scene, Any, Outcome, Any]:
        """A step; games that have ended begin anew, and the last result is what was seen before that."""
        jax, numpy = self._jax, self._jax.numpy
        scene, final, outcome = jax.vmap(self._step_one)(scene, actions)
        over = outcome.terminated | outcome.truncated

        def restart(now: Any) -> Any:
            fresh = jax.vmap(self._start_one)(now[0].keys)
            return jax.tree.map(
                lambda old, new: numpy.where(over.reshape(-1, *[1] * (new.ndim - 1)), new, old).astype(old.dtype),
                now,
                fresh,
            )

        scene, seen = jax.lax.cond(over.any(), restart, lambda now: now, (scene, final))
        return scene, seen, outcome, final


class JaxTeam(ParallelEnv):
    """One game.

    Args:
        batch: the game's functions.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch, game = batch, batch.game
        self.possible_agents = [f"agent_{k}" for k in range(game.n_agents)]
        self.agents: list[str] = []
        self.render_mode = None
        self.metadata = {
            "name": game.name,
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": game.team_reward,
            "state_is_observations": True,
        }
        self._scene: Scene | None = None

    def observation_space(self, agent: str) -> spaces.Box:
        """The same for all agents."""
        return self.batch.game.observation_space

    def action_space(self, agent: str) -> Any:
        """The same for all agents."""
        return self.batch.game.action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start a game."""
        self._scene, seen = self.batch.start(keys_to_start([seed], self._scene))
        self.agents = self.possible_agents[:]
        return self._by_agent(seen), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One step of all agents.

        Raises:
            EnvironmentFault: the game has ended.
        """
        if not self.agents:
            got, must = "one that has ended", "running when step is called"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        agents = self.possible_agents
        chosen = np.array([[actions[agent] for agent in agents]], self.batch.game.action_space.dtype)
        self._scene, seen, outcome = self.batch.step(self._scene, chosen)
        is_over, is_cut = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        ends = is_over or is_cut
        self.agents = [] if ends else self.agents
        return (
            self._by_agent(seen),
            dict(zip(agents, np.asarray(outcome.rewards)[0].tolist(), strict=True)),
            dict.fromkeys(agents, is_over),
            dict.fromkeys(agents, is_cut),
            {agent: {"is_success": bool(outcome.won[0])} if ends else {} for agent in agents},
        )

    def get_snapshot(self) -> dict[str, Any] | None:
        """The game, see `masoft.envs.snapshot`."""
        return None if self._scene is None else {"agents": list(self.agents), "scene": plain(self._scene)}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave, after a reset."""
        assert self._scene is not None
        self.agents, self._scene = list(values["agents"]), restored(self._scene, values["scene"])

    def _by_agent(self, seen: Any) -> dict[str, NDArray[np.float32]]:
        return dict(zip(self.possible_agents, np.array(seen)[0], strict=True))


class JaxVecEnv(BatchedVecEnv):
    """Many games, stepped by one compiled call; game i is what `JaxTeam` gives for its seed.

    Args:
        batch: the game's functions.
        n_envs: number of games.
        team_reward: see `masoft.envs.TeamEnv`.
        tensors: keep all as tensors where JAX computes, see `BatchedVecEnv`; by default where that is not the CPU.
    """

    def __init__(
        self, batch: Batch, n_envs: int = 1, *, team_reward: str = "auto", tensors: bool | None = None
    ) -> None:
        single = JaxTeam(batch)
        self.batch = batch
        self._scene: Scene | None = None
        self._everybody: Any = np.ones((n_envs, batch.game.n_agents), np.int8)
        chosen = choose_team_reward(single, team_reward)
        name, device = batch.game.name, tensor_device(tensors)
        super().__init__(n_envs, read_team(single), team_reward=chosen, name=name, device=device)
        if device is not None:
            self._everybody = self._side.low.new_ones(n_envs, batch.game.n_agents)

    def _start(self, seeds: Sequence[int | None]) -> Joint:
        self._scene, seen = self.batch.start(keys_to_start(seeds, self._scene))
        return self._joint(seen)

    def _advance(self, actions: Any) -> BatchedStep:
        space = self.batch.game.action_space
        if self.device is not None:
            joint = as_jax(actions.reshape(self.num_envs, self.team.n_agents, *(space.shape or ())))
            self._scene, seen, outcome, final = self.batch.step_on(self._scene, joint.astype(space.dtype))
            told = (as_tensor(each) for each in (outcome.rewards, outcome.terminated, outcome.truncated, outcome.won))
            return BatchedStep(self._joint(seen), self._joint(final), *told)
        joint = actions.reshape(self.num_envs, self.team.n_agents, *(space.shape or ())).astype(space.dtype)
        self._scene, seen, outcome, final = self.batch.step_on(self._scene, joint)
        terminated, truncated = np.asarray(outcome.terminated), np.asarray(outcome.truncated)
        observations = self._joint(seen)
        return BatchedStep(
            observations,
            self._joint(final) if (terminated | truncated).any() else observations,
            np.asarray(outcome.rewards),
            terminated,
            truncated,
            np.asarray(outcome.won),
        )

    def get_snapshot(self) -> dict[str, Any] | None:
        """All games, see `masoft.envs.snapshot`."""
        return None if self._scene is None else {"scene": plain(self._scene)}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave, after a reset."""
        assert self._scene is not None
        self._scene = restored(self._scene, values["scene"])

    def _joint(self, seen: Any) -> Joint:
        if self.device is not None:
            return {**dict(zip(self.team.names, as_tensor(seen).unbind(1), strict=True)), ACTIVE: self._everybody}
        by_agent = np.ascontiguousarray(np.swapaxes(np.asarray(seen), 0, 1))
        return {**dict(zip(self.team.names, by_agent, strict=True)), ACTIVE: self._everybody}


def vec_of(
    batch: Batch,
    n_envs: int,
    *,
    seed: int | None = None,
    team_reward: str = "auto",
    monitor_dir: str | None = None,
    tensors: bool | None = None,
) -> VecMonitor:
    """See `JaxVecEnv`; game i is seeded with seed + i."""
    vec_env = JaxVecEnv(batch, n_envs, team_reward=team_reward, tensors=tensors)
    if seed is not None:
        vec_env.seed(seed)
    return monitored(vec_env, monitor_dir)
