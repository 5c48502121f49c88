"""Flags that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from masoft.files.remote import is_url, local_folder, send
from masoft.runs.zoo import PREFIX, team_folder


class LocalPath(click.Path):
    """A path on a disk of this machine."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_url(value):
            self.fail(f"{value!r} is a URL; here only a path will do.", param, ctx)
        return super().convert(value, param, ctx)


class Folder(LocalPath):
    """A folder, or the text of a URL; a command makes the first of either by `here`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if is_url(value) else super().convert(value, param, ctx)


def here(folder: str | Path) -> Path:
    """A folder, or the working copy of a URL; what the present command adds to it is sent at its end."""
    found = local_folder(folder)
    if is_url(folder):
        click.get_current_context().call_on_close(lambda: send(found))
    return found


class RunFolder(Folder):
    """The folder of a run or its URL, or a team of the zoo by its name, ``zoo:mpe/simple_spread_v3``."""

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
