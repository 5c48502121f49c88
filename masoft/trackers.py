"""Experiment trackers as stable-baselines3's callbacks: settings, every row of the log and the model, under one id."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

import masoft
from masoft.errors import ConfigurationError, MissingDependencyError, explain
from masoft.files import shown

STEP = "time/total_timesteps"
RUN_TAG = "masoft.run"
"""Tag of an MLflow run that holds the id of masoft's run."""
LONGEST_PARAMETER = 6_000
"""Characters of a parameter that MLflow takes."""


class Tracker(BaseCallback):
    """Abstract: opens a tracker's run when learning starts, writes the log to it, and ends with the model.

    The run has the id that the model's checkpoints hold, so that a resumed model goes on in the run that it was in.
    A tracker that cannot be reached when learning starts ends it; one that fails later costs a warning and the rest of
    its rows, not the training. Put it last in a list of callbacks, so that it sees what the others log at the end.

    Args:
        save_model: whether the model becomes an artifact of the run when learning ends.

    Attributes:
        name: of the tracker, for messages and for SB3's ``logger.record(..., exclude=name)``.
    """

    name: str

    def __init__(self, *, save_model: bool = True) -> None:
        super().__init__()
        self.save_model = save_model
        self._rows: _Rows | None = None

    @abstractmethod
    def open(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open the run of an id, a new one or one that is there.

        Args:
            run_id: of masoft's run.
            config: algorithm, agents, constructor's arguments and version as plain values or text.
        """

    @abstractmethod
    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Write one row.

        Args:
            numbers: by name.
            step: environment steps.
        """

    @abstractmethod
    def keep(self, model: Path, run_id: str) -> None:
        """Store a model's file with the run."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the run.

        Args:
            failed: whether learning was left by an error.
        """

    def _on_training_start(self) -> None:
        self._leave()
        model: Any = self.model
        self.open(model.run_id, config_of(model))
        self._rows = _Rows(self)
        self.logger.output_formats.append(self._rows)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        model: Any = self.model
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.zip"
            if self.save_model:
                model.save(path)
            self._leave()
            try:
                if self.save_model:
                    self.keep(path, model.run_id)
                self.close(failed=False)
            except Exception as error:  # trackers' errors have no common base
                warnings.warn(f"The model was not given to {self.name}: {error}", UserWarning, stacklevel=2)

    def _leave(self) -> None:
        """Write no more rows; a logger that outlives this training has no dead writer in it then."""
        if self._rows is not None and self._rows in self.logger.output_formats:
            self.logger.output_formats.remove(self._rows)
        self._rows = None


class _Rows(KVWriter):
    """What the logger sees of a tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._is_silent = False

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Pass on what is a number and not excluded."""
        numbers = {}
        for name, value in key_values.items():
            if self._tracker.name not in (key_excluded.get(name) or ()) and not isinstance(value, str):
                try:
                    numbers[shown(name)] = float(value)
                except (TypeError, ValueError):  # a picture, a histogram
                    continue
        if self._is_silent:
            return
        try:
            self._tracker.log(numbers, step)
        except Exception as error:  # trackers' errors have no common base
            self._is_silent = True
            warnings.warn(f"{self._tracker.name} is not written any more: {error}", UserWarning, stacklevel=2)

    def close(self) -> None:
        """The logger is closed while this is in it: learning did not come to its end."""
        self._tracker.close(failed=True)


class WandbCallback(Tracker):
    """Weights & Biases: rows over ``time/total_timesteps``, the model as artifact ``masoft-ID``.

    A resumed run is the same run there (``id=ID, resume="allow"``). ``WANDB_MODE=offline`` keeps all of it on the disk
    until ``wandb sync``; ``WANDB_PROJECT``, ``WANDB_DIR`` and its other variables work as ever.

    Args:
        project: the project; None: ``WANDB_PROJECT``, or "masoft".
        init: more arguments of ``wandb.init``, for example ``{"group": "ablation", "tags": ["hasac"]}``.
        save_model: whether the model becomes an artifact of the run when learning ends.

    Raises:
        MissingDependencyError: wandb is not installed.

    Example:
        ``model.learn(50_000, callback=WandbCallback("teams"))``
    """

    name = "wandb"

    def __init__(
        self, project: str | None = None, *, init: Mapping[str, Any] | None = None, save_model: bool = True
    ) -> None:
        super().__init__(save_model=save_model)
        self.project = project
        self.init = dict(init or {})
        self._wandb = _package("wandb", "wandb")
        self._run: Any = None

    def open(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open the run of an id, a new one or one that is there."""
        project = self.project or os.environ.get("WANDB_PROJECT") or "masoft"
        given = {"project": project, "resume": "allow", "id": run_id, "config": dict(config), **self.init}
        self._run = self._wandb.init(**given)
        # Rows that a killed run wrote after its last checkpoint come again: by this axis they fall upon themselves.
        self._run.define_metric("*", step_metric=STEP)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Write one row."""
        self._run.log({**numbers, STEP: step})

    def keep(self, model: Path, run_id: str) -> None:
        """Store a model's file with the run."""
        artifact = self._wandb.Artifact(f"masoft-{run_id}", type="model")
        artifact.add_file(str(model))
        self._run.log_artifact(artifact)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        run, self._run = self._run, None
        if run is not None:
            run.finish(exit_code=int(failed))


class MlflowCallback(Tracker):
    """MLflow: parameters, metrics by environment step, the model as artifact ``model/model.zip``.

    A resumed run is found by its tag ``masoft.run`` and gone on with. Parameters of MLflow cannot change: those that a
    resumed run has changed keep their first value there.

    Args:
        experiment: its name; None: ``MLFLOW_EXPERIMENT_NAME``, or "masoft".
        tracking_uri: of the server or database; None: as MLflow's own ``MLFLOW_TRACKING_URI`` says.
        run_name: what the run is called there; None: MLflow invents one.
        save_model: whether the model becomes an artifact of the run when learning ends.

    Raises:
        MissingDependencyError: mlflow is not installed.

    Example:
        ``model.learn(50_000, callback=MlflowCallback("teams", tracking_uri="sqlite:///mlflow.db"))``
    """

    name = "mlflow"

    def __init__(
        self,
        experiment: str | None = None,
        *,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        save_model: bool = True,
    ) -> None:
        super().__init__(save_model=save_model)
        self.experiment = experiment
        self.tracking_uri = tracking_uri
        self.run_name = run_name
        self._mlflow = _package("mlflow", "mlflow")
        self._client: Any = None
        self._id = ""

    def open(self, run_id: str, config: Mapping[str, Any]) -> None:
        """Open the run of an id, a new one or one that is there."""
        self._client = self._mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "masoft"
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found is not None else self._client.create_experiment(name)
        runs = self._client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run_id}'")
        run = runs[0] if runs else self._client.create_run(experiment, tags={RUN_TAG: run_id}, run_name=self.run_name)
        self._id = run.info.run_id
        self._client.set_terminated(self._id, "RUNNING")
        for key, value in config.items():
            if key not in run.data.params:
                self._client.log_param(self._id, key, str(value)[:LONGEST_PARAMETER])

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Write one row."""
        now = int(time.time() * 1000)
        metric = self._mlflow.entities.Metric
        self._client.log_batch(self._id, [metric(name, value, now, step) for name, value in numbers.items()])

    def keep(self, model: Path, run_id: str) -> None:
        """Store a model's file with the run."""
        self._client.log_artifact(self._id, str(model), "model")

    def close(self, *, failed: bool) -> None:
        """End the run."""
        client, self._client = self._client, None
        if client is not None:
            client.set_terminated(self._id, "FAILED" if failed else "FINISHED")


TRACKERS: dict[str, Callable[[], Tracker]] = {"wandb": WandbCallback, "mlflow": MlflowCallback}
"""What ``masoft train --track`` takes."""


def tracker_of(name: str | None) -> Tracker | None:
    """The tracker of a name, as its own environment variables set it up; None of None.

    Raises:
        ConfigurationError: there is none of that name.
        MissingDependencyError: its package is not installed.
    """
    if name is None:
        return None
    if name not in TRACKERS:
        raise ConfigurationError(explain("track", f"one of {', '.join(TRACKERS)}", name))
    return TRACKERS[name]()


def config_of(model: Any) -> dict[str, Any]:
    """What a tracker shows of a model: its class, team and constructor's arguments; parts as text.

    Args:
        model: of masoft.
    """
    plain = (str, int, float, bool, type(None))
    parameters = {
        name: value if isinstance(value, plain) else repr(value) for name, value in model.get_params().items()
    }
    team = ", ".join(shown(name) for name in model.team.names)
    return {"algorithm": type(model).__name__, "agents": team, "masoft": masoft.__version__, **parameters}


def _package(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f'Tracking with {name} needs its package. pip install "masoft[{extra}]"'
        ) from error
