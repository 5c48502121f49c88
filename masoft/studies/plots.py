"""Pictures of a study: colours that colour-blind readers tell apart, dashes for black and white."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from masoft.errors import ConfigurationError, explain
from masoft.studies.results import final_scores
from masoft.studies.statistics import iqm

if TYPE_CHECKING:
    import pandas

# Okabe and Ito's colours, darkest first; the yellow one is left out, since it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = "osD^v<>"
RESAMPLES = 500


def draw_curves(results: pandas.DataFrame, path: str | Path, *, column: str = "mean_return") -> Path:
    """Learning curves, a panel an environment: the interquartile mean over seeds with its 95 % interval.

    Args:
        results: of `read_results`.
        path: picture to write; its ending decides the format.
        column: ``"mean_return"`` or ``"score"``.

    Raises:
        ConfigurationError: there are no results.
    """
    names, algorithms = _names(results)
    width = min(len(names), 3)
    height = -(-len(names) // width)
    figure = _figure(4.2 * width, 3.2 * height + 0.5)
    panels = figure.subplots(height, width, squeeze=False).reshape(-1)
    for panel, name in zip(panels, names, strict=False):
        for number, algorithm in enumerate(algorithms):
            rows = results[(results["environment"] == name) & (results["algorithm"] == algorithm)]
            if len(rows):
                _curve(panel, rows, column, algorithm, number)
        panel.set(title=name, xlabel="environment steps", ylabel="return" if column == "mean_return" else column)
        _tidy(panel)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    figure.savefig(path, dpi=150)
    return Path(path)


def draw_scores(results: pandas.DataFrame, path: str | Path, *, column: str = "mean_return") -> Path:
    """Last evaluations, a panel an environment: each seed as a mark, the interquartile mean with its interval.

    Args:
        results, path, column: as in `draw_curves`.

    Raises:
        ConfigurationError: there are no results.
    """
    names, algorithms = _names(results)
    scores = final_scores(results, column)
    figure = _figure(4.2 * len(names), 0.5 * len(algorithms) + 1.3)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True).reshape(-1)
    for panel, name in zip(panels, names, strict=True):
        for number, algorithm in enumerate(algorithms):
            if name in scores[algorithm]:
                runs = scores[algorithm][name]
                estimate = iqm({name: runs}, resamples=RESAMPLES)
                colour = COLOURS[number % len(COLOURS)]
                panel.plot(runs, np.full(len(runs), number), "|", color=colour, markersize=9, alpha=0.6)
                panel.plot([estimate.low, estimate.high], [number] * 2, color=colour, linewidth=2)
                panel.plot(estimate.value, number, MARKERS[number % len(MARKERS)], color=colour)
        panel.set(title=name, xlabel="final return" if column == "mean_return" else f"final {column}")
        panel.set_yticks(range(len(algorithms)), algorithms)
        panel.set_ylim(len(algorithms) - 0.5, -0.5)
        _tidy(panel)
    figure.savefig(path, dpi=150)
    return Path(path)


def _names(results: pandas.DataFrame) -> tuple[list[str], list[str]]:
    """Environments and algorithms, in the study's order."""
    if not len(results):
        cure = "Look into the folders of its runs for failed.txt."
        raise ConfigurationError(explain("The study", "one with a finished run", "none", cure))
    return list(dict.fromkeys(results["environment"])), list(dict.fromkeys(results["algorithm"]))


def _curve(panel: Any, rows: pandas.DataFrame, column: str, label: str, number: int) -> None:
    steps, points = [], []
    for step, group in rows.groupby("timesteps"):
        steps.append(step)
        points.append(iqm({"all": group[column].to_numpy()}, resamples=RESAMPLES))
    colour = COLOURS[number % len(COLOURS)]
    panel.plot(steps, [p.value for p in points], color=colour, linestyle=DASHES[number % len(DASHES)], label=label)
    panel.fill_between(steps, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.18, linewidth=0)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _tidy(panel: Any) -> None:
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
