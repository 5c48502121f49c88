"""``masoft report FOLDER``: a run or a study as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from masoft.cli.options import Folder, LocalPath, here
from masoft.cli.output import say, show_json


@click.command(short_help="Write a run or a study as one HTML file.")
@click.argument("folder", type=Folder())
@click.option("--out", type=LocalPath(), default=None, metavar="FILE",
              help="The file.  [default: FOLDER/report.html]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: str | Path, out: Path | None, as_json: bool) -> None:
    """Write curves, agents, settings, machine and commands into one HTML file that needs nothing beside it.

    What `masoft plot --kind policies --kind contributions --kind episode` drew before is put in, too.
    """
    from masoft.studies import write_html_report

    folder = here(folder)
    path = write_html_report(folder, out)
    if as_json:
        show_json({"report": str(path)})
        return
    say(f"Saved {path}")
