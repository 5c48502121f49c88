"""Studies: what is run, what is kept, what a failure leaves, and the table that comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import masoft
from masoft.cli import cli
from masoft.errors import ConfigurationError
from masoft.mirror import KLDrift
from masoft.studies import (
    Study,
    Task,
    Variant,
    draw_curves,
    draw_scores,
    final_scores,
    read_results,
    read_study,
    run,
    time_to_threshold,
)
from masoft.studies.running import DONE, FAILED, MODEL, read_index

SMALL = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 4, "learning_starts": 8, "buffer_size": 64}
TOML = """
seeds = [0, 1]
total_timesteps = 16
eval_every = 8
eval_episodes = 2

[[algorithms]]
algorithm = "MEHAML"
label = "drift"
[algorithms.parameters]
batch_size = 4
learning_starts = 8
buffer_size = 64
policy_kwargs = {net_arch = [4]}
[algorithms.grid]
drift = ["KLDrift(0.5)", "NoDrift()"]

[[environments]]
env = "matrix/maxent"
label = "matrix"
scale = [-20, 20]
"""


def small(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "algorithms": [Variant("HASAC", "soft", SMALL)],
        "environments": [Task("matrix/maxent", label="matrix", scale=(-20.0, 20.0))],
        "seeds": [0, 1],
        "total_timesteps": 16,
        "eval_every": 8,
        "eval_episodes": 2,
    }
    return Study(**{**values, **changes})


def stamps(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob(f"*/{DONE}")}


def test_interrupted_extended_and_read(tmp_path: Path) -> None:
    outcome = run(small(), tmp_path, progress_bar=False)
    assert len(outcome["done"]) == 2 and not outcome["failed"]
    before = stamps(tmp_path)
    (tmp_path / outcome["done"][0] / DONE).unlink()  # as an interruption leaves it
    run(small(seeds=[0, 1, 2]), tmp_path, progress_bar=False)
    after = stamps(tmp_path)
    assert len(after) == 3
    assert {key for key in before if after[key] == before[key]} == {outcome["done"][1]}
    results = read_results(tmp_path)
    assert results.groupby("seed")["timesteps"].apply(list).tolist() == [[8, 16]] * 3
    assert ((results["mean_return"] + 20) / 40 == results["score"]).all()
    assert len(final_scores(results)["soft"]["matrix"]) == 3
    run(small(seeds=[2]), tmp_path, progress_bar=False)
    assert set(read_results(tmp_path)["seed"]) == {2}, "a study shows its own runs"


def test_same_seed_same_numbers_in_another_process(tmp_path: Path) -> None:
    run(small(), tmp_path / "here", progress_bar=False)
    run(small(), tmp_path / "there", n_jobs=2, progress_bar=False)
    assert read_results(tmp_path / "here").equals(read_results(tmp_path / "there"))


def test_a_failure_stays_apart_and_is_retried_on_demand(tmp_path: Path) -> None:
    bad = Variant("HASAC", "bad", {**SMALL, "tau": 7.0})
    study = small(algorithms=[bad, Variant("HASAC", "good", SMALL)], seeds=[0])
    outcome = run(study, tmp_path, progress_bar=False)
    assert len(outcome["done"]) == len(outcome["failed"]) == 1
    failed = tmp_path / outcome["failed"][0] / FAILED
    assert "Traceback" in failed.read_text() and "tau" in failed.read_text()
    failed.write_text("kept")
    run(study, tmp_path, progress_bar=False)
    assert failed.read_text() == "kept"
    run(study, tmp_path, retry_failed=True, progress_bar=False)
    assert "tau" in failed.read_text()
    assert set(read_results(tmp_path)["algorithm"]) == {"good"}


def test_toml_command_line_and_pictures(tmp_path: Path) -> None:
    file, out = tmp_path / "drifts.toml", tmp_path / "out"
    file.write_text(TOML)
    labels = [variant.label for variant in read_study(file).variants]
    assert labels == ["drift drift=KLDrift(0.5)", "drift drift=NoDrift()"]
    answer = CliRunner().invoke(cli, ["study", str(file), "--out", str(out), "--json"])
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.output)
    assert len(found["done"]) == 4 and [row["seeds"] for row in found["final"]] == [2, 2]
    assert (out / "results.csv").read_text().startswith("algorithm,environment,seed,timesteps,mean_return")
    answer = CliRunner().invoke(cli, ["study", str(file), "--out", str(out), "--no-progress"])
    assert "drift=NoDrift()" in answer.output and "masoft plot" in answer.output
    answer = CliRunner().invoke(cli, ["plot", str(out), "--json"])
    for picture in json.loads(answer.output)["pictures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    model = masoft.MEHAML.load(out / found["done"][0] / MODEL)
    assert model.get_params()["drift"] == KLDrift(0.5)


def test_plot_and_export_of_a_trained_run(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    flags = ["--total-timesteps", "120", "--learning-starts", "100", "--batch-size", "8", "--eval-episodes", "0"]
    answer = CliRunner().invoke(cli, ["train", "hasac", "matrix/maxent", *flags, "--out", out, "--json"])
    assert answer.exit_code == 0, answer.output
    answer = CliRunner().invoke(cli, ["plot", out, "--json"])
    assert Path(json.loads(answer.output)["pictures"][0]).exists()
    answer = CliRunner().invoke(cli, ["export", out, "--json"])
    assert {Path(name).name for name in json.loads(answer.output)["files"]} >= {"team.json"}
    team = masoft.deploy.load(tmp_path / "run" / "actors")
    assert len(team.contract.files) == team.team.n_agents == 2


def test_threshold_and_refusals(tmp_path: Path) -> None:
    run(small(environments=["matrix/maxent"]), tmp_path, progress_bar=False)
    results = read_results(tmp_path)
    assert (time_to_threshold(results, -1e9) == 8).all() and time_to_threshold(results, 1e9).isna().all()
    with pytest.raises(ConfigurationError, match="all with a score"):
        final_scores(results, "score")
    with pytest.raises(ConfigurationError, match="a finished run"):
        draw_curves(results.iloc[:0], tmp_path / "x.png")
    with pytest.raises(ConfigurationError, match="a finished run"):
        draw_scores(results.iloc[:0], tmp_path / "x.png")
    with pytest.raises(ConfigurationError, match=r"study\.json"):
        read_index(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithms": ["HASACC"]}, "Did you mean 'HASAC'"),
        ({"algorithms": "HASAC"}, "a list of one or more"),
        ({"seeds": []}, "a list of one or more"),
        ({"total_timesteps": 0}, "an integer >= 1"),
        ({"algorithms": ["HASAC", "HASAC"]}, "its own label"),
        ({"environments": ["a", Task("b", label="a")]}, "its own label"),
    ],
)
def test_studies_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = [", "is no TOML"),
        ("seed = [0]", "Did you mean 'seeds'"),
        ("total_timesteps = 5", "missing"),
        ("[[environments]]\nid = 'x'", "the key must be known"),
    ],
)
def test_files_that_are_no_study(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_study(tmp_path / "s.toml")
    with pytest.raises(ConfigurationError, match="an existing TOML file"):
        read_study(tmp_path / "t.toml")


def test_every_setting_gives_a_run_its_own_folder() -> None:
    keys = [small(**change).runs[0].key for change in ({}, {"n_envs": 2}, {"total_timesteps": 17}, {"seeds": [5]})]
    keys.append(small(algorithms=[Variant("HASAC", "soft", {**SMALL, "gamma": 0.5})]).runs[0].key)
    assert len(set(keys)) == 5
    assert small().runs[0].key == keys[0]
