"""The opponents: what each tells its low-level controller, five times a second."""

from __future__ import annotations

import math
from collections.abc import Sequence

from masoft.envs.lag.aircraft import AircraftState
from masoft.envs.lag.autopilot import Command
from masoft.envs.lag.geometry import bearing

OPPONENTS = ("pursue", "level")


def pursue(own: AircraftState, prey: AircraftState) -> Command:
    """Fly at another's place, at its height and speed, by the shorter turn; nothing is clipped here."""
    return Command(
        altitude=prey.position[2] - own.position[2],
        heading=bearing(own, prey),
        speed=prey.body[0] - own.body[0],
    )


def choose_prey(
    own: AircraftState, enemies: Sequence[AircraftState], flying: Sequence[bool], *, variant: str
) -> AircraftState:
    """Whom an opponent pursues.

    Args:
        own: the pursuer.
        enemies: its enemies, in team order.
        flying: which of them have not crashed.
        variant: ``"paper"``: always the first, even one that has crashed; ``"corrected"``: the nearest that flies.
    """
    living = [enemy for enemy, flies in zip(enemies, flying, strict=True) if flies]
    if variant == "paper" or not living:
        return enemies[0]
    return min(living, key=lambda enemy: math.dist(own.position, enemy.position))
