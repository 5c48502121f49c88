"""One command for start and for every requeue, and one process a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from masoft.cli import main
from masoft.files import FolderLock, read_archive
from masoft.files.lock import NAME
from masoft.runs.settings import RunSettings
from masoft.runs.stopping import STOPPED
from masoft.saving.checkpoint_folder import CheckpointFolder

SMALL = ["--learning-starts", "16", "--batch-size", "8", "--policy-kwargs", '{"net_arch": [8]}', "--seed", "1"]
RUN = ["hasac", "matrix/maxent", *SMALL, "--no-progress", "--eval-episodes", "0", "--checkpoint-every", "40"]
Capture = pytest.CaptureFixture[str]


def run(*args: object) -> int:
    try:
        main([str(arg) for arg in args])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def start(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "masoft.cli", "train", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until_it_learns(folder: Path, process: subprocess.Popen[str]) -> None:
    while not CheckpointFolder(folder).checkpoints() or not (folder / "progress.csv").stat().st_size:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def test_the_same_command_starts_and_goes_on(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    command = ["train", *RUN, "--total-timesteps", 120, "--out", out, "--resume-or-start"]
    assert run(*command) == 0
    before = (out / "run.json").read_bytes()
    CheckpointFolder(out).checkpoints()[-1].unlink()
    assert run(*command) == 0 and (out / "run.json").read_bytes() == before
    assert run("train", *RUN, "--total-timesteps", 160, "--out", out, "--resume-or-start") == 2
    assert "total_timesteps of the run" in capsys.readouterr().err
    for path in CheckpointFolder(out).checkpoints():
        path.unlink()  # killed before the first was whole
    assert run(*command) == 0 and len(CheckpointFolder(out).checkpoints()) == 3


def test_a_folder_at_work_is_refused(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    assert run("train", *RUN, "--total-timesteps", 40, "--out", out) == 0
    code = "import sys, time; from pathlib import Path; from masoft.files import FolderLock\n"
    code += "with FolderLock(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(100)"
    other = subprocess.Popen([sys.executable, "-c", code, str(out / NAME)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    monkeypatch.setattr("masoft.cli.train.PATIENCE", 0.2)
    try:
        names = sorted(path.name for path in out.rglob("*"))
        for args in (["--resume", out], [*RUN, "--total-timesteps", 40, "--out", out, "--overwrite"],
                     [*RUN, "--total-timesteps", 40, "--out", out, "--resume-or-start"]):  # fmt: skip
            assert run("train", *args) == 2
            assert f"process {other.pid} on" in capsys.readouterr().err
        assert sorted(path.name for path in out.rglob("*")) == names
    finally:
        other.kill()
        other.communicate()
    assert run("train", "--resume", out) == 0
    assert "Took" in capsys.readouterr().err


def test_a_folder_that_goes_ends_the_run_with_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(*RUN, "--total-timesteps", 8_000, "--out", out)
    until_it_learns(out, process)
    out.rename(tmp_path / "elsewhere")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in printed
    assert "a folder that is gone" in printed and not (out / "model.zip").exists()
    assert (
        CheckpointFolder(tmp_path / "elsewhere").damage(CheckpointFolder(tmp_path / "elsewhere").checkpoints()[-1])
        is None
    )


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limits on files here")
def test_a_limit_on_files_costs_a_warning_and_no_good_file(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("train", *RUN, "--total-timesteps", 80, "--out", out) == 0
    good = CheckpointFolder(out).checkpoints()[-1]
    code = "import resource, signal, sys; from masoft.cli import main; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); main(sys.argv[1:])"
    settings = RunSettings.load(out)
    assert settings.total_timesteps == 80
    CheckpointFolder(out).checkpoints()[-1].rename(tmp_path / "last.zip")
    limited = subprocess.run(
        [sys.executable, "-c", code, "train", "--resume", str(out)], capture_output=True, text=True
    )
    assert limited.returncode == 2 and "Traceback" not in limited.stderr and "File too large" in limited.stderr
    for path in CheckpointFolder(out).checkpoints():
        assert CheckpointFolder(out).damage(path) is None
    assert good.name == "checkpoint-000003.zip"
    assert run("train", "--resume", out) == 0


@pytest.mark.slow
def test_a_job_that_is_killed_and_requeued(tmp_path: Path) -> None:
    """The script of the page, under a scheduler that kills it at random: SIGTERM, SIGKILL, SIGUSR1."""
    script = Path(__file__).parents[3] / "examples" / "cluster" / "requeue.sh"
    out = tmp_path / "run"
    command = [str(arg) for arg in ("train", *RUN, "--total-timesteps", 600, "--out", out, "--resume-or-start")]
    environment = {**os.environ, "MASOFT": f"{sys.executable} -m masoft.cli", "OMP_NUM_THREADS": "1"}
    endings = []
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, None):
        process = subprocess.Popen(
            ["bash", str(script), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
        if number is not None:
            until_it_learns(out, process)
            time.sleep(1)
            os.killpg(process.pid, number)
        printed, _ = process.communicate(timeout=240)
        endings.append(process.returncode)
        assert "Traceback" not in printed, printed
    assert endings[0] == endings[2] == STOPPED and endings[1] == -signal.SIGKILL and endings[3] == 0
    with FolderLock(out / NAME, "free"):
        pass
    assert run("train", *RUN, "--total-timesteps", 600, "--out", tmp_path / "whole") == 0
    ours, theirs = (read_archive(folder / "model.zip").members["weights"] for folder in (out, tmp_path / "whole"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
