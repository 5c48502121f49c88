"""Pictures of a flight: the map, and heights over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.envs.lag.aircraft import STEP_SECONDS
from masoft.envs.lag.crashes import LOWEST
from masoft.envs.lag.recording import Recording

SHADES = {"Red": ("#c1121f", "#f08080"), "Blue": ("#003f88", "#6fa8dc")}
"""One shade an aircraft of a side."""

MARK_SECONDS = 20


def draw(recording: Recording) -> Any:
    """A matplotlib figure: where all have flown, seen from above, and how high; crosses are crashes.

    The figure belongs to no window and needs no display.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), dpi=100, layout="constrained")
    above, beside = figure.subplots(1, 2)
    places = np.array([[state.position for state in states] for states in recording.steps]) / 1000
    flying, seconds = np.array(recording.flying), np.arange(len(places)) * STEP_SECONDS
    marks = slice(None, None, round(MARK_SECONDS / STEP_SECONDS))
    counts = dict.fromkeys(SHADES, 0)
    for k, (name, side) in enumerate(recording.sides.items()):
        colour = SHADES[side][counts[side] % len(SHADES[side])]
        counts[side] += 1
        lasted = int(flying[:, k].sum())
        north, east, up = places[: lasted + 1, k].T
        above.plot(east, north, color=colour, label=name)
        above.plot(east[marks], north[marks], ".", color=colour)
        above.plot(east[0], north[0], "o", color=colour, markerfacecolor="white")
        beside.plot(seconds[: lasted + 1], up, color=colour, label=name)
        if lasted < len(places):
            above.plot(east[-1], north[-1], "x", color=colour, markersize=10)
            beside.plot(seconds[lasted], up[-1], "x", color=colour, markersize=10)
    above.set(xlabel="east, km", ylabel="north, km", title=f"from above; a dot every {MARK_SECONDS} s")
    above.set_aspect("equal", adjustable="datalim")
    above.legend()
    beside.axhline(LOWEST / 1000, color="grey", linestyle=":")
    beside.set(xlabel="time, s", ylabel="up, km", title="height; dotted: the lowest allowed")
    return figure


def draw_to_array(recording: Recording) -> NDArray[np.uint8]:
    """The same as pixels (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(draw(recording))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
