"""``masoft evaluate FOLDER``: play a trained team, beside random actions."""

from __future__ import annotations

from pathlib import Path

import click

import masoft
from masoft.cli.options import RunFolder, here, trusted_option
from masoft.cli.output import show_json
from masoft.cli.values import Count
from masoft.runs.own_code import ask_trust
from masoft.runs.settings import SETTINGS, RunSettings
from masoft.runs.trained import model_file


@click.command(short_help="Play a trained team.")
@click.argument("folder", type=RunFolder())
@click.option("--episodes", type=Count(1), default=20, show_default=True, help="Episodes to play.")
@click.option("--seed", type=Count(), default=1_000_000, show_default=True, help="Of the evaluation environment.")
@click.option("--stochastic", is_flag=True, help="Draw actions instead of taking each policy's mode.")
@click.option("--random/--no-random", default=True, help="Play legal random actions too, for comparison.")
@click.option("--best", is_flag=True, help="Play best.zip, the best team that --eval-every met, not the last one.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    folder: str | Path,
    episodes: int,
    seed: int,
    stochastic: bool,
    random: bool,
    best: bool,
    trusted: bool,
    as_json: bool,
) -> None:
    """Play the team of a run folder, or one of `masoft zoo` (zoo:NAME), and print its return."""
    import torch

    from masoft.runs.playing import play, play_random, summary

    torch.set_num_threads(1)
    folder = here(folder)
    settings = RunSettings.load(folder)
    cls = settings.algorithm_class()
    file = model_file(folder, best=best)
    ask_trust(settings.env, folder / SETTINGS, trusted=trusted)
    env = masoft.make_vec(settings.env, 1, seed=seed, **settings.env_kwargs)
    try:
        model = cls.load(file, env=env, verbose=0)
        returns = play(model, env, episodes, deterministic=not stochastic)
        baseline = play_random(env, episodes, seed) if random else None
    finally:
        env.close()
    result = summary(returns) | {"episodes": episodes}
    if baseline is not None:
        result["random"] = summary(baseline)
    if as_json:
        show_json({"folder": str(folder), **result})
        return
    click.echo(f"{settings.algorithm} on {settings.env}, {episodes} episodes")
    click.echo(f"  team    {result['mean_return']:10.2f}  +- {result['std']:.2f}")
    if baseline is not None:
        click.echo(f"  random  {result['random']['mean_return']:10.2f}  +- {result['random']['std']:.2f}")
