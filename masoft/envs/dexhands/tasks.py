"""The nine tasks of the paper's Table 20, as data: where hands and things start, what is paid, how long it lasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from types import MappingProxyType

from masoft.envs.dexhands.geometry import Vector
from masoft.envs.dexhands.hand import FreeBase, Placement
from masoft.envs.dexhands.objects import Doors, Egg, Pen, Pot, Table, Thing
from masoft.envs.dexhands.rules import Lift, PullApart, Rule, Swing, Toss


@dataclass(frozen=True)
class Camera:
    """Where pictures are taken from: MuJoCo's free camera.

    Args:
        lookat: the point in the middle.
        distance: from it, metres.
        azimuth: degrees.
        elevation: degrees, negative from above.
    """

    lookat: Vector
    distance: float = 1.15
    azimuth: float = 20.0
    elevation: float = -25.0


@dataclass(frozen=True)
class Task:
    """One task.

    Args:
        steps: length of an episode, at 60 steps a second.
        hands: the right and the left hand.
        things: what is handled.
        rule: what is paid.
        base: motors of the hands' bases; None: the bases are fixed.
        tables: what things lie on.
        noise: half width of the things' start, metres.
        joint_noise: fraction of each joint's range that its start is drawn from, around 0.
        random_rotation: draw the rotations of things and goals anew in each episode.
        camera: for pictures.
    """

    steps: int
    hands: tuple[Placement, Placement]
    things: tuple[Thing, ...]
    rule: Rule
    base: FreeBase | None = None
    tables: tuple[Table, ...] = ()
    noise: float = 0.0
    joint_noise: float = 0.0
    random_rotation: bool = False
    camera: Camera = Camera((0, -0.5, 0.5))

    @property
    def n_actions(self) -> int:
        """Numbers in each hand's action."""
        return 20 if self.base is None else 26


def _push(force: float, torque: float) -> FreeBase:
    """The original scales by the control period: 1e5 N and 1e3 Nm times 1/60."""
    return FreeBase(force * 1e5 / 60, torque * 1e3 / 60)


def _facing(x: float, y: float) -> tuple[Placement, Placement]:
    """Hands in front of a door, fingers along -x, palms towards each other."""
    return Placement((x, y, 0.6), (pi, 1.57, 1.57)), Placement((x, -y, 0.6), (pi, -1.57, 1.57))


_DOOR_VIEW = Camera((0.15, 0, 0.65), distance=1.7, azimuth=-150, elevation=-25)

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "ShadowHandOver": Task(
            steps=75,
            hands=(Placement((0, 0, 0.5)), Placement((0, -1, 0.5), (0, 0, pi))),
            things=(Egg((0, -0.39, 0.54), (0, -0.64, 0.54)),),
            rule=Toss(50),
            noise=0.01,
            joint_noise=0.2,
            random_rotation=True,
        ),
        "ShadowHandCatchOver2Underarm": Task(
            steps=75,
            hands=(Placement((0, 0, 0.5), (1.67, 3.14, 0)), Placement((0, -0.8, 0.5), (0, 0, pi))),
            things=(Egg((0, 0.05, 1.0), (0, -0.4, 0.55)),),
            rule=Toss(20, lowest=0.3, leashed="base", posts=((0, 0, 0.5), (0, -0.8, 0.5))),
            base=_push(0.1, 2),
            random_rotation=True,
            camera=Camera((0, -0.3, 0.68), distance=1.45),
        ),
        "ShadowHandCatchAbreast": Task(
            steps=150,
            hands=(Placement((0, -0.55, 0.5), (0, 0.3925, -1.57)), Placement((0, -1.15, 0.5), (0, -0.3925, -1.57))),
            things=(Egg((-0.39, -0.55, 0.54), (-0.39, -1.15, 0.54)),),
            rule=Toss(50, leashed="palm", posts=((-0.3, -0.55, 0.5), (-0.3, -1.15, 0.5))),
            base=_push(0.5, 1),
            random_rotation=True,
            camera=Camera((-0.2, -0.85, 0.5), azimuth=60, elevation=-30),
        ),
        "ShadowHandTwoCatchUnderarm": Task(
            steps=75,
            hands=(Placement((0, 0, 0.5)), Placement((0, -1.15, 0.5), (0, 0, pi))),
            things=(
                Egg((0, -0.39, 0.54), (0, -0.79, 0.54)),
                Egg((0, -0.78, 0.54), (0, -0.38, 0.54)),
            ),
            rule=Toss(50, eggs=2),
            base=_push(0.05, 0.5),
            noise=0.01,
            joint_noise=0.2,
            random_rotation=True,
            camera=Camera((0, -0.575, 0.5), distance=1.3),
        ),
        "ShadowHandLiftUnderarm": Task(
            steps=500,
            hands=(Placement((0, 0.05, 0.45)), Placement((0, -1.25, 0.45), (0, 0, pi))),
            things=(Pot((0, -0.6, 0.45), (0, -0.6, 0.85)),),
            rule=Lift(),
            base=_push(0.25, 1),
            tables=(Table((0.3, 0.3, 0.4), (0, -0.6)),),
            camera=Camera((0, -0.6, 0.6), distance=1.6, elevation=-18),
        ),
        "ShadowHandPen": Task(
            steps=125,
            hands=(Placement((0.55, 0.2, 0.8), (pi, 0, 1.57)), Placement((0.55, -0.2, 0.8), (pi, 0, 1.57))),
            things=(Pen((0, 0, 0.613)),),
            rule=PullApart(),
            base=_push(0.5, 0.1),
            tables=(Table((0.5, 1.0, 0.6)),),
            camera=Camera((0.2, 0, 0.7), azimuth=-140, elevation=-45),
        ),
        "ShadowHandDoorOpenOutward": Task(
            steps=250,
            hands=_facing(0.55, 0.2),
            things=(Doors(inward=False),),
            rule=Swing(opening=True),
            base=_push(0.5, 0.5),
            camera=_DOOR_VIEW,
        ),
        "ShadowHandDoorOpenInward": Task(
            steps=250,
            hands=_facing(0.55, 0.2),
            things=(Doors(inward=True),),
            rule=Swing(opening=True),
            base=_push(0.5, 0.5),
            camera=_DOOR_VIEW,
        ),
        "ShadowHandDoorCloseInward": Task(
            steps=250,
            hands=_facing(0.9, 0.5),
            things=(Doors(inward=True, angle=1.57),),
            rule=Swing(opening=False),
            base=_push(0.5, 0.5),
            camera=Camera((0.3, 0, 0.65), distance=2.0, azimuth=-150, elevation=-25),
        ),
    }
)
"""By their names in Table 20."""
