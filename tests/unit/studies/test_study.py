"""Studies: what is run, what is kept, what a failure leaves, and the table that comes out."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from click.testing import CliRunner
from PIL import Image

import masoft
from masoft.cli import cli
from masoft.envs import register, registered
from masoft.envs.adapters.matrix import MatrixGame
from masoft.errors import ConfigurationError, MissingDependencyError
from masoft.mirror import KLDrift
from masoft.runs.driver import environments
from masoft.studies import (
    Study,
    Task,
    Variant,
    draw_curves,
    draw_improvement,
    draw_profiles,
    draw_scores,
    final_scores,
    read_results,
    read_study,
    run,
    sample_efficiency,
    time_to_threshold,
    write_report,
    write_results,
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


class Breaks(MatrixGame):
    """A game whose first step fails, so that no check before a run can know."""

    def step(self, actions: Any) -> Any:
        raise RuntimeError("it broke")


def broken() -> str:
    """Id of an environment that breaks in a run."""
    name = "broken/step"
    if all(entry.id != name for entry in registered()):
        register(name, Breaks, kwargs={"payoff": [[1, 0], [0, 1]]})
    return name


def test_a_failure_stays_apart_and_is_retried_on_demand(tmp_path: Path) -> None:
    study = small(algorithms=[Variant("HASAC", "good", SMALL)], environments=["matrix/maxent", broken()], seeds=[0])
    outcome = run(study, tmp_path, progress_bar=False)
    assert len(outcome["done"]) == len(outcome["failed"]) == 1
    failed = tmp_path / outcome["failed"][0] / FAILED
    assert "Traceback" in failed.read_text() and "it broke" in failed.read_text()
    failed.write_text("kept")
    run(study, tmp_path, progress_bar=False)
    assert failed.read_text() == "kept"
    run(study, tmp_path, retry_failed=True, progress_bar=False)
    assert "it broke" in failed.read_text()
    assert set(read_results(tmp_path)["environment"]) == {"matrix/maxent"}


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
    assert {Path(name).name for name in json.loads(answer.output)["pictures"]} == {
        "learning_curves.png",
        "final_returns.png",
    }
    answer = CliRunner().invoke(
        cli, ["plot", str(out), "--kind", "profiles", "--kind", "improvement", "--kind", "policies"]
    )
    assert answer.exit_code == 0, answer.output
    for picture in out.glob("*.png"):
        assert len(np.unique(np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3), axis=0)) > 20, "blank"
    assert len([*out.glob("*.png")]) == 5
    assert "## Probability of improvement" in (out / "report.md").read_text()
    model = masoft.MEHAML.load(out / found["done"][0] / MODEL)
    assert model.get_params()["drift"] == KLDrift(0.5)


def test_failures_are_listed_and_end_with_a_status(tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    text = re.sub(r'env = "[^"]*"', f'env = "{broken()}"', TOML)
    file.write_text(text)
    for flags in (["--json"], ["--no-progress"]):
        answer = CliRunner().invoke(cli, ["study", str(file), "--out", str(out), *flags])
        assert answer.exit_code == 1, answer.output
        paths = [*out.glob("*/failed.txt")]
        assert len(paths) == 4 and all(
            path.name in answer.output and path.parent.name in answer.output for path in paths
        )
        assert "Traceback" in paths[0].read_text()
    report = (out / "report.md").read_text()
    assert "0 of 4 runs are finished" in report and report.count("it broke") == 4


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_backends_of_joblib(backend: str, tmp_path: Path) -> None:
    outcome = run(small(), tmp_path, n_jobs=1, backend=backend, progress_bar=False)
    assert len(outcome["done"]) == 2 and not outcome["failed"]


def test_backends_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'threading'"):
        run(small(), tmp_path, backend="threads")
    for name, package in (("ray", "pip install ray"), ("dask", 'pip install "dask')):
        monkeypatch.setitem(sys.modules, {"ray": "ray", "dask": "distributed"}[name], None)
        with pytest.raises(MissingDependencyError, match=package):
            run(small(), tmp_path, backend=name)
    monkeypatch.setitem(sys.modules, "joblib.externals.loky", None)
    with pytest.raises(MissingDependencyError, match=r"masoft\[studies\]"):
        run(small(), tmp_path, n_jobs=2)
    with pytest.raises(ConfigurationError, match="address must be left out for 'loky'"):
        run(small(), tmp_path, address="tcp://somewhere:8786")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_from_the_keyboard_and_continued(number: signal.Signals, tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    long = TOML.replace("total_timesteps = 16", "total_timesteps = 2000").replace("eval_every = 8", "eval_every = 1000")
    file.write_text(long)
    command = [
        sys.executable,
        "-m",
        "masoft.cli",
        "study",
        str(file),
        "--out",
        str(out),
        "--jobs",
        "2",
        "--no-progress",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not [*out.glob(f"*/{DONE}")]:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 75 and "the same command goes on" in printed and "Traceback" not in printed
    before = stamps(out)
    assert 1 <= len(before) < 4
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 0, again.stderr
    after = stamps(out)
    assert len(after) == 4 and all(after[key] == before[key] for key in before)
    assert set(read_results(out).groupby("run")["timesteps"].max()) == {2000}


def table(**columns: Any) -> pandas.DataFrame:
    """Results as `read_results` gives them."""
    rows = pandas.DataFrame(columns)
    rows["run"] = rows["algorithm"] + rows["environment"] + rows["seed"].astype(str)
    return rows


CURVES = table(
    algorithm=["A"] * 4 + ["B"] * 4,
    environment=["x"] * 8,
    seed=[0, 0, 1, 1] * 2,
    timesteps=[10, 30] * 4,
    mean_return=[0.0, 1, 2, 3, 4, 4, 6, 8],
    std_return=[0.0] * 8,
    score=[0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.6, 0.8],
)


def test_sample_efficiency_is_the_height_of_the_curve() -> None:
    found = sample_efficiency(CURVES)
    assert found["A"]["x"].tolist() == [0.5, 2.5] and found["B"]["x"].tolist() == [4.0, 7.0]
    assert sample_efficiency(CURVES[CURVES["timesteps"] == 30])["B"]["x"].tolist() == [4.0, 8.0]


def test_tables_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_results(CURVES, tmp_path)
    assert [path.name for path in files] == ["results.csv", "results.parquet"]
    pandas.testing.assert_frame_equal(pandas.read_parquet(files[1]), CURVES)
    pandas.testing.assert_frame_equal(pandas.read_csv(files[0]), CURVES)
    with pytest.raises(ConfigurationError, match="csv"):
        write_results(CURVES, tmp_path, formats=("xlsx",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [path.name for path in write_results(CURVES, tmp_path)] == ["results.csv"]
    with pytest.raises(MissingDependencyError, match="pyarrow"):
        write_results(CURVES, tmp_path, formats=("parquet",))


def test_report_says_what_was_measured(tmp_path: Path) -> None:
    twice = [Variant(name, parameters=SMALL) for name in ("HASAC", "MASAC")]
    tasks = [Task("matrix/maxent", scale=(-20.0, 20.0)), Task("matrix/climbing", scale=(-30.0, 11.0))]
    run(small(algorithms=twice, environments=tasks), tmp_path, progress_bar=False)
    text = write_report(tmp_path).read_text()
    for part in ("8 of 8 runs", "| matrix/climbing | MASAC | 2 |", "## All environments", "| HASAC | MASAC | "):
        assert part in text
    assert "reach 0)" in text and "reach -9.5)" in text and "## Failed" not in text


def test_profiles_and_improvement_refuse_what_they_cannot_show(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two algorithms or more"):
        draw_improvement(CURVES[CURVES["algorithm"] == "A"], tmp_path / "x.png")
    with pytest.raises(ConfigurationError, match="all with a score"):
        draw_profiles(CURVES.assign(score=np.nan), tmp_path / "x.png")


def test_plot_and_export_of_a_trained_run(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    flags = ["--total-timesteps", "120", "--learning-starts", "100", "--batch-size", "8", "--eval-episodes", "0"]
    answer = CliRunner().invoke(cli, ["train", "hasac", "matrix/maxent", *flags, "--out", out, "--json"])
    assert answer.exit_code == 0, answer.output
    answer = CliRunner().invoke(cli, ["plot", out, "--json"])
    assert [Path(name).name for name in json.loads(answer.output)["pictures"]] == ["learning_curve.png", "traces.png"]
    for kind in ("policies", "contributions"):
        answer = CliRunner().invoke(cli, ["plot", out, "--kind", kind, "--episodes", "2", "--format", "svg", "--json"])
        assert Path(json.loads(answer.output)["pictures"][0]).read_text().startswith("<?xml")
    answer = CliRunner().invoke(cli, ["plot", out, "--kind", "scores"])
    assert isinstance(answer.exception, ConfigurationError) and "A run has: curves" in str(answer.exception)
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


def test_an_algorithm_has_copies_of_its_own_and_evaluations_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = small(
        algorithms=[Variant("HASAC", "one", SMALL), Variant("HASAC", "", SMALL, {"gamma": [0.5, 0.9]}, n_envs=4)],
        seeds=[0],
        eval_envs=2,
    )
    assert [each.n_envs for each in several.runs] == [1, 4, 4] and {each.eval_envs for each in several.runs} == {2}
    assert "eval_envs" not in small().runs[0].settings()  # folders of earlier studies keep their names
    copies = []

    def watched(*args: Any, arena_copies: int, **kwargs: Any) -> Any:
        copies.append(arena_copies)
        return environments(*args, arena_copies=arena_copies, **kwargs)

    monkeypatch.setattr("masoft.studies.work.environments", watched)
    run(several, tmp_path, progress_bar=False)
    results = read_results(tmp_path)
    assert copies == [2, 2, 2] and len(results) == 6 and results["mean_return"].notna().all()


@pytest.mark.parametrize("change", [{"eval_envs": 0}, {"algorithms": [{"n_envs": 1.5}]}])
def test_copies_are_whole_numbers_from_one_on(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must be an integer >= 1"):
        small(**{"algorithms": [Variant("HASAC", "soft", SMALL, **change.pop("algorithms", [{}])[0])], **change})
