"""The folder of a study: one folder a run, an index, and what counts as finished."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import masoft
from masoft.errors import ConfigurationError, explain
from masoft.files.text import number, read_json, read_table, write_json
from masoft.runs.settings import COLUMNS as COLUMNS
from masoft.studies.study import Study

INDEX, SETTINGS, CURVE, MODEL, DONE, FAILED = (
    "study.json", "settings.json", "evaluations.csv", "model.zip", "done.json", "failed.txt",
)  # fmt: skip
READ = (INDEX, SETTINGS, CURVE, DONE, FAILED)
"""What is read of a study to tell how it came out."""
WORK = ".work"
"""Subfolder for what is not finished: locks, runs that go on, the mark of the process that leads."""


def is_read(name: str) -> bool:
    """Whether a file, by its name in the study's folder, is one of those that results are read from."""
    return PurePosixPath(name).name in READ


def is_of_all(name: str) -> bool:
    """Whether a file, by its name in the study's folder, belongs to the study and to none of its runs."""
    return "/" not in name


def write_index(study: Study, folder: Path) -> None:
    """Write which runs belong to the study, with the names that pictures use."""
    runs = {
        each.key: {"algorithm": each.variant.label, "environment": each.task.name, "scale": each.task.scale}
        for each in study.runs
    }
    write_json(folder / INDEX, {"masoft": masoft.__version__, "runs": runs})


def read_index(folder: str | Path) -> dict[str, Any]:
    """The runs of a study's folder by key.

    Raises:
        ConfigurationError: the folder holds no study, or its index is damaged.
    """
    path = Path(folder) / INDEX
    if not path.is_file():
        cure = "Give the folder that `masoft study` wrote."
        raise ConfigurationError(explain("The folder of a study", f"one with {INDEX} in it", str(folder), cure))
    runs = read_json(path).get("runs")
    if not isinstance(runs, dict) or not all(_is_entry(key, entry) for key, entry in runs.items()):
        cure = "`masoft study` writes it anew."
        raise ConfigurationError(explain(f"The runs in {path}", "keys of folders and their names", runs, cure))
    return runs


def _is_entry(key: str, entry: Any) -> bool:
    """Whether a line of the index is one, and names a folder in this one."""
    if not isinstance(entry, dict) or key in ("", ".", "..") or Path(key).name != key or "\0" in key or "\\" in key:
        return False
    scale = entry.get("scale", ())
    is_scale = scale is None or (
        isinstance(scale, list) and len(scale) == 2 and all(type(each) in (int, float) for each in scale)
    )
    return is_scale and all(isinstance(entry.get(name), str) for name in ("algorithm", "environment"))


def read_curve(run: Path) -> list[dict[str, float]]:
    """The evaluations of a run; a row that is not whole is left out."""
    found = []
    for row in read_table(run / CURVE)[1]:
        values = {name: number(row.get(name)) for name in COLUMNS}
        if None not in values.values():
            found.append({name: float(value or 0.0) for name, value in values.items()})
    return found


def curve_digest(run: Path) -> str:
    """Checksum of the evaluations."""
    return hashlib.sha256((run / CURVE).read_bytes()).hexdigest()


def damage(run: Path) -> str | None:
    """What is wrong with a run that says that it is finished; None: nothing."""
    try:
        done, settings = read_json(run / DONE), read_json(run / SETTINGS)
        if type(done.get("seconds")) not in (int, float) or type(settings.get("seed")) is not int:
            return f"{run / DONE} or {run / SETTINGS} is damaged"
        if "curve" in done and done["curve"] != curve_digest(run):
            return f"{run / CURVE} is not what the run wrote"
        return None if read_curve(run) else f"{run / CURVE} holds no evaluation"
    except (ConfigurationError, OSError) as error:
        return str(error)


def is_finished(run: Path) -> bool:
    """Whether a run has come to its end, and everything that results are read from is whole."""
    return (run / DONE).exists() and damage(run) is None


def is_pending(run: Path, retry_failed: bool = False) -> bool:
    """Whether a run has still to be done."""
    if (run / DONE).exists():
        return damage(run) is not None
    return retry_failed or not (run / FAILED).exists()


def failure(run: Path) -> str:
    """Why a run has failed, in one line."""
    try:
        lines = (run / FAILED).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError as error:
        return f"no reason can be read: {error}"
    return lines[-1] if lines else "no message"
