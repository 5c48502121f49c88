"""Logs that outlive what happens to a run: continued after a resume, and no reason to stop learning."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import CSVOutputFormat, KVWriter

from masoft.files.names import shown
from masoft.files.text import number, read_table, write_text

STEP = "time/total_timesteps"


class ContinuedLog(CSVOutputFormat):
    """stable-baselines3's CSV log, with the rows up to a step kept.

    Args:
        path: the file; damaged or absent, it starts anew with what can be read of it.
        step: where the run goes on; rows after it are taken anew, and so is one at it that is off the grid, which an
            interrupted run writes when it ends.
        log_every: environment steps between two rows.
        n_envs: copies of the environment.
    """

    def __init__(self, path: Path, step: int, log_every: int, n_envs: int) -> None:
        names, rows = read_table(path) if path.exists() else ([], [])
        names = names if STEP in names else []

        def is_kept(row: Mapping[str, str]) -> bool:
            at = number(row.get(STEP))
            return at is not None and (at < step or (at == step and at % log_every < n_envs))

        kept = [row for row in rows if names and is_kept(row)]
        write_text(path, _table(names, kept))
        self.file = path.open("r+")
        self.file.seek(0, 2)
        self.keys, self.separator, self.quotechar = names, ",", '"'


def _table(names: list[str], rows: list[dict[str, str]]) -> str:
    """Rows as stable-baselines3 writes them: a value is quoted where it has to be."""
    if not names:
        return ""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class Tolerant(KVWriter):
    """A log whose disk may fail or vanish: one warning, and learning goes on without it.

    Names of columns, which may hold names of agents, are written escaped, see `masoft.files.shown`.

    Args:
        inner: the log.
        name: what it is, for the warning.
    """

    def __init__(self, inner: KVWriter, name: str) -> None:
        self._inner: KVWriter | None = inner
        self._name = name

    def write(self, key_values: Any, key_excluded: Any, step: int = 0) -> None:
        """Write a row."""
        if self._inner is None:
            return
        try:
            names = {name: shown(name) for name in key_values}
            self._inner.write(
                {names[name]: value for name, value in key_values.items()},
                {names[name]: key_excluded[name] for name in key_values},
                step,
            )
        except OSError as error:
            self._inner = None
            warnings.warn(f"{self._name} is not written any more: {error}", UserWarning, stacklevel=2)

    def close(self) -> None:
        """Close it."""
        inner, self._inner = self._inner, None
        if inner is None:
            return
        try:
            inner.close()
        except OSError as error:
            warnings.warn(f"The end of {self._name} could not be written: {error}", UserWarning, stacklevel=2)
