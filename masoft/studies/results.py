"""Results of a study as one tidy table, and what is read off it."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from masoft.errors import ConfigurationError, MissingDependencyError, explain
from masoft.files import read_json, replace_file, write_text
from masoft.studies.folder import COLUMNS as CURVE_COLUMNS
from masoft.studies.folder import DONE, SETTINGS, damage, read_curve, read_index

if TYPE_CHECKING:
    import pandas

COLUMNS = ("algorithm", "environment", "seed", "timesteps", "mean_return", "std_return", "score", "run")
Scores = dict[str, dict[str, np.ndarray]]
"""Algorithm -> environment -> one number a seed."""


def read_results(folder: str | Path) -> pandas.DataFrame:
    """All evaluations of the study's finished runs, one a row.

    Returns:
        the columns `COLUMNS`; ``score`` is the return between the environment's ``scale`` (NaN where it has none).

    Raises:
        ConfigurationError: the folder holds no study.
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingDependencyError('Results need pandas. pip install "masoft[studies]"') from None
    tables = []
    for key, entry in read_index(folder).items():
        run = Path(folder) / key
        if not (run / DONE).exists():
            continue
        reason = damage(run)
        if reason is not None:
            warnings.warn(f"{reason}. Left out; `masoft study` does that run again.", UserWarning, stacklevel=2)
            continue
        table: Any = pandas.DataFrame(read_curve(run), columns=list(CURVE_COLUMNS))
        table["timesteps"] = table["timesteps"].astype("int64")
        low, high = entry["scale"] or (np.nan, np.nan)
        table["score"] = (table["mean_return"] - low) / (high - low)
        table["seed"] = read_json(run / SETTINGS)["seed"]
        table["algorithm"], table["environment"], table["run"] = entry["algorithm"], entry["environment"], key
        tables.append(table[list(COLUMNS)])
    if not tables:
        return pandas.DataFrame(columns=list(COLUMNS))
    return pandas.concat(tables, ignore_index=True)


def final_scores(results: pandas.DataFrame, column: str = "mean_return") -> Scores:
    """The last evaluation of each run.

    Args:
        results: of `read_results`.
        column: ``"mean_return"``, or ``"score"`` to put environments together.

    Raises:
        ConfigurationError: ``"score"`` where an environment has no scale.
    """
    last = results.sort_values("timesteps", kind="stable").groupby("run", sort=False).tail(1)
    if last[column].isna().any():
        which = sorted(set(last[last[column].isna()]["environment"]))
        cure = "Give it scale = [return that counts as 0, return that counts as 1]."
        raise ConfigurationError(explain("The environments of the study", f"all with a {column}", which, cure))
    found: Scores = {}
    for (algorithm, environment), rows in last.groupby(["algorithm", "environment"], sort=False):
        found.setdefault(str(algorithm), {})[str(environment)] = rows.sort_values("seed")[column].to_numpy()
    return found


def time_to_threshold(results: pandas.DataFrame, threshold: float, column: str = "mean_return") -> pandas.Series:
    """Environment steps until a run's evaluation first reached a threshold; NaN where it never did.

    Returns:
        a series over (algorithm, environment, seed).
    """
    index = ["algorithm", "environment", "seed"]
    reached = results[results[column] >= threshold].groupby(index)["timesteps"].min()
    return reached.reindex(results.groupby(index).size().index)


def sample_efficiency(results: pandas.DataFrame, column: str = "mean_return") -> Scores:
    """Mean height of each run's learning curve: the area below it (trapezoids) over the steps that it spans.

    Args:
        results: of `read_results`.
        column: ``"mean_return"`` or ``"score"``.

    Returns:
        algorithm -> environment -> (n_seeds,); a run with one evaluation has that one's height.

    Raises:
        MissingDependencyError: scipy is not installed.
    """
    try:
        from scipy.integrate import trapezoid
    except ImportError:
        raise MissingDependencyError('The area needs scipy. pip install "masoft[studies]"') from None
    found: dict[str, dict[str, list[float]]] = {}
    ordered = results.sort_values(["seed", "timesteps"], kind="stable")
    for (algorithm, environment, _), curve in ordered.groupby(["algorithm", "environment", "seed"], sort=False):
        steps, heights = curve["timesteps"].to_numpy(), curve[column].to_numpy()
        span = steps[-1] - steps[0]
        height = trapezoid(heights, steps) / span if span else heights[-1]
        found.setdefault(algorithm, {}).setdefault(environment, []).append(float(height))
    return {a: {e: np.array(values) for e, values in inner.items()} for a, inner in found.items()}


def write_results(
    results: pandas.DataFrame, folder: str | Path, *, formats: tuple[str, ...] | None = None
) -> list[Path]:
    """Write the tidy table as ``results.csv`` and ``results.parquet``.

    Args:
        results: of `read_results`.
        folder: where to.
        formats: ``"csv"``, ``"parquet"``; None: CSV, and Parquet where pyarrow is installed.

    Returns:
        the files.

    Raises:
        ConfigurationError: an unknown format.
        MissingDependencyError: Parquet was asked for and pyarrow is not installed.
    """
    has_parquet = importlib.util.find_spec("pyarrow") is not None
    if formats is None:
        formats = ("csv", "parquet") if has_parquet else ("csv",)
    files = []
    for each in formats:
        path = Path(folder) / f"results.{each}"
        if each == "csv":
            write_text(path, results.to_csv(index=False))
        elif each == "parquet":
            if not has_parquet:
                raise MissingDependencyError('Parquet needs pyarrow. pip install "masoft[studies]"')
            replace_file(path, lambda file: results.to_parquet(file, index=False, engine="pyarrow"))
        else:
            raise ConfigurationError(explain("A format of the results", '"csv" or "parquet"', each))
        files.append(path)
    return files
