"""Flags that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from masoft.runs.zoo import PREFIX, team_folder


class RunFolder(click.Path):
    """The folder of a run, or a team of the zoo by its name, ``zoo:mpe/simple_spread_v3``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith(PREFIX):
            return team_folder(value)
        return super().convert(value, param, ctx)


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
