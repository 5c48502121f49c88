"""What the hands handle, made of boxes, capsules and ellipsoids; sizes in metres, densities in kg/m^3.

Who collides with whom: hands with everything but themselves, moving things also with tables, the floor and each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from masoft.envs.dexhands.geometry import Quaternion, Vector, about

_MOVING = {"contype": 2, "conaffinity": 3}
_STILL = {"contype": 0, "conaffinity": 3}
_TOUCHED_BY_HANDS = {"contype": 0, "conaffinity": 1}
_GHOST = {"contype": 0, "conaffinity": 0}

WOOD, CLAY, STEEL, SHELL = (0.65, 0.5, 0.35, 1.0), (0.75, 0.4, 0.3, 1.0), (0.55, 0.6, 0.65, 1.0), (0.95, 0.8, 0.45, 1.0)
GOAL_COLOUR = (0.3, 0.8, 0.4, 0.4)

SIDES = ("right", "left")


@dataclass(frozen=True)
class Egg:
    """An ellipsoid to throw and catch, and a ghost of it where it should go.

    Args:
        start: of its centre.
        goal: of its centre.
    """

    start: Vector
    goal: Vector
    handles = False

    def build(self, scene: Any, name: str) -> None:
        """Add the bodies ``name`` and ``name + "/goal"``."""
        body = scene.worldbody.add_body(name=name, pos=self.start)
        body.add_freejoint(name=name)
        _ellipsoid(body, density=500.0, rgba=SHELL, condim=4, **_MOVING)
        _ellipsoid(_goal(scene, name, self.goal), rgba=GOAL_COLOUR, **_GHOST)


@dataclass(frozen=True)
class Pot:
    """A pot with two bars to lift it by, right in +y and left in -y.

    Args:
        start: of its middle, which is 5 cm above its foot.
        goal: of its middle.
    """

    start: Vector
    goal: Vector
    handles = True

    def build(self, scene: Any, name: str) -> None:
        """Add the body ``name``, its goal, and the sites of its handles."""
        body = scene.worldbody.add_body(name=name, pos=self.start)
        body.add_freejoint(name=name)
        bottom = {"size": (0.11, 0.01, 0), "pos": (0, 0, -0.04)}
        body.add_geom(type=_shape("CYLINDER"), **bottom, density=1000.0, rgba=CLAY, **_MOVING)
        goal = _goal(scene, name, self.goal)
        goal.add_geom(type=_shape("CYLINDER"), size=(0.115, 0.085, 0), pos=(0, 0, 0.035), rgba=GOAL_COLOUR, **_GHOST)
        for index in range(12):
            angle = index * math.pi / 6
            wall = {"pos": (0.115 * math.cos(angle), 0.115 * math.sin(angle), 0.0375), "quat": about("z", angle)}
            body.add_geom(type=_shape("BOX"), size=(0.005, 0.031, 0.0825), **wall, density=1000.0, rgba=CLAY,
                          **_TOUCHED_BY_HANDS)  # fmt: skip
        for side, sign in zip(SIDES, (1, -1), strict=True):
            _bar(body, (-0.05, sign * 0.168, 0.06), (0.05, sign * 0.168, 0.06), 0.01)
            for x in (-0.05, 0.05):
                _bar(body, (x, sign * 0.115, 0.06), (x, sign * 0.168, 0.06), 0.008)
            body.add_site(name=f"{name}/{side}", pos=(0, sign * 0.15, 0.06), group=4)


@dataclass(frozen=True)
class Pen:
    """A pen along y whose cap, on the right hand's side, slides off.

    Args:
        start: of the point between body and cap.
    """

    start: Vector
    handles = True

    def build(self, scene: Any, name: str) -> None:
        """Add the body ``name`` with its cap, and the sites where the hands should grip."""
        body = scene.worldbody.add_body(name=name, pos=self.start)
        body.add_freejoint(name=name)
        _bar(body, (0, -0.16, 0), (0, 0.0, 0), 0.012, rgba=STEEL, density=500.0, **_MOVING)
        body.add_site(name=f"{name}/left", pos=(0, -0.07, 0), group=4)
        cap = body.add_body(name=f"{name}/cap")
        cap.add_joint(name=f"{name}/cap", type=_joint("SLIDE"), axis=(0, 1, 0), range=(0, 0.492), limited=True,
                      frictionloss=0.5, damping=1.0)  # fmt: skip
        _bar(cap, (0, 0.03, 0), (0, 0.165, 0), 0.012, rgba=CLAY, density=500.0, **_MOVING)
        cap.add_site(name=f"{name}/right", pos=(0, 0.10, 0), group=4)


@dataclass(frozen=True)
class Doors:
    """A double door in a wall across the x axis; the leaves swing to -x, or to +x if turned about.

    Args:
        inward: towards the hands, which stand in +x.
        angle: of both leaves at the start, radians.
    """

    inward: bool
    angle: float = 0.0
    handles = True

    def build(self, scene: Any, name: str) -> None:
        """Add the body ``name``, its leaves ``name + "/right"`` in +y and ``"/left"``, and the sites of the handles."""
        turn: Quaternion = about("y", math.pi if self.inward else 0.0)
        frame = scene.worldbody.add_body(name=name, pos=(0, 0, 0.7), quat=turn)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            frame.add_geom(type=_shape("BOX"), size=(0.02, 0.22, 0.45), pos=(0, sign * 0.65, 0), rgba=STEEL, **_STILL)
            leaf = frame.add_body(name=f"{name}/leaf/{side}", pos=(0, sign * 0.425, 0))
            leaf.add_joint(name=f"{name}/{side}", type=_joint("HINGE"), axis=(0, 0, -sign), range=(0, math.pi / 2),
                           limited=True, damping=0.2, armature=0.01)  # fmt: skip
            leaf.add_geom(type=_shape("BOX"), size=(0.008, 0.205, 0.45), pos=(0, -sign * 0.205, 0), density=250.0,
                          rgba=WOOD, **_TOUCHED_BY_HANDS)  # fmt: skip
            for x in (-0.035, 0.035):
                ends = [(x, -sign * 0.39, z) for z in (-0.14, 0.10)]
                _bar(leaf, ends[0], ends[1], 0.008, rgba=STEEL)
                for end in ends:
                    _bar(leaf, (0.0, *end[1:]), end, 0.008, rgba=STEEL)
            leaf.add_site(name=f"{name}/{side}", pos=(0.035, -sign * 0.39, -0.02), group=4)


Thing: TypeAlias = Egg | Pot | Pen | Doors


@dataclass(frozen=True)
class Table:
    """A box on the floor.

    Args:
        size: along x, y and z.
        at: of its middle, in x and y.
    """

    size: Vector
    at: tuple[float, float] = (0.0, 0.0)

    def build(self, scene: Any) -> None:
        """Add it to the world."""
        half = [extent / 2 for extent in self.size]
        scene.worldbody.add_geom(type=_shape("BOX"), size=half, pos=(*self.at, half[2]), rgba=WOOD, **_STILL)


def add_floor(scene: Any) -> None:
    """The ground, which everything that moves collides with."""
    floor = {"type": _shape("PLANE"), "size": (0, 0, 0.1)}
    scene.worldbody.add_geom(**floor, rgba=(0.8, 0.82, 0.85, 1), **_STILL)


def _goal(scene: Any, name: str, position: Vector) -> Any:
    """A body that nothing touches and that is put where the thing should go."""
    return scene.worldbody.add_body(name=f"{name}/goal", pos=position, mocap=True)


def _ellipsoid(body: Any, **options: Any) -> None:
    body.add_geom(type=_shape("ELLIPSOID"), size=(0.03, 0.03, 0.04), **options)


def _bar(body: Any, start: Vector, end: Vector, radius: float, **options: Any) -> None:
    """A capsule between two points."""
    options = {"rgba": CLAY, "density": 1000.0, **_TOUCHED_BY_HANDS, **options}
    body.add_geom(type=_shape("CAPSULE"), fromto=[*start, *end], size=(radius, 0, 0), **options)


def _shape(name: str) -> Any:
    import mujoco

    return getattr(mujoco.mjtGeom, f"mjGEOM_{name}")


def _joint(name: str) -> Any:
    import mujoco

    return getattr(mujoco.mjtJoint, f"mjJNT_{name}")
