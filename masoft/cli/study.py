"""``masoft study STUDY.toml``: run or continue a study, and say how it came out."""

from __future__ import annotations

from pathlib import Path

import click

from masoft.cli.output import show_json, show_table
from masoft.cli.values import Count


@click.command(short_help="Compare algorithms over environments and seeds.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder.  [default: runs/NAME-OF-THE-FILE]")
@click.option("--jobs", type=Count(1), default=1, show_default=True, help="Runs at the same time.")
@click.option("--retry-failed", is_flag=True, help="Run those again that failed before.")
@click.option("--no-progress", is_flag=True, help="Draw no bar.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, out: Path | None, jobs: int, retry_failed: bool, no_progress: bool, as_json: bool) -> None:
    """Run what the study asks for and its folder does not hold yet. Type it again to go on after an interruption."""
    from masoft.studies import final_scores, iqm, read_results, read_study, run

    folder = out or Path("runs") / file.stem
    study = read_study(file)
    bar = not (no_progress or as_json)
    outcome = run(study, folder, n_jobs=jobs, retry_failed=retry_failed, progress_bar=bar)
    results = read_results(folder)
    results.to_csv(folder / "results.csv", index=False)
    scores = final_scores(results)
    rows = [
        (algorithm, name, len(values), iqm({name: values}))
        for algorithm, by_environment in scores.items()
        for name, values in by_environment.items()
    ]
    if as_json:
        found = [{"algorithm": a, "environment": e, "seeds": n, "iqm": x.value, "low": x.low, "high": x.high}
                 for a, e, n, x in rows]  # fmt: skip
        show_json({"folder": str(folder), "results": str(folder / "results.csv"), **outcome, "final": found})
        return
    show_table(f"Final return, {folder}", ("algorithm", "environment", "seeds", "IQM [95 %]"), rows)
    for key in outcome["failed"]:
        click.echo(f"Failed: {folder / key / 'failed.txt'}")
    click.echo(f"Next: masoft plot {folder}")
