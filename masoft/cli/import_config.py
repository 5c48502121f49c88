"""``masoft import-config FILE...``: a run of HARL, BenchMARL or EPyMARL in masoft's words."""

from __future__ import annotations

from pathlib import Path

import click

from masoft.cli.options import LocalPath
from masoft.cli.output import show_json, show_table
from masoft.files import write_text


@click.command(name="import-config", short_help="Say a run of HARL, BenchMARL or EPyMARL in masoft's words.")
@click.argument("files", nargs=-1, required=True, type=LocalPath())
@click.option("--from", "origin", type=click.Choice(["harl", "benchmarl", "epymarl"]), default=None,
              help="Whose files they are.  [default: told by their settings]")  # fmt: skip
@click.option("--algorithm", default="", help="Its name there.  [default: what the files say]")
@click.option("--env", default="", help="masoft's environment id.  [default: what the files say]")
@click.option("--out", type=LocalPath(), default=None, metavar="FILE.toml",
              help="Write the settings as a preset for `masoft train --preset FILE.toml`.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    files: tuple[Path, ...], origin: str | None, algorithm: str, env: str, out: Path | None, as_json: bool
) -> None:
    """Print the command that trains as other libraries' files say, and name what has no counterpart.

    Several files of one run are laid over each other, later ones win: HARL's algos_cfgs and envs_cfgs, BenchMARL's
    experiment, algorithm and task, EPyMARL's default, env and alg. What those programs leave in the folder of a run is
    taken, too.

    \b
    masoft import-config tuned_configs/mamujoco/Ant-v2-4x2/hasac/config.json
    masoft import-config conf/experiment/base_experiment.yaml conf/algorithm/mappo.yaml conf/task/vmas/balance.yaml
    masoft import-config src/config/default.yaml src/config/envs/sc2.yaml src/config/algs/qmix.yaml
    """
    from masoft.runs.command import command_of, preset_text
    from masoft.runs.foreign import import_config

    found = import_config(files, origin=origin or "", algorithm=algorithm, env=env)
    settings = found.settings
    if out is not None:
        write_text(out, preset_text(settings, f"{found.origin}: {', '.join(path.name for path in files)}"))
    if as_json:
        left = [{"name": each.name, "value": each.value, "why": each.why} for each in found.left]
        show_json({"origin": found.origin, "command": command_of(settings), "settings": settings.plain(), "left": left,
                   "preset": None if out is None else str(out)})  # fmt: skip
        return
    click.echo(command_of(settings))
    if found.left:
        rows = [(each.name, each.value, each.why) for each in found.left]
        click.echo()
        show_table(f"Not taken over from {found.origin}, or not as it stands", ("setting", "value", "because"), rows)
    if out is not None:
        click.echo(f"Saved {out}\nNext: masoft train {settings.algorithm.lower()} {settings.env} --preset {out}")
