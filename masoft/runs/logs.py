"""Where a run's log goes, and how a resumed run goes on in the file that is there."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

from stable_baselines3.common.logger import KVWriter, Logger, make_output_format

from masoft.algorithms.logs import ContinuedLog, Tolerant
from masoft.runs.settings import LOG, RunSettings


def _silence_writer() -> None:
    """Let TensorBoard's thread end without a traceback of its own when the disk fails: the next row says so."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        of_tensorboard = type(arguments.thread).__module__.startswith("tensorboard.")
        if not (of_tensorboard and isinstance(arguments.exc_value, OSError)):
            before(arguments)

    threading.excepthook = hook


def make_logger(
    folder: Path, settings: RunSettings, step: int, *, on_screen: bool = False, tensorboard: bool = False
) -> Logger:
    """CSV, and what else is asked for.

    Args:
        folder: of the run.
        settings: of the run.
        step: environment steps that the model has taken; a log that is there goes on from it.
        on_screen: whether SB3's table is printed, too.
        tensorboard: whether TensorBoard's file is written, where it is installed.
    """
    path = folder / LOG
    if not step:
        path.unlink(missing_ok=True)
    outputs: dict[str, KVWriter] = {str(path): ContinuedLog(path, step, settings.log_every, settings.n_envs)}
    if on_screen:
        outputs["The table on the screen"] = make_output_format("stdout", str(folder))
    if tensorboard and importlib.util.find_spec("tensorboard") is not None:
        _silence_writer()
        outputs[f"The TensorBoard log in {folder}"] = make_output_format("tensorboard", str(folder))
    return Logger(str(folder), [Tolerant(output, name) for name, output in outputs.items()])
