"""What an editor knows of masoft: names, signatures and types, by mypy on a file as a user writes it."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import masoft
from masoft.algorithms.on_policy import OnPolicyTeamAlgorithm
from masoft.algorithms.team import TeamAlgorithm
from masoft.policies.on_policy_team import OnPolicyTeamPolicy
from masoft.policies.team_policy import TeamPolicy

needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy comes with the dev extra")


def checked(tmp_path: Path, *lines: str) -> str:
    """What mypy says of a user's file."""
    (tmp_path / "mine.py").write_text("\n".join(["import masoft", "from masoft import HASAC", *lines, ""]))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        str(tmp_path / "mine.py"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]).stdout


@needs_mypy
@pytest.mark.slow
def test_a_checker_knows_every_public_name_and_refuses_others(tmp_path: Path) -> None:
    names = [name for name in dir(masoft) if not name.startswith("__")]
    printed = checked(
        tmp_path,
        *(f"reveal_type(masoft.{name})" for name in names),
        'reveal_type(HASAC("matrix/maxent").learn(10))',
        "reveal_type(masoft.deploy.load)",
        "masoft.HASACC",
        'masoft.HAPPO("matrix/maxent", gama=0.9)',
    )
    assert '"Any"' not in printed and 'note: Revealed type is "masoft.algorithms.hasac.HASAC"' in printed
    assert "masoft.deploy.runtime.DeployedTeam" in printed
    assert 'has no attribute "HASACC"' in printed and 'Unexpected keyword argument "gama"' in printed
    assert "Found 2 errors" in printed


@pytest.mark.parametrize("cls", [TeamAlgorithm, OnPolicyTeamAlgorithm, OnPolicyTeamPolicy, TeamPolicy])
def test_help_shows_arguments_by_name(cls: type) -> None:
    for function in (cls, getattr(cls, "learn", cls)):
        kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, function


def test_learn_has_the_defaults_that_it_takes() -> None:
    assert inspect.signature(masoft.HASAC.learn).parameters["log_interval"].default == 4
    assert inspect.signature(masoft.HAPPO.learn).parameters["log_interval"].default == 1
