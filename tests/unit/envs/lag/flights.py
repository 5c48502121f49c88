"""What the tests of the light aircraft game share: states made by hand, and the agents' actions."""

from __future__ import annotations

import numpy as np

from masoft.envs.lag.aircraft import AircraftState

HOLD, LEFT, RIGHT, DOWN = (np.array(choice) for choice in ([1, 2, 1], [1, 0, 1], [1, 4, 1], [2, 2, 1]))


def state_at(position=(0.0, 0.0, 6000.0), velocity=(240.0, 0.0, 0.0), **others):
    """An aircraft that flies level, but for what is said."""
    ordinary = {
        "longitude": 120.0,
        "latitude": 60.0,
        "altitude": position[2],
        "roll": 0.0,
        "pitch": 0.0,
        "heading": 0.0,
        "body": (240.0, 0.0, 0.0),
        "airspeed": 180.0,
        "rates": (0.0, 0.0, 0.0),
        "load": (0.0, 0.0, -1.0),
        "inertial_speed": 300.0,
        "time": 20.0,
    }
    return AircraftState(**{**ordinary, "position": tuple(position), "velocity": tuple(velocity), **others})


def everybody(env, action):
    """The same action for all that still act."""
    return {agent: action for agent in env.agents}
