"""How commands speak: a table or lines for people, one JSON object for programs."""

from __future__ import annotations

import json
from typing import Any

import click

from masoft.cli.table import show_table as show_table
from masoft.files import shown
from masoft.files.remote import address


def report_error(message: str, *, as_json: bool) -> None:
    """One line on standard error, or one JSON object on standard output."""
    message = address(message)
    if as_json:
        click.echo(json.dumps({"error": message}))
    else:
        click.echo(f"masoft: {shown(' '.join(message.split()))}", err=True)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    say(json.dumps(value, indent=2, default=repr))


def say(text: str) -> None:
    """Print a line, with URLs where a command has worked in their copies."""
    click.echo(address(text))
