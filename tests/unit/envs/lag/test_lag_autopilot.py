"""The low-level controller: what it does with the stick, and that commands are held in flight."""

from __future__ import annotations

import math

import pytest
from flights import state_at

from masoft.envs.lag.aircraft import Controls
from masoft.envs.lag.autopilot import Autopilot, Command
from masoft.envs.lag.pursuit import choose_prey, pursue
from masoft.envs.lag.scenario import ORIGIN, SCENARIOS, to_command, to_controls


@pytest.fixture(scope="module")
def aircraft():
    pytest.importorskip("jsbsim", reason='needs the extra: pip install "masoft[lag]"')
    from masoft.envs.lag.aircraft import Aircraft

    return Aircraft("A0100", SCENARIOS["1v1"].red["A0100"], ORIGIN)


def fly(aircraft, seconds, *, altitude=0.0, heading=0.0, speed=0.0):
    """States of a flight towards a goal that is relative to the start."""
    pilot, states = Autopilot(), [aircraft.reset()]
    goal = states[0].altitude + altitude, states[0].heading + heading, states[0].body[0] + speed
    for _ in range(5 * seconds):
        now = states[-1]
        command = Command(goal[0] - now.altitude, goal[1] - now.heading, goal[2] - now.body[0])
        states.append(aircraft.fly(pilot.controls(command, now)))
    return states


def test_level_flight_stays_level(aircraft):
    states = fly(aircraft, 30)
    assert max(abs(state.altitude - 6096) for state in states) < 8
    assert abs(states[-1].altitude - 6096) < 0.5 and abs(states[-1].body[0] - 243.84) < 0.5
    assert math.degrees(abs(math.remainder(states[-1].heading, math.tau))) < 0.5


@pytest.mark.parametrize(("altitude", "heading"), [(100, math.pi / 6), (-300, -math.pi / 2)])
def test_a_turn_and_climb_ends_where_it_was_told(aircraft, altitude, heading):
    states = fly(aircraft, 30, altitude=altitude, heading=heading)
    last = states[-1]
    assert abs(last.altitude - 6096 - altitude) < 5
    assert math.degrees(abs(math.remainder(last.heading - heading, math.tau))) < 1
    assert abs(last.body[0] - 243.84) < 6 and abs(last.roll) < 0.05  # the throttle cannot brake a dive
    assert max(abs(state.load[2]) for state in states) < 7


def test_it_gathers_speed(aircraft):
    assert fly(aircraft, 20, speed=20.0)[-1].body[0] == pytest.approx(263.84, abs=2)


def test_half_a_circle_keeps_the_height(aircraft):
    states = fly(aircraft, 40, heading=3.0)
    assert max(abs(state.altitude - 6096) for state in states) < 30
    assert math.degrees(abs(math.remainder(states[-1].heading - 3.0, math.tau))) < 3


@pytest.mark.parametrize("turn", [math.pi / 12, -math.pi / 6])
def test_a_relative_command_that_stands_turns_on_and_on(aircraft, turn):
    pilot, now = Autopilot(), aircraft.reset()
    for _ in range(100):
        now = aircraft.fly(pilot.controls(Command(heading=turn), now))
    rate = math.degrees(math.remainder(now.heading, math.tau)) / 20
    assert 2.5 < rate * math.copysign(1, turn) * (math.pi / 12) / abs(turn) < 4


def test_signs_of_the_first_reaction():
    level = state_at()
    assert Autopilot().controls(Command(heading=0.3), level).aileron > 0  # right wing down
    assert Autopilot().controls(Command(altitude=100.0), level).elevator < 0  # nose up
    slow, fast = (Autopilot().controls(Command(speed=change), level).throttle for change in (-15, 15))
    assert 0.4 <= slow < fast <= 0.9
    assert Autopilot().controls(Command(heading=2 * math.pi), level) == Autopilot().controls(Command(), level)


def test_a_reset_forgets():
    pilot, level = Autopilot(), state_at()
    first = pilot.controls(Command(50.0, 0.2, 10.0), level)
    for _ in range(20):
        pilot.controls(Command(50.0, 0.2, 10.0), level)
    assert pilot.controls(Command(50.0, 0.2, 10.0), level) != first
    pilot.reset()
    assert pilot.controls(Command(50.0, 0.2, 10.0), level) == first


def test_what_choices_mean():
    assert to_command([0, 0, 0]) == Command(100.0, -math.pi / 6, 17.0)
    assert to_command([2, 3, 2]) == Command(-100.0, math.pi / 12, -17.0) and to_command([1, 2, 1]) == Command()
    assert to_controls([0, 20, 40, 0]) == pytest.approx(Controls(-1, 0, 1, 0.4))
    assert to_controls([10, 30, 20, 29]) == pytest.approx(Controls(-0.5, 0.5, 0, 0.9))


def test_pursuit_asks_for_place_and_speed():
    own = state_at((0, 0, 6000), (240, 0, 0))
    prey = state_at((1000, 1000, 6500), (0, 240, 0), body=(250.0, 0.0, 0.0))
    command = pursue(own, prey)
    assert (command.altitude, command.heading, command.speed) == pytest.approx((500, math.pi / 4, 10))
    back = pursue(prey, own)
    assert (back.altitude, back.heading, back.speed) == pytest.approx((-500, math.radians(135), -10))


@pytest.mark.parametrize(
    ("variant", "flying", "chosen"),
    [("paper", (True, True), 0), ("paper", (False, True), 0), ("corrected", (True, True), 1)]
    + [("corrected", (True, False), 0), ("corrected", (False, False), 0)],
)
def test_whom_an_opponent_pursues(variant, flying, chosen):
    own, enemies = state_at(), [state_at((9000, 0, 6000)), state_at((5000, 0, 6000))]
    assert choose_prey(own, enemies, flying, variant=variant) is enemies[chosen]
