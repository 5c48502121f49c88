"""Hyper-parameters of a strategy that follow the training progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypeVar

from masoft.errors import ConfigurationError, explain
from masoft.validation import Constraint, Integer, Real, ScheduleOf, check_parameters

Scheduled: TypeAlias = float | Callable[[float], float]
"""A number, or a function of the remaining progress (1 at the start, 0 at the end, as in stable-baselines3)."""

Self = TypeVar("Self", bound="Schedulable")


@dataclass(frozen=True)
class Linear:
    """A straight line from ``start`` to ``end`` over training; its repr rebuilds it, unlike a lambda's.

    Args:
        start: value at the first step.
        end: value at the last step.
    """

    start: float
    end: float

    def __call__(self, progress_remaining: float) -> float:
        """The value at a remaining progress from 1 to 0."""
        return self.end + (self.start - self.end) * progress_remaining


class Progress(float):
    """The remaining progress, 1 at the start and 0 at the end, of a training that knows its environment steps.

    Args:
        remaining: the remaining progress.
        n_steps: environment steps taken so far.
    """

    n_steps: int

    def __new__(cls, remaining: float, n_steps: int) -> Progress:
        progress = super().__new__(cls, remaining)
        progress.n_steps = n_steps
        return progress


@dataclass(frozen=True)
class OverSteps:
    """A straight line from ``start`` to ``end`` over the first environment steps, then ``end``; longer runs keep it.

    Args:
        start: value at the first step.
        end: value from step ``steps`` on.
        steps: environment steps, >= 1.

    Raises:
        ConfigurationError: ``steps`` is out of range.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        check_parameters("OverSteps", {"steps": (Integer(1),)}, {"steps": self.steps})

    def __call__(self, progress_remaining: float) -> float:
        """The value now; of a progress that tells no steps, what a run of ``steps`` steps would have."""
        taken = getattr(progress_remaining, "n_steps", (1 - progress_remaining) * self.steps)
        return float(self.end + (self.start - self.end) * max(0.0, 1 - taken / self.steps))


@dataclass(frozen=True)
class Schedulable:
    """Base of the strategies whose fields may be schedules."""

    def at(self: Self, progress: float) -> Self:
        """The same strategy with its schedules replaced by the numbers that hold now.

        Args:
            progress: remaining progress, 1 at the start and 0 at the end.

        Returns:
            itself where nothing is scheduled.

        Raises:
            ConfigurationError: a schedule gave a number that the strategy does not take.
        """
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            now = _value_at(value, progress)
            if now is not value:
                changed[field.name] = now
        return replace(self, **changed) if changed else self


def value_at(schedule: Scheduled, progress: float, which: str, must: Constraint) -> float:
    """A scheduled number at a remaining progress from 1 to 0, checked where it is used.

    Raises:
        ConfigurationError: the schedule left its range; names it, the progress and the value.
    """
    value = schedule(progress) if callable(schedule) else schedule
    if not must.accepts(value):
        where = f"That is its value at a remaining progress of {progress:g}."
        raise ConfigurationError(explain(which, f"{must.describe()} at any time", value, where))
    return float(value)


def number(value: Scheduled, which: str) -> float:
    """The number itself, or a refusal that says how to fill in a schedule.

    Raises:
        ConfigurationError: the value is still a schedule.
    """
    if callable(value):
        raise ConfigurationError(explain(which, "a number here", value, "Fill schedules in first: .at(progress)."))
    return value


def check_scheduled(owner: object, name: str, low: float = 0.0, open_low: bool = False, high: float = math.inf) -> None:
    """Refuse a field that is neither a number from ``low`` to ``high`` nor a schedule of such.

    Raises:
        ConfigurationError: names the class, the field, what it must be and what it got.
    """
    real = Real(low, high, open_low=open_low)
    constraint = (real, ScheduleOf(real))
    check_parameters(type(owner).__name__, {name: constraint}, {name: getattr(owner, name)})


def _value_at(value: Any, progress: float) -> Any:
    if isinstance(value, Schedulable):
        return value.at(progress)
    if isinstance(value, tuple):
        items = tuple(_value_at(item, progress) for item in value)
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return float(value(progress)) if callable(value) else value
