"""Pictures of a study: learning curves, last evaluations, performance profiles, probability of improvement."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from masoft.errors import ConfigurationError, explain
from masoft.runs.style import COLOURS, DASHES, MARKERS, legend_below, new_figure, save_picture, tidy, write_data
from masoft.studies.results import final_scores
from masoft.studies.statistics import Estimate, iqm, performance_profile, probability_of_improvement

if TYPE_CHECKING:
    import pandas

RESAMPLES = 500
THRESHOLDS = 41


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
    figure = new_figure(4.2 * width, 3.2 * height + 0.5)
    panels = figure.subplots(height, width, squeeze=False).reshape(-1)
    data: list[tuple[Any, ...]] = []
    for panel, name in zip(panels, names, strict=False):
        for number, algorithm in enumerate(algorithms):
            rows = results[(results["environment"] == name) & (results["algorithm"] == algorithm)]
            if len(rows):
                points = _curve(panel, rows, column, algorithm, number)
                data += [(name, algorithm, step, each.value, each.low, each.high) for step, each in points]
        panel.set(title=name, xlabel="environment steps", ylabel="return" if column == "mean_return" else column)
        tidy(panel)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    legend_below(figure, panels[0])
    save_picture(figure, path)
    write_data(path, ("environment", "algorithm", "timesteps", column, "low", "high"), data)
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
    figure = new_figure(4.2 * len(names), 0.5 * len(algorithms) + 1.3)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True).reshape(-1)
    data: list[tuple[Any, ...]] = []
    for panel, name in zip(panels, names, strict=True):
        for number, algorithm in enumerate(algorithms):
            if name in scores[algorithm]:
                runs = scores[algorithm][name]
                estimate = iqm({name: runs}, resamples=RESAMPLES)
                data.append((name, algorithm, len(runs), estimate.value, estimate.low, estimate.high))
                colour = COLOURS[number % len(COLOURS)]
                panel.plot(runs, np.full(len(runs), number), "|", color=colour, markersize=9, alpha=0.6)
                panel.plot([estimate.low, estimate.high], [number] * 2, color=colour, linewidth=2)
                panel.plot(estimate.value, number, MARKERS[number % len(MARKERS)], color=colour)
        panel.set(title=name, xlabel="final return" if column == "mean_return" else f"final {column}")
        panel.set_yticks(range(len(algorithms)), algorithms)
        panel.set_ylim(len(algorithms) - 0.5, -0.5)
        tidy(panel)
    save_picture(figure, path)
    write_data(path, ("environment", "algorithm", "seeds", column, "low", "high"), data)
    return Path(path)


def draw_profiles(results: pandas.DataFrame, path: str | Path) -> Path:
    """Performance profiles: the share of runs whose last score lies above each threshold, all environments together.

    Args:
        results: of `read_results`, every environment with a ``scale``.
        path: picture to write.

    Raises:
        ConfigurationError: there are no results, or an environment has no scale.
    """
    _, algorithms = _names(results)
    scores = final_scores(results, "score")
    every = np.concatenate([values for by_environment in scores.values() for values in by_environment.values()])
    thresholds = np.linspace(min(0.0, every.min()), max(1.0, every.max()), THRESHOLDS)
    figure = new_figure(4.6, 3.4)
    panel = figure.subplots()
    data: list[tuple[Any, ...]] = []
    for number, algorithm in enumerate(algorithms):
        shares = performance_profile(scores[algorithm], thresholds.tolist(), resamples=RESAMPLES)
        data += [(algorithm, at, each.value, each.low, each.high) for at, each in zip(thresholds, shares, strict=True)]
        colour = COLOURS[number % len(COLOURS)]
        line = DASHES[number % len(DASHES)]
        panel.step(thresholds, [each.value for each in shares], where="post", color=colour, ls=line, label=algorithm)
        panel.fill_between(
            thresholds, [each.low for each in shares], [each.high for each in shares],
            step="post", color=colour, alpha=0.18, linewidth=0,
        )  # fmt: skip
    panel.set(xlabel="score", ylabel="share of runs above it", ylim=(-0.03, 1.03))
    tidy(panel)
    legend_below(figure, panel)
    save_picture(figure, path)
    write_data(path, ("algorithm", "score", "share_above", "low", "high"), data)
    return Path(path)


def draw_improvement(results: pandas.DataFrame, path: str | Path, *, column: str = "mean_return") -> Path:
    """Probability that a run of one algorithm ends above one of another, for each pair, with its interval.

    Args:
        results, path, column: as in `draw_curves`; at least two algorithms, all in the same environments.

    Raises:
        ConfigurationError: there are no results, fewer than two algorithms, or different environments.
    """
    _, algorithms = _names(results)
    if len(algorithms) < 2:
        raise ConfigurationError(explain("The study", "one of two algorithms or more", algorithms))
    scores = final_scores(results, column)
    pairs = list(combinations(algorithms, 2))
    figure = new_figure(5.6, 0.45 * len(pairs) + 1.0)
    panel = figure.subplots()
    data: list[tuple[Any, ...]] = []
    for row, (one, other) in enumerate(pairs):
        estimate = probability_of_improvement(scores[one], scores[other], resamples=RESAMPLES)
        panel.plot([estimate.low, estimate.high], [row] * 2, color=COLOURS[0], linewidth=2)
        panel.plot(estimate.value, row, "o", color=COLOURS[0])
        data.append((one, other, estimate.value, estimate.low, estimate.high))
    panel.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    panel.set(xlabel="probability that a run ends above one of the other", xlim=(-0.03, 1.03))
    panel.set_yticks(range(len(pairs)), [f"{one} > {other}" for one, other in pairs])
    panel.set_ylim(len(pairs) - 0.5, -0.5)
    tidy(panel)
    save_picture(figure, path)
    write_data(path, ("algorithm", "other", "probability", "low", "high"), data)
    return Path(path)


def _names(results: pandas.DataFrame) -> tuple[list[str], list[str]]:
    """Environments and algorithms, in the study's order."""
    if not len(results):
        cure = "Look into the folders of its runs for failed.txt."
        raise ConfigurationError(explain("The study", "one with a finished run", "none", cure))
    return list(dict.fromkeys(results["environment"])), list(dict.fromkeys(results["algorithm"]))


def _curve(panel: Any, rows: pandas.DataFrame, column: str, label: str, number: int) -> list[tuple[int, Estimate]]:
    """Draw one line with its band; its points."""
    steps, points = [], []
    for step, group in rows.groupby("timesteps"):
        steps.append(step)
        points.append(iqm({"all": group[column].to_numpy()}, resamples=RESAMPLES))
    colour = COLOURS[number % len(COLOURS)]
    panel.plot(steps, [p.value for p in points], color=colour, linestyle=DASHES[number % len(DASHES)], label=label)
    panel.fill_between(steps, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.18, linewidth=0)
    return [(int(step), point) for step, point in zip(steps, points, strict=True)]
