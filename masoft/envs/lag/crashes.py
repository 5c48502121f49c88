"""When an aircraft is out of the game."""

from __future__ import annotations

import math

from masoft.envs.lag.aircraft import FOOT, AircraftState

LOWEST = 2500.0
"""m above the sea."""

LOAD_LIMIT = 10.0
"""g."""

SETTLED = 10.0
"""Overload counts from this time on, s."""

CALM = 9.0
"""g, and rad/s: far from any limit."""

RATE_LIMIT = 1000.0
"""rad/s."""

FAR = 1e10 * FOOT
"""m, or m/s: only a simulator that has lost its way gets there."""


def crash_reason(state: AircraftState) -> str | None:
    """Why an aircraft is lost, or None where it flies on; the conditions are asked in the original's order.

    Returns:
        ``"extreme"``: more than 10 g on any axis, or a flight state that is impossible or no number at all;
        ``"overload"``: more than 10 g beside gravity, once 10 s have passed; ``"low"``: at most 2500 m above the sea.
    """
    (nx, ny, nz), (p, q, r) = state.load, state.rates
    if (
        -CALM < nx < CALM and -CALM < ny < CALM and -CALM < nz < CALM
        and -CALM < p < CALM and -CALM < q < CALM and -CALM < r < CALM
        and LOWEST < state.altitude < FAR and state.inertial_speed < FAR
        and math.isfinite(sum(state.position) + sum(state.velocity))
    ):  # fmt: skip
        return None  # what nearly every step ends with, asked first; the rest tells the reasons apart
    numbers = (*state.load, *state.rates, state.inertial_speed, state.altitude, *state.position, *state.velocity)
    if not all(map(math.isfinite, numbers)):
        return "extreme"
    if max(abs(nx), abs(ny), abs(nz)) > LOAD_LIMIT or max(map(abs, state.rates)) >= RATE_LIMIT:
        return "extreme"
    if state.inertial_speed >= FAR or state.altitude >= FAR:
        return "extreme"
    if state.time > SETTLED and max(abs(nx), abs(ny), abs(nz + 1)) > LOAD_LIMIT:
        return "overload"
    return "low" if state.altitude <= LOWEST else None
