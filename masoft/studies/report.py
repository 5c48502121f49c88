"""The report of a study: the numbers that a comparison is judged by, as tables, and as one page of Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import masoft
from masoft.files import read_json, shown, write_text
from masoft.studies.folder import DONE, FAILED, failure, is_finished, read_index
from masoft.studies.results import Scores, final_scores, read_results, sample_efficiency, time_to_threshold
from masoft.studies.statistics import iqm, probability_of_improvement

if TYPE_CHECKING:
    import pandas

REPORT = "report.md"


def write_report(folder: str | Path) -> Path:
    """Write ``report.md`` into a study's folder: final returns, comparisons, sample efficiency, failures.

    Environments are put together only where every one of them has a ``scale``. The threshold of "steps to half way" is
    the middle of an environment's scale, or of all its evaluations where it has none.

    Returns:
        the file.

    Raises:
        ConfigurationError: the folder holds no study.
        MissingDependencyError: pandas or scipy is not installed.
    """
    folder = Path(folder)
    lines = [f"# {folder.name}", "", summary_of(folder), ""]
    for table in study_tables(folder):
        lines += [f"## {table.title}", "", *_markdown(table), ""]
        lines += [table.note, ""] if table.note else []
    lines += _failures(folder)
    path = folder / REPORT
    write_text(path, "\n".join(lines).rstrip() + "\n")
    return path


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Args:
        title: above it.
        columns: their names.
        rows: of cells, which are shown as text.
        note: below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


def study_tables(folder: Path) -> list[Table]:
    """What a comparison is judged by; none where no run is finished."""
    results = read_results(folder)
    if not len(results):
        return []
    found = (_by_environment(results, read_index(folder)), _together(results), _improvement(results))
    return [table for table in found if table is not None]


def summary_of(folder: Path) -> str:
    """How many runs are finished, what they cost, and what made this report."""
    index = read_index(folder)
    done = [read_json(folder / key / DONE) for key in index if is_finished(folder / key)]
    minutes = sum(each["seconds"] for each in done) / 60
    return (
        f"{len(done)} of {len(index)} runs are finished, {minutes:.1f} minutes of one process in all. "
        f"masoft {masoft.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}."
    )


def _by_environment(results: pandas.DataFrame, index: dict[str, Any]) -> Table:
    """One row an algorithm and environment."""
    scores, heights = final_scores(results), sample_efficiency(results)
    rows = []
    for name, threshold in _thresholds(results, index).items():
        steps = time_to_threshold(results[results["environment"] == name], threshold)
        for algorithm in scores:
            if name not in scores[algorithm]:
                continue
            needed = steps[algorithm]
            reached = int(needed.notna().sum())
            median = f"{needed.median():,.0f}" if reached else "never"
            rows.append(
                (name, algorithm, len(needed), iqm({name: scores[algorithm][name]}),
                 iqm({name: heights[algorithm][name]}), f"{median} ({reached} of {len(needed)} reach {threshold:.4g})")
            )  # fmt: skip
    columns = ("environment", "algorithm", "seeds", "final return", "mean of the curve", "steps to half way")
    note = "Interquartile means over seeds with 95 % bootstrap intervals; steps are the median of the runs that arrive."
    return Table("By environment", columns, rows, note)


def _thresholds(results: pandas.DataFrame, index: dict[str, Any]) -> dict[str, float]:
    scales = {entry["environment"]: entry["scale"] for entry in index.values()}
    found = {}
    for name, rows in results.groupby("environment", sort=False):
        returns = rows["mean_return"]
        low, high = scales[name] or (returns.min(), returns.max())
        found[str(name)] = float((low + high) / 2)
    return found


def _together(results: pandas.DataFrame) -> Table | None:
    """One row an algorithm, over all environments; None where they cannot be put together."""
    if results["environment"].nunique() < 2 or results["score"].isna().any():
        return None
    finals, heights = final_scores(results, "score"), sample_efficiency(results, "score")
    rows = [(name, iqm(finals[name]), iqm(heights[name])) for name in finals]
    return Table("All environments, on their scales", ("algorithm", "final score", "mean of the curve"), rows)


def _improvement(results: pandas.DataFrame) -> Table | None:
    scores: Scores = final_scores(results)
    rows = [
        (one, other, probability_of_improvement(scores[one], scores[other]))
        for one, other in combinations(scores, 2)
        if set(scores[one]) == set(scores[other])
    ]
    columns = ("a run of", "beats one of", "with probability")
    return Table("Probability of improvement", columns, rows) if rows else None


def failures(folder: Path) -> dict[str, str]:
    """The runs of a study that failed, and why."""
    return {key: shown(failure(folder / key)) for key in read_index(folder) if (folder / key / FAILED).exists()}


def _failures(folder: Path) -> list[str]:
    lines = [f"- `{key}`: {reason}" for key, reason in failures(folder).items()]
    return ["## Failed", "", *lines, ""] if lines else []


def _markdown(table: Table) -> list[str]:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    rows = (" | ".join(shown(cell).replace("|", "\\|") for cell in row) for row in table.rows)
    return [*lines, *(f"| {row} |" for row in rows)]
