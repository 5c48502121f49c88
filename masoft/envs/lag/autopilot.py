"""The low-level flight controller: it turns an aircraft to a heading, altitude and speed with stick and throttle.

A cascade of loops, tuned by hand on the F-16 that comes with JSBSim: heading error -> bank angle -> aileron; altitude
error -> climb angle -> elevator; speed error -> acceleration -> throttle. The game that this follows has a trained
network in this place; aircraft therefore fly differently in detail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from masoft.envs.lag.aircraft import STEP_SECONDS, AircraftState, Controls


class Command(NamedTuple):
    """What to change, relative to how the aircraft flies now.

    Args:
        altitude: m.
        heading: rad, positive to the right.
        speed: of the body's forward velocity, m/s.
    """

    altitude: float = 0.0
    heading: float = 0.0
    speed: float = 0.0


@dataclass(frozen=True)
class Gains:
    """Gains and limits of the loops.

    Args:
        turn_time: a heading error shall shrink with this time constant, s. bank_limit: rad.
        climb_time: an altitude error likewise, s. climb_limit: of the path's angle, rad.
        path_time: an error of the path's angle likewise, s. load_limits: of the wings, g.
        roll, roll_damping: aileron per bank error (1/rad) and per roll rate (s/rad).
        pitch_ahead, pitch, pitch_integral: elevator per wanted pitch rate, per its error (s/rad), and per that
            error's integral (1/rad).
        speed_time: a speed error shall shrink with this time constant, s.
        throttle, throttle_integral: throttle per speed error (s/m), and its rate per missing acceleration (s/m).
    """

    turn_time: float = 4.5
    bank_limit: float = 1.25
    climb_time: float = 5.0
    climb_limit: float = 0.25
    path_time: float = 1.0
    load_limits: tuple[float, float] = (-1.0, 6.0)
    roll: float = 0.5
    roll_damping: float = 0.1
    pitch_ahead: float = 5.0
    pitch: float = 1.0
    pitch_integral: float = 2.0
    speed_time: float = 4.0
    throttle: float = 0.01
    throttle_integral: float = 0.02


GRAVITY = 9.80665

THROTTLE = 0.4, 0.9
"""The controller's range of the throttle, as in the original's network."""


class Autopilot:
    """Flies one aircraft, deciding once a step; its memory is two integrals and the last speed.

    Args:
        gains: of the loops.
    """

    def __init__(self, gains: Gains | None = None) -> None:
        self.gains = gains or Gains()
        self.reset()

    def reset(self) -> None:
        """Forget the flight so far."""
        self._pitch_integral = 0.0
        self._throttle = 0.6
        self._last_speed: float | None = None

    def controls(self, command: Command, now: AircraftState) -> Controls:
        """Stick and throttle for the next step of an aircraft that flies as ``now`` and shall change by ``command``."""
        altitude, heading, faster = command
        roll, forward, (roll_rate, pitch_rate, _) = now.roll, now.body[0], now.rates
        speed = forward if forward > 50.0 else 50.0
        aileron = self._aileron(heading, roll, roll_rate, speed)
        elevator = self._elevator(altitude, -now.velocity[2], roll, pitch_rate, speed)
        return Controls(aileron, elevator, 0.0, self._power(faster, forward))

    def _aileron(self, turn: float, roll: float, roll_rate: float, speed: float) -> float:
        gains = self.gains
        turn_rate = _wrap(turn) / gains.turn_time
        bank = _clip(math.atan(turn_rate * speed / GRAVITY), gains.bank_limit)
        return _clip(gains.roll * _wrap(bank - roll) - gains.roll_damping * roll_rate, 1.0)

    def _elevator(self, higher: float, climb: float, roll: float, pitch_rate: float, speed: float) -> float:
        """Path angle -> load factor -> pitch rate; negative lifts the nose."""
        gains = self.gains
        path = _clip(higher / gains.climb_time / speed, gains.climb_limit)
        lift = 1 + speed / GRAVITY * (path - climb / speed) / gains.path_time
        upright = math.cos(roll)
        low, high = gains.load_limits
        load = _between(low, lift / (upright if upright > 0.2 else 0.2), high)
        rate = GRAVITY / speed * (load - upright)
        error = rate - pitch_rate
        self._pitch_integral = _clip(self._pitch_integral + gains.pitch_integral * error * STEP_SECONDS, 0.3)
        return _clip(-(gains.pitch_ahead * rate + gains.pitch * error + self._pitch_integral), 1.0)

    def _power(self, faster: float, speed: float) -> float:
        gains = self.gains
        gained = 0.0 if self._last_speed is None else speed - self._last_speed
        self._last_speed = speed
        missing = faster / gains.speed_time * STEP_SECONDS - gained
        low, high = THROTTLE
        self._throttle = _between(low, self._throttle + gains.throttle_integral * missing, high)
        return _between(low, self._throttle + gains.throttle * faster, high)


def _clip(value: float, limit: float) -> float:
    """``value`` between ``-limit`` and ``limit``."""
    return limit if value > limit else -limit if value < -limit else value


def _between(low: float, value: float, high: float) -> float:
    """``value``, or the limit that it lies beyond; quicker than ``min`` and ``max``."""
    return high if value > high else low if value < low else value


def _wrap(angle: float) -> float:
    """The same angle between -pi and pi."""
    return math.remainder(angle, math.tau)
