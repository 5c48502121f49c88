"""Where an episode starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from masoft.envs.dexhands import hand
from masoft.envs.dexhands.geometry import Quaternion, about, product
from masoft.envs.dexhands.objects import SIDES, Doors, Egg
from masoft.envs.dexhands.tasks import Task


class Start:
    """Draws the start of an episode.

    Args:
        task: what runs.
        model: made by `masoft.envs.dexhands.scene.build_model`.
    """

    def __init__(self, task: Task, model: Any) -> None:
        self._task = task
        joints = [model.joint(name) for side in SIDES for name in hand.joint_names(side)]
        self._joints = np.array([int(joint.qposadr[0]) for joint in joints])
        self._low, self._high = np.array([joint.range for joint in joints]).T
        self._things: list[list[int]] = []
        self._goals: list[int | None] = []
        for number, thing in enumerate(task.things):
            name = f"thing{number}"
            if isinstance(thing, Doors):
                places = [int(model.joint(f"{name}/{side}").qposadr[0]) for side in SIDES]
            else:
                first = int(model.joint(name).qposadr[0])
                places = list(range(first, first + 7))
            self._things.append(places)
            self._goals.append(int(model.body(f"{name}/goal").mocapid[0]) if isinstance(thing, Egg) else None)

    def draw(self, data: Any, generator: np.random.Generator) -> None:
        """Put things, goals and joints where the episode starts; ``data`` has just been reset."""
        task, positions = self._task, data.qpos
        for thing, places, goal in zip(task.things, self._things, self._goals, strict=True):
            if isinstance(thing, Doors):
                positions[places] = thing.angle
                continue
            positions[places[:3]] += generator.uniform(-task.noise, task.noise, 3)
            if task.random_rotation:
                positions[places[3:]] = _random_rotation(generator)
                if goal is not None:
                    data.mocap_quat[goal] = _random_rotation(generator)
        positions[self._joints] = generator.uniform(self._low, self._high) * task.joint_noise


def _random_rotation(generator: np.random.Generator) -> Quaternion:
    """``Rx(pi u) Ry(pi v)``, u and v uniform in [-1, 1]."""
    turn_x, turn_y = generator.uniform(-math.pi, math.pi, 2)
    return product(about("x", turn_x), about("y", turn_y))


__all__ = ["Start"]
