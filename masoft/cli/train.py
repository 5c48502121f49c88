"""``masoft train ALGORITHM ENV``: one run, from flags to a folder with model, log and picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import masoft
from masoft.cli.evaluate import play_random, summary
from masoft.cli.first_look import COPIES, describe, look_of, quick_parameters
from masoft.cli.flags import flags_of, given
from masoft.cli.outcome import Outcome, report, report_as_json
from masoft.cli.own_code import ask_trust, find_here, trusted_option
from masoft.cli.run_folder import BEST, MODEL, SETTINGS, TABLE, RunSettings, draw_curve, new_folder
from masoft.cli.stopping import PATIENCE, STOPPED, can_resume, requeue_option, run_folder, termination_as_interrupt
from masoft.cli.values import Count, parse_pairs
from masoft.errors import ConfigurationError, explain, nearest
from masoft.files import folder_name

if TYPE_CHECKING:
    from stable_baselines3.common.callbacks import BaseCallback

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
@click.option("--resume", "folder", type=click.Path(path_type=Path), help="Continue the run in this folder.")
@click.option("--extend", type=Count(1), default=None, metavar="N", help="Train the run of --resume for N steps more.")
@click.option(
    "--eval-episodes", type=Count(), default=EVAL_EPISODES, show_default=True, help="Played at the end of --resume."
)
@click.option("--no-progress", is_flag=True, help="Draw no bar with --resume.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end of --resume and nothing else.")
@click.pass_context
def command(ctx: click.Context, /, folder: Path | None, as_json: bool, **flags: Any) -> None:
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
    resume(folder, {**flags, "json": as_json, "log_table": False})


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
        click.Option(["--out"], default=None, help="Folder of the run.  [default: runs/ALGORITHM-ENV-sSEED]"),
        click.Option(["--overwrite"], is_flag=True, help="Write over the run that --out holds."),
        requeue_option(),
        click.Option(
            ["--preset"], is_flag=False, flag_value="paper", default=None, metavar="[VARIANT]",
            help="Start from the published settings of this environment; flags given beside it win.",
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
        click.Option(["--log-table"], is_flag=True, help="Print stable-baselines3's table at each row of the log."),
        click.Option(["--no-progress"], is_flag=True, help="Draw no bar."),
        click.Option(["--json"], is_flag=True, help="Print one JSON object at the end and nothing else."),
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
    out = flags["out"] or default_folder(settings)
    if flags["resume_or_start"]:
        with run_folder(Path(out), wait=PATIENCE):
            if can_resume(Path(out), settings):
                resume(Path(out), {**flags, "trusted": True, "extend": None})  # the user has typed all of it
            else:
                start(cls, settings, new_folder(out, overwrite=True), flags)
        return
    folder = new_folder(out, overwrite=flags["overwrite"])
    with run_folder(folder):
        start(cls, settings, folder, flags)


def start(cls: type, settings: RunSettings, folder: Path, flags: dict[str, Any]) -> None:
    """Train from the beginning in a folder that is this command's own; checkpoints of another run in it go."""
    from masoft.saving.checkpoint_folder import CheckpointFolder

    with environments_of(settings) as env:
        model = cls(env=env, seed=settings.seed, verbose=0 if flags["json"] else 1, **settings.parameters)
        settings.save(folder)
        CheckpointFolder(folder).clear()
        for name in (BEST, TABLE):
            (folder / name).unlink(missing_ok=True)
        finish(model, settings, folder, flags, settings.total_timesteps)


def resume(folder: Path, flags: dict[str, Any]) -> None:
    """Go on where the newest checkpoint of a run was written, to the end that the run was given."""
    settings = RunSettings.load(folder)
    ask_trust(settings.env, folder / SETTINGS, trusted=flags["trusted"])
    cls = settings.algorithm_class()
    with run_folder(folder), environments_of(settings) as env:
        device = settings.parameters.get("device", "auto")
        model = cls.resume(folder, env=env, device=device, verbose=0 if flags["json"] else 1)
        if flags["extend"]:
            settings = replace(settings, total_timesteps=settings.total_timesteps + flags["extend"])
            settings.save(folder)
        finish(model, settings, folder, flags, max(settings.total_timesteps - model.num_timesteps, 0))


@contextmanager
def environments_of(settings: RunSettings) -> Iterator[Any]:
    """The environments of a run, closed again whatever happens; PyTorch's threads are set before they are made."""
    import torch

    torch.set_num_threads(settings.threads)
    with termination_as_interrupt():
        env = settings.make_env()
        try:
            yield env
        finally:
            env.close()


def finish(model: Any, settings: RunSettings, folder: Path, flags: dict[str, Any], steps: int) -> None:
    """Learn, then save, evaluate, draw and report; a run that a signal has stopped is saved only.

    Args:
        model: new, or resumed.
        settings: of the run.
        folder: of the run.
        flags: of the command.
        steps: environment steps that are left.
    """
    from masoft.callbacks import CheckpointCallback

    saver = CheckpointCallback(folder, settings.checkpoint_every or settings.total_timesteps)
    is_good_enough = False
    if steps:
        bar = not (flags["json"] or flags["no_progress"])
        with evaluations_of(settings, folder) as watch:
            quiet = flags["json"] or not flags["log_table"]
            learn(model, settings, folder, steps, quiet=quiet, bar=bar, callbacks=[saver], watch=watch)
        is_good_enough = watch is not None and watch.has_stopped
    with run_folder(folder) as lock:
        lock.check()
        model.save(folder / MODEL)
    stopped_by = None if saver.stopped_by is None else saver.stopped_by.name
    episodes = 0 if stopped_by else flags["eval_episodes"]
    score = model.score(n_eval_episodes=episodes) if episodes else None
    random = summary(play_random(model.env, episodes, settings.seed or 0))["mean_return"] if episodes else None
    reference = None if random is None else ("random actions", random)
    picture = draw_curve(folder, f"{settings.algorithm} on {settings.env}", reference)
    show = report_as_json if flags["json"] else report
    steps_taken = model.num_timesteps
    show(Outcome(folder, settings, steps_taken, score, random, episodes, picture, stopped_by, is_good_enough))
    if stopped_by:
        raise click.exceptions.Exit(STOPPED)


@contextmanager
def evaluations_of(settings: RunSettings, folder: Path) -> Iterator[Any]:
    """The callback that evaluates while a run trains, in an environment of its own; None where none was asked for."""
    if not settings.eval_every:
        yield None
        return
    from masoft.cli.evaluations import BestTeam

    env = masoft.make_vec(settings.env, 1, **settings.env_kwargs)
    try:
        yield BestTeam(
            env, folder, settings.eval_every, settings.eval_episodes, seed=settings.seed, stop_at=settings.stop_at
        )
    finally:
        env.close()


def settings_of(name: str, cls: type, flags: dict[str, Any]) -> RunSettings:
    """Merge the preset, or what a first look takes, with the flags; flags win.

    Raises:
        ConfigurationError: the preset is unknown, or evaluations are asked for without episodes.
    """
    from masoft.presets import preset

    parameters, env_kwargs = given(flags, cls), parse_pairs(flags["env_kwargs"])
    environment, n_envs, steps = flags["environment"], flags["n_envs"], flags["total_timesteps"]
    preset_name = None
    if flags["preset"]:
        found = preset(name, environment, variant=flags["preset"])
        preset_name, environment = found.full_name, found.env
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
        **{name: flags[name] for name in ("backend", "on_env_error", "env_timeout", "threads")},
        checkpoint_every=max(steps // CHECKPOINTS, LEAST_CHECKPOINT_STEPS) if every is None else every,
        eval_every=eval_every, eval_episodes=eval_episodes, stop_at=flags["stop_at"],
    )  # fmt: skip


def learn(
    model: Any,
    settings: RunSettings,
    folder: Path,
    steps: int,
    *,
    quiet: bool,
    bar: bool,
    callbacks: Sequence[BaseCallback] = (),
    watch: Any = None,
) -> None:
    """Run the learning loop with log, bar and evaluations; a resumed model goes on in the log that is there."""
    from masoft.callbacks import EvenLogging
    from masoft.cli.progress import progress
    from masoft.cli.run_log import make_logger

    bars = [progress(lambda: None if watch is None else watch.latest)] if bar else []
    model.set_logger(make_logger(folder, settings, model.num_timesteps, quiet=quiet))
    try:
        model.learn(
            steps,
            callback=[*([watch] if watch else []), EvenLogging(settings.log_every), *bars, *callbacks],
            log_interval=None,
            reset_num_timesteps=False,
        )
    finally:
        model.logger.close()


def default_folder(settings: RunSettings) -> str:
    """``runs/hasac-mpe-simple_spread_v3-s0``."""
    seed = "" if settings.seed is None else f"-s{settings.seed}"
    return f"runs/{settings.algorithm.lower()}-{folder_name(settings.env)}{seed}"
