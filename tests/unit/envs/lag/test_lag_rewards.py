"""The reward's terms on states computed by hand, and when an aircraft is lost."""

from __future__ import annotations

import math

import pytest
from flights import state_at
from hypothesis import given, settings
from hypothesis import strategies as st

from masoft.envs.lag.crashes import crash_reason
from masoft.envs.lag.geometry import relate
from masoft.envs.lag.rewards import height, nearness, orientation, posture, posture_potential

MANY = settings(max_examples=50, deadline=None)
ANGLES = st.floats(0, math.pi)


@pytest.mark.parametrize(
    ("angle_off", "aspect", "worth"),
    [
        (0, 0, 1.5),  # 1/2 + 1/2 + 0 + 1/2
        (math.pi / 2, math.pi / 2, 1 / 27 + 1),  # atanh(0)
        (math.pi / 4, 3 * math.pi / 4, 1 / 14.5 + 1 - 0.5 * math.log(3) / (2 * math.pi)),  # atanh(-1/2)
        (math.pi, math.pi, 1 / 52 + 1 - 0.5 * math.log(1.9999 / 1e-4) / (2 * math.pi)),  # the bound
    ],
)
def test_orientation(angle_off, aspect, worth):
    assert orientation(angle_off, aspect) == pytest.approx(worth, abs=1e-12)


@MANY
@given(ANGLES, ANGLES, ANGLES)
def test_orientation_is_finite_and_never_rises_with_either_angle(one, other, fixed):
    low, high = sorted((one, other))
    assert 0.23 < orientation(high, fixed) <= orientation(low, fixed) <= 1.5 + 1e-12
    assert orientation(fixed, high) <= orientation(fixed, low)


@pytest.mark.parametrize(
    ("distance", "worth"),
    [(0, 1.2), (3, 1.2), (4.999, 1.2), (5, 1.2), (8, 0.604 + 0.2), (10, 0.22), (11.25, math.exp(-1.8)), (1e6, 0)],
)
def test_nearness(distance, worth):
    assert nearness(distance) == pytest.approx(worth, abs=1e-9)


@MANY
@given(st.floats(0, 50), st.floats(0, 50))
def test_nearness_never_rises_with_distance(one, other):
    low, high = sorted((one, other))
    assert 0 <= nearness(high) <= nearness(low) + 1e-9 <= 1.2 + 2e-9


def test_potential_of_two_enemies():
    places = [(0, 0, 0), (3000, 0, 0), (0, 8000, 0)]  # the first enemy flies away ahead, the second crosses at 8 km
    seen = relate(places, [(200, 0, 0), (200, 0, 0), (200, 0, 0)])
    expected = 1.5 * 1.2 + (1 / 27 + 1) * 0.804
    assert posture_potential(seen, 0, [1, 2]) == pytest.approx(expected, abs=1e-4)
    assert posture(1.0, 1.5) == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("up", "sinking", "paid"),
    [
        (5000, 300, 0),
        (3800, 34, -0.025),  # (34/340)/0.2 * (4 - 3.8)/4
        (3800, -34, 0),
        (3000, 0, 3 / 3.5 - 2),
        (2000, 340, -1 + 2 / 3.5 - 2),  # sinking is punished by 1 at most
        (-10, 0, -2),
    ],
)
def test_height(up, sinking, paid):
    assert height(up, sinking) == pytest.approx(paid)


@MANY
@given(st.floats(-1000, 20_000), st.floats(-500, 500))
def test_height_is_a_bounded_punishment(up, sinking):
    assert -3 <= height(up, sinking) <= 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"altitude": 2500.0}, "low"),
        ({"altitude": 2500.1}, None),
        ({"load": (0.0, 10.5, 0.0)}, "extreme"),
        ({"load": (0.0, 0.0, -10.5)}, "extreme"),
        ({"load": (0.0, 0.0, 9.5)}, "overload"),  # 10.5 g beside gravity
        ({"load": (0.0, 0.0, 9.5), "time": 10.0}, None),
        ({"load": (0.0, 0.0, 10.5), "altitude": 100.0}, "extreme"),  # the first reason that holds
        ({"rates": (1000.0, 0.0, 0.0)}, "extreme"),
        ({"inertial_speed": 4e9}, "extreme"),
        ({"altitude": 4e9}, "extreme"),
        ({"airspeed": math.nan, "velocity": (math.nan, 0.0, 0.0)}, "extreme"),
    ],
)
def test_crashes(change, reason):
    assert crash_reason(state_at(**change)) == reason


@MANY
@given(
    st.tuples(*[st.floats(-12, 12)] * 3),
    st.floats(-1200, 1200),
    st.sampled_from([2400.0, 2500.0, 2501.0, 6000.0]),
    st.sampled_from([5.0, 20.0]),
)
def test_the_quick_way_to_say_that_an_aircraft_flies_on_agrees_with_the_conditions(load, rate, altitude, time):
    expected = "low" if altitude <= 2500 else None
    if time > 10 and max(abs(load[0]), abs(load[1]), abs(load[2] + 1)) > 10:
        expected = "overload"
    if max(map(abs, load)) > 10 or abs(rate) >= 1000:
        expected = "extreme"
    assert crash_reason(state_at(load=load, rates=(0.0, rate, 0.0), altitude=altitude, time=time)) == expected


@pytest.mark.parametrize("field", ["load", "rates", "position", "velocity"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_end_a_flight(field, number):
    vector = (0.0, number, 0.0)
    assert crash_reason(state_at(**{field: vector})) == "extreme"
