"""What is read off a run's folder: return in training and in evaluations, as numbers and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from masoft.errors import ConfigurationError
from masoft.files import read_json, read_table
from masoft.files.text import number
from masoft.runs.settings import COLUMNS, LOG, OUTCOME, PICTURE, TABLE
from masoft.runs.style import COLOURS, legend_below, new_figure, save_picture, tidy, write_data


def read_curve(folder: Path) -> tuple[list[int], list[float]]:
    """Mean return of recent training episodes over environment steps, from SB3's CSV log."""
    steps, returns = [], []
    for row in read_table(folder / LOG)[1]:
        value, step = number(row.get("rollout/ep_rew_mean")), number(row.get("time/total_timesteps"))
        if value is not None and step is not None:
            steps.append(int(step))
            returns.append(value)
    return steps, returns


def draw_curve(
    folder: Path, title: str, reference: tuple[str, float] | None = None, path: Path | None = None
) -> Path | None:
    """Draw the return in training and in evaluations; None where no episode has ended yet.

    Args:
        folder: the run.
        title: above the picture.
        reference: name and height of a dashed line to compare with; None: the random actions that the run ended with.
        path: picture to write, its ending decides the format; None: ``learning_curve.png``.
    """
    steps, returns = read_curve(folder)
    if not steps:
        return None
    path = path or folder / PICTURE
    random = read_outcome(folder).get("random_return")
    if reference is None and isinstance(random, int | float):
        reference = ("random actions", random)
    figure = new_figure(6.4, 4.0)
    panel = figure.subplots()
    panel.plot(steps, returns, color=COLOURS[0], linewidth=1.8, label="in training")
    evaluations = read_evaluations(folder)
    if evaluations:
        at, means, _ = zip(*evaluations, strict=True)
        panel.plot(at, means, color=COLOURS[2], marker="o", linewidth=1.8, label="evaluated")
    if reference is not None:
        panel.axhline(reference[1], color=COLOURS[1], linestyle="--", label=reference[0])
    panel.set(title=title, xlabel="environment steps", ylabel="mean return of episodes")
    tidy(panel)
    if evaluations or reference is not None:
        legend_below(figure, panel)
    save_picture(figure, path)
    rows = [("in training", step, value) for step, value in zip(steps, returns, strict=True)]
    rows += [("evaluated", step, mean) for step, mean, _ in evaluations]
    rows += [] if reference is None else [(reference[0], steps[-1], reference[1])]
    write_data(path, ("what", "timesteps", "mean_return"), rows)
    return path


def read_outcome(folder: Path) -> dict[str, Any]:
    """What a run wrote when it ended; empty where it has not, or where that is damaged."""
    try:
        return read_json(folder / OUTCOME)
    except (ConfigurationError, OSError):
        return {}


def read_evaluations(folder: Path) -> list[tuple[int, float, float]]:
    """Steps, mean and standard deviation of the return of each evaluation of a run; empty where there were none."""
    path = folder / TABLE
    if not path.is_file():
        return []
    rows = ([number(row.get(name)) for name in COLUMNS] for row in read_table(path)[1])
    whole = ([value for value in row if value is not None] for row in rows)
    return [(int(row[0]), row[1], row[2]) for row in whole if len(row) == len(COLUMNS)]
