"""`masoft tune`: a search in a folder that goes on, that processes share, and whose result `masoft train` takes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner

import masoft
from masoft.cli import cli, main
from masoft.errors import ConfigurationError
from masoft.presets import read_preset
from masoft.runs.settings import RunSettings
from masoft.studies.spaces import Space, read_space, space_of
from masoft.studies.tuner import Tuning, merged, open_study, tune, write_preset
from masoft.studies.tuning_plots import draw_importance

GAMMA = Space({"gamma": {"low": 0.1, "high": 0.9}})
FLAGS = ["--total-timesteps", "20", "--reports", "2", "--eval-episodes", "1", "--json"]
FIXED = ["--set", "learning_starts=8", "--set", "batch_size=4", "--set", 'policy_kwargs={"net_arch": [4]}']
SPACE = 'gamma = {low = 0.9, high = 0.99, complement = true}\ndrift = {choices = ["NoDrift()", "KLDrift(0.5)"]}\n'


def small(**changes: Any) -> Tuning:
    parameters = {"learning_starts": 8, "batch_size": 4, "policy_kwargs": {"net_arch": [4]}}
    run = RunSettings("HASAC", "matrix/maxent", {}, 1, 0, 10, parameters, eval_every=5, eval_episodes=1)
    return Tuning(run, changes.pop("space", GAMMA), **{"n_trials": 2, "n_reports": 2, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tune")
    (place / "space.toml").write_text(SPACE)
    command = [
        "tune",
        "mehaml",
        "matrix/maxent",
        *FLAGS,
        *FIXED,
        "--trials",
        "5",
        "--pruner",
        "none",
        "--out",
        str(place),
    ]
    answer = CliRunner().invoke(cli, [*command, "--space", str(place / "space.toml")])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.output)["trials"] == 5
    return place


def test_the_best_is_a_preset_that_training_takes(folder: Path, tmp_path: Path) -> None:
    found = read_preset(folder / "best.toml", "MEHAML")
    assert 0.9 <= found.parameters["gamma"] <= 0.99 and type(found.parameters["drift"]).__name__.endswith("Drift")
    assert "mean return" in found.sources["gamma"]
    out = tmp_path / "run"
    command = ["train", "mehaml", "matrix/maxent", "--preset", str(folder / "best.toml"), "--out", str(out), "--json"]
    assert CliRunner().invoke(cli, command).exit_code == 0
    settings = RunSettings.load(out)
    assert settings.parameters["gamma"] == found.parameters["gamma"] and settings.total_timesteps == 20
    assert settings.preset == str(folder / "best.toml") and settings.parameters["policy_kwargs"] == {"net_arch": [4]}


def test_pictures_have_their_numbers_beside_them(folder: Path) -> None:
    assert (folder / "history.png").read_bytes()[:4] == b"\x89PNG"
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4"]
    best = [float(row["best"]) for row in rows]
    assert best == sorted(best) and best[-1] == max(float(row["value"]) for row in rows)
    if (folder / "importance.csv").exists():  # not where all trials ended with one and the same return
        with (folder / "importance.csv").open() as file:
            assert {row["argument"] for row in csv.DictReader(file)} == {"1-gamma", "drift"}


@pytest.mark.parametrize("algorithm", masoft.ALGORITHMS)
def test_ready_spaces_name_arguments_that_there_are(algorithm: str) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    model = getattr(masoft, algorithm)(**space_of(algorithm)(trial))
    assert model.get_params()["gamma"] == pytest.approx(1 - trial.params["1-gamma"])


def test_a_search_goes_on_where_it_was(tmp_path: Path) -> None:
    first = [trial.params for trial in tune(small(), tmp_path).trials]
    again = tune(small(n_trials=3), tmp_path)
    assert [trial.params for trial in again.trials[:2]] == first
    assert len(again.trials) == 3 and len({trial.params["gamma"] for trial in again.trials}) == 3
    assert len(tune(small(n_trials=3), tmp_path).trials) == 3
    with pytest.raises(ConfigurationError, match="another n_reports"):
        tune(small(n_reports=1), tmp_path)


def test_the_same_seed_tries_the_same(tmp_path: Path) -> None:
    found = [[trial.params for trial in tune(small(), tmp_path / name).trials] for name in "ab"]
    assert found[0] == found[1]


@pytest.mark.parametrize("worker", [0, 3])
def test_trials_of_processes_that_are_gone_do_not_count(worker: int, tmp_path: Path) -> None:
    lost = open_study(small(), tmp_path).ask()
    lost.set_user_attr("worker", worker)
    study = tune(small(), tmp_path)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_without_a_finished_trial_there_is_no_preset(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="stopped early or failed"):
        write_preset(small(), open_study(small(), tmp_path), tmp_path)


def test_arguments_that_stay_and_those_that_were_found() -> None:
    fixed = {"a": 1, "policy_kwargs": {"net_arch": [4], "x": 1}}
    assert merged(fixed, {"policy_kwargs": {"net_arch": [8]}}) == {"a": 1, "policy_kwargs": {"net_arch": [8], "x": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [("gamma = 3", "gamma of the search space"), ("gamma = {low = 2, high = 1}", "low < high"), ("gamma =", "no TOML"),
     ("gamma = {low = 0, high = 1, log = true}", "low < high"), ("gamma = {choices = []}", "choices"),
     ("gamma = {low = 0.5, high = 1.5, complement = true}", "complement")],
)  # fmt: skip
def test_spaces_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_space(tmp_path / "s.toml")


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["hasacc", "matrix/maxent"], "Did you mean"), (["hasac", "matrix/maxent", "--set", "gama=1"], "gamma"),
     (["hasac", "matrix/maxen"], "matrix/maxent"), (["hasac", "matrix/maxent", "--space", "no.toml"], "no.toml")],
)  # fmt: skip
def test_refusals(flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tune", *flags, "--total-timesteps", "20", "--out", str(tmp_path / "t")])
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and message in printed and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("algorithm", "env", "message"),
    [("HASAC", "matrix/maxent", "algorithm"), ("MEHAML", "mpe/simple_v3", "environment")],
)
def test_presets_for_something_else(algorithm: str, env: str, message: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_preset(folder / "best.toml", algorithm, env)


@pytest.mark.slow
def test_two_processes_share_a_search(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "masoft.cli", "tune", "hasac", "matrix/maxent", *FLAGS, *FIXED, "--trials", "8"]
    both = [subprocess.Popen([*command, "--out", str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        process.communicate()
    assert [process.returncode for process in both] == [0, 0]
    run = RunSettings("HASAC", "matrix/maxent", {}, 1, 0, 20, {})
    trials = open_study(Tuning(run, GAMMA), tmp_path).trials
    assert 8 <= len(trials) <= 9 and {trial.user_attrs["worker"] for trial in trials} == {0, 1}
    assert len({trial.params["learning_rate"] for trial in trials}) == len(trials)


def test_importance_finds_the_argument_that_matters(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(
        lambda trial: -abs(trial.suggest_float("a", -1, 1)) + 0 * trial.suggest_float("b", -1, 1), n_trials=40
    )
    assert draw_importance(study, tmp_path / "i.png") == tmp_path / "i.png"
    with (tmp_path / "i.csv").open() as file:
        found = {row["argument"]: float(row["importance"]) for row in csv.DictReader(file)}
    assert found["a"] > 5 * found["b"]
    assert draw_importance(optuna.create_study(), tmp_path / "none.png") is None
