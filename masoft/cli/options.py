"""Flags that several commands have."""

from __future__ import annotations

import click

trusted_option = click.option(
    "--trusted", is_flag=True, help="Import the environment of somebody's own, module:Class, that the files name."
)


def requeue_option() -> click.Option:
    """The flag of a command that may be typed again and again."""
    return click.Option(
        ["--resume-or-start"],
        is_flag=True,
        help="Go on with the run that --out holds, or start it: the same command for every requeue.",
    )
