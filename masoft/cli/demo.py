"""``masoft demo``: two small teams from start to end; what ``make demo`` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import masoft
from masoft.cli.options import LocalPath
from masoft.cli.output import show_table
from masoft.runs.curves import draw_curve
from masoft.runs.settings import MODEL, RunSettings

TEMPERATURE = 10.0
MATRIX_STEPS = 8_000
SPEAKER_STEPS = 24_000
EPISODES = 100


@click.command(short_help="Train two small teams from start to end.")
@click.option("--out", default="runs/demo", show_default=True, type=LocalPath(), help="Folder to fill.")
@click.option(
    "--scale",
    default=1.0,
    type=click.FloatRange(0, min_open=True),
    show_default=True,
    help="Fraction of the training steps; for a quick look.",
)
@click.option("--no-progress", is_flag=True, help="Draw no bar.")
def command(out: Path, scale: float, no_progress: bool) -> None:
    """Train two small teams, save, reload, evaluate, draw: a few minutes on two cores."""
    import torch

    out.mkdir(parents=True, exist_ok=True)  # an unwritable folder is told before any work
    torch.set_num_threads(1)  # small networks: a second thread costs more than it brings
    click.echo("1. The matrix game of the paper's Figure 1, started near its worst equilibrium")
    matrix_game(round(MATRIX_STEPS * scale))
    click.echo("2. A speaker that sees the goal, and a listener that moves (mpe/simple_speaker_listener_v4)")
    speaker_listener(out, round(SPEAKER_STEPS * scale), bar=not no_progress)
    click.echo("\nNext:")
    click.echo("  masoft train hasac mpe/simple_spread_v3 --total-timesteps 100000 --seed 0 --out runs/spread")
    click.echo(f"  masoft evaluate {out}")
    click.echo("  masoft envs                      every environment, and what installs it")
    click.echo("  masoft train hasac --help        every flag")


def matrix_game(steps: int) -> None:
    """Train on the 3 x 3 game, and print what was learned beside the exact equilibrium."""
    from masoft.envs.adapters.matrix import BIASED_START, MAXENT_PAYOFF
    from masoft.tabular import MarkovGame, mehaml

    env = masoft.make_vec("matrix/maxent", 8, seed=0)
    model = masoft.HASAC(
        env=env,
        ent_coef=TEMPERATURE,
        learning_rate=1e-3,
        learning_starts=0,
        gradient_steps=1,
        policy_kwargs={"net_arch": [64, 64], "initial_action_probabilities": list(BIASED_START)},
        seed=0,
    )
    model.learn(steps)
    learned = [probabilities(model, i) for i in range(2)]
    start = [[[p for p in BIASED_START]] for _ in learned]
    exact = mehaml(MarkovGame.matrix(MAXENT_PAYOFF), ent_coef=TEMPERATURE, policies=start)
    rows: list[list[object]] = []
    for i, policy in enumerate(learned):
        rows += [
            [f"agent {i}", "start", *_digits(BIASED_START)],
            ["", f"learned in {steps} one-step games", *_digits(policy)],
            ["", "exact QRE", *_digits(exact.policies[i][0])],
        ]
    show_table(f"Policies at temperature {TEMPERATURE:g}; the best equilibrium is (C, C)", ["", "", *"ABC"], rows)


def probabilities(model: Any, agent: int) -> list[float]:
    """An agent's action probabilities in the game's only state."""
    import torch

    with torch.no_grad():
        policy = model.policy.distribution(agent, torch.ones(1, 1))
    return [float(p) for p in policy.probs[0].ravel()]


def speaker_listener(out: Path, steps: int, *, bar: bool) -> None:
    """Train, save, reload, play against random actions, draw."""
    from masoft.runs.driver import learn, new_model
    from masoft.runs.logs import make_logger
    from masoft.runs.playing import play, play_random, summary
    from masoft.runs.progress import progress

    parameters: dict[str, Any] = {
        "learning_rate": 1e-3,
        "learning_starts": min(1_000, steps // 2),
        "gradient_steps": 2,
        "policy_kwargs": {"net_arch": [64, 64]},
    }
    settings = RunSettings("HASAC", "mpe/simple_speaker_listener_v4", {}, 8, 0, steps, parameters)
    settings.save(out)
    env = settings.make_env()
    model = new_model(settings, env)
    logger = make_logger(out, settings, 0, tensorboard=True)
    learn(model, settings, steps, logger, [None, progress(lambda: None) if bar else None])
    model.save(out / MODEL)
    env.close()

    fresh = masoft.make_vec(settings.env, 1, seed=1_000_000)
    team = masoft.HASAC.load(out / MODEL, env=fresh, verbose=0)
    trained = summary(play(team, fresh, EPISODES))
    untrained = summary(play_random(fresh, EPISODES, seed=0))
    fresh.close()
    show_table(
        f"Return over {EPISODES} episodes, after saving and loading", ["team", "mean", "std"],
        [[name, f"{score['mean_return']:.1f}", f"{score['std']:.1f}"]
         for name, score in (("HASAC", trained), ("random actions", untrained))],
    )  # fmt: skip
    picture = draw_curve(
        out, "HASAC on simple_speaker_listener", reference=("random actions", untrained["mean_return"])
    )
    click.echo(f"Saved {out / MODEL}" + (f" and {picture}" if picture else ""))


def _digits(policy: Any) -> list[str]:
    return [f"{float(p):.3f}" for p in policy]
