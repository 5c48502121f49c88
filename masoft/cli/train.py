"""``masoft train ALGORITHM ENV``: one run, from flags to a folder with model, log and picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import masoft
from masoft.cli.flags import flags_of, given
from masoft.cli.options import Folder, here, requeue_option, trusted_option
from masoft.cli.outcome import report, report_as_json
from masoft.cli.values import Count, parse_pairs
from masoft.errors import ConfigurationError, explain, nearest
from masoft.files import folder_name
from masoft.files.remote import local_folder
from masoft.presets import Preset, preset, read_preset
from masoft.runs.first_look import COPIES, describe, look_of, quick_parameters
from masoft.runs.own_code import ask_trust, find_here
from masoft.runs.settings import SETTINGS, RunSettings, new_folder
from masoft.runs.stopping import PATIENCE, STOPPED, can_resume, run_folder

if TYPE_CHECKING:
    from masoft.runs.outcome import Outcome
    from masoft.runs.training import Show

DEFAULT_ALGORITHM = "hasac"
# mpe/simple_spread_v3, mymodule:MyClass, Pendulum-v1: what stands where an algorithm is expected, and is none.
LOOKS_LIKE_AN_ID = re.compile(r"[/:]|-v\d+$")
EVALUATIONS = 20
"""Evaluations of a run that shall end at a return, unless a flag says otherwise."""
EVAL_EPISODES = 10
CHECKPOINTS = 20
LEAST_CHECKPOINT_STEPS = 1_000
"""Checkpoints of a run, and the environment steps that lie between two of them at least, unless a flag says so."""


class TrainGroup(click.Group):
    """One subcommand per algorithm; its flags are read off the constructor when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name.lower() for name in masoft.ALGORITHMS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        names = {name.lower(): name for name in masoft.ALGORITHMS}
        if cmd_name.lower() not in names:
            ctx.fail(f"No algorithm {cmd_name!r}. {nearest(cmd_name.lower(), names)}")
        return algorithm_command(names[cmd_name.lower()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = [name.lower() for name in masoft.ALGORITHMS]
        if args[0].lower() not in names and LOOKS_LIKE_AN_ID.search(args[0]):
            args = [DEFAULT_ALGORITHM, *args]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Not one line of help each: that would import torch.
        with formatter.section("Algorithms"):
            formatter.write_text(", ".join(self.list_commands(ctx)))
            formatter.write_text(
                f"masoft train ALGORITHM --help lists the flags of one. Without one: {DEFAULT_ALGORITHM}."
            )


@click.group(
    cls=TrainGroup, short_help="Train a team.", subcommand_metavar="ALGORITHM ENV [FLAGS]...",
    invoke_without_command=True, no_args_is_help=True,
)  # fmt: skip
@click.option("--resume", "folder", type=Folder(), help="Continue the run in this folder, or at this URL.")
@click.option("--extend", type=Count(1), default=None, metavar="N", help="Train the run of --resume for N steps more.")
@click.option(
    "--eval-episodes", type=Count(), default=EVAL_EPISODES, show_default=True, help="Played at the end of --resume."
)
@click.option("--no-progress", is_flag=True, help="Draw no bar with --resume.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end of --resume and nothing else.")
@click.pass_context
def command(ctx: click.Context, /, folder: str | Path | None, as_json: bool, **flags: Any) -> None:
    """Train a team and leave a run folder: settings, log, checkpoints, model, learning curve.

    \b
    masoft train mpe/simple_speaker_listener_v4             # about a minute
    masoft train happo mymodule:MyEnv --total-timesteps 1e5 # your own, from this folder
    masoft train hasac mamujoco/HalfCheetah-2x3 --preset --out runs/cheetah
    masoft train --resume runs/cheetah
    masoft train --resume runs/cheetah --extend 1e6
    """
    if ctx.invoked_subcommand is not None:
        if folder is not None:
            ctx.fail("--resume takes algorithm, environment and flags from the run: name none of them.")
        return
    if folder is None:
        ctx.fail("Name an algorithm, or a run with --resume FOLDER.")
    resume(here(folder), {**flags, "json": as_json, "log_table": False})


def algorithm_command(name: str) -> click.Command:
    """The subcommand of one algorithm, with a flag for each constructor parameter."""
    cls = getattr(masoft, name)

    def run(**flags: Any) -> None:
        train(name, cls, flags)

    own: list[click.Parameter] = [
        click.Argument(["environment"], metavar="ENV"),
        click.Option(["--total-timesteps"], type=Count(1),
                     help="Environment steps to train for.  [default: about a minute, by environment]"),
        click.Option(["--seed"], type=Count(), default=None, help="Same seed, same run.  [default: a new one]"),
        click.Option(["--out"], default=None,
                     help="Folder of the run, or its URL, s3://...  [default: runs/ALGORITHM-ENV-sSEED]"),
        click.Option(["--overwrite"], is_flag=True, help="Write over the run that --out holds."),
        requeue_option(),
        click.Option(
            ["--preset"], is_flag=False, flag_value="paper", default=None, metavar="[VARIANT|FILE]",
            help="Start from published settings, or from a file of `masoft tune`; flags given beside it win.",
        ),
        click.Option(["--n-envs"], type=Count(1), default=None, help="Copies of the environment.  [default: 1]"),
        click.Option(
            ["--backend"], type=click.Choice(["auto", "dummy", "subproc"]), default="auto", show_default=True,
            help="Step the copies in this process or in one process each.",
        ),
        click.Option(
            ["--env-kwargs", "-e"], multiple=True, metavar="NAME=VALUE",
            help="An argument of the environment; repeat it for several.",
        ),
        click.Option(
            ["--on-env-error"], type=click.Choice(["raise", "restart"]), default="raise", show_default=True,
            help="End the run when an environment dies, hangs or raises, or put a new process in its place.",
        ),
        click.Option(
            ["--env-timeout"], type=float, default=None, help="Seconds after which an environment counts as hanging."
        ),
        click.Option(
            ["--checkpoint-every"], type=Count(), default=None,
            help="Environment steps between two checkpoints; 0: at start and end only.  "
            f"[default: {CHECKPOINTS} a run, at least {LEAST_CHECKPOINT_STEPS} steps apart]",
        ),
        click.Option(
            ["--threads"], type=Count(1), default=1, show_default=True,
            help="CPU threads of PyTorch. More than one pays on large networks and idle cores only.",
        ),
        *evaluation_flags(),
        *log_flags(),
    ]  # fmt: skip
    taken = {parameter.name for parameter in own}
    options = [option for option in flags_of(cls) if option.name not in taken]
    summary = (cls.__doc__ or "").strip().splitlines()[0]
    return click.Command(name.lower(), params=[*own, *options], callback=run, help=summary)


def evaluation_flags() -> list[click.Parameter]:
    """The flags of evaluations, on the way and at the end."""
    return [
        click.Option(
            ["--eval-every"], type=Count(), default=None,
            help="Environment steps between two evaluations; the best team is kept in best.zip. 0: none.  "
            "[default: 0, or a twentieth of the run with --stop-at]",
        ),
        click.Option(["--stop-at"], type=float, default=None, help="End when an evaluation reaches this mean return."),
        click.Option(
            ["--eval-episodes"], type=Count(), default=None,
            help="Episodes of an evaluation, and at the end.  [default: 10; more at the end of a first look]",
        ),
    ]  # fmt: skip


def log_flags() -> list[click.Parameter]:
    """The flags of where a run is told."""
    return [
        click.Option(
            ["--track"], type=click.Choice(["wandb", "mlflow"]), default=None,
            help="Send log and model to Weights & Biases or MLflow, as their environment variables say.",
        ),
        click.Option(["--log-table"], is_flag=True, help="Print stable-baselines3's table at each row of the log."),
        click.Option(["--no-progress"], is_flag=True, help="Draw no bar."),
        click.Option(["--json"], is_flag=True, help="Print one JSON object at the end and nothing else."),
    ]  # fmt: skip


def train(name: str, cls: type, flags: dict[str, Any]) -> None:
    """Train as the flags say, save, evaluate, draw, and say what to type next."""
    find_here(flags["environment"])
    if flags["eval_episodes"] is None:
        is_first_look = flags["total_timesteps"] is None and not flags["preset"]
        episodes = look_of(flags["environment"]).final_episodes if is_first_look else EVAL_EPISODES
        flags = {**flags, "eval_episodes": episodes}
    settings = settings_of(name, cls, flags)
    if flags["total_timesteps"] is None and settings.preset is None and not flags["json"]:
        click.echo(describe(settings.total_timesteps, settings.n_envs))
    from masoft.runs.training import start

    out = flags["out"] or default_folder(settings)
    if flags["resume_or_start"]:
        folder = local_folder(out)
        with run_folder(folder, wait=PATIENCE):
            if can_resume(folder, settings):
                resume(folder, {**flags, "trusted": True, "extend": None})  # the user has typed all of it
            else:
                tell(start(settings, new_folder(folder, overwrite=True), show_of(flags)), flags)
        return
    folder = new_folder(out, overwrite=flags["overwrite"])
    with run_folder(folder):
        tell(start(settings, folder, show_of(flags)), flags)


def resume(folder: Path, flags: dict[str, Any]) -> None:
    """Go on where the newest checkpoint of a run was written, to the end that the run was given."""
    ask_trust(RunSettings.load(folder).env, folder / SETTINGS, trusted=flags["trusted"])
    from masoft.runs import training

    tell(training.resume(folder, show_of(flags), extend=flags["extend"] or 0), flags)


def show_of(flags: dict[str, Any]) -> Show:
    """What a command's flags say is to be shown."""
    from masoft.runs.training import Show

    return Show(flags["eval_episodes"], is_silent=flags["json"], bar=not flags["no_progress"], table=flags["log_table"])


def tell(outcome: Outcome, flags: dict[str, Any]) -> None:
    """Say how a run came out; the exit status tells one that a signal has stopped."""
    (report_as_json if flags["json"] else report)(outcome)
    if outcome.stopped_by:
        raise click.exceptions.Exit(STOPPED)


def settings_of(name: str, cls: type, flags: dict[str, Any]) -> RunSettings:
    """Merge the preset, or what a first look takes, with the flags; flags win.

    Raises:
        ConfigurationError: the preset is unknown, or evaluations are asked for without episodes.
    """
    parameters, env_kwargs = given(flags, cls), parse_pairs(flags["env_kwargs"])
    environment, n_envs, steps = flags["environment"], flags["n_envs"], flags["total_timesteps"]
    preset_name = None
    if flags["preset"]:
        preset_name, found = preset_of(name, environment, flags["preset"])
        environment = found.env
        parameters = {**found.parameters, **parameters}
        env_kwargs = {**found.env_kwargs, **env_kwargs}
        n_envs, steps = n_envs or found.n_envs, steps or found.total_timesteps
    eval_every, eval_episodes = flags["eval_every"], flags["eval_episodes"]
    if steps is None:
        look = look_of(environment)
        steps, n_envs, parameters = look.timesteps, n_envs or COPIES, quick_parameters(cls, parameters)
        if eval_every is None and eval_episodes:
            eval_every, eval_episodes = steps // look.evaluations, look.eval_episodes
    if eval_every is None:
        eval_every = 0 if flags["stop_at"] is None else max(steps // EVALUATIONS, 1)
    if (eval_every and not eval_episodes) or (flags["stop_at"] is not None and not eval_every):
        cure = "Evaluations take --eval-every and --eval-episodes of at least 1."
        got = {"--eval-every": eval_every, "--eval-episodes": eval_episodes}
        raise ConfigurationError(explain("--stop-at, --eval-every", "used with evaluations", got, cure))
    every = flags["checkpoint_every"]
    return RunSettings(
        name, environment, env_kwargs, n_envs or 1, flags["seed"], steps, parameters, preset_name,
        **{name: flags[name] for name in ("backend", "on_env_error", "env_timeout", "threads", "track")},
        checkpoint_every=max(steps // CHECKPOINTS, LEAST_CHECKPOINT_STEPS) if every is None else every,
        eval_every=eval_every, eval_episodes=eval_episodes, stop_at=flags["stop_at"],
    )  # fmt: skip


def preset_of(algorithm: str, environment: str, asked: str) -> tuple[str, Preset]:
    """What ``--preset`` means, and its name: a file, or a variant of the published settings."""
    if asked.endswith(".toml"):
        return asked, read_preset(asked, algorithm, environment)
    found = preset(algorithm, environment, variant=asked)
    return found.full_name, found


def default_folder(settings: RunSettings) -> str:
    """``runs/hasac-mpe-simple_spread_v3-s0``."""
    seed = "" if settings.seed is None else f"-s{settings.seed}"
    return f"runs/{settings.algorithm.lower()}-{folder_name(settings.env)}{seed}"
