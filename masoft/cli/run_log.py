"""Where a run's log goes, and how a resumed run goes on in the file that is there."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

from stable_baselines3.common.logger import KVWriter, Logger, make_output_format

from masoft.algorithms.logs import ContinuedLog, Tolerant
from masoft.cli.run_folder import LOG, RunSettings


def _silence_writer() -> None:
    """Let TensorBoard's thread end without a traceback of its own when the disk fails: the next row says so."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        of_tensorboard = type(arguments.thread).__module__.startswith("tensorboard.")
        if not (of_tensorboard and isinstance(arguments.exc_value, OSError)):
            before(arguments)

    threading.excepthook = hook


def make_logger(folder: Path, settings: RunSettings, step: int, *, quiet: bool) -> Logger:
    """CSV, TensorBoard where it is installed, and a table on the screen unless it shall be quiet.

    Args:
        folder: of the run.
        settings: of the run.
        step: environment steps that the model has taken; a log that is there goes on from it.
        quiet: whether the screen stays empty.
    """
    outputs: dict[str, KVWriter] = {}
    if not quiet:
        outputs["The table on the screen"] = make_output_format("stdout", str(folder))
    path = folder / LOG
    has_rows = step > 0 and path.exists()
    outputs[str(path)] = (
        ContinuedLog(path, step, settings.log_every, settings.n_envs)
        if has_rows
        else make_output_format("csv", str(folder))
    )
    if importlib.util.find_spec("tensorboard") is not None:
        _silence_writer()
        outputs[f"The TensorBoard log in {folder}"] = make_output_format("tensorboard", str(folder))
    return Logger(str(folder), [Tolerant(output, name) for name, output in outputs.items()])
