"""The football engine's recipe: which commands, in which order, and what happens when one fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from masoft.envs import find
from masoft.envs.adapters.football_build import GFOOTBALL, Step, main, recipe, run
from masoft.envs.adapters.football_engine import BUILD_COMMAND
from masoft.errors import ConfigurationError, MissingDependencyError


def test_the_users_environment_gets_the_wheel_and_two_small_packages_only(tmp_path):
    steps = recipe(tmp_path, tmp_path / "wheels", python="/mine/python")
    touching = [step.command for step in steps if step.command[0] == "/mine/python" and "pip" in step.command]
    assert [command[4:] for command in touching] == [
        ("install", "--no-deps", "--no-index", "--find-links", str(tmp_path / "wheels"), GFOOTBALL),
        ("install", "absl-py>=1.0", "six>=1.16"),
    ]


def test_the_engine_is_built_without_isolation_and_after_what_it_needs(tmp_path):
    commands = [str(step) for step in recipe(tmp_path, tmp_path / "wheels")]
    order = [
        next(i for i, text in enumerate(commands) if part in text) for part in ("apt-get", "psutil", " wheel --no")
    ]
    assert order == sorted(order)
    built = commands[order[-1]]
    assert "--no-build-isolation --no-deps" in built and built.startswith(f"PATH={tmp_path}/venv/bin:")
    assert "apt-get" not in "".join(map(str, recipe(tmp_path, tmp_path, system=False)))


def test_commands_run_in_order_with_their_variables(tmp_path, capfd):
    write = "import os; print(os.environ['ANSWER'])"
    run((Step("ask", (sys.executable, "-c", write), {"ANSWER": "forty-two"}), Step("nothing", ("true",))))
    printed = capfd.readouterr().out
    assert "[1/2] ask" in printed and "forty-two" in printed and "[2/2] nothing" in printed


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("fail", ("false",)), r"Step 1 \(fail\) must be free of errors. Got 'exit status 1'"),
        (Step("look", ("no-such-program",)), "program must be installed. Got 'no-such-program'.*--no-system"),
    ],
)
def test_a_failing_step_is_named_and_stops_the_rest(step, message, tmp_path):
    after = tmp_path / "after"
    with pytest.raises(MissingDependencyError, match=message):
        run((step, Step("then", ("touch", str(after)))))
    assert not after.exists()


def test_a_dry_run_prints_the_commands_and_leaves_nothing(capsys):
    main(["--dry-run", "--no-system", "--wheels", "/kept"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and "--wheel-dir /kept" in lines[2]
    assert not Path(lines[0].split()[-1]).exists()


def test_only_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError, match="system must be Linux. Got 'win32'"):
        main(["--dry-run"])


def test_the_command_that_messages_name_is_this_one():
    assert find("football/rps").install_command == BUILD_COMMAND
    printed = subprocess.run([sys.executable, *BUILD_COMMAND.split()[1:], "--help"], capture_output=True, text=True)
    assert printed.returncode == 0 and "--dry-run" in printed.stdout
