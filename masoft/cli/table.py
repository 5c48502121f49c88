"""Tables: drawn on a terminal, plain aligned columns in a file or a pipe."""

from __future__ import annotations

from collections.abc import Sequence

import click

from masoft.files import shown


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that fits the terminal; elsewhere one line a row, columns aligned, nothing folded or padded."""
    from rich.console import Console

    # What terminals would obey is shown instead: cells hold names from files and environments.
    title, columns = shown(title), [shown(column) for column in columns]
    cells = [["" if cell is None else shown(cell) for cell in row] for row in rows]
    console = Console()
    if not console.is_terminal:
        click.echo(plain_table(title, columns, cells))
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    # Escaped, since rich takes the brackets of "masoft[mamujoco]" for markup and swallows them.
    table = Table(*map(escape, columns), title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The title, the names of the columns, and a line a row, without trailing blanks.

    >>> print(plain_table("2 of them", ["id", "here"], [["mpe/a", "yes"], ["b", ""]]))
    2 of them
    id     here
    mpe/a  yes
    b
    """
    lines = [columns, *([" ".join(cell.split()) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    aligned = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join([title, *(line.rstrip() for line in aligned)])
