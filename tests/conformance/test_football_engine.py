"""The real football engine, where it has been built: the same numbers as gfootball's own wrappers, seeds, endings."""

from __future__ import annotations

import importlib
import types
import warnings

import numpy as np
import pytest

from masoft import HASAC
from masoft.envs import TeamEnv, find, make, make_vec, registered
from masoft.envs.adapters.football import SCENARIOS
from masoft.envs.adapters.football_engine import FootballEngine, _stand_ins
from masoft.envs.adapters.football_features import CheckpointReward, indices_of, joint_state
from masoft.errors import ConfigurationError
from masoft.testing import check_env

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pettingzoo.test import parallel_api_test

RPS = find("football/rps")
pytestmark = [
    pytest.mark.skipif(not RPS.is_installed, reason=f"the football engine is not built: {RPS.install_command}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # gfootball's own imports
]
SIZES = {"rps": (2, 126), "corner": (11, 225), "3_vs_1": (3, 137)}


def raw_for(core, agent):
    """The dict that gfootball's own code gives one agent."""
    return {**core, "active": core["left_agent_controlled_player"][agent]}


@pytest.fixture(scope="module")
def wrappers():
    """gfootball's wrappers; only their pure functions are used."""
    with _stand_ins():
        return importlib.import_module("gfootball.env.wrappers")


@pytest.mark.parametrize("scenario", SIZES)
def test_shapes(scenario):
    n_agents, state_size = SIZES[scenario]
    team = TeamEnv(make(f"football/{scenario}")).team
    assert (team.n_agents, team.state_size) == (n_agents, state_size)
    assert all(agent.observation_shape == (115,) and agent.action.nvec == (19,) for agent in team.agents)


@pytest.mark.parametrize(
    "scenario", ["rps", *(pytest.param(name, marks=pytest.mark.slow) for name in SCENARIOS if name != "rps")]
)
def test_it_keeps_every_promise_of_an_environment(scenario):
    check_env(f"football/{scenario}", n_steps=100)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:pettingzoo.test.*")
def test_pettingzoo_api():
    parallel_api_test(make("football/3_vs_1"), num_cycles=60)


def test_features_and_checkpoints_are_gfootballs_own(wrappers):
    engine, reward = FootballEngine("academy_run_pass_and_shoot_with_keeper", 3), CheckpointReward(3)
    theirs = wrappers.CheckpointRewardWrapper.__new__(wrappers.CheckpointRewardWrapper)
    theirs._num_checkpoints, theirs._checkpoint_reward = 10, 0.1
    rng, collected = np.random.default_rng(0), 0.0
    for episode in range(4):
        raw, is_over = engine.reset(episode), False
        theirs._collected_checkpoints = {}
        reward.start_episode()
        while not is_over:
            players = raw["left_agent_controlled_player"]
            state = joint_state(raw, players)
            own = np.stack([state[list(indices_of(agent))] for agent in range(3)])
            agents = [raw_for(raw, agent) for agent in range(3)]
            assert np.array_equal(own, wrappers.Simple115StateWrapper.convert_observation(agents, True))
            actions = rng.choice([5, 5, 5, 12, *range(19)], 3)  # mostly to the right, with shots
            raw, score, is_over = engine.step(actions.tolist())
            agents = [raw_for(raw, agent) for agent in range(3)]
            theirs.env = types.SimpleNamespace(unwrapped=types.SimpleNamespace(observation=lambda seen=agents: seen))
            expected = theirs.reward(np.full(3, score, np.float32))
            got = reward.collect(raw, raw["left_agent_controlled_player"], scored=score == 1)
            assert np.allclose(np.array(got) + score, expected, atol=1e-6)
            collected += sum(got)
    assert collected > 0
    engine.close()


def test_the_core_plays_as_gfootballs_environment_does():
    level = "academy_3_vs_1_with_keeper"
    engine = FootballEngine(level, 3)
    with _stand_ins():
        config = importlib.import_module("gfootball.env.config").Config(
            {
                "level": level,
                "players": ["agent:left_players=3,right_players=0"],
                "game_engine_random_seed": 5,
                "reverse_team_processing": True,
            }
        )
        theirs = importlib.import_module("gfootball.env.football_env").FootballEnv(config)
    raw, agents = engine.reset(5), theirs.reset()
    rng = np.random.default_rng(1)
    for _ in range(30):
        assert [agent["active"] for agent in agents] == list(raw["left_agent_controlled_player"])
        assert all(np.array_equal(agents[0][key], raw[key]) for key in ("left_team", "right_team", "ball", "score"))
        actions = rng.integers(0, 19, 3).tolist()
        raw, score, is_over = engine.step(actions)
        agents, rewards, done, _ = theirs.step(actions)
        assert (done, rewards.tolist()) == (is_over, [score] * 3)
        if done:
            break
    engine.close()
    theirs.close()


def test_the_clock_truncates():
    env = TeamEnv(make("football/run_to_score"))
    env.reset(seed=0)  # who stands still with the ball is not attacked there
    steps, is_over = 0, False
    while not is_over:
        _, _, terminated, truncated, info = env.step([0])
        steps, is_over = steps + 1, terminated or truncated
    assert (truncated, steps, info["is_success"]) == (True, 401, False)


def test_the_end_by_the_ball_out_of_play_terminates():
    env = TeamEnv(make("football/empty_goal_close"))
    env.reset(seed=0)
    steps, is_over = 0, False
    while not is_over:
        _, _, terminated, truncated, info = env.step([0])
        steps, is_over = steps + 1, terminated or truncated
    assert (terminated, truncated, info["is_success"]) == (True, False, False) and steps < 400


def test_hasac_trains_with_the_papers_settings():
    two_games = make_vec("football/rps", 2, seed=0, backend="dummy")  # in one process
    model = HASAC.from_preset("football/rps", two_games, learning_starts=60, train_freq=10, gradient_steps=1, seed=0)
    model.learn(100)
    assert model.replay_buffer.size() == 100 and model._n_updates == 2
    model.env.close()


def test_what_the_engine_would_die_of_is_refused():
    with pytest.raises(ConfigurationError, match="Got 'academy_cornr'. Did you mean 'academy_corner'"):
        FootballEngine("academy_cornr", 3)
    with pytest.raises(ConfigurationError, match=r"n_agents of 'academy_corner' must be from 1 to 11. Got 12"):
        FootballEngine("academy_corner", 12)


def test_all_scenarios_can_be_made():
    for entry in registered():
        if entry.id.startswith("football/"):
            env = make(entry.id)
            observations, _ = env.reset(seed=0)
            assert len(observations) == SCENARIOS[entry.id.split("/")[1]][1]
            env.close()
