"""Lists where there is no terminal: one line a row, nothing padded, filtered by any part of a name."""

from __future__ import annotations

import pytest
from shell import run

from masoft.cli.table import plain_table

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("args", [["envs"], ["presets"], ["doctor"], ["presets", "hasac", "mamujoco/Ant-4x2"]])
def test_piped_tables_are_plain(args: list[str], capsys: Capture) -> None:
    assert run(*args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10 and all(line == line.rstrip() and line for line in lines)
    assert not any("─" in line for line in lines)


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("envs", "matrix") == 0
    assert "─" in capsys.readouterr().out


def test_columns_are_aligned_and_lines_are_never_broken() -> None:
    assert plain_table("t", ["a", "b"], [["x\ny", "z"], ["", ""]]) == "t\na    b\nx y  z\n"


def test_envs_filters_by_family_and_by_part_whatever_the_case(capsys: Capture) -> None:
    assert run("envs", "mamujoco") == 0
    title, _, *rows = capsys.readouterr().out.splitlines()
    assert title == f"{len(rows)} environments" and all(row.startswith("mamujoco/") for row in rows) and len(rows) == 15
    assert run("envs", "halfcheetah") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 3


@pytest.mark.parametrize(
    ("args", "message"),
    [(["envs", "mamujco"], "Did you mean 'mamujoco/"), (["presets", "hasak"], "Did you mean 'hasac'")],
)
def test_nothing_found_names_the_nearest(args: list[str], message: str, capsys: Capture) -> None:
    assert run(*args) == 2
    assert message in capsys.readouterr().err
