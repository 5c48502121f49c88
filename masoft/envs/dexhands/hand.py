"""The Shadow Hand that gymnasium-robotics ships, as a part that can be put into a scene twice.

The hand's meshes and joints stay in that package; here they are only read. What changes: the hand floats where the
task puts it, gravity does not pull on it, and the tendons that cannot tighten within the joints' ranges are left out
(they cost time and do nothing; the ones that couple the last two joints of a finger stay).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.envs.dexhands.geometry import Quaternion, Vector, about, from_euler, product
from masoft.errors import MissingDependencyError

FINGERS = ("ff", "mf", "rf", "lf", "th")
"""First, middle, ring and little finger, thumb."""

N_JOINTS, N_MOTORS = 24, 20

_OWN = "robot0:"
_FILE_ROTATION = product(about("x", 1.5708), about("z", 3.14159))
"""How the hand's file turns it: fingers along -y, palm up."""
_COLOURS = {"right": (0.62, 0.7, 0.85, 1), "left": (0.88, 0.72, 0.6, 1)}
_PALM_POINT: Vector = (0.0, -0.02, 0.08)
_FINGER_POINT: Vector = (0.0, 0.0, 0.02)


@dataclass(frozen=True)
class Placement:
    """Where a hand's mount starts.

    Args:
        position: metres.
        euler: roll, pitch, yaw in radians; zeros: fingers along -y, palm up.
    """

    position: Vector
    euler: Vector = (0.0, 0.0, 0.0)

    @property
    def rotation(self) -> Quaternion:
        """The same as a quaternion."""
        return from_euler(*self.euler)


@dataclass(frozen=True)
class FreeBase:
    """A base that six motors push through thick air, so that a constant push means a constant speed.

    Args:
        force: newtons along each axis of the world at full action.
        torque: newton metres about each axis of the world at full action.
        drag: drag over mass and over inertia, 1/s. 600 gives the speed that damping 100 gives in the original's
            engine, where each step of 1/120 s multiplies speed by ``1 - 100 / 120``.
    """

    force: float
    torque: float
    drag: float = 600.0


@dataclass(frozen=True)
class MassProperties:
    """Of a whole flat hand, in the axes of its mount before `Placement` turns it.

    Args:
        mass: kg.
        centre: (3,), of mass, metres from the mount.
        inertia: (3,), about the centre of mass, kg m^2.
    """

    mass: float
    centre: NDArray[np.float64]
    inertia: NDArray[np.float64]


def add_hand(scene: Any, side: str, placement: Placement, base: FreeBase | None, *, visual: bool) -> None:
    """Put a hand into a scene.

    Args:
        scene: the ``mujoco.MjSpec`` under construction.
        side: ``"right"`` or ``"left"``, which prefixes the hand's names with ``"right/"`` or ``"left/"``. Both are
            right hands, as in the original.
        placement: where it starts.
        base: None fixes it there.
        visual: keep the meshes that are only looked at.
    """
    import mujoco

    centre = mass_properties().centre if base else np.zeros(3)
    body = scene.worldbody.add_body(name=f"{side}/base", quat=placement.rotation)
    body.pos = np.add(placement.position, _turned(placement.rotation, centre))
    frame = body.add_frame(pos=-centre, quat=_FILE_ROTATION)
    hand = _hand(visual=visual)
    _set_apart(hand, side)
    frame.attach_body(hand.body(_OWN + "hand mount"), f"{side}/", "")
    if base is None:
        return
    body.add_joint(name=f"{side}/free", type=mujoco.mjtJoint.mjJNT_FREE)
    for index, strength in enumerate([base.force] * 3 + [base.torque] * 3):
        gear = np.zeros(6)
        gear[index] = strength
        motor = scene.add_actuator(name=f"{side}/base{index}", target=f"{side}/free", gear=gear)
        motor.trntype = mujoco.mjtTrn.mjTRN_JOINTINPARENT  # torques about the world's axes, not the hand's
        motor.ctrllimited, motor.ctrlrange = True, (-1.0, 1.0)


def add_drag(model: Any, side: str, base: FreeBase) -> None:
    """Slow a free base in a compiled model; a joint's own description has one number for all six directions."""
    found = mass_properties()
    start = int(model.joint(f"{side}/free").dofadr[0])
    model.dof_damping[start : start + 3] = base.drag * found.mass
    model.dof_damping[start + 3 : start + 6] = base.drag * found.inertia


@cache
def mass_properties() -> MassProperties:
    """Of the hand in its package, all joints at zero."""
    import mujoco

    spec = _hand(visual=False)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    mount = model.body(_OWN + "hand mount").id
    parts = [body for body in range(model.nbody) if model.body_rootid[body] == mount]
    mass = float(model.body_mass[parts].sum())
    centre = model.body_mass[parts] @ data.xipos[parts] / mass
    inertia = np.zeros((3, 3))
    for body in parts:
        axes, arm = data.ximat[body].reshape(3, 3), data.xipos[body] - centre
        inertia += axes @ np.diag(model.body_inertia[body]) @ axes.T
        inertia += model.body_mass[body] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    numbers = np.zeros(9)
    mujoco.mju_quat2Mat(numbers, np.array(_FILE_ROTATION))
    turn = numbers.reshape(3, 3)
    return MassProperties(mass, turn @ centre, np.diag(turn @ inertia @ turn.T).copy())


def joint_names(side: str) -> list[str]:
    """The 24 finger and wrist joints, in the file's order."""
    fingers = [(finger.upper(), 5 if finger in ("lf", "th") else 4) for finger in FINGERS]
    names = ["WRJ1", "WRJ0"] + [f"{finger}J{n}" for finger, count in fingers for n in reversed(range(count))]
    return [f"{side}/{_OWN}{name}" for name in names]


def motor_names(side: str) -> list[str]:
    """The 20 joint motors, in the order of the action: all joints but the last one of each of the four fingers."""
    last = {"FFJ0", "MFJ0", "RFJ0", "LFJ0"}
    names = [name.removeprefix(f"{side}/{_OWN}") for name in joint_names(side)]
    return [f"{side}/{_OWN}A_{name}" for name in names if name not in last]


def tip_bodies(side: str) -> list[str]:
    """The last link of each finger, in the order of `FINGERS`."""
    return [f"{side}/{_OWN}{finger}distal" for finger in FINGERS]


def tip_sites(side: str) -> list[str]:
    """The very ends of the fingers."""
    return [f"{side}/{_OWN}S_{finger}tip" for finger in FINGERS]


def finger_points(side: str) -> list[str]:
    """Sites 2 cm into each last link, which rewards measure from."""
    return [f"{side}/point_{finger}" for finger in FINGERS]


def palm_point(side: str) -> str:
    """The site in front of the palm, which rewards measure from."""
    return f"{side}/point_palm"


def palm_body(side: str) -> str:
    """The palm."""
    return f"{side}/{_OWN}palm"


def mount_body(side: str) -> str:
    """What carries the forearm; its place is the base's place."""
    return f"{side}/{_OWN}hand mount"


def _hand(*, visual: bool) -> Any:
    """A fresh description of one hand at the origin."""
    import mujoco

    hand = mujoco.MjSpec.from_file(str(_file()))
    for size in ("njmax", "nconmax", "nuser_jnt", "nuser_site", "nuser_tendon", "nuser_actuator", "nuser_sensor"):
        setattr(hand, size, -1)  # as in a scene of ours, else MuJoCo warns that they differ
    hand.option.iterations = 100
    mount = hand.body(_OWN + "hand mount")
    mount.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    mount.pos, mount.quat = (0, 0, 0), (1, 0, 0, 0)
    for body in hand.bodies:
        body.gravcomp = 1.0
    slack = [tendon for tendon in hand.tendons if not tendon.name.endswith("J1c")]
    seen = [] if visual else [geom for geom in hand.geoms if geom.name.startswith(_OWN + "V_")]
    for element in (*hand.sensors, *slack, *seen):
        hand.delete(element)
    if not visual:
        for mesh in [mesh for mesh in hand.meshes if mesh.name != _OWN + "forearm_cvx"]:
            hand.delete(mesh)
    hand.body(_OWN + "palm").add_site(name="point_palm", pos=_PALM_POINT, group=4)
    for finger in FINGERS:
        hand.body(f"{_OWN}{finger}distal").add_site(name=f"point_{finger}", pos=_FINGER_POINT, group=4)
    return hand


def _set_apart(hand: Any, side: str) -> None:
    """Colours, and who collides: links of different hands do; within a hand only the pairs that its file lists."""
    for geom in hand.geoms:
        if geom.name.startswith(_OWN + "C_"):
            geom.contype, geom.conaffinity = (1, 4) if side == "right" else (5, 0)
        elif geom.name.startswith(_OWN + "V_"):
            geom.material, geom.rgba = "", _COLOURS[side]


def _turned(rotation: Quaternion, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    import mujoco

    turned = np.zeros(3)
    mujoco.mju_rotVecQuat(turned, vector, np.array(rotation))
    return turned


def _file() -> Path:
    """The hand's description, found without importing its package, which registers its own environments."""
    found = importlib.util.find_spec("gymnasium_robotics")
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError(
            'The Shadow Hand is part of gymnasium-robotics, which is not installed. Run: pip install "masoft[dexhands]"'
        )
    return Path(found.submodule_search_locations[0]) / "envs" / "assets" / "hand" / "reach.xml"
