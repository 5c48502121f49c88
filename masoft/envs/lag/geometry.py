"""How aircraft stand to each other: distances, the angles of courses with the line of sight, and sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import acos, copysign, pi, sqrt
from typing import NamedTuple

from masoft.envs.lag.aircraft import AircraftState
from masoft.envs.lag.geodesy import Vector

VARIANTS = ("paper", "corrected")

MARGIN = 1e-8
"""Keeps the quotients finite where an aircraft stands still or two are at one place, m^2/s."""


Table = list[list[float]]
"""One row an aircraft, one column each; plain floats, since arrays of so few numbers would be slower."""


class Relations(NamedTuple):
    """What each aircraft (row, ego) sees of each other (column); the diagonals are zero.

    Args:
        distance: m.
        angle_off: between ego's velocity and the line of sight to the other, from 0 (it flies at the other) to pi.
        aspect: between the other's velocity and the same line, from 0 (ego is behind it) to pi (it flies at ego).
        side: 1 where the other is to the right of ego's course, -1 to the left, 0 straight ahead or behind.
    """

    distance: Table
    angle_off: Table
    aspect: Table
    side: Table


def relate(positions: Sequence[Vector], velocities: Sequence[Vector]) -> Relations:
    """See `Relations`.

    Args:
        positions, velocities: of n aircraft: north, east, and a third axis that means the same in both; m and m/s.

    Example:
        >>> seen = relate([(0, 0, 0), (3000, 4000, 0)], [(200, 0, 0), (0, 100, 0)])
        >>> seen.distance[0][1], seen.side[0][1]
        (5000.0, 1.0)
        >>> round(math.cos(seen.angle_off[0][1]), 6), round(math.cos(seen.aspect[0][1]), 6)
        (0.6, 0.8)
    """
    n = len(positions)
    distance, angle_off, aspect, side = ([[0.0] * n for _ in range(n)] for _ in range(4))
    everybody = [
        (place, velocity, sqrt(velocity[0] * velocity[0] + velocity[1] * velocity[1] + velocity[2] * velocity[2]))
        for place, velocity in zip(positions, velocities, strict=True)
    ]
    for j, ((x, y, z), (vx, vy, vz), speed) in enumerate(everybody):
        for i in range(j):
            (x0, y0, z0), (ux, uy, uz), other_speed = everybody[i]
            dx, dy, dz = x - x0, y - y0, z - z0
            gap = sqrt(dx * dx + dy * dy + dz * dz)
            # i's and j's velocities with the sight from i to j; seen from j, the same line points the other way.
            cosine = (dx * ux + dy * uy + dz * uz) / (gap * other_speed + MARGIN)
            from_i = acos(cosine if -1.0 <= cosine <= 1.0 else copysign(1.0, cosine))
            cosine = (dx * vx + dy * vy + dz * vz) / (gap * speed + MARGIN)
            from_j = acos(cosine if -1.0 <= cosine <= 1.0 else copysign(1.0, cosine))
            distance[i][j] = distance[j][i] = gap
            angle_off[i][j], aspect[i][j] = from_i, from_j
            angle_off[j][i], aspect[j][i] = pi - from_j, pi - from_i
            turn = ux * dy - uy * dx
            side[i][j] = 1.0 if turn > 0 else -1.0 if turn < 0 else 0.0
            turn = vy * dx - vx * dy
            side[j][i] = 1.0 if turn > 0 else -1.0 if turn < 0 else 0.0
    return Relations(distance, angle_off, aspect, side)


def relate_states(states: Sequence[AircraftState], *, variant: str) -> Relations:
    """What aircraft see of each other.

    Args:
        states: of all aircraft.
        variant: ``"paper"``: as in the original, the third entry of positions is up and that of velocities down;
            ``"corrected"``: both are up. They differ where somebody climbs or dives.
    """
    velocities = [state.velocity for state in states]
    if variant == "corrected":
        velocities = [(north, east, -down) for north, east, down in velocities]
    return relate([state.position for state in states], velocities)


def bearing(own: AircraftState, other: AircraftState) -> float:
    """The turn, on the map, that puts ``own``'s course on ``other``: from -pi to pi, positive to the right, rad."""
    (n0, e0, _), (n1, e1, _), (north, east, _) = own.position, other.position, own.velocity
    return math.remainder(math.atan2(e1 - e0, n1 - n0) - math.atan2(east, north), math.tau)
