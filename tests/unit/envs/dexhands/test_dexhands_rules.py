"""Rewards, aims and losses of the nine tasks, on states computed by hand."""

from __future__ import annotations

import math

import pytest

from masoft.envs.dexhands.rules import (
    Lift,
    PullApart,
    Swing,
    Toss,
    close_reward,
    lift_reward,
    open_reward,
    pen_reward,
    toss_reward,
)


class Still:
    """A scene with everything where a test wants it."""

    def __init__(self, **measured):
        self.__dict__.update({"turn": (1, 0, 0, 0), "goal_turn": (1, 0, 0, 0), **measured})

    def position(self, thing):
        return self.things[thing]

    def goal_position(self, thing):
        return self.goals[thing]

    def rotation(self, thing):
        return self.turn

    def goal_rotation(self, thing):
        return self.goal_turn

    def palms(self):
        return self.palm_points

    def bodies(self, which):
        return {"base": self.bases, "palm": self.palm_bodies}[which]

    def handles(self):
        return self.handle_points

    def reaches(self):
        return self.sums


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (toss_reward(0.0, 0.0, 50), 1.0),
        (toss_reward(0.1, 0.0, 50), math.exp(-1.0)),
        (toss_reward(0.1, 0.5, 20), math.exp(-0.5)),
        (lift_reward(0.1, 0.05, 0.2), 0.05),
        (lift_reward(0.07, 0.05, 0.2), 0.08 + 0.555),
        (lift_reward(0.08, 0.05, 0.2), 0.07),
        (pen_reward(0.1, 0.2, 0.4), math.exp(-1) + math.exp(-2) + 1.2),
        (pen_reward(0.75, 0.2, 0.4), math.exp(-7.5) + math.exp(-2)),
        (open_reward(0.4, 0.3, 0.6), 2.5),
        (open_reward(0.5, 0.3, 0.6), 1.2),
        (close_reward(0.4, 0.3, 0.1), 2.1),
        (close_reward(0.4, 0.5, 0.1), 1.1),
    ],
)
def test_formulas(got, expected):
    assert got == pytest.approx(expected, abs=1e-12)


def test_a_quarter_turn_costs_its_angle():
    quarter = (math.cos(math.pi / 4), 0, math.sin(math.pi / 4), 0)
    scene = Still(things=[[0, 0, 1]], goals=[[0, 0, 1]], turn=quarter)
    assert Toss(50)(scene).reward == pytest.approx(math.exp(-0.2 * math.pi / 2))


@pytest.mark.parametrize(("height", "lost"), [(0.21, False), (0.2, True), (0.1, True)])
def test_a_dropped_egg_is_lost(height, lost):
    scene = Still(things=[[0, 0, height]], goals=[[0, 0, height + 0.04]])
    assert Toss(50)(scene) == (pytest.approx(math.exp(-0.4)), False, lost)


def test_two_eggs_share_their_tolerance():
    goals = [[0, 0, 1], [0, 1, 1]]
    assert Toss(50, eggs=2)(Still(things=[[0, 0, 1.05], [0, 1, 1]], goals=goals)).solved
    judged = Toss(50, eggs=2)(Still(things=[[0, 0, 1.05], [0, 1, 1.02]], goals=goals))
    assert not judged.solved and judged.reward == pytest.approx(math.exp(-0.5) + math.exp(-0.2))
    assert Toss(50, eggs=2)(Still(things=[[0, 0, 1], [0, 1, 0.2]], goals=goals)).lost


@pytest.mark.parametrize("part", ["base", "palm"])
def test_a_hand_on_a_leash(part):
    rule = Toss(20, leashed=part, posts=((0, 0, 0.5), (0, -1, 0.5)))
    near, far = [[0.05, 0, 0.5], [0, -1, 0.5]], [[0, 0, 0.5], [0, -1, 0.61]]
    own = {"base": "bases", "palm": "palm_bodies"}[part]
    other = {"base": "palm_bodies", "palm": "bases"}[part]
    things = {"things": [[0, 0, 1]], "goals": [[0, 0, 1]]}
    assert not rule(Still(**things, **{own: near, other: far})).lost
    assert rule(Still(**things, **{own: far, other: near})).lost


def test_lift():
    goal, handles = [[0, 0, 0.85]], [[0, 0.15, 0.9], [0, -0.15, 0.9]]
    held = Still(things=[[0, 0, 0.84]], goals=goal, handle_points=handles, palm_points=[[0, 0.15, 0.87]] * 2)
    held.palm_points = [[0, 0.15, 0.87], [0, -0.15, 0.86]]
    assert Lift()(held) == (pytest.approx(0.2 - 0.03 - 0.04 + 3 * (0.385 - 0.01)), True, False)
    held.palm_points = [[0, 0.15, 0.87], [0, -0.15, 0.7]]
    assert Lift()(held).lost
    held.palm_points, held.things = handles, [[0, 0, 0.3]]
    assert Lift()(held).lost and not Lift()(held).solved


def test_pen():
    scene = Still(sums=[0.5, 0.6], handle_points=[[0, 0.2, 0], [0, -0.11, 0]])
    assert PullApart()(scene) == (pytest.approx(math.exp(-5) + math.exp(-6) + 0.75), True, False)
    scene.sums = [1.5, 0.6]
    assert PullApart()(scene).lost


def test_doors():
    ajar = Still(sums=[0.4, 0.4], handle_points=[[-0.3, 0.26, 0], [-0.3, -0.25, 0]])
    assert Swing(opening=True)(ajar) == (pytest.approx(1.2 + 1.02), True, False)
    assert Swing(opening=False)(ajar) == (pytest.approx(1.2 - 0.02), False, False)
    ajar.handle_points, ajar.sums = [[0, 0.035, 0], [0, -0.035, 0]], [0.4, 1.6]
    assert Swing(opening=False)(ajar) == (pytest.approx(0.0), True, True)
