"""Places on the earth, and angles between aircraft: hand-computed cases and what must hold for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flights import state_at
from hypothesis import given, settings
from hypothesis import strategies as st

from masoft.envs.lag.geodesy import EQUATOR, FLATTENING, LocalFrame, to_earth
from masoft.envs.lag.geometry import bearing, relate, relate_states

MANY = settings(max_examples=50, deadline=None)
METRES = st.floats(-20_000, 20_000)
SPEEDS = st.floats(-400, 400)
PLACES, VELOCITIES = st.tuples(METRES, METRES, METRES), st.tuples(SPEEDS, SPEEDS, SPEEDS)
TEAMS = st.lists(st.tuples(PLACES, VELOCITIES), min_size=2, max_size=4)


def test_known_points_of_the_ellipsoid():
    polar = EQUATOR * (1 - FLATTENING)
    assert to_earth(0, 0, 0) == pytest.approx((EQUATOR, 0, 0))
    assert to_earth(90, 0, 1000) == pytest.approx((0, EQUATOR + 1000, 0), abs=1e-6)
    assert to_earth(37, 90, 5) == pytest.approx((0, 0, polar + 5), abs=1e-6)


@MANY
@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(0, 20_000), st.floats(-100, 100))
def test_the_origin_is_zero_and_up_is_up(longitude, latitude, altitude, higher):
    frame = LocalFrame(longitude, latitude, altitude)
    assert frame.to_local(longitude, latitude, altitude + higher) == pytest.approx((0, 0, higher), abs=1e-6)


@MANY
@given(st.floats(-179, 179), st.floats(-80, 80), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_a_local_frame_keeps_distances_and_knows_its_directions(longitude, latitude, east, north):
    here, there = (longitude, latitude, 0.0), (longitude + east, latitude + north, 3000.0)
    local = LocalFrame(longitude, latitude).to_local(*there)
    assert math.hypot(*local) == pytest.approx(math.dist(to_earth(*here), to_earth(*there)), abs=1e-6)
    if abs(north) > 0.001:
        assert local[0] * north > 0 or abs(east) > 10 * abs(north)  # the meridians' bend moves a place far east north
    if abs(east) > 1e-6:
        assert local[1] * east > 0


def test_one_degree_of_latitude_is_as_long_as_it_is_known_to_be():
    north, east, _ = LocalFrame(120.0, 59.5).to_local(120.0, 60.5, 0.0)
    assert north == pytest.approx(111_412 - 5.6, abs=3) and east == pytest.approx(0, abs=1e-6)  # the arc, and its chord


def test_a_tail_chase_and_a_head_on_meeting():
    behind = relate([(0, 0, 0), (1000, 0, 0)], [(200, 0, 0), (150, 0, 0)])
    assert behind.distance[0][1] == behind.distance[1][0] == 1000
    assert behind.angle_off[0][1] == pytest.approx(0, abs=1e-4) and behind.aspect[0][1] == pytest.approx(0, abs=1e-4)
    assert behind.angle_off[1][0] == pytest.approx(math.pi, abs=1e-4)
    facing = relate([(0, 0, 0), (1000, 0, 0)], [(200, 0, 0), (-150, 0, 0)])
    assert facing.angle_off[0][1] == pytest.approx(0, abs=1e-4)
    assert facing.aspect[0][1] == pytest.approx(math.pi, abs=1e-4)
    assert facing.side == [[0, 0], [0, 0]]


def test_right_is_positive():
    seen = relate([(0, 0, 0), (1000, 10, 0), (1000, -10, 0)], [(200, 0, 0)] * 3)
    assert seen.side[0] == [0, 1, -1]
    assert bearing(state_at(), state_at((0, 500, 6000))) == pytest.approx(math.pi / 2)
    assert bearing(state_at(), state_at((500, -500, 9000))) == pytest.approx(-math.pi / 4)


@MANY
@given(TEAMS)
def test_both_ends_of_a_line_agree(team):
    seen = relate(*zip(*team, strict=True))
    for i in range(len(team)):
        for j in range(len(team)):
            if i == j:
                continue
            assert seen.distance[i][j] == seen.distance[j][i]
            assert 0 <= seen.angle_off[i][j] <= math.pi and 0 <= seen.aspect[i][j] <= math.pi
            assert seen.aspect[i][j] + seen.angle_off[j][i] == pytest.approx(math.pi)


@MANY
@given(TEAMS)
def test_angles_are_those_of_numpy(team):
    seen = relate(*zip(*team, strict=True))
    (p0, v0), (p1, v1) = ((np.array(place), np.array(velocity)) for place, velocity in team[:2])
    sight = p1 - p0
    for velocity, angle in ((v0, seen.angle_off[0][1]), (v1, seen.aspect[0][1])):
        lengths = np.linalg.norm(sight) * np.linalg.norm(velocity)
        if lengths > 1:
            assert math.cos(angle) == pytest.approx(sight @ velocity / lengths, abs=1e-6)


@MANY
@given(TEAMS, st.floats(-math.pi, math.pi))
def test_turning_the_map_changes_nothing(team, angle):
    cos, sin = math.cos(angle), math.sin(angle)

    def turned(vector):
        return cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1], vector[2]

    before = relate(*zip(*team, strict=True))
    after = relate(*zip(*((turned(p), turned(v)) for p, v in team), strict=True))
    assert np.allclose(before.distance, after.distance, atol=1e-6)
    for name in ("angle_off", "aspect"):  # cosines: near 0 and pi an angle magnifies rounding
        assert np.allclose(np.cos(getattr(before, name)), np.cos(getattr(after, name)), atol=1e-5)


@MANY
@given(PLACES, VELOCITIES, PLACES, VELOCITIES)
def test_the_variants_differ_only_in_the_sign_of_climb_rates(p0, v0, p1, v1):
    states = [state_at(p0, v0), state_at(p1, v1)]
    mirrored = [state_at(p0, (v0[0], v0[1], -v0[2])), state_at(p1, (v1[0], v1[1], -v1[2]))]
    assert relate_states(states, variant="corrected") == relate_states(mirrored, variant="paper")


def test_a_climb_towards_somebody_above_is_a_chase_only_where_both_count_upwards():
    states = [state_at((0, 0, 5000), (100, 0, -100)), state_at((1000, 0, 6000), (100, 0, -100))]
    assert relate_states(states, variant="corrected").angle_off[0][1] == pytest.approx(0, abs=1e-4)
    assert relate_states(states, variant="paper").angle_off[0][1] == pytest.approx(math.pi / 2)


def test_aircraft_at_one_place_or_at_rest_give_numbers():
    seen = relate([(0, 0, 0), (0, 0, 0)], [(0, 0, 0), (200, 0, 0)])
    assert seen.distance[0][1] == 0 and seen.angle_off[0][1] == pytest.approx(math.pi / 2)
