"""``masoft plot FOLDER``: pictures of a study or of one run."""

from __future__ import annotations

from pathlib import Path

import click

from masoft.cli.output import show_json
from masoft.cli.run_folder import SETTINGS, RunSettings, draw_curve
from masoft.errors import ConfigurationError, explain


@click.command(short_help="Draw learning curves.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "ending", type=click.Choice(["png", "pdf", "svg"]), default="png", show_default=True,
              help="Of a study's pictures.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, ending: str, as_json: bool) -> None:
    """Draw the pictures of a study (`masoft study`) or the curve of a run (`masoft train`) into its folder."""
    if (folder / SETTINGS).exists():
        settings = RunSettings.load(folder)
        picture = draw_curve(folder, f"{settings.algorithm} on {settings.env}")
        if picture is None:
            raise ConfigurationError(explain("The run", "one in which an episode has ended", str(folder)))
        pictures = [picture]
    else:
        from masoft.studies import draw_curves, draw_scores, read_results

        results = read_results(folder)
        pictures = [
            draw_curves(results, folder / f"learning_curves.{ending}"),
            draw_scores(results, folder / f"final_returns.{ending}"),
        ]
    if as_json:
        show_json({"pictures": [str(each) for each in pictures]})
        return
    for each in pictures:
        click.echo(f"Saved {each}")
