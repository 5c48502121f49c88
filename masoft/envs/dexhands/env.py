"""Two Shadow Hands that throw, catch, lift, pull and open things together: Bi-DexHands' nine tasks on MuJoCo."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.dexhands import hand
from masoft.envs.dexhands.objects import SIDES
from masoft.envs.dexhands.observation import LIMIT, StateReader
from masoft.envs.dexhands.pictures import Renderer
from masoft.envs.dexhands.scene import SUBSTEPS, TIMESTEP, Measurements, build_model
from masoft.envs.dexhands.start import Start
from masoft.envs.dexhands.tasks import TASKS, Task
from masoft.errors import ConfigurationError, EnvironmentFault, explain, nearest
from masoft.spec import StateView

AGENTS = ("right_hand", "left_hand")
RENDER_MODES = ("rgb_array",)


class DexHands(ParallelEnv):
    """Two agents, ``"right_hand"`` and ``"left_hand"``, one hand each; both get the same reward.

    An action is (26,) in [-1, 1]: force on the base along the world's axes (3), torque about them (3), and the 20
    driven joints' target angles over their ranges; (20,) where the bases are fixed. What is observed is in
    `masoft.envs.dexhands.observation`. An episode terminates where the task is lost, and is truncated at the time
    limit; ``info["is_success"]`` says whether the aim has been reached at any time of the episode.

    Args:
        task: one of `TASKS`, or a `Task` of your own.
        max_episode_steps: None: the task's own.
        render_mode: None or ``"rgb_array"``.
        width, height: of a picture, pixels.

    Raises:
        ConfigurationError: an unknown task or render mode, or a wrong number.
        MissingDependencyError: the hands' model is not installed.

    Example:
        >>> env = DexHands("ShadowHandOver")
        >>> env.action_space("right_hand").shape, env.observation_space("right_hand").shape, env.state_space.shape
        ((20,), (211,), (398,))
    """

    def __init__(
        self,
        task: str | Task,
        *,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 480,
    ) -> None:
        import mujoco

        self.name, self.task = _find(task)
        _check_numbers(max_episode_steps=max_episode_steps, width=width, height=height)
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ConfigurationError(explain("render_mode", f"None or one of {RENDER_MODES}", render_mode))
        self.max_episode_steps = max_episode_steps or self.task.steps
        self.model = build_model(self.task, visual=render_mode is not None)
        self.data = mujoco.MjData(self.model)
        self.measured = Measurements(self.task, self.model, self.data)
        self.np_random = np.random.default_rng()
        self.possible_agents = list(AGENTS)
        self.agents: list[str] = []
        self.render_mode = render_mode
        self.metadata = {
            "name": f"dexhands/{self.name}",
            "render_modes": list(RENDER_MODES),
            "render_fps": round(1 / (TIMESTEP * SUBSTEPS)),
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "shared",
        }
        self._picture_size = (width, height)
        self._renderer: Renderer | None = None
        self._start = Start(self.task, self.model)
        self._reader = StateReader(self.task, self.model, self.data)
        self._declare_spaces()
        self._bind_motors()
        self._elapsed, self._has_succeeded = 0, False
        self._state = np.zeros(self._reader.size, np.float32)

    def _declare_spaces(self) -> None:
        """Spaces, and the views by which the state gives what each hand sees."""
        self.state_space = _box(LIMIT, self._reader.size)
        seen = {agent: self._reader.indices(side, self.task) for agent, side in zip(AGENTS, SIDES, strict=True)}
        self.observation_views = {agent: StateView(indices) for agent, indices in seen.items()}
        self.state_view = StateView()
        self._seen = {agent: np.array(indices) for agent, indices in seen.items()}
        self._observations = {agent: _box(LIMIT, len(indices)) for agent, indices in seen.items()}
        self._actions = {agent: _box(1.0, self.task.n_actions) for agent in AGENTS}

    def _bind_motors(self) -> None:
        """Where an action's numbers go: ``ctrl[order] = middle + half_range * action``."""
        names = []
        for side in SIDES:
            names += [f"{side}/base{index}" for index in range(6 if self.task.base else 0)]
            names += hand.motor_names(side)
        self._order = np.array([self.model.actuator(name).id for name in names])
        low, high = self.model.actuator_ctrlrange[self._order].T
        self._middle, self._half_range = (high + low) / 2, (high - low) / 2

    def observation_space(self, agent: str) -> spaces.Box:
        """What one hand sees: its own block of the state, and the things' blocks."""
        return self._observations[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """One hand's action."""
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode; as in the original a step with tiny random actions is taken first, uncounted."""
        import mujoco

        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)
        self._start.draw(self.data, self.np_random)
        mujoco.mj_forward(self.model, self.data)
        first = self.np_random.uniform(-0.01, 0.01, (2, self.task.n_actions))
        self._simulate(first)
        self.agents, self._elapsed, self._has_succeeded = list(AGENTS), 0, False
        return self._observe(first), {agent: {"is_success": False} for agent in AGENTS}

    def step(self, actions: dict[str, NDArray[np.float32]]) -> tuple[Any, Any, Any, Any, Any]:
        """Move both hands for 1/60 s.

        Args:
            actions: of both agents; clipped to [-1, 1].

        Raises:
            EnvironmentFault: the episode has ended, or the simulation has diverged.
        """
        if not self.agents:
            got, must = "one that has ended", "running when step is called"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        chosen = np.array([actions[agent] for agent in AGENTS], np.float64).clip(-1, 1)
        self._simulate(chosen)
        self._elapsed += 1
        observations = self._observe(chosen)
        reward, solved, lost = self.task.rule(self.measured)
        self._has_succeeded = self._has_succeeded or solved
        truncated = not lost and self._elapsed >= self.max_episode_steps
        if lost or truncated:
            self.agents = []
        return (
            observations,
            dict.fromkeys(AGENTS, reward),
            dict.fromkeys(AGENTS, lost),
            dict.fromkeys(AGENTS, truncated),
            {agent: {"is_success": self._has_succeeded} for agent in AGENTS},
        )

    def state(self) -> NDArray[np.float32]:
        """Both hands' blocks and the things' blocks in a row."""
        return self._state

    def get_snapshot(self) -> dict[str, Any]:
        """The simulation and its clock, see `masoft.envs.snapshot`."""
        import mujoco

        kept = np.zeros(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self.model, self.data, kept, mujoco.mjtState.mjSTATE_INTEGRATION)
        return {
            "agents": list(self.agents),
            "elapsed": self._elapsed,
            "has_succeeded": self._has_succeeded,
            "state": self._state,
            "simulation": kept,
            "generator": self.np_random.bit_generator.state,
        }

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        import mujoco

        self.agents, self._elapsed, self._state = list(values["agents"]), values["elapsed"], values["state"]
        self._has_succeeded = bool(values["has_succeeded"])
        self.np_random.bit_generator.state = values["generator"]
        mujoco.mj_setState(self.model, self.data, values["simulation"], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_step1(self.model, self.data)

    def render(self) -> NDArray[np.uint8] | None:
        """A picture, (height, width, 3); None without a render mode.

        Raises:
            MissingDependencyError: this machine cannot draw without a screen; the message has the cure.
        """
        if self.render_mode is None:
            return None
        if self._renderer is None:
            self._renderer = Renderer(self.model, self.task.camera, *self._picture_size)
        return self._renderer.draw(self.data)

    def close(self) -> None:
        """Release the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _simulate(self, actions: NDArray[np.float64]) -> None:
        """One control step.

        MuJoCo's step is taken in halves, second half first: afterwards positions, velocities and contacts are those
        of the moment, and nothing is computed twice.
        """
        import mujoco

        model, data = self.model, self.data
        data.ctrl[self._order] = self._middle + self._half_range * actions.reshape(-1)
        for _ in range(SUBSTEPS):
            mujoco.mj_step2(model, data)
            mujoco.mj_step1(model, data)

    def _observe(self, actions: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
        self._state = self._reader.read(*actions)
        if not math.isfinite(float(self._state.sum())):
            self.agents = []
            got = "numbers that are not finite"
            raise EnvironmentFault(explain(f"The simulation of {self.metadata['name']}", "stable", got))
        return {agent: self._state[seen] for agent, seen in self._seen.items()}


def _find(task: str | Task) -> tuple[str, Task]:
    """A task and its name."""
    if isinstance(task, Task):
        return next((name for name, known in TASKS.items() if known == task), "custom"), task
    if task not in TASKS:
        raise ConfigurationError(explain("task", "one of the nine or a Task", task, nearest(str(task), TASKS)))
    return task, TASKS[task]


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, int) or number < 1):
            raise ConfigurationError(explain(name, "an integer >= 1", number))


def _box(limit: float, size: int) -> spaces.Box:
    return spaces.Box(-limit, limit, (size,), np.float32)


__all__ = ["AGENTS", "RENDER_MODES", "DexHands"]
