"""The teams that come with masoft: small, complete, and as good as they say."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import masoft
from masoft.cli import cli
from masoft.errors import ConfigurationError
from masoft.runs.playing import play
from masoft.runs.zoo import HOME, Entry, team_folder, teams, writable

sys.path.insert(0, str(Path(__file__).parents[3]))  # benchmarks are no part of the package

from benchmarks.zoo import KEPT, TEAMS

EPISODES = 30


def test_it_holds_what_its_script_makes() -> None:
    assert [entry.name for entry in teams()] == sorted(TEAMS)
    files = [path for path in HOME.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == sorted([*KEPT] * len(TEAMS))
    assert sum(path.stat().st_size for path in files) < 700_000


@pytest.mark.parametrize("entry", teams(), ids=lambda entry: entry.name)
def test_a_team_is_as_good_as_it_says(entry: Entry) -> None:
    settings, outcome = entry.settings, entry.outcome
    env = masoft.make_vec(settings.env, 1, seed=5, **settings.env_kwargs)
    model = settings.algorithm_class().load(entry.folder / "model.zip", env=env, device="cpu", verbose=0)
    returns = play(model, env, EPISODES)
    env.close()
    mean = sum(returns) / EPISODES
    gain = outcome["mean_return"] - outcome["random_return"]
    assert gain > 0 and abs(mean - outcome["mean_return"]) < 0.35 * gain
    words, asked = shlex.split(entry.command), shlex.split(TEAMS[entry.name])
    assert words[2:4] == asked[:2] and words[words.index("--total-timesteps") + 1] in asked


def test_the_list_has_the_commands() -> None:
    found = json.loads(CliRunner().invoke(cli, ["zoo", "--json"]).output)
    assert [each["name"] for each in found] == sorted(TEAMS)
    assert all(each["command"].startswith("masoft train ") and each["packages"]["torch"] for each in found)
    shown = CliRunner().invoke(cli, ["zoo", "spread"]).output
    assert "mpe/simple_spread_v3" in shown and "matrix/maxent" not in shown and "masoft enjoy zoo:mpe/" in shown


def test_they_are_played_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert (
        json.loads(run(cli, ["evaluate", "zoo:matrix/maxent", "--episodes", "3", "--json"]).output)["mean_return"] > 0
    )
    shown = json.loads(run(cli, ["enjoy", "zoo:mpe/simple_spread_v3", "--json", "--size", "64"]).output)
    assert Path(shown["file"]).read_bytes()[:3] == b"GIF" and "runs" in shown["file"]
    assert run(cli, ["export", "zoo:matrix/maxent"]).exit_code == 0
    assert (tmp_path / "runs/zoo-matrix-maxent/actors/team.json").exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    assert writable(tmp_path) == tmp_path
    with pytest.raises(ConfigurationError, match=r"mpe/simple_spread_v3.*masoft zoo"):
        team_folder("zoo:mpe/simple_spread_v")
