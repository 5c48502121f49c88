"""Where a run's log goes, and how a resumed run goes on in the file that is there."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import CSVOutputFormat, KVWriter, Logger, make_output_format

from masoft.cli.run_folder import LOG, RunSettings
from masoft.files import replace_file

STEP = "time/total_timesteps"


class ContinuedLog(CSVOutputFormat):
    """stable-baselines3's CSV log, with the rows up to a step kept.

    Args:
        path: the file.
        step: where the run goes on; rows after it are taken anew, and so is one at it that is off the grid, which an
            interrupted run writes when it ends.
        settings: of the run; tells which rows are on the grid.
    """

    def __init__(self, path: Path, step: int, settings: RunSettings) -> None:
        header, *rows = path.read_text().splitlines()
        names = next(csv.reader([header]))

        def is_kept(row: list[str]) -> bool:
            if len(row) != len(names):  # a killed process may have left half a row
                return False
            at = int(float(row[names.index(STEP)]))
            return at < step or (at == step and at % settings.log_every < settings.n_envs)

        kept = [header, *(line for line in rows if is_kept(next(csv.reader([line]))))]
        text = "".join(f"{line}\n" for line in kept)
        replace_file(path, lambda file: _write(file, text))
        self.file = path.open("r+")
        self.file.seek(0, 2)
        self.keys, self.separator, self.quotechar = names, ",", '"'


def _write(file: Any, text: str) -> None:
    file.write(text.encode())


def make_logger(folder: Path, settings: RunSettings, step: int, *, quiet: bool) -> Logger:
    """CSV, TensorBoard where it is installed, and a table on the screen unless it shall be quiet.

    Args:
        folder: of the run.
        settings: of the run.
        step: environment steps that the model has taken; a log that is there goes on from it.
        quiet: whether the screen stays empty.
    """
    outputs: list[KVWriter] = [] if quiet else [make_output_format("stdout", str(folder))]
    path = folder / LOG
    has_rows = step > 0 and path.exists() and path.stat().st_size > 0
    outputs.append(ContinuedLog(path, step, settings) if has_rows else make_output_format("csv", str(folder)))
    if importlib.util.find_spec("tensorboard") is not None:
        outputs.append(make_output_format("tensorboard", str(folder)))
    return Logger(str(folder), outputs)
