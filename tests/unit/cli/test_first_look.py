"""``masoft train ID``: a run of about a minute, told as it goes, with random beside trained at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import SMALL, run

import masoft
from masoft.envs import registered
from masoft.runs.curves import read_evaluations
from masoft.runs.first_look import COPIES, LOOKS, OTHER, Look, look_of, quick_parameters
from masoft.runs.settings import RunSettings

Capture = pytest.CaptureFixture[str]


def test_no_more_than_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(LOOKS, "matrix", Look(160, evaluations=4, eval_episodes=2))
    assert run("train", "matrix/maxent", "--learning-starts", 16, "--batch-size", 8, "--seed", 0) == 0
    printed = capsys.readouterr()
    assert "a first look of 160 steps in 8 copies" in printed.out
    assert "trained team" in printed.out and "random actions" in printed.out
    folder = Path("runs/hasac-matrix-maxent-s0")
    for command in (f"masoft enjoy {folder}", f"masoft evaluate {folder}", f"masoft train --resume {folder} --extend"):
        assert command in printed.out
    lines = [line for line in printed.err.splitlines() if " of 160 steps" in line]
    assert len(lines) == 20 and "left" in lines[0] and "evaluated" in lines[-1] and "return" in lines[-1]
    settings = RunSettings.load(folder)
    assert (settings.algorithm, settings.n_envs, settings.total_timesteps) == ("HASAC", COPIES, 160)
    assert [steps for steps, _, _ in read_evaluations(folder)] == [40, 80, 120, 160]


def test_a_length_leaves_everything_else_as_the_algorithm_has_it(tmp_path: Path) -> None:
    assert run("train", "hasac", "matrix/maxent", "--total-timesteps", 20, "--out", tmp_path / "r", *SMALL) == 0
    settings = RunSettings.load(tmp_path / "r")
    assert settings.n_envs == 1 and "gradient_steps" not in settings.parameters and settings.eval_every == 0
    assert not (tmp_path / "r" / "evaluations.csv").exists()


def test_given_arguments_win() -> None:
    assert quick_parameters(masoft.HASAC, {"gradient_steps": 7})["gradient_steps"] == 7
    assert quick_parameters(masoft.HAPPO, {}) == {"n_steps": 128}
    assert look_of("Pendulum-v1") == look_of("mine:Env") == OTHER


def test_every_quick_argument_is_one_that_the_algorithm_takes() -> None:
    for name in masoft.ALGORITHMS:
        cls = getattr(masoft, name)
        cls(**quick_parameters(cls, {}))
    assert set(LOOKS) <= {entry.id.partition("/")[0] for entry in registered()}


def test_json_is_still_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(LOOKS, "matrix", Look(40, evaluations=2, eval_episodes=1))
    assert run("train", "happo", "matrix/maxent", "--n-steps", 8, "--json", "--out", tmp_path / "r") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"].endswith("best.zip") and isinstance(found["random_return"], float)


def test_the_logs_table_is_there_on_request(tmp_path: Path, capsys: Capture) -> None:
    arguments = ["train", "hasac", "matrix/maxent", "--total-timesteps", 40, *SMALL]
    assert run(*arguments, "--out", tmp_path / "a") == 0
    assert "total_timesteps" not in capsys.readouterr().out
    assert run(*arguments, "--out", tmp_path / "b", "--log-table") == 0
    assert "total_timesteps" in capsys.readouterr().out
