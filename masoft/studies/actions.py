"""Pictures of what a team does as it learns: its actions in evaluations, and the order of its updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from masoft.errors import ConfigurationError, explain
from masoft.files import read_table
from masoft.files.text import number
from masoft.runs.actions import ACTION_COLUMNS, ACTIONS, DEVIATION, MEAN, ORDER, ORDER_COLUMNS
from masoft.runs.style import COLOURS, DASHES, HEAT, heat_map, new_figure, save_picture, tidy, write_data

Table = dict[str, dict[int, float]]
"""What is counted -> environment steps -> its value."""
WIDTH = 3


def draw_actions(folder: str | Path, path: str | Path) -> Path:
    """What each agent does in evaluations over training: shares of choices as a heat map, numbers as mean and band.

    Args:
        folder: of a run of `masoft train` with evaluations.
        path: picture to write; its ending decides the format; the numbers lie beside it as CSV.

    Raises:
        ConfigurationError: the run had no evaluations.
    """
    tables = _read_actions(Path(folder) / ACTIONS)
    width = min(len(tables), WIDTH)
    height = -(-len(tables) // width)
    figure = new_figure(3.8 * width, 2.6 * height)
    panels = figure.subplots(height, width, squeeze=False).reshape(-1)
    image = None
    for panel, ((agent, entry), table) in zip(panels, tables.items(), strict=False):
        several = sum(other == agent for other, _ in tables) > 1
        panel.set(title=f"{agent}, action {entry}" if several else agent, xlabel="environment steps")
        if MEAN in table:
            _band(panel, table)
        else:
            image = _shares(panel, table)
    for panel in panels[len(tables) :]:
        panel.set_visible(False)
    if image is not None:
        figure.colorbar(image, ax=list(panels), label="share of the evaluation's steps")
    save_picture(figure, path)
    rows = ((step, agent, entry, what, value) for (agent, entry), table in tables.items()
            for what, line in table.items() for step, value in line.items())  # fmt: skip
    write_data(path, ACTION_COLUMNS, rows)
    return Path(path)


def draw_order(folder: str | Path, path: str | Path) -> Path:
    """How often each agent was updated first, second and so on, as a heat map of shares.

    Args:
        folder: of a run of `masoft train`.
        path: picture to write; its ending decides the format; the numbers lie beside it as CSV.

    Raises:
        ConfigurationError: the run has learned nothing yet.
    """
    source = Path(folder) / ORDER
    rows = read_table(source)[1] if source.is_file() else []
    counts: dict[str, dict[int, float]] = {}
    for row in rows:
        place, count = number(row.get("position")), number(row.get("updates"))
        if place is not None and count is not None:
            counts.setdefault(row.get("agent", ""), {})[int(place)] = count
    total = sum(sum(each.values()) for each in counts.values())
    if not total:
        must = f"one of `masoft train` whose agents were updated one after the other ({ORDER})"
        raise ConfigurationError(explain("The run", must, str(folder)))
    places = sorted({place for each in counts.values() for place in each})
    table = np.array([[counts[agent].get(place, 0.0) for place in places] for agent in counts])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure = new_figure(0.7 * len(places) + 2.6, 0.5 * len(counts) + 1.4)
    panel = figure.subplots()
    image = heat_map(panel, shares, list(counts), [str(place + 1) for place in places])
    panel.set(xlabel="place in the update", title=f"{total:,.0f} updates of single agents")
    figure.colorbar(image, ax=panel, label="share of the agent's updates")
    save_picture(figure, path)
    numbers = ((agent, place, int(count)) for agent, each in counts.items() for place, count in each.items())
    write_data(path, ORDER_COLUMNS, numbers)
    return Path(path)


def _read_actions(path: Path) -> dict[tuple[str, int], Table]:
    """By agent and entry of its action."""
    found: dict[tuple[str, int], Table] = {}
    for row in read_table(path)[1] if path.is_file() else []:
        step, entry, value = (number(row.get(name)) for name in ("timesteps", "entry", "value"))
        if step is not None and entry is not None and value is not None:
            table = found.setdefault((row.get("agent", ""), int(entry)), {})
            table.setdefault(row.get("what", ""), {})[int(step)] = value
    if not found:
        cure = "Train with --eval-every N: an evaluation notes what the team does."
        raise ConfigurationError(
            explain("The run", f"one of `masoft train` with evaluations ({path.name})", None, cure)
        )
    return found


def _band(panel: Any, table: Table) -> None:
    steps = list(table[MEAN])
    mean = np.array(list(table[MEAN].values()))
    deviation = np.array([table.get(DEVIATION, {}).get(step, 0.0) for step in steps])
    panel.plot(steps, mean, color=COLOURS[0], linestyle=DASHES[0])
    panel.fill_between(steps, mean - deviation, mean + deviation, color=COLOURS[0], alpha=0.18, linewidth=0)
    panel.set_ylabel("mean, and deviation")
    tidy(panel)


def _shares(panel: Any, table: Table) -> Any:
    """Time to the right, choices upwards; each evaluation is as wide as the time until the next."""
    steps = sorted({step for line in table.values() for step in line})
    choices = sorted(table, key=lambda what: number(what) or 0.0)
    shares = np.array([[table[choice].get(step, np.nan) for step in steps] for choice in choices])
    edges = [steps[0] - (steps[1] - steps[0] if len(steps) > 1 else steps[0] or 1), *steps]
    image = panel.pcolormesh(edges, np.arange(len(choices) + 1) - 0.5, shares, vmin=0, vmax=1, cmap=HEAT)
    panel.set_yticks(range(len(choices)), choices)
    panel.set_ylabel("choice")
    return image
