"""A run in a folder of its own, begun or gone on with, to its end: trained, saved, played and drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from masoft.callbacks import CheckpointCallback
from masoft.envs import team_of
from masoft.files.remote import own, send
from masoft.runs.actions import ACTIONS, ORDER, ActionTable, UpdateOrder
from masoft.runs.curves import draw_curve, read_outcome
from masoft.runs.driver import environments, learn, new_model
from masoft.runs.evaluations import Evaluations
from masoft.runs.logs import make_logger
from masoft.runs.outcome import Outcome
from masoft.runs.playing import play_random, summary
from masoft.runs.progress import progress
from masoft.runs.settings import BEST, MODEL, OUTCOME, TABLE, RunSettings
from masoft.runs.stopping import run_folder, termination_as_interrupt
from masoft.saving.checkpoint_folder import CheckpointFolder
from masoft.trackers import tracker_of

EVALUATION_SEED = 2_000_000
"""Added to the run's seed for the environment that it is evaluated in."""


@dataclass(frozen=True)
class Show:
    """What is told on the way, and played at the end.

    Args:
        episodes: of the trained team, and of random actions, at the end; 0: none.
        is_silent: nothing is printed.
        bar: whether progress is shown.
        table: whether SB3's table is printed at each row of the log.
    """

    episodes: int = 10
    is_silent: bool = False
    bar: bool = True
    table: bool = False


def start(settings: RunSettings, folder: Path, show: Show) -> Outcome:
    """Train from the beginning in a folder that is the caller's own; checkpoints of another run in it go."""
    with _environments(settings) as (env, arena):
        model = new_model(settings, env, verbose=0 if show.is_silent else 1)
        own(folder)
        settings.save(folder)
        CheckpointFolder(folder).clear()
        for name in (BEST, TABLE, OUTCOME, ACTIONS, ORDER):
            (folder / name).unlink(missing_ok=True)
        send(folder)
        return _finish(model, arena, settings, folder, show)


def resume(folder: Path, show: Show, *, extend: int = 0) -> Outcome:
    """Go on where the newest checkpoint of a run was written.

    Args:
        folder: of the run.
        show: what is told.
        extend: environment steps beyond the end that the run was given.
    """
    settings = RunSettings.load(folder)
    cls = settings.algorithm_class()
    with run_folder(folder), _environments(settings) as (env, arena):
        device = settings.parameters.get("device", "auto")
        model = cls.resume(folder, env=env, device=device, verbose=0 if show.is_silent else 1)
        own(folder)
        if extend:
            settings = replace(settings, total_timesteps=settings.total_timesteps + extend)
            settings.save(folder)
        return _finish(model, arena, settings, folder, show)


@contextmanager
def _environments(settings: RunSettings) -> Iterator[tuple[Any, Any]]:
    tracker_of(settings.track)  # a package that is missing is told before anything is begun
    with termination_as_interrupt(), environments(settings) as found:
        yield found


def _finish(model: Any, arena: Any, settings: RunSettings, folder: Path, show: Show) -> Outcome:
    """Learn, then save, evaluate and draw; a run that a signal has stopped is saved only."""
    earlier = float(read_outcome(folder).get("seconds", 0.0))  # of a run that goes on
    began = time.monotonic()
    saver = CheckpointCallback(folder, settings.checkpoint_every or settings.total_timesteps)
    steps, watch = max(settings.total_timesteps - model.num_timesteps, 0), evaluations(settings, folder, arena)
    if steps:
        shown = show.bar and not show.is_silent
        bar = progress(lambda: None if watch is None else watch.latest) if shown else None
        on_screen = show.table and not show.is_silent
        logger = make_logger(folder, settings, model.num_timesteps, on_screen=on_screen, tensorboard=True)
        learn(
            model, settings, steps, logger, [watch, bar, UpdateOrder(folder / ORDER), saver, tracker_of(settings.track)]
        )
    with run_folder(folder) as lock:
        lock.check()
        model.save(folder / MODEL)
    seconds = earlier + time.monotonic() - began
    stopped_by = None if saver.stopped_by is None else saver.stopped_by.name
    episodes = 0 if stopped_by else show.episodes
    score = model.score(n_eval_episodes=episodes) if episodes else None
    random = summary(play_random(model.env, episodes, settings.seed or 0))["mean_return"] if episodes else None
    outcome = Outcome(
        folder, settings, model.num_timesteps, score, random, episodes, None, stopped_by,
        is_good_enough=watch is not None and watch.has_stopped, seconds=seconds,
    )  # fmt: skip
    outcome.save()
    return replace(outcome, picture=draw_curve(folder, f"{settings.algorithm} on {settings.env}"))


def evaluations(settings: RunSettings, folder: Path, arena: Any) -> Evaluations | None:
    """The evaluations of a run: always the same episodes, the best team kept; None where it has none."""
    if arena is None:
        return None
    return Evaluations(
        arena, folder / TABLE, settings.eval_every, settings.eval_episodes,
        seed=EVALUATION_SEED + (settings.seed or 0), best=folder / BEST, stop_at=settings.stop_at,
        actions=ActionTable(folder / ACTIONS, team_of(arena)),
    )  # fmt: skip
