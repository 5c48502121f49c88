"""Whether a model's updates and its acting can be recorded and replayed, as a CUDA graph is; no GPU is needed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.fast.recorder import Recorder, Unrecorded, not_recorded
from masoft.fast.recording import Runner
from masoft.testing.check_acting import check_acting
from masoft.validation import Integer, check_parameters

Algorithm = Any
State = dict[str, Any]


def check_recordable(model: Algorithm, n: int = 50) -> None:
    """Compare recorded updates with unrecorded ones, bit for bit; silence means that they are equal.

    ``n`` updates are done from the model's present state as they are, and ``n`` from the same state of which the first
    ones are recorded and the rest replayed. Weights, optimisers, logged figures and generators have to be equal after
    each; then the same of acting. The model is then as it was before. One that has no experience yet plays some steps.

    Args:
        model: a model of any of masoft's classes, with the drift, the critic, the networks to be tried.
        n: updates (on-policy: iterations over one rollout), >= 4.

    Raises:
        ConfigurationError: a piece of the update cannot be recorded; names the piece, the operation and the line of
            code that asks for it, and the cure.
        AssertionError: replays give something else; names the update and what differs.

    Example:
        >>> from masoft import HASAC
        >>> from masoft.testing import check_recordable
        >>> check_recordable(HASAC("matrix/climbing", batch_size=8, seed=0), n=6)
    """
    check_parameters("check_recordable", {"n": (Integer(4),)}, {"n": n})
    with _prepared(model):
        before, expected = _state_of(model), list[State]()
        try:
            trial = _recorder_of(model, checks=True)
            _learn(model, 4, trial, lambda k: _refuse_obstacles(trial))
            _restore(model, before)
            _learn(model, n, Unrecorded(model._own_optimizers, as_on_gpu=True), lambda k: expected.append(_seen(model)))
            _restore(model, before)
            recorder = _recorder_of(model)
            _learn(model, n, recorder, lambda k: _compare(k, expected[k], _seen(model)))
            check_acting(model, min(n, 12))
        finally:
            _restore(model, before)
        _check_replays(recorder)


def _recorder_of(model: Algorithm, checks: bool = False) -> Recorder:
    return Recorder(model._own_generators, model._own_optimizers, checks, as_on_gpu=True)


def _learn(model: Algorithm, n: int, runner: Runner, look: Callable[[int], None]) -> None:
    """Do n updates while the progress falls from 1 to a half, and look after each."""
    model.logger.name_to_value.clear()
    model.runner = runner
    for k in range(n):
        model._current_progress_remaining = 1 - k / (2 * n)
        if isinstance(model, OffPolicyAlgorithm):
            model.train(1, model.batch_size)
        else:
            model.train()
        look(k)


def _refuse_obstacles(recorder: Recorder) -> None:
    for piece, obstacle in recorder.obstacles.items():
        raise ConfigurationError(not_recorded(piece, obstacle))


def _compare(k: int, expected: State, found: State) -> None:
    """Refuse the first update that differs."""
    different = [name for name in expected if not _is_same(expected[name], found.get(name))]
    if different:
        names = ", ".join(different[:5]) + (f" and {len(different) - 5} more" if len(different) > 5 else "")
        raise AssertionError(
            f"Replayed updates differ from unrecorded ones from update {k + 1} on, in {names}. What Python computes "
            "in a piece is not computed again: keep numbers that change in tensors that are written in place."
        )


def _check_replays(recorder: Recorder) -> None:
    if not recorder.replays:
        numbers = "; ".join(dict.fromkeys(str(numbers) for numbers in recorder.numbers))
        must = "the same over several updates, or n larger; a scheduled drift is recorded anew at each number"
        raise ConfigurationError(explain("The numbers that pieces are made with", must, numbers[:150]))


@contextmanager
def _prepared(model: Algorithm) -> Iterator[None]:
    """A model with experience, whose figures go nowhere, and that runs its pieces afterwards as it did before."""
    _gather(model)
    logger, runner, remaining = model.logger, model.runner, model._current_progress_remaining
    has_warned = vars(model).get("_has_warned", False)
    model._logger = Logger(None, [])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of training, which is not what this is about
            yield
    finally:
        model._has_warned = has_warned
        model._logger, model.runner, model._current_progress_remaining = logger, runner, remaining


def _gather(model: Algorithm) -> None:
    """Play some steps where nothing is there to learn from."""
    model._check_ready()
    is_off_policy = isinstance(model, OffPolicyAlgorithm)
    if hasattr(model, "_logger") and (
        model.replay_buffer.size() > 0 if is_off_policy else hasattr(model, "experience")
    ):
        return
    n_steps = 2 * model.batch_size if is_off_policy else model.n_steps * model.n_envs
    _, callback = model._setup_learn(n_steps)
    if is_off_policy:
        freq = TrainFreq(-(-n_steps // model.n_envs), TrainFrequencyUnit.STEP)
        model.collect_rollouts(model.env, callback, freq, model.replay_buffer, learning_starts=n_steps)
    else:
        model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)


def _parts_of(model: Algorithm) -> dict[str, Any]:
    return dict(model.state_parts())


def _generators_of(model: Algorithm) -> dict[str, torch.Generator]:
    found = {"generator": model.generator, "cpu_generator": model.cpu_generator, "torch's": torch.default_generator}
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        found["buffer's generator"] = buffer.generator
    return found


def _state_of(model: Algorithm) -> State:
    """All that an update changes."""
    return {
        "parts": {name: deepcopy(part.state_dict()) for name, part in _parts_of(model).items()},
        "generators": {name: generator.get_state() for name, generator in _generators_of(model).items()},
        "n_updates": model._n_updates,
    }


def _restore(model: Algorithm, state: State) -> None:
    for name, part in _parts_of(model).items():
        part.load_state_dict(deepcopy(state["parts"][name]))
    for name, generator in _generators_of(model).items():
        generator.set_state(state["generators"][name])
    model._n_updates = state["n_updates"]


def _seen(model: Algorithm) -> State:
    """Copies of all numbers after an update, by name."""
    found: State = {f"train figure {name}": value for name, value in model.logger.name_to_value.items()}
    model.logger.name_to_value.clear()
    for name, part in _parts_of(model).items():
        found.update({f"{name}.{key}": value for key, value in _flat(part.state_dict())})
    found.update({name: generator.get_state() for name, generator in _generators_of(model).items()})
    return found


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All numbers of nested dicts and lists, tensors copied, by dotted name."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict | list | tuple):
            yield from _flat(value, name)
        else:
            yield name, value.detach().clone() if isinstance(value, Tensor) else value


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other) or (one != one and other != other)
