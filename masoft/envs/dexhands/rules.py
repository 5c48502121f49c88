"""What each task pays, when it counts as solved, and when it is lost. Distances in metres, angles in radians.

The formulas are functions of plain numbers; a rule measures the numbers in a running scene.

Reference:
    Chen et al., Towards Human-Level Bimanual Dexterous Manipulation with Reinforcement Learning, 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from masoft.envs.dexhands.geometry import Vector, angle_between


class Verdict(NamedTuple):
    """One step, judged.

    Args:
        reward: of the team.
        solved: the task's aim is reached at this moment.
        lost: the episode ends here.
    """

    reward: float
    solved: bool
    lost: bool


class Measured(Protocol):
    """What a rule may ask of a running scene; positions as lists of three numbers, quaternions of four."""

    def position(self, thing: int) -> list[float]:
        """Of a thing's body."""

    def rotation(self, thing: int) -> list[float]:
        """Of a thing's body."""

    def goal_position(self, thing: int) -> list[float]:
        """Where a thing should go."""

    def goal_rotation(self, thing: int) -> list[float]:
        """How a thing should be turned."""

    def palms(self) -> list[list[float]]:
        """The points in front of the palms, right and left."""

    def bodies(self, which: str) -> list[list[float]]:
        """Right and left ``"base"`` or ``"palm"``."""

    def handles(self) -> list[list[float]]:
        """The right and the left handle of the first thing."""

    def reaches(self) -> list[float]:
        """For each hand the sum over its five fingers of the distance to its handle."""


def toss_reward(distance: float, angle: float, scale: float) -> float:
    """``exp(-0.2 (scale distance + angle))``: 1 at the goal, little of it a hand's breadth away."""
    return math.exp(-0.2 * (scale * distance + angle))


def lift_reward(right: float, left: float, to_goal: float) -> float:
    """Palms near the handles; once both are within 8 cm, the pot near its goal.

    Args:
        right, left: from each palm to its handle.
        to_goal: from the pot to its goal.
    """
    bonus = 3 * (0.385 - to_goal) if right < 0.08 and left < 0.08 else 0.0
    return 0.2 - right - left + bonus


def pen_reward(right: float, left: float, apart: float) -> float:
    """Fingers near the grips; once both hands are there, the grips far apart.

    Args:
        right, left: sums over five fingers of the distance to the hand's grip.
        apart: between the two grips.
    """
    bonus = 5 * apart - 0.8 if right < 0.75 and left < 0.75 else 0.0
    return math.exp(-10 * right) + math.exp(-10 * left) + bonus


def open_reward(right: float, left: float, apart: float) -> float:
    """Fingers near the handles; once both hands are there, the handles far apart.

    Args:
        right, left: sums over five fingers of the distance to the hand's handle.
        apart: between the handles, along y.
    """
    return 2 - right - left + (2 * apart if right < 0.5 and left < 0.5 else 0.0)


def close_reward(right: float, left: float, apart: float) -> float:
    """As `open_reward`, but the handles should come together."""
    return 2 - right - left + (1 - 2 * apart if right < 0.5 and left < 0.5 else 0.0)


@dataclass(frozen=True)
class Toss:
    """Each egg to its goal: paid for place and rotation, solved where the distances sum up to little.

    Args:
        scale: how steeply distance counts, 1/m.
        lowest: height at which an egg counts as dropped.
        leashed: ``"base"`` or ``"palm"``: that part of each hand must stay within 10 cm of ``posts``.
        posts: right and left.
        eggs: how many.
    """

    scale: float
    lowest: float = 0.2
    leashed: str | None = None
    posts: tuple[Vector, Vector] | None = None
    eggs: int = 1

    def __call__(self, scene: Measured) -> Verdict:
        """Judge the present moment."""
        reward, far, lost = 0.0, 0.0, False
        for egg in range(self.eggs):
            position = scene.position(egg)
            distance = math.dist(position, scene.goal_position(egg))
            reward += toss_reward(distance, angle_between(scene.rotation(egg), scene.goal_rotation(egg)), self.scale)
            far += distance
            lost = lost or position[2] <= self.lowest
        if self.leashed and self.posts:
            parts = scene.bodies(self.leashed)
            lost = lost or any(math.dist(part, post) >= 0.1 for part, post in zip(parts, self.posts, strict=True))
        return Verdict(reward, far < 0.03 * self.eggs, lost)


@dataclass(frozen=True)
class Lift:
    """The pot up to its goal; lost where it falls below the table top or a palm leaves its handle."""

    def __call__(self, scene: Measured) -> Verdict:
        """Judge the present moment."""
        right, left = map(math.dist, scene.palms(), scene.handles())
        position = scene.position(0)
        to_goal = math.dist(position, scene.goal_position(0))
        lost = position[2] <= 0.3 or right >= 0.2 or left >= 0.2
        return Verdict(lift_reward(right, left, to_goal), to_goal < 0.05, lost)


@dataclass(frozen=True)
class PullApart:
    """The pen's cap off, the grips 30 cm apart."""

    def __call__(self, scene: Measured) -> Verdict:
        """Judge the present moment."""
        right, left = scene.reaches()
        apart = math.dist(*scene.handles())
        return Verdict(pen_reward(right, left, apart), 5 * apart > 1.5, right >= 1.5 or left >= 1.5)


@dataclass(frozen=True)
class Swing:
    """Both leaves of the door open or shut: the handles more or less than half a metre apart along y.

    Args:
        opening: True to open, False to close.
    """

    opening: bool

    def __call__(self, scene: Measured) -> Verdict:
        """Judge the present moment."""
        right, left = scene.reaches()
        handles = scene.handles()
        apart = abs(handles[0][1] - handles[1][1])
        reward = (open_reward if self.opening else close_reward)(right, left, apart)
        solved = apart > 0.5 if self.opening else apart < 0.5
        return Verdict(reward, solved, right >= 1.5 or left >= 1.5)


Rule: TypeAlias = Toss | Lift | PullApart | Swing
