"""How a run came out: for people, with what to type next, or as JSON."""

from __future__ import annotations

import click

from masoft.cli.output import say, show_json
from masoft.runs.outcome import Outcome
from masoft.runs.settings import BEST, MODEL


def report(outcome: Outcome) -> None:
    """Say what was made, and what to type next."""
    folder, picture, settings = outcome.folder, outcome.picture, outcome.settings
    if outcome.is_good_enough:
        say(f"Ended after {outcome.steps:,} steps: an evaluation reached --stop-at {settings.stop_at:g}.")
    if outcome.score is not None:
        click.echo(f"Mean return over {outcome.episodes} episodes, by {settings.algorithm} on {settings.env}:")
        click.echo(f"  trained team    {outcome.score:10.2f}")
        click.echo(f"  random actions  {outcome.random:10.2f}")
    saved = [folder / MODEL, *(path for path in (folder / BEST, picture) if path is not None and path.exists())]
    say(f"Saved {', '.join(map(str, saved))}")
    if outcome.stopped_by:
        click.echo(f"Stopped by {outcome.stopped_by} after {outcome.steps} of {settings.total_timesteps} steps.")
        say(f"Next: masoft train --resume {folder}")
        return
    trusted = " --trusted" if ":" in settings.env else ""
    say(f"Next: masoft enjoy {folder}{trusted}")
    say(f"      masoft evaluate {folder} --episodes 100{trusted}")
    say(f"      masoft train --resume {folder} --extend {settings.total_timesteps}{trusted}")


def report_as_json(outcome: Outcome) -> None:
    """The same for programs."""
    best = outcome.folder / BEST
    show_json(
        {
            "folder": str(outcome.folder),
            "timesteps": outcome.steps,
            "mean_return": outcome.score,
            "random_return": outcome.random,
            "stopped_by": "--stop-at" if outcome.is_good_enough else outcome.stopped_by,
            "model": str(outcome.folder / MODEL),
            "best": str(best) if best.exists() else None,
            "learning_curve": None if outcome.picture is None else str(outcome.picture),
        }
    )
