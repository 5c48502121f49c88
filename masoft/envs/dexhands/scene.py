"""A task as a MuJoCo model, and the measurements that rules and observations take in it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.envs.dexhands import hand
from masoft.envs.dexhands.objects import SIDES, Egg, Pot, add_floor
from masoft.envs.dexhands.observation import add_sensors
from masoft.envs.dexhands.tasks import Task

TIMESTEP, SUBSTEPS = 1 / 120, 2
"""Simulation steps of 1/120 s, two a control step: 60 Hz, as in the original."""

ITERATIONS = 20
"""Of the contact solver at most; it needs two or three, and a hand squeezing a thing up to ten."""


@lru_cache(maxsize=32)
def build_model(task: Task, *, visual: bool) -> Any:
    """The compiled model of a task; shared by all environments that run it, so it must not be changed.

    Args:
        task: what to build.
        visual: keep what is only looked at; it changes nothing else.
    """
    import mujoco

    scene = mujoco.MjSpec()
    scene.compiler.degree = False
    _dress(scene)
    for side, placement in zip(SIDES, task.hands, strict=True):
        hand.add_hand(scene, side, placement, task.base, visual=visual)
    for table in task.tables:
        table.build(scene)
    for number, thing in enumerate(task.things):
        thing.build(scene, f"thing{number}")
    add_floor(scene)
    add_sensors(scene, task)
    model = scene.compile()
    _choose_solver(model.opt)
    if task.base:
        for side in SIDES:
            hand.add_drag(model, side, task.base)
    return model


class Measurements:
    """Reads where things are in the data of a running simulation. Implements `masoft.envs.dexhands.rules.Measured`.

    Args:
        task: what runs.
        model: made by `build_model`.
        data: its ``mujoco.MjData``.
    """

    def __init__(self, task: Task, model: Any, data: Any) -> None:
        self._positions, self._rotations, self._sites = data.xpos, data.xquat, data.site_xpos
        names = [f"thing{number}" for number in range(len(task.things))]
        self._things = [model.body(name).id for name in names]
        has_goal = [isinstance(thing, Egg | Pot) for thing in task.things]
        self._goals = [model.body(f"{name}/goal").id for name, has in zip(names, has_goal, strict=True) if has]
        self._palms = [model.site(hand.palm_point(side)).id for side in SIDES]
        self._parts = {
            "base": [model.body(hand.mount_body(side)).id for side in SIDES],
            "palm": [model.body(hand.palm_body(side)).id for side in SIDES],
        }
        fingers = [[model.site(name).id for name in hand.finger_points(side)] for side in SIDES]
        self._fingers = np.array(fingers)
        self._handles = [model.site(f"thing0/{side}").id for side in SIDES] if task.things[0].handles else []

    def position(self, thing: int) -> list[float]:
        """Of a thing's body."""
        return _numbers(self._positions[self._things[thing]])

    def rotation(self, thing: int) -> list[float]:
        """Of a thing's body."""
        return _numbers(self._rotations[self._things[thing]])

    def goal_position(self, thing: int) -> list[float]:
        """Where a thing should go."""
        return _numbers(self._positions[self._goals[thing]])

    def goal_rotation(self, thing: int) -> list[float]:
        """How a thing should be turned."""
        return _numbers(self._rotations[self._goals[thing]])

    def palms(self) -> list[list[float]]:
        """The points in front of the palms, right and left."""
        return [_numbers(self._sites[site]) for site in self._palms]

    def bodies(self, which: str) -> list[list[float]]:
        """Right and left ``"base"`` or ``"palm"``."""
        return [_numbers(self._positions[body]) for body in self._parts[which]]

    def handles(self) -> list[list[float]]:
        """The right and the left handle of the first thing."""
        return [_numbers(self._sites[site]) for site in self._handles]

    def reaches(self) -> list[float]:
        """For each hand the sum over its five fingers of the distance to its handle."""
        apart = self._sites[self._fingers] - self._sites[self._handles][:, None]
        return [sum(math.sqrt(square) for square in row) for row in (apart * apart).sum(2).tolist()]


def _choose_solver(option: Any) -> None:
    import mujoco

    option.timestep, option.iterations = TIMESTEP, ITERATIONS
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # the bases' drag is stiff
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # things held do not creep
    option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)  # a diverged simulation shows, not restarts


def _dress(scene: Any) -> None:
    """Light and sky."""
    import mujoco

    scene.visual.headlight.ambient, scene.visual.headlight.diffuse = (0.5, 0.5, 0.5), (0.35, 0.35, 0.35)
    scene.visual.quality.shadowsize = 2048
    scene.visual.global_.offwidth, scene.visual.global_.offheight = 1280, 960
    scene.worldbody.add_light(pos=(0.5, 0.5, 3), dir=(-0.1, -0.2, -1), diffuse=(0.5, 0.5, 0.5))
    scene.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
                      rgb1=(0.95, 0.97, 1.0), rgb2=(0.75, 0.82, 0.9), width=64, height=384)  # fmt: skip


def _numbers(array: NDArray[np.float64]) -> list[float]:
    numbers: list[float] = array.tolist()
    return numbers


__all__ = ["ITERATIONS", "SUBSTEPS", "TIMESTEP", "Measurements", "build_model"]
