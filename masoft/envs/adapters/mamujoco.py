"""Multi-agent MuJoCo: the joints of one robot shared out among agents that run it together.

The single-agent gymnasium environment is stepped directly. Its observation is the team's state, and what each agent
sees is an index into it, so the layer costs a few microseconds a step.

Reference:
    Peng et al., FACMAC: Factored Multi-Agent Centralised Policy Gradients, 2021; the paper's Tables 4 and 9.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.adapters.mamujoco_parts import Factorisation, factorise
from masoft.envs.simulators import mujoco_values, restore_mujoco
from masoft.errors import ConfigurationError, EnvironmentFault, explain, nearest
from masoft.spec import StateView

SCENARIOS = {
    "Ant": "Ant-v5",
    "HalfCheetah": "HalfCheetah-v5",
    "Hopper": "Hopper-v5",
    "Humanoid": "Humanoid-v5",
    "HumanoidStandup": "HumanoidStandup-v5",
    "ManySegmentSwimmer": "Swimmer-v5",
    "Swimmer": "Swimmer-v5",
    "Walker2d": "Walker2d-v5",
}

FEELS_CONTACT = ("Ant", "Humanoid", "HumanoidStandup")
"""Robots whose observation or reward has contact forces."""

OBSERVATIONS = ("partial", "full", "paper")


class MultiAgentMujoco(ParallelEnv):
    """A robot run by a team; every agent moves its own joints and all share one reward.

    Args:
        scenario: one of `SCENARIOS`.
        factorisation: ``"AxJ"``: A agents of J joints each. Where the library gymnasium-robotics names such a
            factorisation, its grouping is used; otherwise consecutive joints belong together. A humanoid also has the
            library's ``"9|8"``: upper body and legs.
        observation: ``"partial"``: each agent sees its own joints, those up to ``agent_obsk`` joints away, and the
            torso. ``"full"``: each sees the whole state, as it is. ``"paper"``: each sees the whole state and who it
            is (one-hot), standardised over the vector's own entries, and the critic sees the standardised state;
            joints are dealt out in consecutive slices. This is what the paper's reference implementation does.
        agent_obsk: how many joints away an agent sees, in ``"partial"``.
        render_mode: gymnasium's.
        **kwargs: passed to the gymnasium environment, for example ``max_episode_steps``.

    Raises:
        ConfigurationError: an unknown scenario, factorisation or observation mode.

    Example:
        >>> env = MultiAgentMujoco("HalfCheetah", "2x3")
        >>> env.observation_space("agent_0").shape, env.action_space("agent_0").shape
        ((12,), (3,))
    """

    def __init__(
        self,
        scenario: str,
        factorisation: str,
        *,
        observation: str = "partial",
        agent_obsk: int = 1,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        if scenario not in SCENARIOS:
            raise ConfigurationError(explain("scenario", "a known robot", scenario, nearest(scenario, SCENARIOS)))
        if observation not in OBSERVATIONS:
            raise ConfigurationError(explain("observation", f"one of {OBSERVATIONS}", observation))
        if not isinstance(agent_obsk, int) or agent_obsk < 0:
            raise ConfigurationError(explain("agent_obsk", "an integer >= 0", agent_obsk))
        self.env = _robot(scenario, factorisation, render_mode, kwargs)
        self._robot: Any = self.env.unwrapped  # stepped without gymnasium's wrappers, which cost a few microseconds
        _simulate_directly(self._robot, needs_forces=scenario in FEELS_CONTACT)
        self._time_limit = (self.env.spec.max_episode_steps if self.env.spec else None) or math.inf
        self._elapsed = 0
        self.factorisation = factorise(self.env, scenario, factorisation, agent_obsk)
        if observation == "paper":
            self.factorisation = self.factorisation.in_slices()
        self.possible_agents = [f"agent_{index}" for index in range(self.factorisation.n_agents)]
        self.agents: list[str] = []
        self.render_mode = render_mode
        self.metadata = {
            "name": f"mamujoco/{scenario}-{factorisation}",
            "render_modes": ["human", "rgb_array", "depth_array"],
            "render_fps": self.env.metadata["render_fps"],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "shared",
        }
        self._declare_spaces(observation)

    def _declare_spaces(self, observation: str) -> None:
        """Spaces, and the views by which the state gives what everybody sees."""
        assert isinstance(self.env.observation_space, spaces.Box) and isinstance(self.env.action_space, spaces.Box)
        parts, agents = self.factorisation, self.possible_agents
        size = self.env.observation_space.shape[0]
        everything = tuple(range(size))
        seen = [everything if observation == "full" else indices for indices in parts.seen]
        self._is_paper = observation == "paper"
        self.state_space = _unbounded(size)
        self.state_view = StateView(standardise=self._is_paper)
        if self._is_paper:
            views = [StateView(None, index, len(agents), standardise=True) for index in range(len(agents))]
            sizes = [size + len(agents)] * len(agents)
        else:
            views = [StateView(None if indices == everything else indices) for indices in seen]
            sizes = [len(indices) for indices in seen]
        self.observation_views = dict(zip(agents, views, strict=True))
        self._observations = {agent: _unbounded(n) for agent, n in zip(agents, sizes, strict=True)}
        low, high = self.env.action_space.low, self.env.action_space.high
        self._actions = {
            agent: spaces.Box(low[list(joints)], high[list(joints)], dtype=np.float32)
            for agent, joints in zip(agents, parts.joints, strict=True)
        }
        self._seen = [np.array(indices, dtype=np.intp) for indices in seen]
        order = np.concatenate([np.array(joints, dtype=np.intp) for joints in parts.joints])
        # `command = joint[self._place]` puts the agents' actions, in a row, where the motors expect them
        self._place = None if (order == np.arange(len(order))).all() else np.argsort(order)
        self._state: NDArray[Any] = np.zeros(size)
        self._standardised = StandardisedIds(size, len(agents))

    def observation_space(self, agent: str) -> spaces.Box:
        """What one agent sees."""
        return self._observations[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """The torque range of one agent's joints."""
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode."""
        state, info = self._robot.reset(seed=seed, options=options)
        self._elapsed = 0
        self.agents = self.possible_agents[:]
        return self._observe(state), dict.fromkeys(self.agents, info)

    def step(self, actions: dict[str, NDArray[np.float32]]) -> tuple[Any, Any, Any, Any, Any]:
        """Move the robot.

        Raises:
            EnvironmentFault: the episode has ended.
        """
        if not self.agents:
            got, must = "one that has ended", "running when step is called"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        agents = self.possible_agents
        command = np.concatenate([actions[agent] for agent in agents])
        if self._place is not None:
            command = command[self._place]
        state, reward, terminated, _, info = self._robot.step(command)
        self._elapsed += 1
        truncated = self._elapsed >= self._time_limit
        if terminated or truncated:
            self.agents = []
        return (
            self._observe(state),
            dict.fromkeys(agents, float(reward)),
            dict.fromkeys(agents, bool(terminated)),
            dict.fromkeys(agents, truncated),
            dict.fromkeys(agents, info),
        )

    def state(self) -> NDArray[np.float32]:
        """The whole robot, raw: what gymnasium's single agent would observe."""
        return self._state.astype(np.float32)

    def get_snapshot(self) -> dict[str, Any]:
        """The simulation and its clock, see `masoft.envs.snapshot`."""
        own = {"agents": list(self.agents), "elapsed": self._elapsed, "state": self._state}
        return {**own, "robot": mujoco_values(self._robot)}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.agents, self._elapsed, self._state = list(values["agents"]), values["elapsed"], values["state"]
        restore_mujoco(self._robot, values["robot"])

    def render(self) -> Any:
        """A frame, see gymnasium."""
        return self._robot.render()

    def close(self) -> None:
        """Close the renderer."""
        self.env.close()

    def _observe(self, state: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        self._state = state
        if self._is_paper:
            # Not strict: looking for a row behind the last one makes numpy raise and format an error (6 microseconds).
            return dict(zip(self.possible_agents, self._standardised(state), strict=False))
        single = state.astype(np.float32)
        return {agent: single[seen] for agent, seen in zip(self.possible_agents, self._seen, strict=True)}


def make_mamujoco(**kwargs: Any) -> MultiAgentMujoco:
    """See `MultiAgentMujoco`."""
    return MultiAgentMujoco(**kwargs)


class StandardisedIds:
    """Every agent's ``standardised([state, one_hot(agent)])`` at once; mean and deviation are the same for all.

    Args:
        state_size: length of the state.
        n_agents: length of the one-hot vector.
    """

    def __init__(self, state_size: int, n_agents: int) -> None:
        self._size = state_size + n_agents
        self._vectors = np.zeros((n_agents, self._size), np.float32)
        self._vectors[:, state_size:] = np.eye(n_agents)
        self._states = self._vectors[:, :state_size]
        self._ones = np.ones(state_size)
        self._mean, self._scale = np.zeros(1, np.float32), np.zeros(1, np.float32)

    def __call__(self, state: NDArray[np.float64]) -> NDArray[np.float32]:
        """From (state_size,) to (n_agents, state_size + n_agents), fresh; the sums are in float64."""
        self._states[:] = state
        mean = (float(state.dot(self._ones)) + 1) / self._size
        variance = (float(state.dot(state)) + 1) / self._size - mean * mean
        self._mean[0], self._scale[0] = mean, 1 / math.sqrt(variance)  # arrays: numbers cost a conversion each
        vectors: NDArray[np.float32] = np.subtract(self._vectors, self._mean)
        return np.multiply(vectors, self._scale, vectors)


def _simulate_directly(robot: Any, *, needs_forces: bool) -> None:
    """Give a gymnasium robot a shorter way from its action to simulation and cost, with the same numbers.

    gymnasium copies the action to look at its shape, fetches every array anew, computes contact forces also for robots
    that have no use for them, and sums by `numpy.sum`: some 8 of the 70 microseconds of a HalfCheetah's step.
    """
    import mujoco

    model, data, motors = robot.model, robot.data, robot.data.ctrl
    step, contact_forces = mujoco.mj_step, mujoco.mj_rnePostConstraint

    def do_simulation(action: NDArray[Any], n_frames: int) -> None:
        motors[:] = action
        step(model, data, n_frames)
        if needs_forces:
            contact_forces(model, data)

    def control_cost(action: NDArray[Any]) -> Any:
        return robot._ctrl_cost_weight * np.add.reduce(np.square(action))

    robot.do_simulation = do_simulation
    if hasattr(robot, "control_cost") and robot.spec.id != SCENARIOS["Humanoid"]:  # it charges for motors, in float64
        robot.control_cost = control_cost


def _unbounded(size: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def _robot(
    scenario: str, factorisation: str, render_mode: str | None, kwargs: dict[str, Any]
) -> gymnasium.Env[NDArray[Any], NDArray[Any]]:
    """The single-agent environment."""
    options = {"render_mode": render_mode, "disable_env_checker": True, **kwargs}
    if scenario != "ManySegmentSwimmer":
        return gymnasium.make(SCENARIOS[scenario], **options)
    from gymnasium_robotics.envs.multiagent_mujoco.many_segment_swimmer import gen_asset

    agents, _, joints = factorisation.partition("x")
    if not (agents.isdigit() and joints.isdigit() and int(agents) * int(joints) >= 2):
        must = "'AxJ' with two joints or more in all, for example '10x2'"
        raise ConfigurationError(explain("The factorisation of 'ManySegmentSwimmer'", must, factorisation))
    with tempfile.TemporaryDirectory() as folder:  # gymnasium reads models from files; nobody else sees this one
        model = Path(folder) / "swimmer.xml"
        gen_asset(n_segs=int(agents) * int(joints), asset_path=str(model))
        return gymnasium.make(SCENARIOS[scenario], xml_file=str(model), **options)


__all__ = ["OBSERVATIONS", "SCENARIOS", "Factorisation", "MultiAgentMujoco", "StandardisedIds", "make_mamujoco"]
