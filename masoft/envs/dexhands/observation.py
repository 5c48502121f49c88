"""The team's state: both hands' blocks and the things' blocks in a row. Most of it is read by MuJoCo's own sensors.

A hand's block: 24 joint positions scaled to [-1, 1] by their limits; 24 velocities times 0.2; 24 motor torques times
10; 5 fingertips with position, rotation (quaternion), velocity and angular velocity; 5 fingertips' forces and torques
times 10; where the base is free, its position and its rotation since the start (axis times angle); its last action.
A thing's block: position, rotation, velocity, angular velocity times 0.2; then its goal's position and rotation and
the rotation between, or its right and left handles' positions. All is clipped to [-5, 5]. SI units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.envs.dexhands import hand
from masoft.envs.dexhands.geometry import inverse, product, rotation_vector
from masoft.envs.dexhands.objects import SIDES
from masoft.envs.dexhands.tasks import Task

LIMIT = 5.0


@dataclass(frozen=True)
class Sensor:
    """One sensor of the model.

    Args:
        kind: MuJoCo's name of it.
        of: what it is mounted on: ``"JOINT"``, ``"XBODY"`` or ``"SITE"``.
        name: of that.
        size: numbers that it gives.
        scale: its place in the state is multiplied by this.
    """

    kind: str
    of: str
    name: str
    size: int
    scale: float = 1.0

    @property
    def id(self) -> str:
        """Its name in the model."""
        return f"{self.kind} of {self.name}"


@dataclass(frozen=True)
class Block:
    """A stretch of the state that no sensor gives.

    Args:
        name: what it is, for example ``"right/action"``.
        size: its length.
    """

    name: str
    size: int


def layout(task: Task) -> Iterator[Sensor | Block]:
    """What the state consists of, in order."""
    for side in SIDES:
        yield from _hand_layout(task, side)
    for number, thing in enumerate(task.things):
        name = f"thing{number}"
        yield from _pose_layout(name, 0.2)
        if thing.handles:
            yield from (Sensor("FRAMEPOS", "SITE", f"{name}/{side}", 3) for side in SIDES)
        else:
            yield from (Sensor("FRAMEPOS", "XBODY", f"{name}/goal", 3), Sensor("FRAMEQUAT", "XBODY", f"{name}/goal", 4))
            yield Block(f"{name}/to goal", 4)


def add_sensors(scene: Any, task: Task) -> None:
    """Put all of them into a scene under construction."""
    import mujoco

    for part in layout(task):
        if isinstance(part, Sensor):
            kind = getattr(mujoco.mjtSensor, f"mjSENS_{part.kind}")
            of = getattr(mujoco.mjtObj, f"mjOBJ_{part.of}")
            scene.add_sensor(name=part.id, type=kind, objtype=of, objname=part.name)


class StateReader:
    """Reads the state out of a running simulation.

    Args:
        task: what runs.
        model: made by `masoft.envs.dexhands.scene.build_model`.
        data: its ``mujoco.MjData``.
    """

    def __init__(self, task: Task, model: Any, data: Any) -> None:
        self._sensed, self._quaternions = data.sensordata, data.xquat
        slots: list[int] = []
        sources: list[int] = []
        scales: list[float] = []
        offsets: list[float] = []
        self.slices: dict[str, slice] = {}
        end = 0
        for part in layout(task):
            start, end = end, end + part.size
            if isinstance(part, Block):
                self.slices[part.name] = slice(start, end)
                continue
            source = int(model.sensor(part.id).adr[0])
            scale, offset = _scaling(model, part)
            slots += range(start, end)
            sources += range(source, source + part.size)
            scales += [scale] * part.size
            offsets += [offset] * part.size
        self.size = end
        self._slots, self._sources = np.array(slots), np.array(sources)
        self._scales, self._offsets = np.array(scales), np.array(offsets)
        self._bases = [
            (self.slices[f"{side}/rotation"], model.body(f"{side}/base").id, inverse(placement.rotation))
            for side, placement in zip(SIDES, task.hands, strict=True)
            if task.base
        ]
        self._goals = [
            (self.slices[f"thing{n}/to goal"], model.body(f"thing{n}").id, model.body(f"thing{n}/goal").id)
            for n, thing in enumerate(task.things)
            if not thing.handles
        ]

    def read(self, right: NDArray[np.float64], left: NDArray[np.float64]) -> NDArray[np.float32]:
        """The state at this moment.

        Args:
            right, left: the hands' last actions, in [-1, 1].

        Returns:
            (size,), fresh.
        """
        state = np.empty(self.size)
        state[self._slots] = self._sensed[self._sources] * self._scales + self._offsets
        state[self.slices["right/action"]], state[self.slices["left/action"]] = right, left
        for place, base, start in self._bases:
            state[place] = rotation_vector(product(self._quaternions[base].tolist(), start))
        for place, thing, goal in self._goals:
            turned = self._quaternions[thing].tolist()
            state[place] = product(turned, inverse(self._quaternions[goal].tolist()))
        return state.clip(-LIMIT, LIMIT).astype(np.float32)

    def indices(self, side: str, task: Task) -> tuple[int, ...]:
        """What one hand sees: its own block and the things' blocks."""
        each = self.slices["right/action"].stop
        own = range(each) if side == "right" else range(each, 2 * each)
        return (*own, *range(2 * each, self.size))


def _hand_layout(task: Task, side: str) -> Iterator[Sensor | Block]:
    joints = hand.joint_names(side)
    for kind, scale in (("JOINTPOS", 1.0), ("JOINTVEL", 0.2), ("JOINTACTFRC", 10.0)):
        yield from (Sensor(kind, "JOINT", joint, 1, scale) for joint in joints)
    for tip in hand.tip_bodies(side):
        yield from _pose_layout(tip, 1.0)
    for tip in hand.tip_sites(side):
        yield from (Sensor("FORCE", "SITE", tip, 3, 10.0), Sensor("TORQUE", "SITE", tip, 3, 10.0))
    if task.base:
        yield Sensor("FRAMEPOS", "XBODY", hand.mount_body(side), 3)
        yield Block(f"{side}/rotation", 3)
    yield Block(f"{side}/action", task.n_actions)


def _pose_layout(body: str, turn_scale: float) -> Iterator[Sensor]:
    yield Sensor("FRAMEPOS", "XBODY", body, 3)
    yield Sensor("FRAMEQUAT", "XBODY", body, 4)
    yield Sensor("FRAMELINVEL", "XBODY", body, 3)
    yield Sensor("FRAMEANGVEL", "XBODY", body, 3, turn_scale)


def _scaling(model: Any, sensor: Sensor) -> tuple[float, float]:
    """Factor and summand; joint positions are scaled by their limits."""
    if sensor.kind != "JOINTPOS":
        return sensor.scale, 0.0
    low, high = model.joint(sensor.name).range
    return float(2 / (high - low)), float(-(high + low) / (high - low))


__all__ = ["LIMIT", "Block", "Sensor", "StateReader", "add_sensors", "layout"]
