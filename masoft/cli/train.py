"""``masoft train ALGORITHM ENV``: one run, from flags to a folder with model, log and picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import masoft
from masoft.cli.flags import flags_of, given
from masoft.cli.output import show_json
from masoft.cli.run_folder import MODEL, RunSettings, draw_curve, new_folder
from masoft.cli.stopping import PATIENCE, STOPPED, can_resume, requeue_option, run_folder, termination_as_interrupt
from masoft.cli.values import Count, parse_pairs
from masoft.errors import ConfigurationError, explain, nearest
from masoft.files import folder_name

if TYPE_CHECKING:
    from stable_baselines3.common.callbacks import BaseCallback

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Not one line of help each: that would import torch.
        with formatter.section("Algorithms"):
            formatter.write_text(", ".join(self.list_commands(ctx)))
            formatter.write_text("masoft train ALGORITHM --help lists the flags of one.")


@click.group(
    cls=TrainGroup, short_help="Train a team.", subcommand_metavar="ALGORITHM ENV [FLAGS]...",
    invoke_without_command=True, no_args_is_help=True,
)  # fmt: skip
@click.option("--resume", "folder", type=click.Path(path_type=Path), help="Continue the run in this folder.")
@click.option("--eval-episodes", type=Count(), default=10, show_default=True, help="Played at the end of --resume.")
@click.option("--no-progress", is_flag=True, help="Draw no bar with --resume.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end of --resume and nothing else.")
@click.pass_context
def command(ctx: click.Context, folder: Path | None, eval_episodes: int, no_progress: bool, as_json: bool) -> None:
    """Train a team and leave a run folder: settings, log, checkpoints, model, learning curve.

    \b
    masoft train hasac mpe/simple_speaker_listener_v4 --total-timesteps 50000 --seed 0 --out runs/first
    masoft train hasac mamujoco/HalfCheetah-2x3 --preset --out runs/cheetah
    masoft train --resume runs/cheetah
    """
    if ctx.invoked_subcommand is not None:
        if folder is not None:
            ctx.fail("--resume takes algorithm, environment and flags from the run: name none of them.")
        return
    if folder is None:
        ctx.fail("Name an algorithm, or a run with --resume FOLDER.")
    resume(folder, {"eval_episodes": eval_episodes, "no_progress": no_progress, "json": as_json})


def algorithm_command(name: str) -> click.Command:
    """The subcommand of one algorithm, with a flag for each constructor parameter."""
    cls = getattr(masoft, name)

    def run(**flags: Any) -> None:
        train(name, cls, flags)

    own: list[click.Parameter] = [
        click.Argument(["environment"], metavar="ENV"),
        click.Option(["--total-timesteps"], type=Count(1), help="Environment steps to train for."),
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
        click.Option(["--eval-episodes"], type=Count(), default=10, show_default=True, help="Played at the end."),
        click.Option(["--no-progress"], is_flag=True, help="Draw no bar."),
        click.Option(["--json"], is_flag=True, help="Print one JSON object at the end and nothing else."),
    ]  # fmt: skip
    taken = {parameter.name for parameter in own}
    options = [option for option in flags_of(cls) if option.name not in taken]
    summary = (cls.__doc__ or "").strip().splitlines()[0]
    return click.Command(name.lower(), params=[*own, *options], callback=run, help=summary)


def train(name: str, cls: type, flags: dict[str, Any]) -> None:
    """Train as the flags say, save, evaluate, draw, and say what to type next."""
    settings = settings_of(name, cls, flags)
    out = flags["out"] or default_folder(settings)
    if flags["resume_or_start"]:
        with run_folder(Path(out), wait=PATIENCE):
            if can_resume(Path(out), settings):
                resume(Path(out), flags)
            else:
                start(cls, settings, new_folder(out, overwrite=True), flags)
        return
    folder = new_folder(out, overwrite=flags["overwrite"])
    with run_folder(folder):
        start(cls, settings, folder, flags)


def start(cls: type, settings: RunSettings, folder: Path, flags: dict[str, Any]) -> None:
    """Train from the beginning in a folder that is this command's own; checkpoints of another run in it go."""
    from masoft.algorithms.checkpoint_folder import CheckpointFolder

    with environments_of(settings) as env:
        model = cls(env=env, seed=settings.seed, verbose=0 if flags["json"] else 1, **settings.parameters)
        settings.save(folder)
        CheckpointFolder(folder).clear()
        finish(model, settings, folder, flags, settings.total_timesteps)


def resume(folder: Path, flags: dict[str, Any]) -> None:
    """Go on where the newest checkpoint of a run was written, to the end that the run was given."""
    settings = RunSettings.load(folder)
    cls = settings.algorithm_class()
    with run_folder(folder), environments_of(settings) as env:
        device = settings.parameters.get("device", "auto")
        model = cls.resume(folder, env=env, device=device, verbose=0 if flags["json"] else 1)
        finish(model, settings, folder, flags, model.remaining_timesteps)


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
    if steps:
        bar = not (flags["json"] or flags["no_progress"])
        learn(model, settings, folder, steps, quiet=flags["json"], bar=bar, callbacks=[saver])
    with run_folder(folder) as lock:
        lock.check()
        model.save(folder / MODEL)
    stopped_by = None if saver.stopped_by is None else saver.stopped_by.name
    episodes = 0 if stopped_by else flags["eval_episodes"]
    score = model.score(n_eval_episodes=episodes) if episodes else None
    picture = draw_curve(folder, f"{settings.algorithm} on {settings.env}")
    show = report_as_json if flags["json"] else report
    show(Outcome(folder, settings, model.num_timesteps, score, episodes, picture, stopped_by))
    if stopped_by:
        raise click.exceptions.Exit(STOPPED)


def settings_of(name: str, cls: type, flags: dict[str, Any]) -> RunSettings:
    """Merge the preset, where one is asked for, with the flags; flags win.

    Raises:
        ConfigurationError: no total number of steps is given, or the preset is unknown.
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
    if steps is None:
        raise ConfigurationError(explain("--total-timesteps", "given", None, "For example --total-timesteps 100000."))
    every = flags["checkpoint_every"]
    return RunSettings(
        name, environment, env_kwargs, n_envs or 1, flags["seed"], steps, parameters, preset_name,
        **{name: flags[name] for name in ("backend", "on_env_error", "env_timeout", "threads")},
        checkpoint_every=max(steps // CHECKPOINTS, LEAST_CHECKPOINT_STEPS) if every is None else every,
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
) -> None:
    """Run the learning loop with log and bar; a resumed model goes on in the log that is there."""
    from masoft.callbacks import EvenLogging, TeamProgressBar
    from masoft.cli.run_log import make_logger

    model.set_logger(make_logger(folder, settings, model.num_timesteps, quiet=quiet))
    bars = [TeamProgressBar()] if bar else []
    try:
        model.learn(
            steps,
            callback=[EvenLogging(settings.log_every), *bars, *callbacks],
            log_interval=None,
            reset_num_timesteps=False,
        )
    finally:
        model.logger.close()


def default_folder(settings: RunSettings) -> str:
    """``runs/hasac-mpe-simple_spread_v3-s0``."""
    seed = "" if settings.seed is None else f"-s{settings.seed}"
    return f"runs/{settings.algorithm.lower()}-{folder_name(settings.env)}{seed}"


@dataclass(frozen=True)
class Outcome:
    """How a run came out.

    Args:
        folder: of the run.
        settings: of the run.
        steps: environment steps taken.
        score: mean return of the evaluation, or None.
        episodes: played for it.
        picture: the learning curve, or None.
        stopped_by: name of the signal that ended it early, or None.
    """

    folder: Path
    settings: RunSettings
    steps: int
    score: float | None
    episodes: int
    picture: Path | None
    stopped_by: str | None


def report(outcome: Outcome) -> None:
    """Say what was made, and what to type next."""
    folder, picture = outcome.folder, outcome.picture
    if outcome.score is not None:
        click.echo(f"Mean return {outcome.score:.2f} over {outcome.episodes} episodes of the trained team.")
    click.echo(f"Saved {folder / MODEL}" + (f" and {picture}" if picture else ""))
    if outcome.stopped_by:
        click.echo(
            f"Stopped by {outcome.stopped_by} after {outcome.steps} of {outcome.settings.total_timesteps} steps."
        )
        click.echo(f"Next: masoft train --resume {folder}")
        return
    click.echo(f"Next: masoft evaluate {folder}    tensorboard --logdir {folder}")


def report_as_json(outcome: Outcome) -> None:
    """The same for programs."""
    show_json(
        {
            "folder": str(outcome.folder),
            "timesteps": outcome.steps,
            "mean_return": outcome.score,
            "stopped_by": outcome.stopped_by,
            "model": str(outcome.folder / MODEL),
            "learning_curve": None if outcome.picture is None else str(outcome.picture),
        }
    )
