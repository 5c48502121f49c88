"""``masoft study STUDY.toml``: run or continue a study, and say how it came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from masoft.cli.options import LocalPath, trusted_option
from masoft.cli.output import say, show_json, show_table
from masoft.cli.values import Count, ValueType
from masoft.files import folder_name, shown
from masoft.files.remote import local_folder, send
from masoft.runs.own_code import ask_trust
from masoft.runs.stopping import STOPPED, termination_as_interrupt


class Share(ValueType):
    """``i/n`` as a pair."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        first, _, second = str(value).partition("/")
        if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
            self.fail(f"{value!r} is no share; write i/n with 1 <= i <= n, for example 2/8.", param, ctx)
        return int(first), int(second)


@click.command(short_help="Compare algorithms over environments and seeds.")
@click.argument("file", type=LocalPath())
@click.option("--out", default=None, help="Folder, or its URL, s3://...  [default: runs/NAME-OF-THE-FILE]")
@click.option("--jobs", type=Count(1), default=1, show_default=True, help="Runs at the same time.")
@click.option("--backend", default="loky", show_default=True, help="loky, threading, multiprocessing, dask, ray.")
@click.option("--address", default=None, help="Of dask's scheduler (tcp://host:8786) or Ray's cluster (host:6379).")
@click.option("--retries", type=Count(), default=2, show_default=True, help="Of a run whose worker was lost.")
@click.option("--worker", "share", type=Share(), default="1/1", help="i/n: every n-th run, from the i-th on.")
@click.option("--leftovers", is_flag=True, help="With --worker: then do what the other shares have left, too.")
@click.option("--retry-failed", is_flag=True, help="Run those again that failed before.")
@click.option("--no-progress", is_flag=True, help="Draw no bar.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path,
    out: str | None,
    retry_failed: bool,
    no_progress: bool,
    trusted: bool,
    as_json: bool,
    jobs: int,
    **where: Any,
) -> None:
    """Run what the study asks for and its folder does not hold yet. Type it again to go on after an interruption.

    The exit status is 1 where a run failed, and 75 where a signal has ended the study: type it again.
    """
    from masoft.studies import StudyStopped, read_results, read_study, run, write_report, write_results
    from masoft.studies.checks import check_packages
    from masoft.studies.folder import FAILED, failure, is_of_all, is_read

    place = out or Path("runs") / folder_name(file.stem)
    study = read_study(file)
    check_packages()
    for task in study.tasks:
        ask_trust(task.env, file, trusted=trusted)
    try:
        with termination_as_interrupt():
            outcome = run(
                study,
                place,
                n_jobs=jobs,
                retry_failed=retry_failed,
                progress_bar=not (no_progress or as_json),
                **where,
            )
    except StudyStopped as stop:
        click.echo(
            f"Stopped by {stop.number.name}. Every run has left a checkpoint; the same command goes on.", err=True
        )
        raise click.exceptions.Exit(STOPPED) from None
    folder = local_folder(place, is_read)
    results = read_results(folder)
    tables = write_results(results, folder)
    files = {"results": [str(path) for path in tables], "report": str(write_report(folder))}
    send(folder, is_of_all)
    failures = [str(folder / key / FAILED) for key in outcome["failed"]]
    reasons = {key: failure(folder / key) for key in outcome["failed"]}
    show = _show_json if as_json else _show_lines
    show(results, {"folder": str(folder), **files, **outcome, "failures": failures, "reasons": reasons})
    if failures:
        raise click.exceptions.Exit(1)


def _final(results: Any) -> list[tuple[str, str, int, Any]]:
    """Algorithm, environment, number of seeds, and the interquartile mean of the last evaluations."""
    from masoft.studies import final_scores, iqm

    return [
        (algorithm, name, len(values), iqm({name: values}))
        for algorithm, by_environment in final_scores(results).items()
        for name, values in by_environment.items()
    ]


def _show_json(results: Any, found: dict[str, Any]) -> None:
    final = [{"algorithm": a, "environment": e, "seeds": n, "iqm": x.value, "low": x.low, "high": x.high}
             for a, e, n, x in _final(results)]  # fmt: skip
    show_json({**found, "final": final})


def _show_lines(results: Any, found: dict[str, Any]) -> None:
    show_table(f"Final return, {found['folder']}", ("algorithm", "environment", "seeds", "IQM [95 %]"), _final(results))
    for path in found["failures"]:
        say(shown(f"Failed: {path}: {found['reasons'][Path(path).parent.name]}"))
    say(f"Saved {', '.join([*found['results'], found['report']])}")
    say(f"Next: masoft plot {found['folder']}")
