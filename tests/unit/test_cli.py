"""The command line, in this process, on the smallest real environments."""

from __future__ import annotations

import csv
import errno
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import masoft
from masoft.cli import COMMANDS, main
from masoft.cli.flags import flags_of, parameter_help
from masoft.cli.output import show_table
from masoft.cli.values import parse_pairs, parse_value
from masoft.errors import ConfigurationError
from masoft.mirror import FixedOrder, KLDrift, Linear
from masoft.runs.curves import draw_curve, read_curve
from masoft.runs.settings import RunSettings

Capture = pytest.CaptureFixture[str]
SMALL = ["--learning-starts", "16", "--batch-size", "8", "--policy-kwargs", '{"net_arch": [8]}', "--no-progress"]


def run(*args: object) -> int:
    """Exit status of one command."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run."""
    out = tmp_path_factory.mktemp("runs") / "matrix"
    assert run("train", "hasac", "matrix/maxent", "--total-timesteps", 60, "--seed", 1, "--out", out, *SMALL) == 0
    return out


# ---------------------------------------------------------------- train and evaluate


def test_train_leaves_settings_log_model_and_picture(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"run.json", "model.zip", "progress.csv", "learning_curve.png"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    settings = RunSettings.load(folder)
    assert (settings.algorithm, settings.env, settings.seed) == ("HASAC", "matrix/maxent", 1)
    assert settings.parameters["policy_kwargs"] == {"net_arch": [8]}
    assert (folder / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"


def test_the_log_is_even_and_ends_with_the_run(folder: Path) -> None:
    with (folder / "progress.csv").open() as file:
        steps = [int(float(row["time/total_timesteps"])) for row in csv.DictReader(file)]
    assert steps == list(range(1, 61))
    times, returns = read_curve(folder)
    assert times[-1] == 60 and all(abs(mean) <= 20 for mean in returns)


def test_evaluate_prints_the_team_beside_random_actions(folder: Path, capsys: Capture) -> None:
    assert run("evaluate", folder, "--episodes", 5) == 0
    printed = capsys.readouterr().out
    assert "HASAC on matrix/maxent, 5 episodes" in printed and "team" in printed and "random" in printed


def test_json_output_is_one_document(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run("evaluate", folder, "--episodes", 3, "--no-random", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["episodes"] == 3 and "random" not in result and -20 <= result["mean_return"] <= 20
    command = ["train", "hasac", "matrix/maxent", "--total-timesteps", 20, "--out", tmp_path / "r", "--json", *SMALL]
    assert run(*command) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["timesteps"] == 20 and Path(result["model"]).exists()


def test_the_same_seed_trains_the_same_team(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    again = tmp_path / "again"
    assert run("train", "hasac", "matrix/maxent", "--total-timesteps", 60, "--seed", 1, "--out", again, *SMALL) == 0
    assert read_curve(again) == read_curve(folder)


def test_environment_arguments_and_copies_arrive(tmp_path: Path) -> None:
    out = tmp_path / "spread"
    arguments = ["-e", "N=2", "-e", "max-cycles=5", "--n-envs", 2, "--total-timesteps", 40, "--eval-episodes", 0]
    assert run("train", "hasac", "mpe/simple_spread_v3", "--out", out, *arguments, *SMALL) == 0
    settings = RunSettings.load(out)
    assert settings.env_kwargs == {"N": 2, "max_cycles": 5} and settings.n_envs == 2
    with (out / "progress.csv").open() as file:
        assert list(csv.DictReader(file))[-1]["rollout/ep_len_mean"] == "5.0"


def test_a_preset_fills_in_and_flags_win(tmp_path: Path) -> None:
    out = tmp_path / "preset"
    arguments = ["--preset", "--total-timesteps", 50, "--n-envs", 2, "--eval-episodes", 0, "--learning-starts", 10]
    arguments += ["--gradient-steps", 1]
    assert run("train", "hasac", "mpe/simple_spread_v3-discrete", "--out", out, "--no-progress", *arguments) == 0
    settings = RunSettings.load(out)
    assert settings.preset == "mpe/simple_spread_v3-discrete" and settings.env == "mpe/simple_spread_v3"
    assert (settings.n_envs, settings.total_timesteps) == (2, 50)
    assert settings.parameters["learning_starts"] == 10 and settings.parameters["n_steps"] == 20
    assert settings.env_kwargs == {"continuous_actions": False}


def test_demo_runs_from_end_to_end(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.cli.demo.EPISODES", 5)
    assert run("demo", "--scale", 0.01, "--out", tmp_path / "demo", "--no-progress") == 0
    printed = capsys.readouterr().out
    assert "exact QRE" in printed and "0.956" in printed
    assert "random actions" in printed and "masoft evaluate" in printed
    assert (tmp_path / "demo" / "model.zip").exists() and (tmp_path / "demo" / "learning_curve.png").exists()


# ---------------------------------------------------------------- lists


def test_envs_lists_ids_and_filters(capsys: Capture) -> None:
    assert run("envs", "mpe/", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows if row["installed"]] == [row["id"] for row in rows]
    assert "mpe/simple_spread_v3" in [row["id"] for row in rows]
    assert run("envs", "matrix", "--spaces") == 0
    assert "2 x (1,) -> Discrete(3)" in capsys.readouterr().out


def test_presets_lists_and_shows_sources(capsys: Capture) -> None:
    assert run("presets", "hasac") == 0
    assert "mamujoco/HumanoidStandup-17x1" in capsys.readouterr().out
    assert run("presets", "hasac", "mamujoco/Ant-4x2") == 0
    assert "Table 9" in capsys.readouterr().out
    assert run("presets", "hasac", "smac/corridor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["ent_coef"] == 2e-3


def test_doctor_says_what_is_installed(capsys: Capture) -> None:
    assert run("doctor", "--json") == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["mpe/*"]["good"] and findings["stable-baselines3"]["state"][0].isdigit()
    assert all(finding["cure"] for finding in findings.values() if not finding["good"])
    assert run("doctor") == 0
    assert "Python" in capsys.readouterr().out


def test_doctor_looks_at_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert run("doctor", "--env", "masoft.testing:IdentityTeam", "--steps", 20) == 0
    printed = capsys.readouterr().out
    assert "✓ a seed repeats its episode" in printed and "steps a second" in printed and "✗" not in printed
    assert run("doctor", "--env", "matrix/maxent", "--steps", 20, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] and [agent["name"] for agent in report["agents"]] == ["agent_0", "agent_1"]
    (tmp_path / "my_broken_envs.py").write_text(
        "from masoft.testing import IdentityTeam\n\n"
        "class Broken(IdentityTeam):\n    def step(self, actions):\n        return super().step(actions)[:4]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run("doctor", "--env", "my_broken_envs:Broken", "--steps", 20) == 1
    assert "five dicts by agent" in capsys.readouterr().out
    assert run("doctor", "--env", "my_broken_envs:Nothing") == 2
    assert "--env must be an id, or module:Class" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["--help"], ["envs"], ["doctor"], ["presets"], ["train", "--help"]])
def test_what_needs_no_torch_does_not_import_it(args: list[str]) -> None:
    code = f"import sys; from masoft.cli import main\ntry: main({args!r})\nfinally: print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "False"


def test_tables_keep_brackets(capsys: Capture) -> None:
    show_table("[a] table", ["IQM [95 %]"], [['pip install "masoft[mamujoco]"'], [None]])
    printed = capsys.readouterr().out
    assert "[a] table" in printed and "IQM [95 %]" in printed and 'pip install "masoft[mamujoco]"' in printed


def test_every_command_has_help(capsys: Capture) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in printed
        assert run(name, "--help") == 0
        capsys.readouterr()


# ---------------------------------------------------------------- flags from the constructor


def test_each_constructor_parameter_is_a_documented_flag() -> None:
    flags = {option.name: option for option in flags_of(masoft.HASAC)}
    assert {"learning_rate", "ent_coef", "order", "policy_kwargs", "n_steps", "device"} <= set(flags)
    assert not {"env", "seed", "verbose", "drift"} & set(flags)
    undocumented = [name for name, option in flags.items() if not option.help]
    assert undocumented == []
    assert "[default: 0.99]" in (flags["gamma"].help or "")


def test_argument_sections_are_read_from_docstrings() -> None:
    class Base:
        """Line.

        Args:
            a: first line
                and second.
            b, c: shared.

        Raises:
            d: no argument.
        """

    class Child(Base):
        """Line.

        Args:
            a: the child's.
        """

    assert parameter_help(Base) == {"a": "first line and second.", "b": "shared.", "c": "shared."}
    assert parameter_help(Child)["a"] == "the child's."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4), ("1e6", 1_000_000), ("1_000", 1000), ("-1", -1), ("0.5", 0.5), ("1.0", 1.0),
        ("true", True), ("False", False), ("none", None), ("auto", "auto"), ("auto_0.2", "auto_0.2"),
        ('{"net_arch": [8]}', {"net_arch": [8]}), ("[1, 2]", [1, 2]), ("cuda:0", "cuda:0"),
        ("KLDrift(0.5)", KLDrift(0.5)), ("FixedOrder()", FixedOrder()), ("Linear(1e-3, 0)", Linear(1e-3, 0)),
    ],
)  # fmt: skip
def test_values_are_plain_data(text: str, value: object) -> None:
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


def test_pairs() -> None:
    assert parse_pairs(["N=3", "max-cycles=25", "mode=a=b"]) == {"N": 3, "max_cycles": 25, "mode": "a=b"}
    with pytest.raises(click.BadParameter, match="write name=value"):
        parse_pairs(["N"])


# ---------------------------------------------------------------- bad input: one line and the cure


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "No command 'trian'. Did you mean 'train'?"),
        (["train", "hasak", "matrix/maxent"], "No algorithm 'hasak'. Did you mean 'hasac'"),
        (["train", "hasac", "mpe/simple_sread_v3", "--total-timesteps", "9"], "Did you mean 'mpe/simple_spread_v3'"),
        (["train", "hasac", "matrix/maxent", "--total-timesteps", "x"], "'x' is no whole number of at least 1"),
        (["train", "hasac", "matrix/maxent", "--total-timesteps", "9", "--gama", "1"], "--gamma"),
        (["train", "hasac", "matrix/maxent", "--total-timesteps", "9", "--gamma", "2"], "number in [0, 1]. Got 2."),
        (["train", "hasac", "matrix/maxent", "--total-timesteps", "9", "--policy-kwargs", "{x"], "is no JSON"),
        (["train", "hasac", "matrix/maxent", "--preset"], "The preset of HASAC must be a published one"),
        (["train", "hasac", "matrix/maxent", "--total-timesteps", "9", "-e", "x"], "write name=value"),
        (["evaluate", "nowhere"], "The run folder must be one with run.json in it. Got 'nowhere'."),
        (["plot", "nowhere"], "FOLDER must be that of a run or a study. Got 'nowhere'. A run has run.json"),
        (["presets", "hasac", "nothing/like-it"], "The preset of HASAC must be a published one"),
    ],
)  # fmt: skip
def test_errors_are_one_line_with_the_cure(
    args: list[str], message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*args) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    if not printed.startswith("Usage: "):
        assert printed.startswith("masoft: ") and printed.count("\n") == 1


def test_a_run_is_not_written_over_by_accident(folder: Path, capsys: Capture) -> None:
    before = (folder / "model.zip").read_bytes()
    assert run("train", "hasac", "matrix/maxent", "--total-timesteps", 5, "--out", folder, *SMALL) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "model.zip").read_bytes() == before


def test_errors_as_json(capsys: Capture) -> None:
    assert run("evaluate", "nowhere", "--json") == 2
    assert "run folder" in json.loads(capsys.readouterr().out)["error"]
    assert run("train", "hasac", "matrix/maxent", "--gama", "1", "--json") == 2
    assert "--gama" in json.loads(capsys.readouterr().out)["error"]


def test_traceback_on_request() -> None:
    with pytest.raises(ConfigurationError):
        main(["--traceback", "evaluate", "nowhere"])


def test_damaged_settings_are_named(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "run.json").write_text("{")
    assert run("evaluate", tmp_path) == 2
    assert "run.json is damaged" in capsys.readouterr().err
    (tmp_path / "run.json").write_text(json.dumps({"algorithm": "os", "env": "x"}))
    assert run("evaluate", tmp_path) == 2
    assert "is damaged" in capsys.readouterr().err


def test_settings_name_algorithms_only(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    settings = json.loads((folder / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**settings, "algorithm": "importlib"}))
    assert run("evaluate", tmp_path) == 2
    assert "The run's algorithm must be one of masoft's. Got 'importlib'." in capsys.readouterr().err


def test_a_curve_without_an_episode_is_not_drawn(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n5,\n")
    assert draw_curve(tmp_path, "title") is None


def test_a_missing_extra_is_one_line_with_its_command(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *args: None if name in ("mujoco", "gymnasium_robotics") else find(name, *args),
    )
    command = ["train", "hasac", "mamujoco/Ant-4x2", "--total-timesteps", "9", "--out", tmp_path / "x"]
    assert run(*command) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "pip install" in printed and "masoft[mamujoco]" in printed


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is flushed to the disk finds it full; links to /dev/full would be replaced, not written to."""

    def refuse(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("masoft.files.atomic.os.fsync", refuse)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_line_with_the_cure(tmp_path: Path, capsys: Capture) -> None:
    study = tmp_path / "s.toml"
    study.write_text('seeds = [0]\ntotal_timesteps = 5\nalgorithms = ["HASAC"]\nenvironments = ["matrix/maxent"]\n')
    assert run("study", study, "--out", tmp_path / "out") == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and printed.startswith("masoft: No space left on device") and "--out" in printed


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_as_json(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "learning_curve.png").unlink()
    (tmp_path / "learning_curve.png").write_bytes(b"the last good one")
    assert run("plot", tmp_path, "--kind", "curves", "--json") == 2
    assert "No space left" in json.loads(capsys.readouterr().out)["error"]
    assert (tmp_path / "learning_curve.png").read_bytes() == b"the last good one"


# ---------------------------------------------------------------- completion


def completed(words: str) -> list[str]:
    """What a shell would offer for the last word, asked as bash asks."""
    asked = {"_MASOFT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    code = "import sys; sys.argv = ['masoft']; from masoft.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **asked})
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_the_shell_completes_commands_algorithms_and_flags() -> None:
    assert completed("masoft tr") == ["train"]
    assert completed("masoft train ha")[:2] == ["hasac", "hatd3"]
    assert completed("masoft train hasac --learning-") == ["--learning-rate", "--learning-starts"]


def test_completion_scripts(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    for args, part in (
        (["zsh"], "#compdef masoft"),
        (["fish"], "complete "),
        ([], "complete "),
        (["bash"], "COMPREPLY"),
    ):
        assert run("completion", *args) == 0
        printed = capsys.readouterr().out
        assert part in printed and "_MASOFT_COMPLETE" in printed
    assert run("completion", "tcsh") == 2
    assert "one of bash, zsh, fish" in capsys.readouterr().err
