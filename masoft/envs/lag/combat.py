"""Air combat without weapons: a team of F-16 tries to stay behind opponents that pursue it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.lag.acmi import write_acmi
from masoft.envs.lag.aircraft import STEP_SECONDS, Aircraft, AircraftState, Controls
from masoft.envs.lag.autopilot import Autopilot, Command
from masoft.envs.lag.crashes import crash_reason
from masoft.envs.lag.geometry import VARIANTS, relate_states
from masoft.envs.lag.observation import LIMIT, observation_size, observe
from masoft.envs.lag.pursuit import OPPONENTS, choose_prey, pursue
from masoft.envs.lag.recording import Recording
from masoft.envs.lag.rewards import CRASH_REWARD, height, posture, posture_potential
from masoft.envs.lag.scenario import CONTROLS, ORIGIN, SCENARIOS, action_space, choices, to_command, to_controls
from masoft.errors import ConfigurationError, EnvironmentFault, explain

Answer = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]


class AirCombat(ParallelEnv):
    """Two F-16 (or one) against as many. A step lasts 0.2 s; nothing is random, so every episode starts alike.

    All agents get the mean of the team's rewards, in which one that has crashed counts 0. An agent leaves when it
    crashes; its aircraft stays where it was and remains visible. An episode ends when the whole team has crashed,
    when all opponents have (``info["win"]``), or, truncated, after ``max_steps``.

    Args:
        scenario: ``"2v2"`` or ``"1v1"``.
        controls: ``"hierarchical"``: MultiDiscrete [3, 5, 3], changes of altitude, heading and speed for the low-level
            controller; ``"direct"``: MultiDiscrete [41, 41, 41, 30], stick, pedals and throttle.
        variant: ``"paper"`` keeps the original's oddities where they are finite: a crash costs nothing by itself,
            velocities count downwards beside positions that count upwards, and all opponents pursue the first agent
            even when it has crashed. ``"corrected"``: a crash costs 200, both count upwards, and opponents pursue the
            nearest agent that flies.
        opponent: ``"pursue"``, or ``"level"``: it keeps its height, course and speed.
        max_steps: 1000 is 200 s.
        render_mode: ``"rgb_array"``: `render` draws the flight so far.

    Raises:
        ConfigurationError: an unknown choice.
        ImportError: the package jsbsim is absent.

    Example:
        >>> env = AirCombat("2v2")
        >>> env.possible_agents, env.observation_space("A0100").shape, env.state_space.shape
        (['A0100', 'A0200'], (27,), (108,))
    """

    def __init__(
        self,
        scenario: str = "2v2",
        *,
        controls: str = "hierarchical",
        variant: str = "paper",
        opponent: str = "pursue",
        max_steps: int = 1000,
        render_mode: str | None = None,
    ) -> None:
        known: dict[str, Collection[str]] = {
            "scenario": SCENARIOS,
            "controls": CONTROLS,
            "variant": VARIANTS,
            "opponent": OPPONENTS,
        }
        chosen = {"scenario": scenario, "controls": controls, "variant": variant, "opponent": opponent}
        for name, choice in chosen.items():
            if choice not in known[name]:
                raise ConfigurationError(explain(name, f"one of {tuple(known[name])}", choice))
        if not isinstance(max_steps, int) or max_steps < 1:
            raise ConfigurationError(explain("max_steps", "an integer >= 1", max_steps))
        if render_mode not in (None, "rgb_array"):
            raise ConfigurationError(explain("render_mode", "None or 'rgb_array'", render_mode))
        self.controls, self.variant, self.opponent, self.max_steps = controls, variant, opponent, max_steps
        self.render_mode = render_mode
        sides = SCENARIOS[scenario]
        self.aircraft = [Aircraft(name, start, ORIGIN) for name, start in {**sides.red, **sides.blue}.items()]
        self._pilots = [Autopilot() for _ in self.aircraft]
        self.possible_agents, self.agents = list(sides.red), list[str]()
        self.metadata = {
            "name": f"lag/{scenario}-noweapon",
            "render_modes": ["rgb_array"],
            "render_fps": 1 / STEP_SECONDS,
            "is_parallelizable": True,
            "has_deaths": len(sides.red) > 1,
            "has_masks": False,
            "team_reward": "shared",
        }
        n, red = len(self.aircraft), len(sides.red)
        self._red, self._blue = range(red), range(red, n)
        self._order = [
            [k for k in team if k != ego] + list(enemies)
            for team, enemies in ((self._red, self._blue), (self._blue, self._red))
            for ego in team
        ]
        size = observation_size(n)
        self._observation_space = spaces.Box(-LIMIT, LIMIT, (size,), np.float32)
        self.state_space = spaces.Box(-LIMIT, LIMIT, (n * size,), np.float32)
        self._action_space = action_space(controls)
        self._sizes = self._action_space.nvec.tolist()
        self._begin()

    def observation_space(self, agent: str) -> spaces.Box:
        """See `masoft.envs.lag.observation.observe`."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.MultiDiscrete:
        """See ``controls``."""
        return self._action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode; the seed is accepted and changes nothing."""
        for aircraft, pilot in zip(self.aircraft, self._pilots, strict=True):
            aircraft.reset()
            pilot.reset()
        self._begin()
        self.agents = self.possible_agents[:]
        return self._reports(self._red), {agent: self._info(False) for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Answer:
        """Fly 0.2 s.

        Raises:
            EnvironmentFault: the episode has ended, or an action lies outside its space.
        """
        if not self.agents:
            got, must = "one that has ended", "running when step is called"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        acted = [k for k in self._red if self.flying[k]]
        names = [self.aircraft[k].name for k in acted]
        chosen = [choices(name, actions[name], self._sizes) for name in names]
        self._actions.append(chosen)
        self._move(dict(zip(acted, chosen, strict=True)))
        reward, terms = self._reward(acted)
        crashed = self._find_crashes()
        if crashed and self.variant == "corrected":
            reward += CRASH_REWARD * len(crashed.intersection(acted)) / len(self._red)
        won = not any(self.flying[len(self._red) :])
        is_late = len(self._actions) >= self.max_steps
        terminated, truncated, infos = {}, {}, {}
        for name, k in zip(names, acted, strict=True):
            terminated[name] = is_over = won or k in crashed
            truncated[name] = is_cut = is_late and not is_over
            infos[name] = {**self._info(won, truncated=is_cut), **terms[k]}
        self.agents = [name for name in names if not (terminated[name] or truncated[name])]
        return self._reports(acted), dict.fromkeys(names, reward), terminated, truncated, infos

    def state(self) -> NDArray[np.float32]:
        """The observations of all aircraft in a row, the opponents' included."""
        return self._observations.reshape(-1)

    def get_snapshot(self) -> dict[str, Any]:
        """The actions of the running episode, see `masoft.envs.snapshot`: flown again, they lead to the same place."""
        return {"actions": [[list(action) for action in step] for step in self._actions], "is_over": not self.agents}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.reset()
        for step in values["actions"]:
            self.step(dict(zip(self.agents, map(np.asarray, step), strict=True)))
        if values["is_over"]:  # also where nobody has called reset yet
            self.agents = []

    def save_acmi(self, path: str | Path) -> Path:
        """Write the flight so far as a file that Tacview shows; see `masoft.envs.lag.acmi.write_acmi`."""
        return write_acmi(self.recording, path)

    def render(self) -> NDArray[np.uint8] | None:
        """The flight so far as a picture (height, width, 3), or None without a render mode."""
        if self.render_mode is None:
            return None
        from masoft.envs.lag.plot import draw_to_array

        return draw_to_array(self.recording)

    def plot(self, path: str | Path | None = None) -> Any:
        """The flight so far, from above and by height, as a matplotlib figure; also saved where a path is given."""
        from masoft.envs.lag.plot import draw

        figure = draw(self.recording)
        if path is not None:
            figure.savefig(path)
        return figure

    def close(self) -> None:
        """There is nothing to release."""

    def _begin(self) -> None:
        self.flying = [True] * len(self.aircraft)
        self.crashes: dict[str, str] = {}
        self._actions: list[list[list[int]]] = []
        self.recording = Recording({c.name: "Red" if k in self._red else "Blue" for k, c in enumerate(self.aircraft)})
        self._look()
        self._potential = {k: posture_potential(self._relations, k, self._blue) for k in self._red}

    def _move(self, chosen: dict[int, list[int]]) -> None:
        """All decide on what they see now; then those that fly move."""
        states = self._states
        orders = {k: self._controls_of(k, action) for k, action in chosen.items()}
        for k in self._blue:
            if self.flying[k]:
                orders[k] = self._pilots[k].controls(self._opponents_command(k, states), states[k])
        for k, controls in orders.items():
            self.aircraft[k].fly(controls)
        self._look()

    def _controls_of(self, k: int, action: list[int]) -> Controls:
        if self.controls == "direct":
            return to_controls(action)
        return self._pilots[k].controls(to_command(action), self.aircraft[k].state)

    def _opponents_command(self, k: int, states: list[AircraftState]) -> Command:
        if self.opponent == "level":
            return Command()
        prey = choose_prey(states[k], states[: len(self._red)], self.flying[: len(self._red)], variant=self.variant)
        return pursue(states[k], prey)

    def _look(self) -> None:
        """Relations, observations and the recording of where everybody is now."""
        self._states = states = [aircraft.state for aircraft in self.aircraft]
        self._relations = relate_states(states, variant=self.variant)
        self._observations = observe(states, self._relations, self._order)
        self.recording.add(states, self.flying)

    def _reward(self, acted: list[int]) -> tuple[float, dict[int, dict[str, float]]]:
        """The mean over the team, in which those that have crashed count 0, and each one's terms."""
        terms, total = {}, 0.0
        for k in acted:
            state, before = self.aircraft[k].state, self._potential[k]
            self._potential[k] = now = posture_potential(self._relations, k, self._blue)
            low, better = height(state.position[2], state.velocity[2]), posture(before, now)
            terms[k] = {"height": low, "posture": better}
            total += low + better
        return total / len(self._red), terms

    def _find_crashes(self) -> set[int]:
        """Those that are lost in this step."""
        found = set()
        for k, aircraft in enumerate(self.aircraft):
            reason = crash_reason(aircraft.state) if self.flying[k] else None
            if reason is not None:
                found.add(k)
                self.flying[k] = False
                self.crashes[aircraft.name] = reason
        return found

    def _info(self, won: bool, *, truncated: bool = False) -> dict[str, Any]:
        return {"crashes": dict(self.crashes), "win": won, "is_success": won, "truncated": truncated}

    def _reports(self, who: Any) -> dict[str, NDArray[np.float32]]:
        return {self.aircraft[k].name: self._observations[k].copy() for k in who}
