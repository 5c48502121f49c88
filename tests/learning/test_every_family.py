"""Every family of the catalogue that runs here goes through the whole command line in 300 steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from masoft.envs import Registration, registered

FAMILIES: dict[str, Registration] = {}
for entry in registered():
    if entry.is_installed:
        FAMILIES.setdefault(entry.id.partition("/")[0], entry)
PARAMETERS = {"learning_starts": 100, "batch_size": 16, "gradient_steps": 1, "policy_kwargs": {"net_arch": [16]}}


def masoft(*args: object) -> str:
    """What a command prints on standard output; it succeeds."""
    command = [sys.executable, "-m", "masoft.cli", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_from_training_to_study(family: str, tmp_path: Path) -> None:
    env, folder = FAMILIES[family].id, tmp_path / "run"
    flags = [f"--{name.replace('_', '-')}={json.dumps(value)}" for name, value in PARAMETERS.items()]
    trained = json.loads(
        masoft("train", "hasac", env, "--total-timesteps", 300, "--out", folder, "--eval-episodes", 1, "--json", *flags)
    )
    assert trained["timesteps"] >= 300 and isinstance(trained["mean_return"], float)
    played = json.loads(masoft("evaluate", folder, "--episodes", 1, "--json"))
    assert isinstance(played["mean_return"], float) and isinstance(played["random"]["mean_return"], float)
    kinds = ["--kind", "traces"] if trained["learning_curve"] is None else []  # no episode ends in 300 steps
    assert json.loads(masoft("plot", folder, "--json", *kinds))["pictures"]
    assert any(name.endswith(".onnx") for name in json.loads(masoft("export", folder, "--json"))["files"])
    study = {"seeds": [0], "total_timesteps": 300, "eval_every": 300, "eval_episodes": 1, "environments": [env]}
    (tmp_path / "s.toml").write_text(
        "\n".join(f"{key} = {json.dumps(value)}" for key, value in study.items())
        + '\n[[algorithms]]\nalgorithm = "HASAC"\n[algorithms.parameters]\nlearning_starts = 100\nbatch_size = 16\n'
        + "gradient_steps = 1\npolicy_kwargs = {net_arch = [16]}\n"
    )
    done = json.loads(masoft("study", tmp_path / "s.toml", "--out", tmp_path / "study", "--json"))
    assert len(done["done"]) == 1 and done["failures"] == []
    masoft("plot", tmp_path / "study", "--json")
