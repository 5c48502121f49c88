"""Whatever a shell user mistypes, or finds damaged: one line that says which and what to do, and status 2."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from shell import SMALL, run

Capture = pytest.CaptureFixture[str]
TRAIN = ["train", "hasac", "matrix/maxent", "--total-timesteps", 20, "--eval-episodes", 1, *SMALL]


def refusal(capsys: Capture, *command: object) -> str:
    """The one line that a refused command prints."""
    capsys.readouterr()
    assert run(*command) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    if printed.startswith("Usage: "):
        return printed
    assert printed.startswith("masoft: ") and printed.count("\n") == 1 and len(printed) < 700
    return printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--device", "nonsense"], "device"),
        (["--batch-size", "1e30"], "batch_size"),
        (["--buffer-size", "1e30"], "buffer_size"),
        (["--learning-rate", '{"actor": 1}'], "learning_rate"),
        (["--policy-kwargs", '{"foo": 1}'], "policy_kwargs"),
        (["--policy-kwargs", "3"], "policy_kwargs"),
        (["--env-timeout", "-1"], "env_timeout"),
        (["--stop-at", "x"], "--stop-at"),
        (["--seed", "-1"], "--seed"),
        (["--threads", "0"], "--threads"),
        (["-e", "foo=1"], "foo"),
        (["--preset", "nothing"], "preset"),
        (["--team-reward", "most"], "team_reward"),
    ],
)  # fmt: skip
def test_flags(flags: list[str], message: str, tmp_path: Path, capsys: Capture) -> None:
    assert message in refusal(capsys, *TRAIN, "--out", tmp_path / "r", *flags)
    assert not (tmp_path / "r" / "run.json").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "r"
    assert run(*TRAIN, "--out", out) == 0
    return out


@pytest.mark.parametrize(
    "command", [["evaluate"], ["export"], ["enjoy", "--out", "x.gif"], ["plot"], ["train", "--resume"]]
)
def test_a_run_folder_without_its_files(command: list[str], folder: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "run.json").write_text((folder / "run.json").read_text())
    assert str(tmp_path) in refusal(capsys, *command, tmp_path)
    for content in (b"\xff", b"[1]", b"{}", b"{"):
        (tmp_path / "run.json").write_bytes(content)
        assert "run.json" in refusal(capsys, *command, tmp_path)


@pytest.mark.parametrize("command", [["evaluate"], ["export"], ["enjoy", "--out", "x.gif"]])
def test_a_damaged_model(command: list[str], folder: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "run.json").write_text((folder / "run.json").read_text())
    (tmp_path / "model.zip").write_bytes(b"junk")
    assert "damaged" in refusal(capsys, *command, tmp_path)


def test_files_where_folders_should_be(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "name a folder" in refusal(capsys, *TRAIN, "--out", file)
    assert "name a folder" in refusal(capsys, *TRAIN, "--out", file / "x")
    assert "name a folder" in refusal(capsys, "export", folder, "--out", file)
    assert "The run folder must be one with run.json" in refusal(capsys, "evaluate", file)
    assert "name a folder" in refusal(capsys, "demo", "--out", file)
    assert ".gif or .mp4" in refusal(capsys, "enjoy", folder, "--out", tmp_path / "x.avi")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path, capsys: Capture) -> None:
    tmp_path.chmod(0o500)
    assert "--out" in refusal(capsys, *TRAIN, "--out", tmp_path / "r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"seeds = [0", "is no TOML"),
        (b"\xff\xfe", "is no TOML"),
        (b"algorithms = 3", "algorithms must be a list"),
        (b"algorithms = [3]", "an entry must be a table or a name"),
        (b'algorithms = [{algorithm = "HASAC", parameters = 3}]', "parameters"),
        (b'algorithms = [{algorithm = "HASAC", preset = "x"}]', "the key must be known. Got 'preset'"),
        (b'algorithms = ["HASAK"]', "Did you mean 'HASAC'"),
        (b'algorithms = ["HASAC"]\nseeds = ["a"]', "A seed of the study must be an integer >= 0. Got 'a'"),
        (b'algorithms = ["HASAC"]\nenvironments = ["matrix/maxen"]', "Did you mean 'matrix/maxent'"),
        (b'algorithms = [{algorithm = "HASAC", parameters = {tau = 7.0}}]', "The study cannot run HASAC"),
    ],
)
def test_studies(text: bytes, message: str, tmp_path: Path, capsys: Capture) -> None:
    rest = {
        "seeds": b"seeds = [0]",
        "total_timesteps": b"total_timesteps = 9",
        "environments": b'environments = ["matrix/maxent"]',
    }
    lines = [text, *(line for key, line in rest.items() if key.encode() not in text)]
    (tmp_path / "s.toml").write_bytes(b"\n".join(lines))
    assert message in refusal(capsys, "study", tmp_path / "s.toml", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_as_json_too(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff")
    assert run("evaluate", tmp_path, "--json") == 2
    assert "is damaged" in json.loads(capsys.readouterr().out)["error"]
