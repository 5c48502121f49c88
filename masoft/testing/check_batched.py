"""Whether a simulator of many environments keeps the promises of `BatchedVecEnv`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from masoft.envs.batched import BatchedStep, BatchedVecEnv
from masoft.errors import ConfigurationError, EnvironmentFault, explain
from masoft.functional.actions import to_environment
from masoft.policies.exploration import uniform_actions
from masoft.spec import ACTION_MASK


def check_batched(make: Callable[[int], BatchedVecEnv], *, n_envs: int = 5, n_steps: int = 100, seed: int = 0) -> None:
    """Step a batch with legal random actions and look at all that it gives.

    Shapes and types; what was handed out is not written over later; rows of episodes that go on are the same before and
    after the restarts of others; an episode that has ended starts anew; and the same seed gives the same run.

    Args:
        make: makes a batch of so many environments.
        n_envs: so many, >= 2.
        n_steps: vector steps.
        seed: of the batch and of the actions.

    Raises:
        ConfigurationError: ``make`` gives something else.
        EnvironmentFault: a promise is broken; the message lists all that were.
    """
    batch = make(n_envs)
    if not isinstance(batch, BatchedVecEnv):
        raise ConfigurationError(explain("What make gives", "a BatchedVecEnv", type(batch).__name__))
    faults: dict[str, None] = {}
    first = _walk(batch, n_steps, seed, faults)
    again = _walk(make(n_envs), n_steps, seed, {})
    if not _equal(first, again):
        faults["The same seed must give the same run: every draw comes from the seeds that _start is given."] = None
    if faults:
        raise EnvironmentFault(
            f"{batch.name} breaks {len(faults)} promises:\n" + "\n".join(f"- {one}" for one in faults)
        )


def _walk(batch: BatchedVecEnv, n_steps: int, seed: int, faults: dict[str, None]) -> list[Any]:
    """Everything that a batch gives, as copies."""
    batch.seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen: Any = batch.reset()
    kept: list[Any] = []
    inner = batch._advance
    given: list[BatchedStep] = []

    def advance(actions: Any) -> BatchedStep:
        given.append(inner(actions))
        return given[-1]

    batch._advance = advance  # type: ignore[method-assign]
    handed = [(seen, _copied(seen))]
    for _ in range(n_steps):
        masks = seen.get(ACTION_MASK)
        stored = uniform_actions(batch.team, batch.num_envs, masks, generator)
        seen, rewards, dones, _ = batch.step(to_environment(batch.team, stored))
        step = given[-1]
        _look_at(batch, step, faults)
        handed.append((seen, _copied(seen)))
        kept.append((_copied(seen), _copied(step.finals), np.array(rewards), np.array(dones)))
    batch._advance = inner  # type: ignore[method-assign]
    if not all(_equal(now, then) for now, then in handed):
        faults["Observations that were handed out must not be written over by later steps: give new arrays."] = None
    return kept


def _look_at(batch: BatchedVecEnv, step: BatchedStep, faults: dict[str, None]) -> None:
    """Shapes and types of one step, and who was restarted."""
    n, team = batch.num_envs, batch.team
    wanted: dict[str, Any] = {name: space.shape for name, space in team.observation_space.spaces.items()}
    for which, given in (("observations", step.observations), ("finals", step.finals)):
        for name, shape in wanted.items():
            if name not in given:
                faults[f"The {which} of a step must have an entry {name!r}; they have {sorted(given)}."] = None
            elif tuple(given[name].shape) != (n, *shape):
                faults[f"{name!r} of {which} must be of shape {(n, *shape)}. Got {tuple(given[name].shape)}."] = None
    if np.shape(step.rewards) != (n, team.n_agents):
        faults[f"The rewards must be of shape {(n, team.n_agents)}. Got {np.shape(step.rewards)}."] = None
    for which in ("terminated", "truncated"):
        flags = np.asarray(getattr(step, which))
        if flags.shape != (n,) or flags.dtype != bool:
            faults[f"{which!r} must be {n} booleans. Got {flags.dtype} of shape {flags.shape}."] = None
            return
    goes_on = ~(step.terminated | step.truncated)
    for name in wanted.keys() & step.observations.keys() & step.finals.keys():
        now, last = (_array(part[name]) for part in (step.observations, step.finals))
        if len(now) == len(last) == n and not np.array_equal(now[goes_on], last[goes_on]):
            faults[f"{name!r} of an episode that goes on must be the same in observations and finals."] = None


def _array(values: Any) -> np.ndarray:
    array: np.ndarray = torch.as_tensor(values).cpu().numpy()
    return array


def _copied(joint: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: _array(values).copy() for name, values in joint.items()}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(np.array_equal(_array(one[name]), _array(other[name])) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(np.array_equal(one, other))
