"""One aircraft that learns to fly: hold a heading, an altitude and a speed that change every now and then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.lag.aircraft import Aircraft, AircraftState
from masoft.envs.lag.autopilot import Autopilot, Command
from masoft.envs.lag.crashes import crash_reason
from masoft.envs.lag.observation import LIMIT, OWN, clipped, own_features
from masoft.envs.lag.recording import Recording
from masoft.envs.lag.rewards import SPEED_OF_SOUND
from masoft.envs.lag.scenario import ORIGIN, SCENARIOS, action_space, choices, to_command, to_controls
from masoft.envs.simulators import generator_values
from masoft.errors import ConfigurationError, EnvironmentFault, explain

TOLERANCES = {"heading": math.radians(5.0), "altitude": 15.0, "speed": 8.0, "roll": 0.35}
"""At an error of this size a factor of the reward has fallen to 1/e: rad, m, m/s, rad."""

CHANGES = {"heading": math.pi / 6, "altitude": 100.0, "speed": 15.0}
"""The goal changes by at most this: rad, m, m/s."""

GOAL_STEPS = 100
"""A goal stands for 20 s."""


class HeadingTask(ParallelEnv):
    """Fly as told; a team of one. A step lasts 0.2 s.

    Observed are the errors of altitude (km), heading (rad) and speed (340 m/s), then the aircraft's own nine features.
    The reward of a step is the geometric mean of ``exp(-(error / tolerance)^2)`` over heading, altitude, speed and
    roll: between 0 and 1. An episode ends with a crash, or truncated.

    Args:
        controls: ``"direct"``: MultiDiscrete [41, 41, 41, 30]; ``"hierarchical"``: [3, 5, 3], flown by the low-level
            controller.
        max_steps: 500 is 100 s.

    Raises:
        ConfigurationError: an unknown choice.
        ImportError: the package jsbsim is absent.

    Example:
        >>> env = HeadingTask()
        >>> env.observation_space("A0100").shape, env.action_space("A0100").nvec.tolist()
        ((12,), [41, 41, 41, 30])
    """

    def __init__(self, *, controls: str = "direct", max_steps: int = 500) -> None:
        if controls not in ("direct", "hierarchical"):
            raise ConfigurationError(explain("controls", "'direct' or 'hierarchical'", controls))
        if not isinstance(max_steps, int) or max_steps < 1:
            raise ConfigurationError(explain("max_steps", "an integer >= 1", max_steps))
        self.controls, self.max_steps, self.render_mode = controls, max_steps, None
        ((name, start),) = SCENARIOS["1v1"].red.items()
        self.aircraft, self._pilot = Aircraft(name, start, ORIGIN), Autopilot()
        self.possible_agents, self.agents = [name], list[str]()
        self.metadata = {
            "name": "lag/heading",
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "shared",
            "state_is_observations": True,
        }
        self._observation_space = spaces.Box(-LIMIT, LIMIT, (3 + OWN,), np.float32)
        self._action_space = action_space(controls)
        self._generator = np.random.default_rng()
        self._begun_with = generator_values(self._generator)
        self._actions: list[list[int]] = []
        self._goal = (0.0, 0.0, 0.0)
        self.recording = Recording({name: "Red"})

    def observation_space(self, agent: str) -> spaces.Box:
        """Three errors and nine features."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.MultiDiscrete:
        """See ``controls``."""
        return self._action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode; the seed decides on its goals."""
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        self._begun_with = generator_values(self._generator)
        state = self.aircraft.reset()
        self._pilot.reset()
        self._actions, self.agents = [], self.possible_agents[:]
        self.recording = Recording(self.recording.sides)
        self.recording.add([state], [True])
        self._goal = (state.heading, state.altitude, state.body[0])
        self._change_goal()
        return {self.aircraft.name: self._observe(state)}, {self.aircraft.name: {}}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Fly 0.2 s.

        Raises:
            EnvironmentFault: the episode has ended, or the action lies outside its space.
        """
        name = self.aircraft.name
        if not self.agents:
            must = "running when step is called"
            raise EnvironmentFault(explain("The episode of lag/heading", must, "one that has ended", "Call reset."))
        chosen = choices(name, actions[name], self._action_space.nvec.tolist())
        self._actions.append(chosen)
        state = self.aircraft.state
        if self.controls == "direct":
            state = self.aircraft.fly(to_controls(chosen))
        else:
            state = self.aircraft.fly(self._pilot.controls(to_command(chosen), state))
        reward = tracking_reward(self.errors(state), state.roll)
        crash = crash_reason(state)
        self.recording.add([state], [True])
        if len(self._actions) % GOAL_STEPS == 0:
            self._change_goal()
        truncated = crash is None and len(self._actions) >= self.max_steps
        if crash or truncated:
            self.agents = []
        info = {"crashes": {name: crash} if crash else {}}
        observation = {name: self._observe(state)}
        return observation, {name: reward}, {name: crash is not None}, {name: truncated}, {name: info}

    def errors(self, state: AircraftState) -> Command:
        """What is missing: the change that would fulfil the goal."""
        heading, altitude, speed = self._goal
        turn = math.remainder(heading - state.heading, math.tau)
        return Command(altitude - state.altitude, turn, speed - state.body[0])

    def state(self) -> NDArray[np.float32]:
        """What the one agent observes."""
        return self._observe(self.aircraft.state)

    def get_snapshot(self) -> dict[str, Any]:
        """The generator as the episode found it and the actions since, see `masoft.envs.snapshot`."""
        return {"generator": self._begun_with, "actions": [list(chosen) for chosen in self._actions]}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self._generator.bit_generator.state = values["generator"]
        self.reset()
        for chosen in values["actions"]:
            self.step({self.aircraft.name: chosen})

    def render(self) -> None:
        """There is nothing to see; the flight is in ``recording``."""

    def close(self) -> None:
        """There is nothing to release."""

    def _change_goal(self) -> None:
        heading, altitude, speed = self._goal
        turn, rise, gain = self._generator.uniform(-1.0, 1.0, 3).tolist()
        self._goal = (
            heading + turn * CHANGES["heading"],
            altitude + rise * CHANGES["altitude"],
            speed + gain * CHANGES["speed"],
        )

    def _observe(self, state: AircraftState) -> NDArray[np.float32]:
        missing = self.errors(state)
        return clipped(
            [missing.altitude / 1000, missing.heading, missing.speed / SPEED_OF_SOUND, *own_features(state)]
        )  # fmt: skip


def tracking_reward(errors: Command, roll: float) -> float:
    """See `HeadingTask`; the product of four factors, to the power 1/4."""
    wrong = {"heading": errors.heading, "altitude": errors.altitude, "speed": errors.speed, "roll": roll}
    return math.exp(-sum((wrong[name] / TOLERANCES[name]) ** 2 for name in TOLERANCES) / len(TOLERANCES))
