"""``masoft tune ALGORITHM ENV``: look for hyper-parameters, alone or beside other processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import masoft
from masoft.cli.options import LocalPath
from masoft.cli.output import show_json, show_table
from masoft.cli.values import Count, parse_pairs
from masoft.errors import ConfigurationError, explain, nearest
from masoft.files import folder_name
from masoft.runs.own_code import find_here
from masoft.runs.settings import RunSettings

SHOWN = 5


@click.command(short_help="Look for hyper-parameters.")
@click.argument("algorithm")
@click.argument("environment", metavar="ENV")
@click.option("--total-timesteps", type=Count(1), required=True, help="Environment steps of each trial.")
@click.option("--trials", type=Count(1), default=20, show_default=True, help="In all, over every process.")
@click.option("--seed", type=Count(), default=0, show_default=True, help="Of the search, and of every trial.")
@click.option("--n-envs", type=Count(1), default=1, show_default=True, help="Copies of the environment.")
@click.option("--env-kwargs", "-e", multiple=True, metavar="NAME=VALUE", help="An argument of the environment.")
@click.option("--set", "fixed", multiple=True, metavar="NAME=VALUE", help="An argument that is not searched.")
@click.option("--space", type=LocalPath(), default=None, metavar="FILE",
              help="TOML file with the search space.  [default: the algorithm's own]")  # fmt: skip
@click.option("--sampler", type=click.Choice(["tpe", "random", "qmc"]), default="tpe", show_default=True)
@click.option("--pruner", type=click.Choice(["median", "halving", "none"]), default="median", show_default=True,
              help="What stops weak trials early.")  # fmt: skip
@click.option("--reports", type=Count(1), default=5, show_default=True, help="Evaluations of a trial.")
@click.option("--eval-episodes", type=Count(1), default=10, show_default=True, help="Of each evaluation.")
@click.option("--out", type=LocalPath(), default=None, help="Folder.  [default: runs/tune-ALGORITHM-ENV]")
@click.option("--no-progress", is_flag=True, help="Tell nothing of single trials.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    algorithm: str,
    environment: str,
    space: Path | None,
    out: Path | None,
    no_progress: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Try hyper-parameters and leave the best as a preset that `masoft train --preset FILE` takes.

    Type the same command again to go on after an interruption; type it in several shells, or on several machines that
    share a disk, to search in parallel. A larger --trials adds to a search.

    \b
    masoft tune hasac mpe/simple_spread_v3 --total-timesteps 20000 --trials 30 --out runs/tune
    masoft train hasac mpe/simple_spread_v3 --preset runs/tune/best.toml
    """
    import warnings

    from masoft.studies.tuner import tune, write_preset
    from masoft.studies.tuning import the_optuna
    from masoft.studies.tuning_plots import draw_history, draw_importance

    the_optuna().logging.set_verbosity(the_optuna().logging.WARNING)
    find_here(environment)
    tuning = _tuning(algorithm, environment, space, flags)
    folder = out or Path("runs") / folder_name(f"tune-{algorithm.lower()}-{environment}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=the_optuna().exceptions.ExperimentalWarning)
        study = tune(tuning, folder, (lambda study, trial: None) if no_progress or as_json else _tell)
        preset = write_preset(tuning, study, folder)
        drawn = [draw_history(study, folder / "history.png"), draw_importance(study, folder / "importance.png")]
    files = [str(path) for path in (preset, *drawn) if path is not None]
    if as_json:
        best = study.best_trial
        show_json({"folder": str(folder), "files": files, "trials": len(study.trials), "best": best.number,
                   "mean_return": best.value, "parameters": best.user_attrs["parameters"]})  # fmt: skip
        return
    finished = sorted((trial for trial in study.trials if trial.state.name == "COMPLETE"), key=lambda each: -each.value)
    rows = [(trial.number, f"{trial.value:.4g}", _described(trial)) for trial in finished[:SHOWN]]
    show_table(f"The best of {len(study.trials)} trials", ("trial", "return", "arguments"), rows)
    click.echo(f"Saved {', '.join(files)}")
    click.echo(f"Next: masoft train {algorithm.lower()} {environment} --preset {preset}")


def _tuning(algorithm: str, environment: str, space: Path | None, flags: dict[str, Any]) -> Any:
    from masoft.studies.spaces import read_space, space_of
    from masoft.studies.tuner import Tuning

    names = {name.lower(): name for name in masoft.ALGORITHMS}
    if algorithm.lower() not in names:
        raise ConfigurationError(explain("ALGORITHM", "a known one", algorithm, nearest(algorithm.lower(), names)))
    name = names[algorithm.lower()]
    fixed, chosen = parse_pairs(flags["fixed"]), read_space(space) if space else space_of(name)
    known = getattr(masoft, name).parameter_names()
    for each in [*fixed, *(argument.partition(".")[0] for argument in chosen.arguments)]:
        if each not in known:
            raise ConfigurationError(explain("An argument", f"one of {name}'s", each, nearest(each, known)))
    free = {argument: entry for argument, entry in chosen.arguments.items() if not _is_fixed(argument, fixed)}
    run = RunSettings(
        name, environment, parse_pairs(flags["env_kwargs"]), flags["n_envs"], flags["seed"], flags["total_timesteps"],
        fixed, eval_every=max(flags["total_timesteps"] // flags["reports"], 1), eval_episodes=flags["eval_episodes"],
    )  # fmt: skip
    return Tuning(run, type(chosen)(free), flags["trials"], flags["reports"], flags["sampler"], flags["pruner"])


def _is_fixed(argument: str, fixed: dict[str, Any]) -> bool:
    outer, dot, inner = argument.partition(".")
    return outer in fixed and (not dot or inner in fixed[outer])


def _tell(study: Any, trial: Any) -> None:
    state = {"COMPLETE": "", "PRUNED": ", stopped early", "FAIL": ", failed"}[trial.state.name]
    value = "no return" if trial.value is None else f"return {trial.value:.4g}"
    click.echo(f"Trial {trial.number}: {value}{state}  {_described(trial)}", err=True)


def _described(trial: Any) -> str:
    def short(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name}={short(value)}" for name, value in trial.params.items())
