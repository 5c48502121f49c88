"""The report of a study: one page of Markdown with the numbers that a comparison is judged by."""

from __future__ import annotations

import platform
from collections.abc import Sequence
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
    index, results = read_index(folder), read_results(folder)
    lines = [f"# {folder.name}", "", _machine(folder, index), ""]
    if len(results):
        lines += [*_by_environment(results, index), *_together(results), *_improvement(results)]
    lines += _failures(folder, index)
    path = folder / REPORT
    write_text(path, "\n".join(lines).rstrip() + "\n")
    return path


def _machine(folder: Path, index: dict[str, Any]) -> str:
    done = [read_json(folder / key / DONE) for key in index if is_finished(folder / key)]
    minutes = sum(each["seconds"] for each in done) / 60
    return (
        f"{len(done)} of {len(index)} runs are finished, {minutes:.1f} minutes of one process in all. "
        f"masoft {masoft.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}."
    )


def _by_environment(results: pandas.DataFrame, index: dict[str, Any]) -> list[str]:
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
    return ["## By environment", "", *_table(columns, rows), "", note, ""]


def _thresholds(results: pandas.DataFrame, index: dict[str, Any]) -> dict[str, float]:
    scales = {entry["environment"]: entry["scale"] for entry in index.values()}
    found = {}
    for name, rows in results.groupby("environment", sort=False):
        returns = rows["mean_return"]
        low, high = scales[name] or (returns.min(), returns.max())
        found[str(name)] = float((low + high) / 2)
    return found


def _together(results: pandas.DataFrame) -> list[str]:
    """One row an algorithm, over all environments; nothing where they cannot be put together."""
    if results["environment"].nunique() < 2 or results["score"].isna().any():
        return []
    finals, heights = final_scores(results, "score"), sample_efficiency(results, "score")
    rows = [(name, iqm(finals[name]), iqm(heights[name])) for name in finals]
    return ["## All environments, on their scales", "",
            *_table(("algorithm", "final score", "mean of the curve"), rows), ""]  # fmt: skip


def _improvement(results: pandas.DataFrame) -> list[str]:
    scores: Scores = final_scores(results)
    rows = [
        (one, other, probability_of_improvement(scores[one], scores[other]))
        for one, other in combinations(scores, 2)
        if set(scores[one]) == set(scores[other])
    ]
    if not rows:
        return []
    columns = ("a run of", "beats one of", "with probability")
    return ["## Probability of improvement", "", *_table(columns, rows), ""]


def _failures(folder: Path, index: dict[str, Any]) -> list[str]:
    failed = [folder / key / FAILED for key in index if (folder / key / FAILED).exists()]
    if not failed:
        return []
    return ["## Failed", "", *(f"- `{path.parent.name}`: {shown(failure(path.parent))}" for path in failed), ""]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*lines, *("| " + " | ".join(shown(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)]
