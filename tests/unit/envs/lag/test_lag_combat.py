"""Air combat as an environment: the first observation, rewards, crashes, endings, opponents, snapshots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flights import DOWN, HOLD, LEFT, RIGHT, everybody

pytest.importorskip("jsbsim", reason='needs the extra: pip install "masoft[lag]"')

from masoft.envs import TeamEnv, make
from masoft.envs.lag.combat import AirCombat
from masoft.envs.lag.geometry import relate_states
from masoft.envs.vector_snapshot import same_values
from masoft.errors import ConfigurationError, EnvironmentFault

FIRST = [1.2192, 0, 1, 0, 1, 0.7172, 0, 0, 0.5432]
FIRST += [0, 0, 1.5707, 1.5707, 0.0559, 1]
FIRST += [0, 0, 0.0009, 3.1407, 1.1152, -1]
FIRST += [0, 0, 0.0499, 3.0917, 1.1166, 1]
"""What the original shows its first agent first."""

PUSH, LEVEL = np.array([20, 40, 20, 29]), np.array([20, 20, 20, 0])


@pytest.fixture(scope="module")
def env():
    return AirCombat("2v2")


@pytest.fixture(scope="module")
def direct():
    return AirCombat("2v2", controls="direct", opponent="level")


def potentials(env, states):
    """The formula of the documentation, in numpy, for all of the team."""
    place = np.array([state.position for state in states])
    velocity = np.array([state.velocity for state in states]) * (1, 1, 1 if env.variant == "paper" else -1)
    total = []
    for ego in range(2):
        value = 0.0
        for enemy in (2, 3):
            sight = place[enemy] - place[ego]
            r = np.linalg.norm(sight)
            off, aspect = (
                np.arccos(np.clip(sight @ velocity[k] / (r * np.linalg.norm(velocity[k])), -1, 1)) for k in (ego, enemy)
            )
            behind = np.arctanh(np.clip(1 - max(2 * aspect / np.pi, 1e-4), 1e-4 - 1, None)) / (2 * np.pi)
            r /= 1000
            far = 1 if r < 5 else np.clip(-0.032 * r**2 + 0.284 * r + 0.38, 0, 1)
            value += (1 / (50 * off / np.pi + 2) + 0.5 + min(behind, 0) + 0.5) * (far + min(np.exp(-0.16 * r), 0.2))
        total.append(value)
    return np.array(total)


def flown(env, policy, steps):
    """Rewards of some steps from a reset."""
    env.reset()
    rewards = []
    for _ in range(steps):
        if not env.agents:
            break
        rewards.append(env.step({agent: policy(agent) for agent in env.agents})[1])
    return rewards


def test_sizes_and_the_first_observation(env):
    observations, infos = env.reset(seed=3)
    assert list(observations) == ["A0100", "A0200"]
    assert observations["A0100"] == pytest.approx(FIRST, abs=1e-4)
    assert env.state().shape == (108,) and np.array_equal(env.state()[27:54], observations["A0200"])
    assert env.action_space("A0100").nvec.tolist() == [3, 5, 3]
    assert infos["A0200"] == {"crashes": {}, "win": False, "is_success": False, "truncated": False}


def test_the_partner_sees_the_mirror_image(env):
    observations, _ = env.reset()
    assert observations["A0200"][9:15] == pytest.approx([0, 0, 1.5707, 1.5707, 0.0559, -1], abs=1e-3)


def test_sizes_of_one_against_one():
    env = make("lag/1v1-noweapon", controls="direct")
    observations, _ = env.reset()
    assert observations["A0100"].shape == (15,) and env.state().shape == (30,)
    assert env.action_space("A0100").nvec.tolist() == [41, 41, 41, 30] and not env.metadata["has_deaths"]


@pytest.mark.parametrize("variant", ["paper", "corrected"])
def test_rewards_are_the_change_of_the_potential(variant):
    env = AirCombat("2v2", variant=variant)
    generator = np.random.default_rng(0)
    rewards = flown(env, lambda agent: generator.integers([3, 5, 3]), 150)
    worth = np.array([potentials(env, states) for states in env.recording.steps])
    assert all(step["A0100"] == step["A0200"] for step in rewards)
    paid = [step["A0100"] for step in rewards]
    assert paid == pytest.approx(15 * np.diff(worth, axis=0).mean(axis=1), abs=1e-6)
    assert sum(paid) == pytest.approx(15 * (worth[-1] - worth[0]).mean(), abs=1e-5)  # it telescopes


def test_flying_low_costs_what_it_says(env):
    rewards = flown(env, lambda agent: DOWN, 1000)
    last = env.recording.steps[-1]
    assert env.crashes == {"A0100": "low", "A0200": "low"} and len(rewards) < 1000
    assert last[0].altitude <= 2500 < env.recording.steps[-2][0].altitude
    up, sinking = last[0].position[2] / 1000, last[0].velocity[2] / 340
    assert sinking > 0 and up < 3.5
    punished = -sinking / 0.2 * (4 - up) / 4 + up / 3.5 - 2
    change = 15 * (potentials(env, last) - potentials(env, env.recording.steps[-2]))
    assert rewards[-1]["A0100"] == pytest.approx(punished + change.mean(), abs=0.02)  # the two fly almost alike


def test_one_that_crashes_leaves_and_stays_visible(direct):
    direct.reset()
    while len(direct.agents) == 2:
        _, rewards, terminated, truncated, infos = direct.step({"A0100": PUSH, "A0200": LEVEL})
    assert terminated == {"A0100": True, "A0200": False} and not any(truncated.values())
    assert infos["A0200"]["crashes"] == {"A0100": "low"} and direct.agents == ["A0200"]
    assert all(reward > -100 for reward in rewards.values())  # the original's punishment never comes
    wreck = direct.aircraft[0].state
    observations, rewards, _, _, infos = direct.step({"A0200": LEVEL})
    assert list(observations) == list(rewards) == ["A0200"]
    assert direct.aircraft[0].state == wreck and direct.recording.flying[-1] == (False, True, True, True)
    assert rewards["A0200"] == pytest.approx((infos["A0200"]["posture"] + infos["A0200"]["height"]) / 2)
    assert 10 * observations["A0200"][13] == pytest.approx(
        math.dist(wreck.position, direct.aircraft[1].state.position) / 1000, abs=1e-4
    )


def test_the_corrected_variant_punishes_a_crash():
    paid = {}
    for variant in ("paper", "corrected"):
        env = AirCombat("2v2", controls="direct", opponent="level", variant=variant)
        env.reset()
        while len(env.agents) == 2:
            _, rewards, _, _, infos = env.step({"A0100": PUSH, "A0200": LEVEL})
        own = sum(infos[agent]["posture"] + infos[agent]["height"] for agent in infos) / 2
        paid[variant] = rewards["A0200"] - own
    assert paid == pytest.approx({"paper": 0.0, "corrected": -100.0})


def test_the_team_wins_when_all_opponents_are_down(env):
    env.reset()
    env.step(everybody(env, HOLD))
    for enemy in env.aircraft[2:]:
        enemy.state = enemy.state._replace(load=(0.0, 11.0, 0.0))
        enemy.fly = lambda controls, aircraft=enemy: aircraft.state
    try:
        _, _, terminated, truncated, infos = env.step(everybody(env, HOLD))
    finally:
        for enemy in env.aircraft[2:]:
            del enemy.fly
    assert all(terminated.values()) and not any(truncated.values()) and env.agents == []
    assert infos["A0100"]["win"] and infos["A0100"]["is_success"]
    assert infos["A0100"]["crashes"] == {"B0100": "extreme", "B0200": "extreme"}


def test_a_late_episode_is_truncated_and_then_over():
    env = AirCombat("1v1", max_steps=3)
    assert len(flown(env, lambda agent: HOLD, 9)) == 3
    with pytest.raises(EnvironmentFault, match="running when step is called. Got 'one that has ended'. Call reset"):
        env.step({"A0100": HOLD})
    env.reset()
    for _ in range(3):
        _, _, terminated, truncated, infos = env.step({"A0100": HOLD})
    assert truncated["A0100"] and infos["A0100"]["truncated"] and not terminated["A0100"]


def test_opponents_left_alone_end_up_behind_the_first_agent_and_stay(env):
    flown(env, lambda agent: HOLD, 700)
    for states in env.recording.steps[500::50]:
        seen = relate_states(states, variant="paper")
        for pursuer in (2, 3):
            assert seen.angle_off[pursuer][0] < 0.05 and seen.aspect[pursuer][0] < 0.1
            assert abs(states[pursuer].position[2] - states[0].position[2]) < 10


@pytest.mark.parametrize("policy", [LEFT, RIGHT])
def test_opponents_turn_to_where_the_agents_turn(env, policy):
    flown(env, lambda agent: policy, 100)
    seen = relate_states(env.recording.steps[-1], variant="paper")
    assert seen.side[2][0] == 0 or env.aircraft[2].state.roll * seen.side[2][0] > 0


def test_level_opponents_keep_their_course(direct):
    flown(direct, lambda agent: LEVEL, 50)
    start, end = direct.recording.steps[0][2], direct.recording.steps[-1][2]
    assert abs(end.altitude - start.altitude) < 20 and math.degrees(abs(end.heading - start.heading)) < 1


def test_every_episode_repeats_to_the_last_bit(env):
    def fly(env, steps):
        generator = np.random.default_rng(1)
        flown(env, lambda agent: generator.integers([3, 5, 3]), steps)
        return env.recording.steps

    flown(env, lambda agent: DOWN, 300)  # whatever came before
    first = fly(env, 60)
    flown(env, lambda agent: RIGHT, 130)
    assert fly(env, 60) == first == fly(AirCombat("2v2"), 60)


@pytest.mark.parametrize("controls", ["hierarchical", "direct"])
def test_a_snapshot_continues_elsewhere(controls):
    here, there = (TeamEnv(make("lag/2v2-noweapon", controls=controls)) for _ in range(2))
    generator = np.random.default_rng(0)
    sizes = here.action_space.nvec
    here.reset()
    for _ in range(30):
        here.step(generator.integers(sizes))
    there.reset()
    there.set_snapshot(here.get_snapshot())
    assert same_values(there.get_snapshot(), here.get_snapshot())
    for _ in range(5):
        action = generator.integers(sizes)
        (one, paid, *_), (other, also_paid, *_) = here.step(action), there.step(action)
        assert same_values(one, other) and paid == also_paid


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenario": "3v3"}, r"scenario must be one of \('1v1', '2v2'\)"),
        ({"controls": "joystick"}, "controls must be one of"),
        ({"variant": "mine"}, "variant must be one of"),
        ({"opponent": "ace"}, "opponent must be one of"),
        ({"max_steps": 0}, "max_steps must be an integer >= 1"),
        ({"render_mode": "human"}, "render_mode must be None or 'rgb_array'"),
    ],
)
def test_choices_that_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        AirCombat(**options)


@pytest.mark.parametrize("action", [[3, 0, 0], [0, 0], [0, -1, 0], [0.5, 0, 0], [0, 0, 0, 0]])
def test_actions_that_are_refused(env, action):
    env.reset()
    with pytest.raises(
        EnvironmentFault, match=r"The action of 'A0100' must be whole numbers from 0, below \[3, 5, 3\]"
    ):
        env.step({"A0100": action, "A0200": HOLD})


@pytest.mark.slow
@pytest.mark.parametrize("controls", ["hierarchical", "direct"])
@pytest.mark.parametrize("variant", ["paper", "corrected"])
def test_ten_full_episodes_of_random_extreme_and_constant_actions(controls, variant):
    env = AirCombat("2v2", controls=controls, variant=variant)
    generator = np.random.default_rng(0)
    last = env.action_space("A0100").nvec - 1
    extremes = [generator.integers(2, size=len(last)) * last for _ in range(64)]
    policies = [lambda agent: generator.integers(last + 1)] * 4
    policies += [lambda agent: extremes[generator.integers(64)]] * 2
    policies += [lambda agent, held=held: held for held in (last * 0, last, last // 2, extremes[0])]
    for policy in policies:
        rewards = flown(env, policy, 1000)
        assert len(rewards) == 1000 or not any(env.flying[:2]) or not any(env.flying[2:])
        assert all(math.isfinite(value) for step in rewards for value in step.values())
        assert np.isfinite(env.state()).all() and (np.abs(env.state()) <= 10).all()
