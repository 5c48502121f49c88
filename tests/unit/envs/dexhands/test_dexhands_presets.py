"""The paper's settings fit the environments: presets, and the study of Appendix I."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gymnasium_robotics", reason='needs the extra: pip install "masoft[dexhands]"')
pytest.importorskip("mujoco", reason='needs the extra: pip install "masoft[dexhands]"')

from masoft import HASAC, HATD3, MASAC, make_vec
from masoft.envs.dexhands import TASKS
from masoft.presets import preset
from masoft.studies.study import read_study

ABLATION = Path(__file__).parents[4] / "examples" / "masac_ablation.toml"


@pytest.mark.parametrize("algorithm", [HASAC, HATD3, MASAC])
def test_presets_build_on_the_environments(algorithm):
    task = "dexhands/ShadowHandDoorOpenOutward"
    model = algorithm.from_preset(task, env=make_vec(task, n_envs=2, seed=0), seed=0, buffer_size=1000)
    assert model.gamma == 0.95 and model.n_envs == 2 and model.action_space.shape == (52,)


def test_the_ablation_has_the_presets_settings():
    """Both algorithms as in Tables 4 to 6, on the eight tasks that share them."""
    study = read_study(ABLATION)
    assert [variant.algorithm for variant in study.algorithms] == ["HASAC", "MASAC"]
    assert {task.env for task in study.environments} == {
        f"dexhands/{name}" for name in TASKS if name != "ShadowHandTwoCatchUnderarm"
    }
    for variant in study.algorithms:
        for task in study.environments:
            found = preset(variant.algorithm, task.env)
            asked = dict(variant.parameters)
            assert found.n_envs == study.n_envs
            for name in ("gamma", "batch_size", "n_steps", "ent_coef", "train_freq", "gradient_steps",
                         "learning_starts", "buffer_size", "learning_rate"):  # fmt: skip
                assert asked[name] == found.parameters[name], name
            for name, value in asked["policy_kwargs"].items():
                assert found.parameters["policy_kwargs"][name] == value, name
