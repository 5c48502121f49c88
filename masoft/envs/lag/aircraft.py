"""One F-16 in JSBSim: where it starts, how it is flown for a fifth of a second, and what is read of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from masoft.envs.lag.geodesy import LocalFrame, Vector

FOOT = 0.3048
FRAMES_PER_SECOND = 60
FRAMES_PER_STEP = 12
STEP_SECONDS = FRAMES_PER_STEP / FRAMES_PER_SECOND
THROTTLE_LIMIT = 0.9

READ = (
    "position/long-gc-deg", "position/lat-geod-deg", "position/h-sl-ft",
    "attitude/roll-rad", "attitude/pitch-rad", "attitude/heading-true-rad",
    "velocities/v-north-fps", "velocities/v-east-fps", "velocities/v-down-fps",
    "velocities/u-fps", "velocities/v-fps", "velocities/w-fps", "velocities/vc-fps",
    "velocities/p-rad_sec", "velocities/q-rad_sec", "velocities/r-rad_sec",
    "accelerations/n-pilot-x-norm", "accelerations/n-pilot-y-norm", "accelerations/n-pilot-z-norm",
    "velocities/eci-velocity-mag-fps", "simulation/sim-time-sec",
)  # fmt: skip
WRITTEN = ("fcs/aileron-cmd-norm", "fcs/elevator-cmd-norm", "fcs/rudder-cmd-norm", "fcs/throttle-cmd-norm")
LINGERING = ("fcs/tef-control", "fcs/lef-control")
"""Flap positions, which JSBSim's reset leaves as they were."""


@dataclass(frozen=True)
class Start:
    """How an aircraft begins an episode; it flies level.

    Args:
        longitude, latitude: degrees east and north.
        heading: degrees.
        altitude: m above the sea.
        speed: forward body velocity, m/s.
    """

    longitude: float
    latitude: float
    heading: float
    altitude: float = 20_000 * FOOT
    speed: float = 800 * FOOT


class Controls(NamedTuple):
    """Where stick, pedals and throttle stand: from -1 to 1, the throttle from 0 to 0.9.

    This record and the next are tuples, since several are made in each step.
    """

    aileron: float = 0.0
    elevator: float = 0.0
    rudder: float = 0.0
    throttle: float = 0.0


class AircraftState(NamedTuple):
    """What is known of an aircraft after a step.

    Args:
        longitude, latitude: degrees. altitude: m above the sea.
        roll, pitch, heading: rad.
        position: north, east, up of the local frame's origin, m.
        velocity: north, east, **down**, m/s.
        body: forward, right, down velocity in the aircraft's own axes (u, v, w), m/s.
        airspeed: calibrated, m/s.
        rates: of roll, pitch and yaw, rad/s.
        load: the pilot's load factors forward, right, down, g.
        inertial_speed: against the stars, m/s.
        time: since the start, s.
    """

    longitude: float
    latitude: float
    altitude: float
    roll: float
    pitch: float
    heading: float
    position: Vector
    velocity: Vector
    body: Vector
    airspeed: float
    rates: Vector
    load: Vector
    inertial_speed: float
    time: float


class Aircraft:
    """One simulator, made once and used for all episodes.

    Args:
        name: what it is called; hexadecimal digits, so that Tacview takes it as an id.
        start: where its episodes begin.
        frame: the local frame of positions.

    Raises:
        ImportError: the package jsbsim is absent.
    """

    def __init__(self, name: str, start: Start, frame: LocalFrame) -> None:
        self.name, self.start, self.frame = name, start, frame
        self.simulator: Any = _load()
        node = self.simulator.get_property_manager().get_node
        # A node is read six times as fast as a property by its name.
        self._read: list[Callable[[], float]] = [node(name).get_double_value for name in READ]
        self._write: list[Callable[[float], None]] = [node(name).set_double_value for name in WRITTEN]
        self._place()
        self.simulator.run_ic()
        self.state = self.reset()

    def reset(self) -> AircraftState:
        """Back to the start, exactly as every time before."""
        self._set(Controls())
        for name in LINGERING:
            self.simulator[name] = 0.0
        for _ in range(2):  # the first one still computes the pilot's load factors with values of the last flight
            self.simulator.reset_to_initial_conditions(0)
            propulsion = self.simulator.get_propulsion()
            for index in range(propulsion.get_num_engines()):
                propulsion.get_engine(index).init_running()
            propulsion.get_steady_state()
        return self._look()

    def fly(self, controls: Controls) -> AircraftState:
        """One step, a fifth of a second, with stick and throttle held."""
        self._set(controls)
        run = self.simulator.run
        for _ in range(FRAMES_PER_STEP):
            run()
        return self._look()

    def _set(self, controls: Controls) -> None:
        aileron, elevator, rudder, throttle = self._write
        left, up, yaw, power = controls
        aileron(left)
        elevator(up)
        rudder(yaw)
        throttle(0.0 if power < 0.0 else power if power < THROTTLE_LIMIT else THROTTLE_LIMIT)

    def _look(self) -> AircraftState:
        (
            lon, lat, height, roll, pitch, heading, vn, ve, vd, u, v, w, vc, p, q, r, nx, ny, nz, inertial, time,
        ) = [read() for read in self._read]  # fmt: skip
        altitude = height * FOOT
        self.state = state = AircraftState(  # by place: names cost a microsecond
            lon, lat, altitude, roll, pitch, heading, self.frame.to_local(lon, lat, altitude),
            (vn * FOOT, ve * FOOT, vd * FOOT), (u * FOOT, v * FOOT, w * FOOT),
            vc * FOOT, (p, q, r), (nx, ny, nz), inertial * FOOT, time,
        )  # fmt: skip
        return state

    def _place(self) -> None:
        """Set the initial conditions."""
        start = self.start
        conditions = {
            "long-gc-deg": start.longitude,
            "lat-geod-deg": start.latitude,
            "terrain-elevation-ft": 0.0,
            "h-sl-ft": start.altitude / FOOT,
            "psi-true-deg": start.heading,
            "u-fps": start.speed / FOOT,
            **dict.fromkeys(("v-fps", "w-fps", "p-rad_sec", "q-rad_sec", "r-rad_sec", "roc-fpm"), 0.0),
        }
        for name, value in conditions.items():
            self.simulator[f"ic/{name}"] = value


def _load() -> Any:
    """A simulator with the F-16 that comes with it."""
    import jsbsim

    with _quiet(jsbsim):
        simulator = jsbsim.FGFDMExec(_data_of(jsbsim))
        simulator.set_debug_level(0)
        simulator.load_model("f16")
    simulator.set_dt(1 / FRAMES_PER_SECOND)
    return simulator


def _data_of(jsbsim: Any) -> str:
    """The folder of the package's aircraft; jsbsim itself looks in the interpreter's own folders alone."""
    try:
        return str(jsbsim.get_default_root_dir())
    except OSError:
        return os.path.dirname(str(jsbsim.__file__))


@contextmanager
def _quiet(jsbsim: Any) -> Iterator[None]:
    """Without the banner that JSBSim prints; its older releases have no way to say so."""
    if not hasattr(jsbsim, "set_logger"):
        yield
        return
    before = jsbsim.get_logger()
    jsbsim.set_logger(jsbsim.DefaultLogger(jsbsim.LogLevel.ERROR))
    try:
        yield
    finally:
        jsbsim.set_logger(before)
