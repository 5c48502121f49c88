"""Multi-agent MuJoCo: shapes, views, joints and limits against gymnasium and gymnasium-robotics."""

from __future__ import annotations

import os

import gymnasium
import numpy as np
import pytest

from masoft.envs import TeamEnv, find, make
from masoft.envs.adapters.mamujoco import SCENARIOS, MultiAgentMujoco, StandardisedIds
from masoft.envs.views import standardised, view_of_state
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.spec import StateView

ENTRY = find("mamujoco/Ant-4x2")
pytestmark = pytest.mark.skipif(not ENTRY.is_installed, reason=f"needs the extra: {ENTRY.install_command}")

# observation sizes with agent_obsk 0 and 1, joints an agent, state size
LIMBS = ([236, 167], [242, 170], {9, 8}, 348)
TASKS = {
    "Ant-2x4": ([61] * 2, [63] * 2, 4, 105),
    "Ant-4x2": ([39] * 4, [42] * 4, 2, 105),
    "Ant-8x1": ([25, 31] * 4, [29, 32] * 4, 1, 105),
    "HalfCheetah-2x3": ([11] * 2, [12] * 2, 3, 17),
    "HalfCheetah-3x2": ([9] * 3, [11, 12, 10], 2, 17),
    "HalfCheetah-6x1": ([7] * 6, [9, 9, 8, 9, 9, 8], 1, 17),
    "Walker2d-2x3": ([11] * 2, [12] * 2, 3, 17),
    "Walker2d-6x1": ([7] * 6, [9, 9, 8, 9, 9, 8], 1, 17),
    "ManySegmentSwimmer-10x2": ([4] * 10, [5, *[6] * 8, 5], 2, 44),
    "HumanoidStandup-17x1": (
        [80, 80, 80, 58, 58, 58, 58, 58, 58, 58, 58, 80, 80, 36, 80, 80, 36],
        [92, 92, 92, 64, 64, 64, 61, 64, 64, 64, 61, 85, 85, 38, 85, 85, 38],
        1,
        348,
    ),
    "HumanoidStandup-9|8": LIMBS,
    "Humanoid-9|8": LIMBS,
    "Hopper-3x1": ([7] * 3, [8, 9, 8], 1, 11),
    "Swimmer-2x1": ([5] * 2, [6] * 2, 1, 8),
}
TASKS["Humanoid-17x1"] = TASKS["HumanoidStandup-17x1"]


def joints_each(joints):
    return joints if isinstance(joints, set) else {joints}


@pytest.mark.parametrize("task", TASKS)
def test_shapes(task):
    nobody, neighbours, joints, state_size = TASKS[task]
    for agent_obsk, sizes in ((0, nobody), (1, neighbours)):
        team = TeamEnv(make(f"mamujoco/{task}", agent_obsk=agent_obsk)).team
        assert [agent.observation_shape[0] for agent in team.agents] == sizes
        assert {agent.action.size for agent in team.agents} == joints_each(joints) and team.state_size == state_size
    team = TeamEnv(make(f"mamujoco/{task}", observation="full")).team
    assert {agent.observation_shape[0] for agent in team.agents} == {state_size}
    team = TeamEnv(make(f"mamujoco/{task}", observation="paper")).team
    assert {agent.observation_shape[0] for agent in team.agents} == {state_size + len(sizes)}
    assert team.state_view == StateView(standardise=True) and not team.has_deaths


@pytest.mark.parametrize("observation", ["partial", "full", "paper"])
@pytest.mark.parametrize("task", TASKS)
def test_observations_are_the_declared_views_of_the_state(task, observation):
    env = make(f"mamujoco/{task}", observation=observation)
    observations, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        for agent in env.possible_agents:
            expected = view_of_state(env.observation_views[agent], env.state())
            np.testing.assert_allclose(observations[agent], expected, atol=1e-5)
        if not env.agents:
            break
        observations, *_ = env.step({a: _uniform(env.action_space(a), rng) for a in env.agents})


def _uniform(space, rng):
    return rng.uniform(space.low, space.high).astype(np.float32)


@pytest.mark.parametrize(
    "task", ["Ant-2x4", "HalfCheetah-6x1", "Walker2d-2x3", "ManySegmentSwimmer-10x2", "Hopper-3x1", "Humanoid-9|8"]
)
def test_partial_mode_equals_the_library(task):
    """Same seed, same actions: the library's rewards, states and observations (Walker2d's clipped velocities apart)."""
    from gymnasium_robotics import mamujoco_v1

    ours = make(f"mamujoco/{task}")
    scenario, factorisation = task.split("-")
    theirs = mamujoco_v1.parallel_env(scenario, factorisation, agent_obsk=1)
    ours.reset(seed=5)
    theirs.reset(seed=5)
    rng = np.random.default_rng(0)
    for _ in range(10):
        actions = {agent: _uniform(ours.action_space(agent), rng) for agent in ours.possible_agents}
        mine, my_rewards, *_ = ours.step(actions)
        yours, your_rewards, terminations, *_ = theirs.step(actions)
        assert my_rewards == pytest.approx(your_rewards)
        np.testing.assert_allclose(ours.state(), theirs.state(), rtol=1e-5, atol=1e-5)
        for agent in ours.possible_agents:
            expected = yours[agent]
            if scenario == "Walker2d":
                expected = theirs.state()[theirs.observation_factorization[agent]]
            np.testing.assert_allclose(mine[agent], expected, rtol=1e-5, atol=1e-5)
        if any(terminations.values()):
            break


@pytest.mark.parametrize(
    "task", ["Ant-4x2", "HalfCheetah-6x1", "HumanoidStandup-17x1", "Humanoid-17x1", "Hopper-3x1", "Walker2d-2x3"]
)
def test_numbers_are_gymnasiums_own(task):
    """Stepped past gymnasium's wrappers and checks, a robot gives the same states, rewards and infos, bit by bit."""
    env, plain = make(f"mamujoco/{task}", observation="paper"), gymnasium.make(SCENARIOS[task.split("-")[0]])
    env.reset(seed=3)
    state, _ = plain.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(40):
        assert np.array_equal(env.state(), state.astype(np.float32))
        command = rng.uniform(plain.action_space.low, plain.action_space.high).astype(np.float32)
        actions = dict(zip(env.possible_agents, np.split(command, len(env.possible_agents)), strict=True))
        _, rewards, terminations, _, infos = env.step(actions)
        state, reward, terminated, _, info = plain.step(command)
        assert rewards["agent_0"] == reward and terminations["agent_0"] == terminated
        assert all(np.array_equal(infos["agent_0"][key], value) for key, value in info.items())
        if terminated:
            env.reset(seed=4)
            state, _ = plain.reset(seed=4)


@pytest.mark.parametrize("task", ["Ant-2x4", "Walker2d-2x3", "HumanoidStandup-17x1"])
def test_paper_mode_deals_joints_out_in_slices(task):
    env = make(f"mamujoco/{task}", observation="paper")
    env.reset(seed=1)
    bare = gymnasium.make(env.env.spec.id)
    bare.reset(seed=1)
    command = np.float32(bare.action_space.high * np.linspace(-1, 1, bare.action_space.shape[0]))
    each = len(command) // len(env.agents)
    actions = {agent: command[k * each : (k + 1) * each] for k, agent in enumerate(env.agents)}
    rewards = env.step(actions)[1]
    assert rewards["agent_0"] == pytest.approx(bare.step(command)[1])


def test_paper_observation_is_state_and_identity_standardised():
    rng = np.random.default_rng(0)
    state = rng.normal(3, 2, 17).astype(np.float32)
    seen = StandardisedIds(17, 2)(state)
    for agent in range(2):
        vector = np.concatenate([state, np.eye(2, dtype=np.float32)[agent]])
        np.testing.assert_allclose(seen[agent], (vector - vector.mean()) / vector.std(), atol=1e-5)
        np.testing.assert_allclose(seen[agent], standardised(vector), atol=1e-5)
    assert standardised(np.ones(4, np.float32)).tolist() == [0, 0, 0, 0]


def test_humanoid_uses_its_full_torque_range():
    env = TeamEnv(make("mamujoco/HumanoidStandup-17x1"))
    assert np.allclose(env.action_space.high, 0.4) and np.allclose(env.action_space.low, -0.4)
    env.reset(seed=0)
    env.step(env.action_space.high)
    np.testing.assert_allclose(env.parallel_env.env.unwrapped.data.ctrl, 0.4, rtol=1e-6)


def test_time_limit_truncates_and_stepping_on_is_refused():
    env = make("mamujoco/HalfCheetah-2x3", max_episode_steps=3)
    env.reset(seed=0)
    actions = {agent: np.zeros(3, np.float32) for agent in env.agents}
    for step in range(3):
        _, rewards, terminations, truncations, infos = env.step(actions)
        assert not any(terminations.values()) and set(truncations.values()) == {step == 2}
    assert env.agents == [] and rewards["agent_0"] == rewards["agent_1"] and "x_velocity" in infos["agent_0"]
    with pytest.raises(EnvironmentFault, match="running when step is called"):
        env.step(actions)
    env.reset(seed=0)
    assert env.step(actions)[3]["agent_0"] is False


def test_a_fall_terminates():
    env = TeamEnv(make("mamujoco/Walker2d-2x3"))
    env.reset(seed=0)
    for _ in range(1000):
        observation, _, terminated, truncated, _ = env.step(env.action_space.high)
        if terminated or truncated:
            break
    assert terminated and not truncated and observation["state"].any() and observation["agent_0"].any()


def test_walker_shows_clipped_velocities():
    env = make("mamujoco/Walker2d-2x3")
    env.reset(seed=0)
    robot = env.env.unwrapped
    robot.set_state(robot.init_qpos, np.full(9, 50.0))
    observations, *_ = env.step({agent: np.zeros(3, np.float32) for agent in env.agents})
    assert all(np.abs(seen).max() <= 10 for seen in observations.values())


def test_swimmer_leaves_site_packages_alone():
    import gymnasium_robotics.envs.multiagent_mujoco as package

    folder = os.path.join(os.path.dirname(package.__file__), "assets")
    before = os.stat(folder).st_mtime_ns
    env = MultiAgentMujoco("ManySegmentSwimmer", "2x2")
    assert os.stat(folder).st_mtime_ns == before and len(env.possible_agents) == 2


def test_ant_without_contact_forces():
    team = TeamEnv(MultiAgentMujoco("Ant", "4x2", agent_obsk=0, include_cfrc_ext_in_observation=False)).team
    assert team.state_size == 27 and team.agents[0].observation_shape == (15,)


def test_frame_stacking_drops_the_views():
    import supersuit

    env = supersuit.frame_stack_v1(make("mamujoco/HalfCheetah-2x3"), 2)
    team = TeamEnv(env).team
    assert [agent.view for agent in team.agents] == [None, None] and team.state_size == 17
    clipped = supersuit.clip_reward_v0(make("mamujoco/HalfCheetah-2x3"))
    assert all(agent.view is not None for agent in TeamEnv(clipped).team.agents)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("Ant", "3x3"), {}, "'AxJ' with A agents of J joints each, 8 in all. Got '3x3'. Known: 1x8, 2x4, 2x4d"),
        (("HumanoidStandup", "five"), {}, "17 in all. Got 'five'. Known: 17x1, 1x17, 9|8"),
        (("ManySegmentSwimmer", "10"), {}, "two joints or more in all"),
        (("Antt", "4x2"), {}, "Did you mean 'Ant'"),
        (("Ant", "4x2"), {"observation": "whole"}, "observation must be one of"),
        (("Ant", "4x2"), {"agent_obsk": None}, "agent_obsk must be an integer >= 0"),
    ],
)
def test_what_is_refused(arguments, options, message):
    with pytest.raises(ConfigurationError) as caught:
        MultiAgentMujoco(*arguments, **options)
    assert message in str(caught.value)


def wriggled(env, n_steps, seed):
    """What a robot with random actions tells, from episode to episode."""
    rng, heard = np.random.default_rng(seed), []
    for _ in range(n_steps):
        actions = {agent: rng.uniform(-1, 1, env.action_space(agent).shape) for agent in env.possible_agents}
        seen, rewards, *_ = env.step(actions)
        heard += [*seen.values(), np.array(list(rewards.values()))]
        if not env.agents:
            env.reset()
    return heard


@pytest.mark.parametrize("task", ["HalfCheetah-2x3", "Ant-4x2", "HumanoidStandup-17x1"])
def test_a_robot_that_touches_the_floor_goes_on_in_a_fresh_environment(task):
    """The number of contacts decides the size of some of the simulation's arrays."""
    env, other = make(f"mamujoco/{task}"), make(f"mamujoco/{task}")
    env.reset(seed=0)
    steps = (wriggled(env, 1, seed) for seed in range(500))
    assert any(env._robot.data.ncon for _ in steps)
    moment = env.get_snapshot()
    expected = wriggled(env, 20, seed=2)
    other.reset(seed=5)
    other.set_snapshot(moment)
    for one, another in zip(expected, wriggled(other, 20, seed=2), strict=True):
        np.testing.assert_array_equal(one, another)


def test_a_snapshot_of_an_earlier_version_with_arrays_of_contacts_fits():
    env, other = make("mamujoco/Ant-4x2"), make("mamujoco/Ant-4x2")
    for each in (env, other):
        each.reset(seed=0)
    moment = env.get_snapshot()
    moment["robot"]["arrays"]["iacc"] = np.zeros(3)
    other.set_snapshot(moment)
