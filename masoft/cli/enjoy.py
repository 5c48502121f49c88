"""``masoft enjoy FOLDER``: watch a trained team, in a window or as a file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from masoft.cli.options import LocalPath, RunFolder, here, trusted_option
from masoft.cli.output import say, show_json
from masoft.cli.values import Count
from masoft.runs.own_code import ask_trust
from masoft.runs.settings import SETTINGS, RunSettings
from masoft.runs.trained import model_file
from masoft.runs.zoo import writable


@click.command(short_help="Watch a trained team.")
@click.argument("folder", type=RunFolder())
@click.option("--out", type=LocalPath(), default=None, metavar="FILE",
              help="Write one episode as .gif or .mp4.  [default: a window, or FOLDER/episode.gif]")  # fmt: skip
@click.option("--episodes", type=Count(1), default=3, show_default=True, help="Played in the window.")
@click.option("--panel", is_flag=True, help="Write each agent's action, value and temperature beside the picture.")
@click.option("--best", is_flag=True, help="Watch best.zip, the best team that --eval-every met, not the last one.")
@click.option("--stochastic", is_flag=True, help="Draw actions instead of taking each policy's mode.")
@click.option("--seed", type=Count(), default=1_000_000, show_default=True, help="Of the environment.")
@click.option("--size", type=Count(64), default=480, show_default=True, help="Longest side of the picture, pixels.")
@trusted_option
@click.option("--json", "as_json", is_flag=True, help="Write a file, and print one JSON object.")
def command(folder: str | Path, out: Path | None, episodes: int, trusted: bool, as_json: bool, **look: Any) -> None:
    """Play a run's team, or one of `masoft zoo` (zoo:NAME), where it can be seen. Esc closes the window."""
    import torch

    from masoft.studies import record_episode

    torch.set_num_threads(1)
    folder = here(folder)
    settings = RunSettings.load(folder)
    file = model_file(folder, best=look.pop("best"))
    ask_trust(settings.env, folder / SETTINGS, trusted=trusted)
    model = settings.algorithm_class().load(file, device="cpu", verbose=0)
    look["deterministic"] = not look.pop("stochastic")
    window = None if out or as_json else open_window()
    if window is not None:
        watch(window, model, settings, episodes, **look)
        return
    path = out or writable(folder) / "episode.gif"
    total = record_episode(model, settings.env, path, env_kwargs=settings.env_kwargs, **look)
    if as_json:
        show_json({"file": str(path), "return": total})
        return
    say(f"Saved {path}: one episode with a return of {total:.2f}")


def open_window() -> Any:
    """pygame, ready to show pictures; None where it, or a screen, is not there."""
    try:
        import pygame

        pygame.display.init()
    except (ImportError, pygame.error):
        return None
    if pygame.display.get_driver() in ("dummy", "offscreen"):
        return None
    return pygame


def watch(pygame: Any, model: Any, settings: RunSettings, episodes: int, *, seed: int, **look: Any) -> None:
    """Show whole episodes in a window, at the environment's own speed.

    Args:
        pygame: the module, its display ready.
        model: a built estimator.
        settings: of its run.
        episodes: how many.
        seed: of the first; each further one has the next.
        look: see `play_episode`.
    """
    from masoft.studies.episodes import frames_a_second, play_episode, stage

    clock, screen = pygame.time.Clock(), None
    with closing(stage(settings.env, settings.env_kwargs)) as team:
        speed = frames_a_second(team)
        for number in range(episodes):
            for step in play_episode(model, team, seed=seed + number, **look):
                height, width = step.picture.shape[:2]
                if screen is None:
                    screen = pygame.display.set_mode((width, height))
                    pygame.display.set_caption(f"{settings.algorithm} on {settings.env}")
                screen.blit(pygame.surfarray.make_surface(step.picture.swapaxes(0, 1)), (0, 0))
                pygame.display.flip()
                if _is_closed(pygame):
                    pygame.display.quit()
                    return
                clock.tick(speed)
            click.echo(f"Episode {number + 1}: return {step.total:.2f}")
    pygame.display.quit()


def _is_closed(pygame: Any) -> bool:
    events = pygame.event.get()
    return any(
        event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE) for event in events
    )
