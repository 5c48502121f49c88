"""How a run is trained, whoever asks for it: its environments, its model, the loop with log and evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

import masoft
from masoft.callbacks import EvenLogging
from masoft.presets import strategy
from masoft.runs.settings import RunSettings


@contextmanager
def environments(
    settings: RunSettings, *, arena_seed: int | None = None, arena_copies: int = 1
) -> Iterator[tuple[Any, Any]]:
    """The environments of a run and those that it is evaluated in, closed again whatever happens.

    PyTorch has the run's number of threads meanwhile: sums come out differently with another one.

    Args:
        settings: of the run.
        arena_seed: of the second ones.
        arena_copies: how many of the second ones are stepped together.

    Returns:
        VecEnvs of teams; None for the second where the run has no evaluations. The second are not normalised:
        `Evaluations` shows them with the statistics of the first.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with ExitStack() as stack:
            env = stack.enter_context(closing(settings.make_env()))
            arena = None
            if settings.eval_every:
                seen_raw = {name: value for name, value in settings.env_kwargs.items() if name != "normalize"}
                arena = masoft.make_vec(settings.env, arena_copies, seed=arena_seed, **seen_raw)
                stack.enter_context(closing(arena))
            yield env, arena
    finally:
        torch.set_num_threads(threads)


def new_model(settings: RunSettings, env: Any, **more: Any) -> Any:
    """The untrained model of a run.

    Args:
        settings: of the run; parts may be text, like ``"KLDrift(0.5)"``.
        env: its environments.
        more: constructor keywords that are no part of the settings, like ``verbose``.
    """
    return settings.algorithm_class()(env=env, seed=settings.seed, **{**parameters_of(settings), **more})


def parameters_of(settings: RunSettings) -> dict[str, Any]:
    """Constructor keywords, each as the constructor takes it: text like ``KLDrift(0.5)`` becomes that object."""
    return {name: strategy(value) for name, value in settings.parameters.items()}


def learn(
    model: Any, settings: RunSettings, steps: int, logger: Logger, callbacks: Sequence[BaseCallback | None]
) -> None:
    """The loop: evaluations, an even log, and what else shall be called; a resumed model goes on.

    Args:
        model: new, or resumed.
        settings: of the run.
        steps: environment steps that are left.
        logger: of the run; it is closed at the end.
        callbacks: in their order, the evaluations first, so that a row of the log has what they found; None is nothing.
    """
    first, *others = callbacks
    loop(model, steps, logger, [first, EvenLogging(settings.log_every), *others])


def loop(model: Any, steps: int, logger: Logger, callbacks: Sequence[BaseCallback | None]) -> None:
    """stable-baselines3's own loop with a logger that is closed at the end; see `learn`."""
    watch = [each for each in callbacks if each is not None]
    model.set_logger(logger)
    try:
        model.learn(steps, callback=watch, log_interval=None, reset_num_timesteps=False)
    finally:
        logger.close()
