"""Trackers, in their offline modes: what they are given, and the run that a resumed model goes on in."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.logger import configure

import masoft
from masoft import HASAC, make_vec
from masoft.callbacks import CheckpointCallback, EvenLogging
from masoft.cli import main
from masoft.errors import MissingDependencyError
from masoft.trackers import MlflowCallback, Tracker, WandbCallback, config_of

SMALL: dict[str, Any] = {"learning_starts": 8, "batch_size": 4, "policy_kwargs": {"net_arch": [8]}, "seed": 0}
needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
needs_mlflow = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
# Of the trackers' own packages, which we can only use as they are.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Notes(Tracker):
    """A tracker that writes things down."""

    name = "notes"

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails, self.seen = fails, []
        self.rows: list[tuple[int, dict[str, float]]] = []

    def open(self, run_id: str, config: Any) -> None:
        self.seen.append(("open", run_id, config))

    def log(self, numbers: Any, step: int) -> None:
        if self.fails:
            raise RuntimeError("no network")
        self.rows.append((step, dict(numbers)))

    def keep(self, model: Path, run_id: str) -> None:
        self.seen.append(("keep", HASAC.load(model).num_timesteps))

    def close(self, *, failed: bool) -> None:
        self.seen.append(("close", failed))


def train(tracker: Tracker, steps: int = 24, **more: Any) -> HASAC:
    model = HASAC("matrix/maxent", **SMALL, **more)
    model.learn(steps, callback=[EvenLogging(8), tracker], log_interval=None)
    return model


def resumed(tmp_path: Path, make: Any, between: Any = None) -> str:
    """Train with checkpoints, train on from them with a tracker of its own, and give the id of both."""
    model = HASAC("matrix/maxent", **SMALL)
    model.learn(16, callback=[CheckpointCallback(tmp_path / "run"), EvenLogging(8), make()], log_interval=None)
    if between is not None:
        between()
    later = HASAC.resume(tmp_path / "run", env=make_vec("matrix/maxent", seed=0))
    assert later.run_id == model.run_id
    later.learn(8, callback=[EvenLogging(8), make()], log_interval=None, reset_num_timesteps=False)
    return model.run_id


def test_a_tracker_sees_settings_rows_and_model() -> None:
    notes = Notes()
    model = train(notes)
    (_, run_id, config), kept, closed = notes.seen
    assert run_id == model.run_id and kept == ("keep", 24) and closed == ("close", False)
    assert config["algorithm"] == "HASAC" and config["batch_size"] == 4 and config["agents"] == "agent_0, agent_1"
    assert [step for step, _ in notes.rows] == [8, 16, 24]
    assert "train/critic_loss" in notes.rows[-1][1]


def test_a_tracker_that_fails_costs_one_warning() -> None:
    notes = Notes(fails=True)
    with pytest.warns(UserWarning, match="notes is not written any more: no network") as warned:
        model = train(notes)
    assert model.num_timesteps == 24 and len([each for each in warned if "notes" in str(each.message)]) == 1


def test_learning_twice_writes_each_row_once() -> None:
    notes = Notes()
    model = HASAC("matrix/maxent", **SMALL)
    logger = configure(None, [])
    model.set_logger(logger)
    for _ in range(2):
        model.learn(8, callback=[EvenLogging(8), notes], log_interval=None, reset_num_timesteps=False)
    assert [step for step, _ in notes.rows] == [8, 16] and logger.output_formats == []


def test_a_logger_that_closes_early_tells_of_a_failure(tmp_path: Path) -> None:
    notes = Notes()

    class Fall(EvenLogging):
        def _on_step(self) -> bool:
            raise RuntimeError("the end")

    model = HASAC("matrix/maxent", **SMALL)
    logger = configure(None, [])
    model.set_logger(logger)
    with pytest.raises(RuntimeError, match="the end"):
        model.learn(8, callback=[notes, Fall(8)])
    logger.close()
    assert notes.seen[-1] == ("close", True)


def test_parts_are_text() -> None:
    model = masoft.MEHAML("matrix/maxent", drift=masoft.mirror.KLDrift(0.5), **SMALL)
    assert config_of(model)["drift"] == repr(masoft.mirror.KLDrift(0.5))


@pytest.mark.parametrize("package, cls", [("wandb", WandbCallback), ("mlflow", MlflowCallback)])
def test_a_missing_package_is_named_with_its_command(
    package: str, cls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf'pip install "masoft\[{package}\]"'):
        cls()
    with pytest.raises(SystemExit):
        main(["train", "matrix/maxent", "--total-timesteps", "8", "--out", str(tmp_path / "x"), "--track", package])
    assert f'pip install "masoft[{package}]"' in capsys.readouterr().err
    assert not (tmp_path / "x" / "run.json").exists()


def wandb_records(folder: Path) -> Iterator[Any]:
    """What lies in the files of offline runs: a log in blocks of 32 KiB, each record a message of wandb's."""
    from wandb.proto.wandb_internal_pb2 import Record

    for path in sorted(folder.rglob("*.wandb")):
        data, at, whole = path.read_bytes(), 7, b""
        while at + 7 <= len(data):
            left = 32_768 - at % 32_768
            if left < 7:
                at += left
                continue
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            whole = (b"" if kind in (1, 2) else whole) + data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):
                yield Record.FromString(whole)


@needs_wandb
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    import wandb

    # Its service ends with a process; two runs of one id in one service get in each other's way.
    run_id = resumed(tmp_path, lambda: WandbCallback("teams", init={"tags": ["small"]}), wandb.teardown)
    records = list(wandb_records(tmp_path / "wandb"))
    runs = [record.run for record in records if record.HasField("run")]
    assert {(run.run_id, run.project, *run.tags) for run in runs} == {(run_id, "teams", "small")}
    assert len({path.parent for path in tmp_path.rglob("*.wandb")}) == 2
    config = {update.key: json.loads(update.value_json) for update in runs[0].config.update}
    assert config["algorithm"] == "HASAC" and config["batch_size"] == 4
    rows = [record.history for record in records if record.HasField("history")]
    steps = [
        json.loads(item.value_json)
        for row in rows
        for item in row.item
        if "time/total_timesteps" in (item.key, *item.nested_key)
    ]
    assert steps == [8, 16, 24]
    stored = [record.artifact for record in records if record.HasField("artifact")]
    stored += [record.request.log_artifact.artifact for record in records if record.HasField("request")]
    assert [each.name for each in stored if each.type == "model"] == [f"masoft-{run_id}"] * 2


@needs_mlflow
def test_mlflow_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = "sqlite:///mlflow.db"
    run_id = resumed(tmp_path, lambda: MlflowCallback("teams", tracking_uri=uri, run_name="small"))
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("teams").experiment_id])
    assert run.data.tags["masoft.run"] == run_id and run.info.status == "FINISHED" and run.info.run_name == "small"
    assert run.data.params["batch_size"] == "4" and run.data.params["algorithm"] == "HASAC"
    assert [each.step for each in client.get_metric_history(run.info.run_id, "time/episodes")] == [8, 16, 24]
    found = client.download_artifacts(run.info.run_id, "model/model.zip", str(tmp_path))
    assert HASAC.load(found).num_timesteps == 24


@needs_mlflow
def test_a_run_of_the_command_line_is_tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    flags = ["--learning-starts", "8", "--batch-size", "4", "--no-progress", "--seed", "1", "--eval-episodes", "0"]
    main(["train", "hasac", "matrix/maxent", *flags, "--total-timesteps", "40", "--track", "mlflow", "--out", "run"])
    main(["train", "--resume", "run", "--extend", "20", "--eval-episodes", "0", "--no-progress"])
    import mlflow

    client = mlflow.MlflowClient(tracking_uri="sqlite:///mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("masoft").experiment_id])
    assert max(each.step for each in client.get_metric_history(run.info.run_id, "train/ent_coef")) == 60
