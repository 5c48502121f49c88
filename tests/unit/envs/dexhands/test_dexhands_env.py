"""The two-handed tasks as environments: sizes, endings, seeds, snapshots, and calm whatever the hands do."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason='needs the extra: pip install "masoft[dexhands]"')
pytest.importorskip("mujoco", reason='needs the extra: pip install "masoft[dexhands]"')

from masoft.envs import TeamEnv, make
from masoft.envs.dexhands import AGENTS, TASKS, DexHands
from masoft.envs.dexhands.observation import Sensor, layout
from masoft.errors import ConfigurationError, EnvironmentFault

SIZES = {
    "ShadowHandOver": (211, 398, 20, 75),
    "ShadowHandCatchOver2Underarm": (223, 422, 26, 75),
    "ShadowHandCatchAbreast": (223, 422, 26, 150),
    "ShadowHandTwoCatchUnderarm": (247, 446, 26, 75),
    "ShadowHandLiftUnderarm": (218, 417, 26, 500),
    "ShadowHandPen": (218, 417, 26, 125),
    "ShadowHandDoorOpenOutward": (218, 417, 26, 250),
    "ShadowHandDoorOpenInward": (218, 417, 26, 250),
    "ShadowHandDoorCloseInward": (218, 417, 26, 250),
}
"""Observation, state, action, steps: the original's."""


def zeros(env):
    return {agent: np.zeros(env.action_space(agent).shape, np.float32) for agent in AGENTS}


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_the_originals(task):
    observed, state, action, steps = SIZES[task]
    env = make(f"dexhands/{task}")
    observations, _ = env.reset(seed=0)
    for agent in AGENTS:
        assert observations[agent].shape == env.observation_space(agent).shape == (observed,)
        assert env.action_space(agent).shape == (action,)
    assert env.state().shape == env.state_space.shape == (state,) and env.max_episode_steps == steps


def behaviour(kind, rng, n_actions):
    """A function of the step that gives both hands' actions, (2, n_actions)."""
    if kind == "random":
        return lambda step: rng.uniform(-1, 1, (2, n_actions))
    if kind == "extreme":
        corners = rng.choice([-1.0, 1.0], (200, 2, n_actions))
        return lambda step: corners[step // 5 % 200]
    constant = rng.choice([-1.0, 1.0], (2, n_actions))
    return lambda step: constant


@pytest.mark.parametrize("n_episodes", [2, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["random", "extreme", "constant"])
@pytest.mark.parametrize("task", TASKS)
def test_whole_episodes_without_a_warning(task, kind, n_episodes):
    env, rng = DexHands(task), np.random.default_rng(n_episodes)
    for seed in range(n_episodes):
        env.reset(seed=seed)
        act, step = behaviour(kind, rng, env.task.n_actions), 0
        while env.agents:
            _, rewards, terminated, truncated, _ = env.step(dict(zip(AGENTS, act(step), strict=True)))
            step += 1
            assert math.isfinite(rewards["right_hand"])
        assert terminated["right_hand"] != truncated["right_hand"]
        assert [warning.number for warning in env.data.warning] == [0] * len(env.data.warning)
        assert np.isfinite(env.data.qpos).all() and np.abs(env.data.qvel).max() < 200


@pytest.mark.parametrize("task", ["ShadowHandOver", "ShadowHandDoorCloseInward"])
def test_same_seed_same_trajectory_in_another_instance(task):
    runs = []
    for _ in range(2):
        env, rng, run = DexHands(task), np.random.default_rng(3), []
        env.reset(seed=11)
        while env.agents:
            _, rewards, *_ = env.step(dict(zip(AGENTS, rng.uniform(-1, 1, (2, env.task.n_actions)), strict=True)))
            run.append((env.state().tobytes(), rewards["left_hand"]))
        runs.append(run)
    assert runs[0] == runs[1]


def test_episodes_differ_from_each_other():
    env = DexHands("ShadowHandOver")
    env.reset(seed=0)
    first = env.state().copy()
    env.reset()
    assert not np.array_equal(first, env.state())


@pytest.mark.parametrize("task", TASKS)
def test_a_snapshot_goes_on_bit_by_bit(task):
    env, other, rng = DexHands(task), DexHands(task), np.random.default_rng(5)
    actions = [dict(zip(AGENTS, rng.uniform(-1, 1, (2, env.task.n_actions)), strict=True)) for _ in range(12)]
    env.reset(seed=1)
    other.reset(seed=2)
    for action in actions[:6]:
        env.step(action)
    other.set_snapshot(env.get_snapshot())
    for action in actions[6:]:
        if not env.agents:
            break
        mine, theirs = env.step(action), other.step(action)
        assert mine[1:] == theirs[1:] and np.array_equal(env.state(), other.state())
    env.reset()
    other.reset()
    assert np.array_equal(env.state(), other.state())


def test_time_limit_is_a_truncation_and_a_dropped_egg_a_termination():
    env = DexHands("ShadowHandOver", max_episode_steps=3)
    env.reset(seed=0)
    for step in range(3):
        _, _, terminated, truncated, _ = env.step(zeros(env))
        assert not any(terminated.values()) and set(truncated.values()) == {step == 2}
    with pytest.raises(EnvironmentFault, match="running when step is called"):
        env.step(zeros(env))
    env.reset(seed=0)
    env.data.joint("thing0").qpos[2] = 0.19
    _, _, terminated, truncated, infos = env.step(zeros(env))
    assert set(terminated.values()) == {True} and set(truncated.values()) == {False} and not env.agents
    assert infos["right_hand"] == {"is_success": False}


def test_success_is_remembered_and_ends_nothing():
    env = DexHands("ShadowHandOver")
    team = TeamEnv(env)
    team.reset(seed=0)
    env.data.joint("thing0").qpos[:] = [*env.measured.goal_position(0), *env.measured.goal_rotation(0)]
    env.data.joint("thing0").qvel[:] = 0
    import mujoco

    mujoco.mj_step1(env.model, env.data)
    _, reward, terminated, truncated, info = team.step(np.zeros(40))
    assert info["is_success"] and not terminated and not truncated and reward > 0.9
    env.data.joint("thing0").qpos[:3] += 0.1
    mujoco.mj_step1(env.model, env.data)
    assert team.step(np.zeros(40))[4]["is_success"]
    team.reset()
    assert not team.step(np.zeros(40))[4]["is_success"]


def test_the_state_is_what_its_layout_says():
    """Looked up by name in the simulation, block by block."""
    env = DexHands("ShadowHandLiftUnderarm")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        action = rng.uniform(-1, 1, (2, 26)).astype(np.float32)
        env.step(dict(zip(AGENTS, action, strict=True)))
    state, data, place = env.state(), env.data, 0
    for part in layout(env.task):
        shown = state[place : place + part.size]
        place += part.size
        if isinstance(part, Sensor) and part.kind == "JOINTPOS":
            low, high = env.model.joint(part.name).range
            assert shown == pytest.approx(2 * (data.joint(part.name).qpos - low) / (high - low) - 1, abs=1e-4)
        elif isinstance(part, Sensor) and part.kind == "JOINTVEL":
            assert shown == pytest.approx(np.clip(0.2 * data.joint(part.name).qvel, -5, 5), abs=1e-4)
        elif isinstance(part, Sensor) and part.kind == "FRAMEPOS":
            found = data.body(part.name).xpos if part.of == "XBODY" else data.site(part.name).xpos
            assert shown == pytest.approx(found, abs=1e-5)
        elif part.size == 26:
            assert shown == pytest.approx(action[0 if part.name == "right/action" else 1])
    assert place == state.size
    np.testing.assert_allclose(state[398:405], [*data.body("thing0").xpos, *data.body("thing0").xquat], atol=1e-5)


def test_base_rotation_is_measured_from_the_start():
    env = DexHands("ShadowHandDoorOpenOutward")
    env.reset(seed=0)
    turn = env._reader.slices["right/rotation"]
    assert np.abs(env.state()[turn]).max() < 1e-3
    for _ in range(60):
        action = zeros(env)
        action["right_hand"][3:6] = [0.0, 0.0, 1.0]
        env.step(action)
    x, y, z = env.state()[turn]
    assert z > 0.2 and abs(x) < 0.05 and abs(y) < 0.05


def test_a_constant_push_is_a_constant_speed():
    """Force over 600 times the mass: what damping 100 gives in the original's engine."""
    env = DexHands("ShadowHandDoorOpenOutward")
    env.reset(seed=0)
    for _ in range(30):
        action = zeros(env)
        action["left_hand"][2] = 1.0
        env.step(action)
    force = 0.5 * 1e5 / 60
    assert env.data.joint("left/free").qvel[2] == pytest.approx(force / (600 * 5.011), rel=0.02)


def test_a_task_of_your_own():
    far = dataclasses.replace(TASKS["ShadowHandOver"], steps=5, noise=0.0)
    env = DexHands(far)
    assert env.metadata["name"] == "dexhands/custom" and env.max_episode_steps == 5
    env.reset(seed=0)
    assert env.measured.position(0)[1] == pytest.approx(-0.39, abs=0.01)


def test_eggs_and_goals_are_turned_anew_and_pots_are_not():
    env = DexHands("ShadowHandTwoCatchUnderarm")
    seen = []
    for seed in range(3):
        env.reset(seed=seed)
        seen += [env.measured.goal_rotation(0), env.measured.goal_rotation(1)]
    assert len({tuple(turn) for turn in seen}) == 6
    pot = DexHands("ShadowHandLiftUnderarm")
    pot.reset(seed=4)
    assert pot.measured.rotation(0) == pytest.approx([1, 0, 0, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("ShadowHandOverr", {}, "Did you mean 'ShadowHandOver'"),
        (3, {}, "one of the nine or a Task"),
        ("ShadowHandOver", {"render_mode": "human"}, "render_mode must be None or one of"),
        ("ShadowHandOver", {"max_episode_steps": 0}, "max_episode_steps must be an integer >= 1"),
        ("ShadowHandOver", {"width": 1.5}, "width must be an integer >= 1"),
    ],
)
def test_what_is_refused(task, options, message):
    with pytest.raises(ConfigurationError) as caught:
        DexHands(task, **options)
    assert message in str(caught.value)


def test_a_simulation_that_diverges_is_a_fault():
    env = DexHands("ShadowHandOver")
    env.reset(seed=0)
    env.data.qvel[0] = np.nan
    with pytest.raises(EnvironmentFault, match="The simulation of dexhands/ShadowHandOver must be stable"):
        env.step(zeros(env))
    assert env.agents == []
