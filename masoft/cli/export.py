"""``masoft export FOLDER``: the actors of a trained run as ONNX files."""

from __future__ import annotations

from pathlib import Path

import click

from masoft.cli.options import LocalPath, RunFolder, here
from masoft.cli.output import say, show_json
from masoft.runs.settings import RunSettings
from masoft.runs.trained import model_file
from masoft.runs.zoo import writable


@click.command(short_help="Write a trained team's actors as ONNX files.")
@click.argument("folder", type=RunFolder())
@click.option("--out", type=LocalPath(), default=None, help="Where to.  [default: FOLDER/actors]")
@click.option("--best", is_flag=True, help="Export best.zip, the best team that --eval-every met, not the last one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: str | Path, out: Path | None, best: bool, as_json: bool) -> None:
    """Write one ONNX file an agent and team.json; masoft.deploy.load plays them without torch."""
    folder = here(folder)
    settings = RunSettings.load(folder)
    target = out or writable(folder) / "actors"
    cls, file = settings.algorithm_class(), model_file(folder, best=best)
    cls.load(file, device="cpu", verbose=0).export(target)
    files = sorted(str(path) for path in target.iterdir())
    if as_json:
        show_json({"folder": str(target), "files": files})
        return
    say(f"Saved {', '.join(files)}")
    say(f'Next, where only onnxruntime is: masoft.deploy.load("{target}")')
