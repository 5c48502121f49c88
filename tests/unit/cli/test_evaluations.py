"""``--eval-every``, ``best.zip``, ``--stop-at``, and ``--extend`` on a finished run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from shell import SMALL, run

import masoft
from masoft.runs.curves import read_curve, read_evaluations
from masoft.runs.settings import RunSettings

Capture = pytest.CaptureFixture[str]
TRAIN = ["train", "hasac", "matrix/maxent", "--seed", 1, "--eval-episodes", 2, *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "evaluated"
    assert run(*TRAIN, "--total-timesteps", 60, "--eval-every", 20, "--out", out) == 0
    return out


def test_a_table_and_the_best_team_are_left(folder: Path) -> None:
    found = read_evaluations(folder)
    assert [steps for steps, _, _ in found] == [20, 40, 60]
    best = masoft.HASAC.load(folder / "best.zip")
    first_best = max(found, key=lambda row: (row[1], -row[0]))
    assert best.num_timesteps == first_best[0]
    assert "eval/mean_reward" in (folder / "progress.csv").read_text()


def test_evaluating_changes_nothing_of_the_training(folder: Path, tmp_path: Path) -> None:
    assert run(*TRAIN, "--total-timesteps", 60, "--out", tmp_path / "plain") == 0
    assert read_curve(tmp_path / "plain") == read_curve(folder)
    with_, without = (masoft.HASAC.load(each / "model.zip") for each in (folder, tmp_path / "plain"))
    for one, other in zip(with_.policy.parameters(), without.policy.parameters(), strict=True):
        assert (one == other).all()


def test_the_best_team_is_evaluated_and_exported(folder: Path, capsys: Capture) -> None:
    assert run("evaluate", folder, "--best", "--episodes", 2, "--json") == 0
    mean = json.loads(capsys.readouterr().out)["mean_return"]
    assert mean == max(mean for _, mean, _ in read_evaluations(folder))
    assert run("export", folder, "--best", "--out", folder / "best_actors") == 0


def test_a_run_without_evaluations_has_no_best_team(tmp_path: Path, capsys: Capture) -> None:
    assert run(*TRAIN, "--total-timesteps", 20, "--out", tmp_path / "r") == 0
    assert run("evaluate", tmp_path / "r", "--best") == 2
    assert "--eval-every" in capsys.readouterr().err


def test_a_run_ends_when_its_team_is_good_enough(tmp_path: Path, capsys: Capture) -> None:
    command = [*TRAIN, "--total-timesteps", 1_000, "--stop-at", -20, "--out", tmp_path / "r"]
    assert run(*command) == 0
    assert "Ended after 50 steps: an evaluation reached --stop-at -20" in capsys.readouterr().out
    assert masoft.HASAC.load(tmp_path / "r" / "model.zip").num_timesteps == 50


@pytest.mark.parametrize("flags", [["--stop-at", 1, "--eval-every", 0], ["--eval-every", 5, "--eval-episodes", 0]])
def test_evaluations_without_episodes_are_refused(flags: list[object], tmp_path: Path, capsys: Capture) -> None:
    assert run(*TRAIN, "--total-timesteps", 20, "--out", tmp_path / "r", *flags) == 2
    assert "--eval-every" in capsys.readouterr().err and not (tmp_path / "r").exists()


def test_a_finished_run_goes_on(folder: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    shutil.copytree(folder, longer)
    assert run("train", "--resume", longer, "--extend", 40, "--no-progress", "--eval-episodes", 1) == 0
    assert RunSettings.load(longer).total_timesteps == 100
    assert masoft.HASAC.load(longer / "model.zip").num_timesteps == 100
    assert [steps for steps, _, _ in read_evaluations(longer)] == [20, 40, 60, 80, 100]
    assert read_evaluations(longer)[:3] == read_evaluations(folder)
    before, after = read_curve(folder)[0], read_curve(longer)[0]
    assert after[: len(before)] == before and after[-1] == 100


def test_resuming_repeats_the_evaluations_after_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    with (again / "evaluations.csv").open("a") as file:
        file.write("80,99.0,0.0\n")  # of a run that was killed before its next checkpoint
    assert run("train", "--resume", again, "--extend", 20, "--no-progress", "--eval-episodes", 1) == 0
    assert [steps for steps, _, _ in read_evaluations(again)] == [20, 40, 60, 80]
    assert read_evaluations(again)[-1][1] <= 20


def test_extending_needs_a_run(capsys: Capture) -> None:
    assert run("train", "--extend", 5) == 2
    assert "--resume FOLDER" in capsys.readouterr().err
