"""The command line. Each command is one module, imported when it is used, so that ``masoft --help`` is quick."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

import masoft
from masoft.cli.output import report_error
from masoft.errors import MasoftError, nearest

# Command -> the module whose ``command`` it is. A new command is one module and one line here.
COMMANDS = {
    "train": "masoft.cli.train",
    "evaluate": "masoft.cli.evaluate",
    "enjoy": "masoft.cli.enjoy",
    "zoo": "masoft.cli.zoo",
    "study": "masoft.cli.study",
    "tune": "masoft.cli.tune",
    "plot": "masoft.cli.plot",
    "report": "masoft.cli.report",
    "export": "masoft.cli.export",
    "envs": "masoft.cli.envs",
    "presets": "masoft.cli.presets",
    "import-config": "masoft.cli.import_config",
    "doctor": "masoft.cli.doctor",
    "completion": "masoft.cli.completion",
    "demo": "masoft.cli.demo",
}

REFUSED = 2
# Errors of the system that people meet, and what to do about them.
_SYSTEM = {
    errno.ENOSPC: "Free some space, or write elsewhere with --out. What was finished before is whole.",
    errno.EDQUOT: "Free some of your quota, or write elsewhere with --out. What was finished before is whole.",
    errno.EACCES: "Choose a folder that you may write to, with --out.",
    errno.EROFS: "Choose a folder that can be written to, with --out.",
    errno.ENOTDIR: "A part of that name is a file: name a folder, with --out where it is to be written.",
    errno.EEXIST: "That is a file: name a folder, with --out where it is to be written.",
    errno.EISDIR: "That is a folder: name a file.",
    errno.ENOENT: "Is the name right, and was the run finished? `masoft train --resume FOLDER` finishes one.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No command {args[0]!r}. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(masoft.__version__, prog_name="masoft")
@click.option("--traceback", is_flag=True, help="Show the whole traceback of an error, not only its line.")
def cli(traceback: bool) -> None:
    """Train, evaluate and inspect teams of agents.

    Start with: masoft train mpe/simple_speaker_listener_v4    (about a minute)
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line.

    The exit status is 0; 1 where runs of a study failed; 2 for anything refused, with one line that says what and the
    cure; 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if args is None else args
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
        os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo's own choice needs a display
    try:
        status = cli(arguments, standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        if "--json" in arguments:
            report_error(error.format_message(), as_json=True)
        else:
            error.show()
        sys.exit(REFUSED)
    except (MasoftError, OSError) as error:
        if "--traceback" in arguments:
            raise
        report_error(_in_words(error), as_json="--json" in arguments)
        sys.exit(REFUSED)
    # click hands an exit status back instead of raising it where a command ends by ctx.exit or Exit.
    if isinstance(status, int) and status:
        sys.exit(status)


def _in_words(error: Exception) -> str:
    """The message, with the cure where the system's own has none."""
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}. {_SYSTEM[error.errno]}"
    return str(error)
