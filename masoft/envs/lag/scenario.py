"""Who flies, from where, and what the choices of an action mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from masoft.envs.lag.aircraft import Controls, Start
from masoft.envs.lag.autopilot import Command
from masoft.envs.lag.geodesy import LocalFrame
from masoft.envs.lag.rewards import SPEED_OF_SOUND
from masoft.errors import EnvironmentFault, explain

ORIGIN = LocalFrame(120.0, 60.0)

CONTROLS = ("hierarchical", "direct")

ALTITUDES = (100.0, 0.0, -100.0)
"""Choices of the first part of a hierarchical action: m."""

HEADINGS = (-math.pi / 6, -math.pi / 12, 0.0, math.pi / 12, math.pi / 6)
"""Of the second: rad."""

SPEEDS = (0.05 * SPEED_OF_SOUND, 0.0, -0.05 * SPEED_OF_SOUND)
"""Of the third: m/s."""

STICK, THROTTLE = 41, 30
"""Choices of each stick axis and of the throttle in a direct action."""


@dataclass(frozen=True)
class Scenario:
    """Two sides of equal standing.

    Args:
        red: starts of the team, by name.
        blue: of the opponents.
    """

    red: dict[str, Start]
    blue: dict[str, Start]


def _flights(side: str, latitude: float, heading: float, count: int) -> dict[str, Start]:
    """Aircraft in a line abreast, 557 m apart."""
    return {f"{side}0{k + 1}00": Start(120.0 + 0.01 * k, latitude, heading) for k in range(count)}


SCENARIOS = {
    "1v1": Scenario(_flights("A", 60.0, 0.0, 1), _flights("B", 60.1, 180.0, 1)),
    "2v2": Scenario(_flights("A", 60.0, 0.0, 2), _flights("B", 60.1, 180.0, 2)),
}
"""Head-on, 11 km apart, 20,000 ft above the sea, at 800 ft/s."""


def action_space(controls: str) -> spaces.MultiDiscrete:
    """(3, 5, 3) choices for the low-level controller, or (41, 41, 41, 30) of stick, pedals and throttle."""
    if controls == "hierarchical":
        return spaces.MultiDiscrete([len(ALTITUDES), len(HEADINGS), len(SPEEDS)])
    return spaces.MultiDiscrete([STICK, STICK, STICK, THROTTLE])


def to_command(action: Sequence[int]) -> Command:
    """What a hierarchical action asks of the low-level controller."""
    altitude, heading, speed = action
    return Command(ALTITUDES[altitude], HEADINGS[heading], SPEEDS[speed])


def to_controls(action: Sequence[int]) -> Controls:
    """Where a direct action puts aileron, elevator, rudder (-1 to 1) and throttle (0.4 to 0.9)."""
    aileron, elevator, rudder, throttle = action
    axis = (STICK - 1) / 2
    return Controls(aileron / axis - 1, elevator / axis - 1, rudder / axis - 1, 0.4 + 0.5 * throttle / (THROTTLE - 1))


def choices(agent: str, action: Any, sizes: Sequence[int]) -> list[int]:
    """An agent's action as whole numbers.

    Args:
        agent: its name, for messages.
        action: (len(sizes),), or anything that becomes such an array.
        sizes: number of choices of each part.

    Raises:
        EnvironmentFault: a part is missing, too many, out of range, or no whole number.
    """
    chosen: list[float] = (action if isinstance(action, np.ndarray) else np.asarray(action)).tolist()
    if len(chosen) != len(sizes) or any(c not in range(n) for c, n in zip(chosen, sizes, strict=True)):
        raise EnvironmentFault(explain(f"The action of {agent!r}", f"whole numbers from 0, below {sizes}", action))
    return [int(choice) for choice in chosen]
