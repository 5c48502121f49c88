"""``masoft completion SHELL``: the script that makes a shell complete masoft's commands and flags."""

from __future__ import annotations

import os
from pathlib import Path

import click

from masoft.errors import ConfigurationError, explain

VARIABLE = "_MASOFT_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print a shell's completion script.")
@click.argument("shell", default="", metavar="[bash|zsh|fish]")
def command(shell: str) -> None:
    """Print the completion script of a shell; without a name, of the one that is in use.

    \b
    eval "$(masoft completion bash)"        # or zsh; put it into ~/.bashrc or ~/.zshrc
    masoft completion fish > ~/.config/fish/completions/masoft.fish
    """
    from click.shell_completion import get_completion_class

    from masoft.cli import cli

    chosen = shell or Path(os.environ.get("SHELL", "")).name
    if chosen not in SHELLS:
        raise ConfigurationError(explain("The shell", f"one of {', '.join(SHELLS)}", chosen))
    kind = get_completion_class(chosen)
    assert kind is not None
    click.echo(kind(cli, {}, "masoft", VARIABLE).source())
