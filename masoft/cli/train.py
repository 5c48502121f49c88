"""``masoft train ALGORITHM ENV``: one run, from flags to a folder with model, log and picture."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import masoft
from masoft.cli.flags import flags_of, given
from masoft.cli.output import show_json
from masoft.cli.run_folder import MODEL, RunSettings, draw_curve, new_folder
from masoft.cli.values import Count, parse_pairs
from masoft.errors import ConfigurationError, explain, nearest

LOG_ROWS = 40


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


@click.group(cls=TrainGroup, short_help="Train a team.", subcommand_metavar="ALGORITHM ENV [FLAGS]...")
def command() -> None:
    """Train a team and leave a run folder: settings, log, model, learning curve.

    \b
    masoft train hasac mpe/simple_speaker_listener_v4 --total-timesteps 50000 --seed 0 --out runs/first
    masoft train hasac mamujoco/HalfCheetah-2x3 --preset --out runs/cheetah
    """


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
    import torch

    torch.set_num_threads(flags["threads"])
    settings = settings_of(name, cls, flags)
    folder = new_folder(flags["out"] or default_folder(settings), overwrite=flags["overwrite"])
    env = masoft.make_vec(
        settings.env, settings.n_envs, seed=settings.seed, backend=flags["backend"], **settings.env_kwargs
    )
    try:
        model = cls(env=env, seed=settings.seed, verbose=0 if flags["json"] else 1, **settings.parameters)
        settings.save(folder)
        learn(model, settings, folder, quiet=flags["json"], bar=not (flags["json"] or flags["no_progress"]))
        model.save(folder / MODEL)
        episodes = flags["eval_episodes"]
        score = model.score(n_eval_episodes=episodes) if episodes else None
    finally:
        env.close()
    picture = draw_curve(folder, f"{name} on {settings.env}")
    report(folder, model.num_timesteps, score, episodes, picture, as_json=flags["json"])


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
    return RunSettings(name, environment, env_kwargs, n_envs or 1, flags["seed"], steps, parameters, preset_name)


def learn(model: Any, settings: RunSettings, folder: Path, *, quiet: bool, bar: bool) -> None:
    """Run the learning loop with log and bar; Ctrl-C or a termination signal ends it early, and the rest goes on."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import configure

    from masoft.callbacks import EvenLogging, TeamProgressBar

    formats = ["csv", "tensorboard"] if quiet else ["stdout", "csv", "tensorboard"]
    if importlib.util.find_spec("tensorboard") is None:
        formats.remove("tensorboard")
    model.set_logger(configure(str(folder), formats))
    callbacks: list[BaseCallback] = [EvenLogging(settings.total_timesteps // LOG_ROWS)]
    if bar:
        callbacks.append(TeamProgressBar())
    with termination_as_interrupt():
        try:
            model.learn(settings.total_timesteps, callback=callbacks, log_interval=None)
        except KeyboardInterrupt:
            for callback in callbacks:
                callback.on_training_end()
            if not quiet:
                click.echo(f"Interrupted after {model.num_timesteps} steps; saving what has been learned.")
        finally:
            model.logger.close()


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: finish, save, exit."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def default_folder(settings: RunSettings) -> str:
    """``runs/hasac-mpe-simple_spread_v3-s0``."""
    seed = "" if settings.seed is None else f"-s{settings.seed}"
    return f"runs/{settings.algorithm.lower()}-{settings.env.replace('/', '-')}{seed}"


def report(
    folder: Path, steps: int, score: float | None, episodes: int, picture: Path | None, *, as_json: bool
) -> None:
    """Say what was made, or print it as JSON."""
    if as_json:
        files = {"model": str(folder / MODEL), "learning_curve": None if picture is None else str(picture)}
        show_json({"folder": str(folder), "timesteps": steps, "mean_return": score, **files})
        return
    if score is not None:
        click.echo(f"Mean return {score:.2f} over {episodes} episodes of the trained team.")
    click.echo(f"Saved {folder / MODEL}" + (f" and {picture}" if picture else ""))
    click.echo(f"Next: masoft evaluate {folder}    tensorboard --logdir {folder}")
