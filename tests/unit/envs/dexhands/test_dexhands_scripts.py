"""Hands that follow a script do what the tasks ask for: poses are reached, doors open and close, a pot is lifted."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason='needs the extra: pip install "masoft[dexhands]"')
pytest.importorskip("mujoco", reason='needs the extra: pip install "masoft[dexhands]"')

from masoft.envs.dexhands import AGENTS, DexHands
from masoft.envs.dexhands.hand import motor_names
from masoft.envs.dexhands.rules import close_reward, lift_reward, open_reward

MOTORS = [name.split("A_")[1] for name in motor_names("right")]


def flat(env, **angles):
    """Both hands' actions, (2, n): bases at rest, joints at zero but for the named ones (radians)."""
    actions = np.zeros((2, env.task.n_actions))
    for side, row in zip(("right", "left"), actions, strict=True):
        for place, (name, motor) in enumerate(zip(MOTORS, motor_names(side), strict=True), start=len(row) - 20):
            low, high = env.model.actuator(motor).ctrlrange
            row[place] = 2 * (angles.get(name, 0.0) - low) / (high - low) - 1
    return actions


def step(env, actions):
    """The team's reward, whether it is solved, and whether the episode was lost."""
    _, rewards, terminated, _, infos = env.step(dict(zip(AGENTS, actions, strict=True)))
    return rewards["right_hand"], infos["right_hand"]["is_success"], terminated["right_hand"]


@pytest.mark.parametrize(
    "pose",
    [
        {"FFJ2": 1.2, "FFJ1": 0.8, "WRJ0": -0.4},
        {"MFJ2": 0.9, "RFJ2": 0.9, "LFJ2": 0.9, "THJ4": 0.5, "WRJ1": -0.3},
        {"FFJ3": 0.2, "LFJ3": -0.2, "THJ0": -0.8, "LFJ4": 0.5},
    ],
)
def test_a_hand_reaches_the_pose_that_it_is_told(pose):
    env = DexHands("ShadowHandDoorOpenOutward")  # nothing lies in the hands
    env.reset(seed=0)
    for _ in range(40):
        step(env, flat(env, **pose))
    for side in ("right", "left"):
        for name in MOTORS:
            assert env.data.joint(f"{side}/robot0:{name}").qpos[0] == pytest.approx(pose.get(name, 0.0), abs=0.06), name


def test_the_last_two_joints_of_a_finger_move_together():
    env = DexHands("ShadowHandDoorOpenOutward")
    env.reset(seed=0)
    for _ in range(40):
        step(env, flat(env, FFJ1=1.0))
    middle, last = (env.data.joint(f"right/robot0:FFJ{n}").qpos[0] for n in (1, 0))
    assert 0.00705 * last - 0.00805 * middle == pytest.approx(0, abs=0.0015) and last > 0.8


def test_pushed_doors_open_past_the_aim():
    env = DexHands("ShadowHandDoorOpenOutward")
    env.reset(seed=0)
    actions, solved = flat(env), False
    actions[:, 0] = -0.6
    for _ in range(200):
        reward, solved, lost = step(env, actions)
        right, left = env.measured.reaches()
        handles = env.measured.handles()
        assert not lost and reward == pytest.approx(open_reward(right, left, abs(handles[0][1] - handles[1][1])))
        if solved:
            break
    assert solved and abs(handles[0][1] - handles[1][1]) > 0.5
    turned = env.data.joint("thing0/right").qpos[0]
    expected = 2 * (0.425 - 0.39 * np.cos(turned) - 0.035 * np.sin(turned))
    assert abs(handles[0][1] - handles[1][1]) == pytest.approx(expected, abs=0.05) and turned > 1.0


def test_pushed_doors_close():
    env = DexHands("ShadowHandDoorCloseInward")
    env.reset(seed=0)
    actions, solved = flat(env), False
    actions[:, 0], actions[0, 1], actions[1, 1] = -0.3, -1.0, 1.0
    assert abs(env.data.joint("thing0/left").qpos[0] - 1.57) < 0.01
    for _ in range(100):
        reward, solved, lost = step(env, actions)
        right, left = env.measured.reaches()
        handles = env.measured.handles()
        assert not lost and reward == pytest.approx(close_reward(right, left, abs(handles[0][1] - handles[1][1])))
        if solved:
            break
    assert solved


def grip_and_lift(env, k):
    """Lower the hands, slide the bent fingers between wall and handle, lift: actions of step ``k``."""
    near = np.clip((k - 20) / 50, 0, 1)
    height = 0.43 if k < 90 else 0.44 + 0.5 * min(1.0, (k - 90) / 250)
    actions = flat(env, **dict.fromkeys(("FFJ2", "MFJ2", "RFJ2", "LFJ2"), 1.5 * near), WRJ0=0.25 * (k >= 90))
    for row, sign, palm in zip(actions, (1, -1), env.measured.palms(), strict=True):
        aim = np.array([0.0, -0.6 + sign * (0.25 - 0.085 * near), height])
        row[:3] = np.clip(30 * (aim - palm), -1, 1)
    return actions


def test_a_pot_lifted_by_both_palms_is_paid_for():
    env = DexHands("ShadowHandLiftUnderarm")
    env.reset(seed=0)
    total, solved = 0.0, False
    for k in range(500):
        reward, solved, lost = step(env, grip_and_lift(env, k))
        assert not lost
        apart = [float(np.linalg.norm(np.subtract(*pair))) for pair in zip(env.measured.palms(), env.measured.handles(),
                                                                            strict=True)]  # fmt: skip
        to_goal = float(np.linalg.norm(np.subtract(env.measured.position(0), (0, -0.6, 0.85))))
        assert reward == pytest.approx(lift_reward(*apart, to_goal))
        total += reward
    assert solved and max(apart) < 0.08 and to_goal < 0.05 and total > 300


def test_an_egg_lies_still_on_a_flat_hand():
    env = DexHands("ShadowHandOver")
    env.reset(seed=3)
    for _ in range(75):
        _, _, lost = step(env, flat(env, FFJ2=0.3, MFJ2=0.3, RFJ2=0.3, LFJ2=0.3))
    assert not lost and env.measured.position(0)[2] > 0.45
