"""What an aircraft observes: nine numbers of its own and six of each other aircraft."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from masoft.envs.lag.aircraft import AircraftState
from masoft.envs.lag.geometry import Relations
from masoft.envs.lag.rewards import SPEED_OF_SOUND

OWN, EACH_OTHER = 9, 6
LIMIT = 10.0


def observation_size(n_aircraft: int) -> int:
    """Length of one aircraft's observation."""
    return OWN + EACH_OTHER * (n_aircraft - 1)


def own_features(state: AircraftState) -> list[float]:
    """``(altitude / 5 km, sin roll, cos roll, sin pitch, cos pitch, u, v, w, calibrated airspeed)``.

    Speeds are in units of 340 m/s.
    """
    _, _, altitude, roll, pitch, _, _, _, (u, v, w), airspeed, *_ = state
    return [
        altitude / 5000,
        sin(roll),
        cos(roll),
        sin(pitch),
        cos(pitch),
        u / SPEED_OF_SOUND,
        v / SPEED_OF_SOUND,
        w / SPEED_OF_SOUND,
        airspeed / SPEED_OF_SOUND,
    ]


def observe(
    states: Sequence[AircraftState], relations: Relations, order: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """All aircraft's observations.

    Args:
        states: of all n aircraft.
        relations: between them.
        order: for each aircraft, the others in the order in which it lists them.

    Returns:
        (n, `observation_size`), clipped to +-10. Of each other aircraft: difference of u in 340 m/s, of altitude in
        km, angle off, aspect, distance in 10 km, side.
    """
    flat: list[float] = []
    speeds, altitudes = [state.body[0] for state in states], [state.altitude for state in states]
    rows = zip(states, order, speeds, altitudes, *relations, strict=True)
    for state, others, speed, altitude, distance, angle_off, aspect, side in rows:
        flat += own_features(state)
        for other in others:
            flat += (
                (speeds[other] - speed) / SPEED_OF_SOUND,
                (altitudes[other] - altitude) / 1000,
                angle_off[other],
                aspect[other],
                distance[other] / 10_000,
                side[other],
            )
    return clipped(flat).reshape(len(states), -1)


def clipped(features: list[float]) -> NDArray[np.float32]:
    """As an array, within +-`LIMIT`."""
    array = np.array(features, np.float32)
    np.minimum(array, LIMIT, out=array)
    return np.maximum(array, -LIMIT, out=array)
