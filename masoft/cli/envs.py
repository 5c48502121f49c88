"""``masoft envs``: every environment id, whether it runs here, and what installs it."""

from __future__ import annotations

from typing import Any

import click

from masoft.cli.output import show_json, show_table
from masoft.errors import ConfigurationError, explain, nearest


@click.command(short_help="List environments.")
@click.argument("pattern", default="")
@click.option("--spaces", is_flag=True, help="Build each installed one and show its agents and spaces.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(pattern: str, spaces: bool, as_json: bool) -> None:
    """List environment ids that contain PATTERN; a family (mamujoco), a part of a name (ant), anything.

    Your own are named module:Class or module:function, and need not be listed.
    """
    from masoft.envs import registered

    entries = [entry for entry in registered() if pattern.lower() in entry.id.lower()]
    if not entries:
        cure = nearest(pattern, [entry.id for entry in registered()])
        raise ConfigurationError(explain("PATTERN", "part of an environment id", pattern, cure))
    rows: list[dict[str, Any]] = []
    for entry in entries:
        row: dict[str, Any] = {"id": entry.id, "extra": entry.extra, "installed": entry.is_installed}
        row["install"] = None if entry.is_installed else entry.install_command
        if spaces and entry.is_installed:
            row["agents"] = describe(entry)
        rows.append(row)
    if as_json:
        show_json(rows)
        return
    columns = ["id", "extra", "here", "agents" if spaces else "to install"]
    cells = [
        [row["id"], row["extra"], "yes" if row["installed"] else "no", row.get("agents") if spaces else row["install"]]
        for row in rows
    ]
    show_table(f"{len(rows)} environments", columns, cells)


def describe(entry: Any) -> str:
    """Agents with their observation and action spaces, equal neighbours joined; or why it cannot be built."""
    try:
        env = entry.build()
    except Exception as error:  # a simulator may fail in any way; the list goes on
        return f"cannot be built here: {' '.join(str(error).split())[:120]}"
    groups: list[tuple[str, int]] = []
    for agent in env.possible_agents:
        text = f"{env.observation_space(agent).shape} -> {env.action_space(agent)}"
        if groups and groups[-1][0] == text:
            groups[-1] = (text, groups[-1][1] + 1)
        else:
            groups.append((text, 1))
    env.close()
    return "; ".join(f"{count} x {text}" for text, count in groups)
