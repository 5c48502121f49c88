"""Whether a team's acting can be recorded once and replayed; part of `check_recordable`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from masoft.errors import ConfigurationError
from masoft.fast.recorder import not_recorded
from masoft.fast.recording import recordable
from masoft.policies.recorded import ACT, RecordedActing

Given = tuple[Any, tuple[Tensor, ...]]


def check_acting(model: Any, n: int) -> None:
    """Compare recorded acting with unrecorded, bit for bit: actions, memories, and the generator.

    Args:
        model: with experience; its generator moves on.
        n: steps.

    Raises:
        ConfigurationError: it cannot be recorded; names the operation and the line of code.
        AssertionError: replays give something else.
    """
    policy = model.policy
    for deterministic in (False, True):
        state = model.generator.get_state()

        def alone(*given: Any) -> Given:
            with recordable():
                acted: Given = policy.act_alone(*given)
            return acted

        expected = list(_walk(model, n, deterministic, alone))
        for checks in (True, False):
            acting = RecordedActing(model._own_generators, checks, always=True)
            model.generator.set_state(state)
            replays = acting.recorder.replays
            for k, found in enumerate(_walk(model, n, deterministic, lambda *given, by=acting: by(policy, *given))):
                for obstacle in acting.recorder.obstacles.values():
                    raise ConfigurationError(not_recorded(ACT, obstacle))
                if not all(torch.equal(one, other) for one, other in zip(expected[k], found, strict=True)):
                    raise AssertionError(
                        f"Recorded acting differs from unrecorded from step {k + 1} on. What Python computes between "
                        "observations and actions is not computed again: keep numbers that change in tensors."
                    )
        assert replays, "nothing was replayed"


def _walk(model: Any, n: int, deterministic: bool, act: Callable[..., Given]) -> Iterator[tuple[Tensor, ...]]:
    """All that acting gives over n steps, whose observations move a little."""
    seen = {name: torch.as_tensor(values, device=model.device) for name, values in model._last_obs.items()}
    n_envs = len(next(iter(seen.values())))
    names = model.team.names
    memories: tuple[Tensor, ...] = ()
    for k in range(n):
        moved = {
            name: seen[name] * (1 - k / (4 * n)) if seen[name].is_floating_point() else seen[name] for name in names
        }
        starts = torch.zeros(n_envs, device=model.device) + float(k % 3 == 0)
        actions, memories = act(
            {**seen, **moved}, memories, starts, deterministic, None if deterministic else model.generator
        )
        yield actions.clone(), *(each.clone() for each in memories), model.generator.get_state()
