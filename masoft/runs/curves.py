"""What is read off a run's folder: return in training and in evaluations, as numbers and as a picture."""

from __future__ import annotations

from pathlib import Path

from masoft.files import read_table, replace_file
from masoft.files.text import number
from masoft.runs.settings import COLUMNS, LOG, PICTURE, TABLE


def read_curve(folder: Path) -> tuple[list[int], list[float]]:
    """Mean return of recent training episodes over environment steps, from SB3's CSV log."""
    steps, returns = [], []
    for row in read_table(folder / LOG)[1]:
        value, step = number(row.get("rollout/ep_rew_mean")), number(row.get("time/total_timesteps"))
        if value is not None and step is not None:
            steps.append(int(step))
            returns.append(value)
    return steps, returns


def draw_curve(folder: Path, title: str, reference: tuple[str, float] | None = None) -> Path | None:
    """Draw ``learning_curve.png``; None where no episode has ended yet.

    Args:
        folder: the run.
        title: above the picture.
        reference: name and height of a dashed line to compare with.
    """
    steps, returns = read_curve(folder)
    if not steps:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, returns, color="#0072B2", linewidth=1.8, label="in training")
    evaluations = read_evaluations(folder)
    if evaluations:
        at, means, _ = zip(*evaluations, strict=True)
        axes.plot(at, means, color="#009E73", marker="o", linewidth=1.8, label="evaluated")
    if reference is not None:
        axes.axhline(reference[1], color="#D55E00", linestyle="--", label=reference[0])
    if evaluations or reference is not None:
        axes.legend(frameon=False)
    axes.set(title=title, xlabel="environment steps", ylabel="mean return of episodes")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    replace_file(folder / PICTURE, lambda file: figure.savefig(file, dpi=150, format="png"))
    return folder / PICTURE


def read_evaluations(folder: Path) -> list[tuple[int, float, float]]:
    """Steps, mean and standard deviation of the return of each evaluation of a run; empty where there were none."""
    path = folder / TABLE
    if not path.is_file():
        return []
    rows = ([number(row.get(name)) for name in COLUMNS] for row in read_table(path)[1])
    whole = ([value for value in row if value is not None] for row in rows)
    return [(int(row[0]), row[1], row[2]) for row in whole if len(row) == len(COLUMNS)]
