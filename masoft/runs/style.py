"""How pictures look: colours that colour-blind readers tell apart, dashes and marks for black and white."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from masoft.files import replace_file, write_text
from masoft.runs.tables import as_csv

# Okabe and Ito's colours, darkest first; the yellow one is left out, since it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = "osD^v<>"
# Its brightness rises evenly, so that it reads the same in grey and to colour-blind eyes.
HEAT = "cividis"


def new_figure(width: float, height: float) -> Any:
    """A figure of its own, in inches, that leaves pyplot's state alone."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def tidy(panel: Any) -> None:
    """A light grid and no box."""
    panel.grid(alpha=0.3)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Any, panel: Any) -> None:
    """One legend for all panels, under them."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)


def heat_map(panel: Any, table: Any, rows: list[str], columns: list[str], low: float = 0.0, high: float = 1.0) -> Any:
    """Numbers as colours with their numbers on them; returns the image for a colour bar.

    Args:
        panel: to draw in.
        table: (rows, columns); NaN where there is none.
        rows, columns: names of both sides.
        low, high: values of the darkest and the brightest colour.
    """
    image = panel.imshow(table, vmin=low, vmax=high, cmap=HEAT, aspect="auto")
    panel.set_xticks(range(len(columns)), columns)
    panel.set_yticks(range(len(rows)), rows)
    if table.size <= 100:
        for row, values in enumerate(table):
            for column, value in enumerate(values):
                if value == value:
                    colour = "white" if value < (low + high) / 2 else "black"
                    panel.text(
                        column,
                        row,
                        f"{value:.2f}" if abs(value) < 100 else f"{value:.4g}",
                        ha="center",
                        va="center",
                        color=colour,
                        fontsize=8,
                    )
    return image


def save_picture(figure: Any, path: str | Path) -> None:
    """Write a figure wholly or not at all; the path's ending decides the format, png where it has none."""
    place = Path(path)
    replace_file(place, lambda file: figure.savefig(file, format=place.suffix[1:].lower() or "png"))


def write_data(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write the numbers of a picture as CSV beside it; what is no number (NaN) is left empty."""
    place = Path(path).with_suffix(".csv")
    write_text(place, as_csv(columns, rows))
    return place
