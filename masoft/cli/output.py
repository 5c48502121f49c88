"""How commands speak: a table or lines for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from masoft.files import shown


def report_error(message: str, *, as_json: bool) -> None:
    """One line on standard error, or one JSON object on standard output."""
    if as_json:
        click.echo(json.dumps({"error": message}))
    else:
        click.echo(f"masoft: {shown(' '.join(message.split()))}", err=True)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, default=repr))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that fits the terminal; where the output is a file or a pipe, at its full width."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # Escaped, since rich takes the brackets of "masoft[mamujoco]" for markup and swallows them.
    # And what terminals would obey is shown instead: cells hold names from files and environments.
    head = [escape(shown(column)) for column in columns]
    table = Table(*head, title=escape(shown(title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*("" if cell is None else escape(shown(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)
