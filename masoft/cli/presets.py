"""``masoft presets``: published settings, with the table that each value stands in."""

from __future__ import annotations

from dataclasses import asdict

import click

from masoft.cli.output import show_json, show_table
from masoft.errors import ConfigurationError, explain, nearest


@click.command(short_help="List published settings, or show one.")
@click.argument("algorithm", default="")
@click.argument("name", default="")
@click.option(
    "--variant", default="paper", show_default=True, help="paper; reference: HARL's configuration; own: ours."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(algorithm: str, name: str, variant: str, as_json: bool) -> None:
    """List presets, or show one: masoft presets hasac mamujoco/Ant-4x2."""
    from masoft.presets import list_presets, preset

    if name:
        found = preset(algorithm, name, variant=variant)
        if as_json:
            show_json(asdict(found))
            return
        rows = [[key, value, found.sources.get(key, "")] for key, value in found.settings().items()]
        show_table(f"{found.algorithm} {found.full_name}", ["setting", "value", "from"], rows)
        for note in found.notes:
            click.echo(f"Note: {note}")
        return
    entries = [entry for entry in list_presets() if entry.algorithm.lower().startswith(algorithm.lower())]
    if not entries:
        cure = nearest(algorithm, {entry.algorithm.lower() for entry in list_presets()})
        raise ConfigurationError(explain("ALGORITHM", "one with published settings", algorithm, cure))
    if as_json:
        show_json([asdict(entry) for entry in entries])
        return
    show_table(
        f"{len(entries)} presets", ["algorithm", "name", "variants"],
        [[entry.algorithm, entry.name, ", ".join(entry.variants)] for entry in entries],
    )  # fmt: skip
