"""SISL, Butterfly, MAgent2 and MOMAland, where they are installed."""

from __future__ import annotations

import numpy as np
import pytest

from masoft import HASAC
from masoft.envs import TeamEnv, make, make_vec
from masoft.errors import ConfigurationError

SMALL = {"learning_starts": 8, "batch_size": 8, "buffer_size": 500}


def random_actions(env):
    return {agent: env.action_space(agent).sample() for agent in env.agents}


def test_multiwalker_trains_past_the_end_of_its_episodes():
    """Its state is gone once an episode has ended."""
    pytest.importorskip("Box2D")
    vec_env = make_vec("sisl/multiwalker", n_envs=2, seed=0, max_cycles=10)
    model = HASAC.from_preset("sisl/multiwalker", vec_env, seed=0, **SMALL)
    model.learn(60)
    assert model.num_timesteps == 60 and len(model.ep_info_buffer) >= 4


def test_pursuers_see_pictures_with_channels_first():
    pytest.importorskip("pygame")
    pytest.importorskip("scipy")
    env = TeamEnv(make("sisl/pursuit", n_pursuers=2, n_evaders=2, max_cycles=3))
    assert env.observation_space["pursuer_0"].shape == (3, 7, 7)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
    assert [bool(truncated) for _, truncated in ends] == [False, False, True]


def test_pong_is_seen_in_four_small_grey_pictures():
    pytest.importorskip("pygame")
    env = TeamEnv(make("butterfly/cooperative_pong"))
    space = env.observation_space["paddle_0"]
    assert (space.shape, space.dtype) == ((4, 84, 84), np.uint8)
    before, _ = env.reset(seed=0)
    seen, *_ = env.step(env.action_space.sample())
    np.testing.assert_array_equal(seen["paddle_0"][2], before["paddle_0"][3])  # older ones move up
    assert (seen["paddle_0"][3] != before["paddle_0"][3]).any()
    env.close()
    raw = make("butterfly/cooperative_pong", picture=None)
    assert raw.observation_space("paddle_0").shape == (280, 480, 3)
    raw.close()


@pytest.mark.parametrize(
    ("game", "agent", "module"), [("cooperative_pong", "paddle_0", "pygame"), ("pistonball", "piston_0", "pymunk")]
)
def test_all_colours_of_a_picture_make_its_grey_one(game, agent, module):
    pytest.importorskip(module)
    env, raw = make(f"butterfly/{game}"), make(f"butterfly/{game}", picture=None)
    seen, colours = env.reset(seed=0)[0][agent], raw.reset(seed=0)[0][agent]
    assert seen.shape == (84, 84, 4) and colours.shape[-1] == 3
    grey = colours.reshape(-1, 3) @ [0.299, 0.587, 0.114]
    # Of the pistons, one colour alone would be 2.4 or more away.
    assert seen[..., 3].mean() == pytest.approx(grey.mean(), abs=1.0) and not seen[..., :3].any()
    env.close()
    raw.close()


def test_knights_are_seen_as_they_are():
    pytest.importorskip("pygame")
    env = make("butterfly/knights_archers_zombies")
    assert env.observation_space("archer_0").shape == (27, 5)


@pytest.fixture
def battle():
    pytest.importorskip("magent2")
    env = make("magent2/battle")
    env.reset(seed=0)
    yield env
    env.close()


def test_the_team_is_one_side_and_the_other_one_moves(battle):
    assert {agent.partition("_")[0] for agent in battle.possible_agents} == {"red"} and len(battle.agents) == 6
    start, held = battle.state(), 6  # the field that an agent stands on, of the 13 that it can go to
    for _ in range(5):
        observations, rewards, terminated, _, infos = battle.step(dict.fromkeys(battle.agents, held))
    assert all(set(part) == set(battle.possible_agents) for part in (observations, rewards, terminated, infos))
    np.testing.assert_array_equal(battle.state()[..., 1], start[..., 1])
    assert (battle.state()[..., 3] != start[..., 3]).any()


def test_a_seed_decides_the_other_side_too(battle):
    def run(seed):
        battle.reset(seed=seed)
        for _ in range(5):
            battle.step(dict.fromkeys(battle.agents, 6))
        return battle.state()

    first = run(1)
    np.testing.assert_array_equal(first, run(1))
    assert (first != run(2)).any()


def test_the_end_comes_to_all_that_are_left(battle):
    short = make("magent2/adversarial_pursuit", max_cycles=4)
    short.reset(seed=0)
    cuts = [set(short.step(random_actions(short))[3].values()) for _ in range(4)]
    assert cuts == [{False}] * 3 + [{True}] and short.agents == []


def test_another_side_can_be_the_team(battle):
    assert make("magent2/battle", team="blue").possible_agents[0] == "blue_0"
    assert len(make("magent2/battle", team="").possible_agents) == 12
    with pytest.raises(ConfigurationError, match=r"in \['blue', 'red'\]. Got 'green'"):
        make("magent2/battle", team="green")


def test_objectives_are_weighed():
    pytest.importorskip("momaland")
    weights = (0.5, 0.25, 2.0)
    env = make("momaland/item_gathering", weights=weights)
    rng, paid = np.random.default_rng(0), 0
    for seed in range(20):
        env.reset(seed=seed)
        while env.agents:
            _, rewards, _, _, infos = env.step({agent: int(rng.integers(5)) for agent in env.agents})
            for agent, reward in rewards.items():
                objectives = infos[agent]["objectives"]
                assert objectives.shape == (3,) and reward == pytest.approx(objectives @ weights)
                paid += bool(reward)
    assert paid


def test_weights_are_equal_unless_given():
    pytest.importorskip("momaland")
    assert make("momaland/item_gathering").weights.tolist() == [1 / 3] * 3
    with pytest.raises(ConfigurationError, match="weights must be 3 finite numbers, one an objective"):
        make("momaland/item_gathering", weights=(1, 2))
    with pytest.raises(ConfigurationError, match="finite"):
        make("momaland/item_gathering", weights=(1, 2, np.nan))


def test_tuples_of_numbers_and_maps_are_flattened():
    pytest.importorskip("momaland")
    env = TeamEnv(make("momaland/item_gathering"))
    assert env.observation_space["agent_0"].shape == (66,)
    model = HASAC.from_preset("momaland/item_gathering", make_vec("momaland/item_gathering", n_envs=2), **SMALL)
    assert model.learn(40).num_timesteps == 40
