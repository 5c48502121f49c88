"""Pictures without a screen, in processes of their own: MuJoCo chooses how to draw when it is first imported."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason='needs the extra: pip install "masoft[dexhands]"')
pytest.importorskip("mujoco", reason='needs the extra: pip install "masoft[dexhands]"')

from masoft.envs.dexhands import AGENTS, TASKS, DexHands
from masoft.envs.dexhands.scene import build_model

DRAW = """
import numpy as np
from masoft.envs.dexhands import DexHands
env = DexHands("ShadowHandOver", render_mode="rgb_array", width=96, height=64)
env.reset(seed=0)
first = env.render().copy()
for _ in range(20):
    env.step({agent: np.ones(20, np.float32) for agent in env.agents})
second = env.render()
assert first.shape == (64, 96, 3) and first.dtype == np.uint8 and first.std() > 10
assert np.abs(first.astype(int) - second).max() > 50
env.close()
print("drawn")
"""


def drawn_with(**variables):
    """What a fresh Python says that draws, with these environment variables."""
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, env=environment, timeout=300)


def test_a_picture_shows_the_hands_moving():
    answers = [drawn_with(MUJOCO_GL="egl")]
    if "drawn" not in answers[0].stdout:
        answers.append(drawn_with(MUJOCO_GL="osmesa"))
    if any("MuJoCo cannot draw here" in answer.stderr or "OpenGL" in answer.stderr for answer in answers[-1:]):
        pytest.skip("neither EGL nor OSMesa is installed here")
    assert "drawn" in answers[-1].stdout, answers[-1].stderr


def test_where_nothing_can_draw_the_cure_is_named():
    answer = drawn_with(MUJOCO_GL="egl", MUJOCO_EGL_DEVICE_ID="99")
    assert "drawn" not in answer.stdout
    assert "MuJoCo cannot draw here" in answer.stderr and "set MUJOCO_GL=egl" in answer.stderr


def test_without_a_render_mode_there_is_no_picture():
    env = DexHands("ShadowHandOver")
    env.reset(seed=0)
    assert env.render() is None


def test_looking_changes_nothing():
    blind, seeing = DexHands("ShadowHandPen"), DexHands("ShadowHandPen", render_mode="rgb_array")
    assert seeing.model.ngeom > blind.model.ngeom
    for env in (blind, seeing):
        env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = dict(zip(AGENTS, rng.uniform(-1, 1, (2, 26)), strict=True))
        assert blind.step(actions)[1:] == seeing.step(actions)[1:]
        assert np.array_equal(blind.state(), seeing.state())


def test_models_are_built_once():
    task = TASKS["ShadowHandOver"]
    assert build_model(task, visual=False) is DexHands("ShadowHandOver").model
