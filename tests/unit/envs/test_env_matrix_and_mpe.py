"""Matrix games and the particle environments."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from gymnasium import spaces

from masoft.envs import TeamEnv, make, make_vec
from masoft.envs.adapters.matrix import BIASED_START, MatrixGame
from masoft.errors import ConfigurationError, EnvironmentFault


def test_figure_one():
    env = TeamEnv(make("matrix/maxent"))
    payoffs = np.zeros((3, 3))
    for joint in np.ndindex(3, 3):
        env.reset()
        _, payoffs[joint], terminated, truncated, _ = env.step(joint)
        assert terminated and not truncated
    assert payoffs.tolist() == [[5, -20, -20], [-20, 10, -20], [-20, -20, 20]]
    # Appendix B: the value of the biased start is -8.2, so that the advantages of the diagonal are 13.2, 18.2, 28.2
    start = np.array(BIASED_START)
    assert start @ payoffs @ start == pytest.approx(-8.2)


def test_any_payoff():
    env = TeamEnv(MatrixGame(np.arange(24).reshape(2, 3, 4)))
    assert env.action_space == spaces.MultiDiscrete([2, 3, 4]) and env.team.state_size == 0
    observation, _ = env.reset()
    assert all(observation[name].tolist() == [1] for name in env.team.names)
    assert env.step([1, 2, 3])[1] == 23
    assert env.parallel_env.state().tolist() == [1, 1, 1]


@pytest.mark.parametrize("payoff", [3.0, [[1, np.nan]], np.empty((0, 2))])
def test_payoffs_that_are_refused(payoff):
    with pytest.raises(ConfigurationError, match="payoff must be a finite array"):
        MatrixGame(payoff)


SHAPES = {
    "simple_spread_v3": ([18, 18, 18], [5, 5, 5], [5, 5, 5]),
    "simple_reference_v3": ([21, 21], [50, 50], [15, 15]),
    "simple_speaker_listener_v4": ([3, 11], [3, 5], [3, 5]),
}


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("scenario", SHAPES)
def test_mpe_shapes_reward_and_ending(scenario, continuous):
    env = TeamEnv(make(f"mpe/{scenario}", continuous_actions=continuous))
    seen, choices, numbers = SHAPES[scenario]
    assert [agent.observation_shape[0] for agent in env.team.agents] == seen
    assert env.team.state_size == 0 and not env.team.has_deaths and not env.team.has_masks
    if continuous:
        assert env.action_space == spaces.Box(0, 1, (sum(numbers),), np.float32)
    else:
        assert env.action_space == spaces.MultiDiscrete(choices)
    env.reset(seed=0)
    for step in range(25):
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert reward == pytest.approx(sum(info["rewards"].values())) and not terminated
        assert truncated == (step == 24)


def test_mpe_boxes_are_used_over_their_whole_range():
    env = TeamEnv(make("mpe/simple_spread_v3", N=1, continuous_actions=True))
    env.reset(seed=0)
    env.step(np.float32([0, 0, 1, 0, 0]))
    right = env.parallel_env.unwrapped.world.agents[0].state.p_vel[0]
    env.reset(seed=0)
    env.step(np.float32([0, 0, 0.5, 0, 0]))
    assert right == pytest.approx(2 * env.parallel_env.unwrapped.world.agents[0].state.p_vel[0]) and right > 0


def test_mpe_renders():
    env = TeamEnv(make("mpe/simple_spread_v3", render_mode="rgb_array"))
    env.reset(seed=0)
    assert env.render().shape == (700, 700, 3)


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("scenario", SHAPES)
def test_mpe_is_the_library_s_own_parallel_environment(scenario, continuous):
    """Same seed, same actions: every number that mpe2's conversion gives, without its wrappers."""
    ours = make(f"mpe/{scenario}", continuous_actions=continuous)
    theirs = importlib.import_module(f"mpe2.{scenario}").parallel_env(continuous_actions=continuous)
    rng = np.random.default_rng(0)
    for seed in (3, None):  # the second episode goes on with the generator of the first
        one, other = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
        np.testing.assert_equal(one, other)
        while theirs.agents:
            actions = {agent: _drawn(theirs.action_space(agent), rng) for agent in theirs.agents}
            for one, other in zip(ours.step(actions), theirs.step(actions), strict=True):
                np.testing.assert_equal(one, dict(other))
            assert ours.agents == theirs.agents
            np.testing.assert_equal(ours.state(), theirs.state())


def _drawn(space, rng):
    if isinstance(space, spaces.Discrete):
        return int(rng.integers(space.n))
    return rng.uniform(space.low, space.high).astype(np.float32)


def test_mpe_refuses_what_is_no_action_and_a_step_after_the_end():
    env = make("mpe/simple_spread_v3", max_cycles=1)
    env.reset(seed=0)
    with pytest.raises(EnvironmentFault, match="action of agent_1 must be from 0 to 4. Got 5"):
        env.step({"agent_0": 0, "agent_1": 5, "agent_2": 0})
    env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, 0))
    with pytest.raises(EnvironmentFault, match="has ended"):
        env.step(dict.fromkeys(env.possible_agents, 0))


def test_mpe_declarations_do_not_leak_into_the_library():
    from mpe2 import simple_spread_v3

    make("mpe/simple_spread_v3")
    assert "team_reward" not in simple_spread_v3.parallel_env().metadata
    assert make_vec(simple_spread_v3.parallel_env).get_attr("team_reward") == ["mean"]
