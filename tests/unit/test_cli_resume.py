"""``masoft train --resume``: a run that was stopped or killed goes on as if nothing had happened, log included."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import masoft
from masoft.cli import main
from masoft.runs.logs import make_logger
from masoft.runs.settings import RunSettings
from masoft.runs.stopping import STOPPED
from masoft.saving.checkpoint_folder import CheckpointFolder

SMALL = ["--learning-starts", "16", "--batch-size", "8", "--policy-kwargs", '{"net_arch": [8]}', "--seed", "1"]
HASAC_RUN = ["hasac", "matrix/maxent", *SMALL, "--total-timesteps", "120", "--n-envs", "2", "--checkpoint-every", "40"]
HAPPO_RUN = [
    "happo", "mpe/simple_speaker_listener_v4", "--policy-kwargs", '{"net_arch": [8]}', "--seed", "1",
    "--n-steps", "20", "--batch-size", "20", "--total-timesteps", "120", "--checkpoint-every", "40",
]  # fmt: skip
QUIET = ["--no-progress", "--eval-episodes", "0"]
Capture = pytest.CaptureFixture[str]


def run(*args: object) -> int:
    """Exit status of one command."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def log(folder: Path) -> list[dict[str, str]]:
    """The rows without what the clock says."""
    with (folder / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in ("time/fps", "time/time_elapsed")} for row in rows]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    name = RunSettings.load(folder).algorithm
    return dict(getattr(masoft, name).load(folder / "model.zip", device="cpu").policy.state_dict())


def assert_same_run(one: Path, other: Path) -> None:
    assert log(one) == log(other)
    ours, theirs = weights(one), weights(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)


@pytest.fixture(scope="module", params=[HASAC_RUN, HAPPO_RUN], ids=["hasac", "happo"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has interrupted."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert run("train", *request.param, *QUIET, "--out", out) == 0
    return out


@pytest.mark.parametrize("n_lost", [1, 2])
def test_a_resumed_run_is_the_same_run(whole: Path, tmp_path: Path, n_lost: int) -> None:
    shutil.copytree(whole, tmp_path / "run")
    for _ in range(n_lost):
        CheckpointFolder(tmp_path / "run").checkpoints()[-1].unlink()
    (tmp_path / "run" / "model.zip").unlink()
    with (tmp_path / "run" / "progress.csv").open("a") as file:
        file.write("half a r")  # what a kill in the middle of a row leaves
    assert run("train", "--resume", tmp_path / "run", *QUIET) == 0
    assert_same_run(tmp_path / "run", whole)


def test_a_finished_run_has_nothing_to_continue(whole: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "model.zip").unlink()  # killed between the last checkpoint and the model
    assert run("train", "--resume", tmp_path / "run", "--eval-episodes", 3, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["timesteps"] == 120 and result["stopped_by"] is None and result["mean_return"] is not None
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_saves_and_the_run_goes_on_exactly(number: signal.Signals, tmp_path: Path) -> None:
    arguments: list[Any] = ["hasac", "matrix/maxent", *SMALL, "--total-timesteps", "800", "--n-envs", "2", *QUIET]
    command = [sys.executable, "-m", "masoft.cli", "train", *arguments, "--backend", "subproc", "--out"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "run")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    while not (tmp_path / "run" / "progress.csv").exists() or not (tmp_path / "run" / "progress.csv").stat().st_size:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    # Ctrl-C reaches the whole group, SIGTERM the process that it is sent to.
    (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == STOPPED, printed
    assert f"Stopped by {number.name} after" in printed and "masoft train --resume" in printed
    assert (tmp_path / "run" / "model.zip").exists()
    assert run("train", "--resume", tmp_path / "run", *QUIET) == 0
    assert run("train", *arguments, "--out", tmp_path / "whole") == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_overwriting_a_run_takes_its_checkpoints_away(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    again = ["hasac", "matrix/maxent", *SMALL, "--total-timesteps", "20", *QUIET, "--out", tmp_path / "run"]
    assert run("train", *again, "--overwrite") == 0
    assert RunSettings.load(tmp_path / "run").checkpoint_every == 1_000
    model = masoft.HASAC.resume(tmp_path / "run", device="cpu")
    assert model.num_timesteps == 20 and len(CheckpointFolder(tmp_path / "run").checkpoints()) == 2


def test_faults_of_environments_are_flags(tmp_path: Path) -> None:
    arguments = ["hasac", "matrix/maxent", *SMALL, "--total-timesteps", "20", *QUIET, "--out", tmp_path / "run"]
    assert run("train", *arguments, "--on-env-error", "restart", "--env-timeout", "60", "--checkpoint-every", 0) == 0
    settings = RunSettings.load(tmp_path / "run")
    assert (settings.on_env_error, settings.env_timeout, settings.checkpoint_every) == ("restart", 60.0, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--resume", "nowhere"], "The run folder must be one with run.json in it. Got 'nowhere'."),
        (["--resume", "nowhere", "hasac", "matrix/maxent"], "name none of them"),
        (["--eval-episodes", "3"], "Name an algorithm, or a run with --resume FOLDER"),
    ],
)
def test_what_is_refused(
    args: list[str], message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("train", *args) != 0
    assert message in capsys.readouterr().err


def test_a_run_without_checkpoints_says_so(tmp_path: Path, capsys: Capture) -> None:
    RunSettings("HASAC", "matrix/maxent", {}, 1, 0, 10, {}).save(tmp_path)
    assert run("train", "--resume", tmp_path) != 0
    assert "one with a whole checkpoint in it" in capsys.readouterr().err


def test_rows_after_the_step_and_off_the_grid_are_taken_anew(tmp_path: Path) -> None:
    settings = RunSettings("HASAC", "matrix/maxent", {}, 2, 0, 400, {})  # a row every 10 steps
    header = "time/total_timesteps,loss\n"
    (tmp_path / "progress.csv").write_text(header + "10,1.0\n20,2.0\n24,2.4\n30,3.0\n3")
    make_logger(tmp_path, settings, 24).close()
    assert (tmp_path / "progress.csv").read_text() == header + "10,1.0\n20,2.0\n"
    logger = make_logger(tmp_path, settings, 20)
    logger.record("loss", 5.0)
    logger.record("new", 1)
    logger.record("time/total_timesteps", 30)
    logger.dump(30)
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "time/total_timesteps,loss,new\n10,1.0,\n20,2.0,\n30,5.0,1\n"
