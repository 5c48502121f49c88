"""``masoft zoo``: trained teams that come with masoft."""

from __future__ import annotations

import click

from masoft.cli.output import show_json, show_table
from masoft.runs.zoo import teams


@click.command(short_help="List trained teams that come with masoft.")
@click.argument("text", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(text: str, as_json: bool) -> None:
    """List trained teams, those with TEXT in their name: return, what it took, and the command that made each.

    \b
    masoft enjoy zoo:mpe/simple_spread_v3
    masoft evaluate zoo:mpe/simple_spread_v3 --episodes 100
    """
    found = [entry for entry in teams() if text in entry.name]
    if as_json:
        show_json([{"name": entry.name, "algorithm": entry.settings.algorithm, "env": entry.settings.env,
                    "command": entry.command, **entry.outcome} for entry in found])  # fmt: skip
        return
    rows = []
    for entry in found:
        score, random = (f"{entry.outcome[name]:.1f}" for name in ("mean_return", "random_return"))
        steps, seconds = f"{entry.outcome['timesteps']:,}", f"{entry.outcome['seconds']:.0f}"
        rows.append((entry.name, entry.settings.algorithm, score, random, steps, seconds, entry.command))
    columns = ("team", "algorithm", "return", "random", "steps", "seconds", "made by")
    show_table(f"{len(rows)} trained teams", columns, rows)
    if rows:
        click.echo(f"Next: masoft enjoy zoo:{rows[-1][0]}")
