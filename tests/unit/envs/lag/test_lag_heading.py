"""The task of one aircraft that learns to fly."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("jsbsim", reason='needs the extra: pip install "masoft[lag]"')

from masoft.envs import TeamEnv, make
from masoft.envs.lag.autopilot import Autopilot, Command
from masoft.envs.lag.heading import GOAL_STEPS, TOLERANCES, HeadingTask, tracking_reward
from masoft.envs.vector_snapshot import same_values
from masoft.errors import ConfigurationError, EnvironmentFault


def by_stick(controls):
    """The direct action that is nearest to some controls."""
    axes = [round(20 * (axis + 1)) for axis in controls[:3]]
    return [*axes, round((controls.throttle - 0.4) / 0.5 * 29)]


def test_reward_on_hand_computed_errors():
    assert tracking_reward(Command(), 0.0) == 1.0
    assert tracking_reward(Command(altitude=15.0), 0.0) == pytest.approx(math.exp(-1 / 4))
    off = Command(altitude=-30.0, heading=math.radians(5.0), speed=8.0)
    assert tracking_reward(off, 0.35) == pytest.approx(math.exp(-(4 + 1 + 1 + 1) / 4))
    assert set(TOLERANCES) == {"heading", "altitude", "speed", "roll"}


def test_the_low_level_controller_masters_the_task():
    env, pilot = HeadingTask(), Autopilot()
    env.reset(seed=1)
    rewards = []
    for _ in range(GOAL_STEPS - 1):
        now = env.aircraft.state
        observations, paid, *_ = env.step({"A0100": by_stick(pilot.controls(env.errors(now), now))})
        rewards.append(paid["A0100"])
        assert observations["A0100"][0] == pytest.approx(env.errors(env.aircraft.state).altitude / 1000, abs=1e-6)
    assert np.mean(rewards[-25:]) > 0.5 > np.mean(rewards[:10])


def test_goals_are_seeded_and_change():
    one, other = HeadingTask(), HeadingTask()
    assert np.array_equal(one.reset(seed=4)[0]["A0100"], other.reset(seed=4)[0]["A0100"])
    assert not np.array_equal(one.reset(seed=5)[0]["A0100"], other.reset()[0]["A0100"])
    one.reset(seed=6)
    held = []
    for _ in range(GOAL_STEPS):
        held.append(one.errors(one.aircraft.state).altitude + one.aircraft.state.altitude)
        one.step({"A0100": [20, 18, 20, 10]})
    after = one.errors(one.aircraft.state).altitude + one.aircraft.state.altitude
    assert held == pytest.approx([held[0]] * GOAL_STEPS) and abs(after - held[0]) > 1


def test_a_dive_ends_in_a_crash_and_time_in_truncation():
    env = HeadingTask(max_steps=300)
    env.reset(seed=0)
    while env.agents:
        _, _, terminated, truncated, infos = env.step({"A0100": [20, 40, 20, 29]})
    assert terminated["A0100"] and not truncated["A0100"] and infos["A0100"] == {"crashes": {"A0100": "low"}}
    with pytest.raises(EnvironmentFault, match="must be running when step is called"):
        env.step({"A0100": [20, 20, 20, 0]})
    short = HeadingTask(max_steps=1)
    short.reset(seed=0)
    _, _, terminated, truncated, _ = short.step({"A0100": [20, 20, 20, 0]})
    assert truncated["A0100"] and not terminated["A0100"] and short.agents == []


def test_a_snapshot_continues_elsewhere():
    here, there = TeamEnv(HeadingTask()), TeamEnv(HeadingTask())
    generator = np.random.default_rng(0)
    here.reset(seed=3)
    for _ in range(GOAL_STEPS - 2):
        here.step(generator.integers(18, 22, size=4))
    there.reset()
    there.set_snapshot(here.get_snapshot())
    assert same_values(there.get_snapshot(), here.get_snapshot())
    for _ in range(4):  # over the change of the goal
        action = generator.integers(18, 22, size=4)
        assert same_values(here.step(action)[0], there.step(action)[0])


@pytest.mark.parametrize(
    ("options", "message"), [({"controls": "x"}, "controls must be"), ({"max_steps": 0}, "max_st")]
)
def test_choices_that_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        HeadingTask(**options)


def test_aircraft_are_found_beside_the_package_too(monkeypatch):
    """In an environment that sees another one's packages, jsbsim finds nothing in its own."""
    jsbsim = pytest.importorskip("jsbsim")

    def nowhere():
        raise OSError("Can't find the default root directory")

    monkeypatch.setattr(jsbsim, "get_default_root_dir", nowhere)
    env = make("lag/heading")
    observations, _ = env.reset(seed=0)
    assert all(np.isfinite(each).all() for each in observations.values())
