"""Constraints declared as data, checked once, before any work starts."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable as Callable_
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from masoft.errors import ConfigurationError, explain, nearest
from masoft.habits import ARGUMENTS


class Constraint(Protocol):
    """What a constructor argument must satisfy."""

    def accepts(self, value: object) -> bool:
        """Whether ``value`` satisfies the constraint."""
        ...

    def describe(self) -> str:
        """The constraint in words, to be read after "must be"."""
        ...


@dataclass(frozen=True)
class Real:
    """A finite number from ``low`` to ``high``; an open end excludes the bound itself."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def accepts(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            return False
        number = float(value)
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below

    def describe(self) -> str:
        left = "(" if self.open_low or self.low == -math.inf else "["
        right = ")" if self.open_high or self.high == math.inf else "]"
        return f"a number in {left}{self.low}, {self.high}{right}"


@dataclass(frozen=True)
class Integer:
    """A whole number from ``low`` to ``high``, both included."""

    low: float = -math.inf
    high: float = math.inf

    def accepts(self, value: object) -> bool:
        is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return is_whole and self.low <= value <= self.high  # type: ignore[operator]

    def describe(self) -> str:
        if self.high == math.inf:
            return f"an integer >= {self.low}"
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True)
class OneOf:
    """One of a few named values."""

    choices: Sequence[object]

    def accepts(self, value: object) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def describe(self) -> str:
        return "one of " + ", ".join(repr(choice) for choice in self.choices)


@dataclass(frozen=True)
class Instance:
    """An object of one of the given types."""

    types: tuple[type, ...]
    words: str = ""

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.types)

    def describe(self) -> str:
        return self.words or "a " + " or ".join(kind.__name__ for kind in self.types)


@dataclass(frozen=True)
class Callable:
    """Anything that can be called, for example a schedule of the remaining progress."""

    words: str = "a callable"

    def accepts(self, value: object) -> bool:
        return callable(value)

    def describe(self) -> str:
        return self.words


PROBED = (1.0, 0.5, 0.0)
"""Places of the remaining progress at which a schedule is tried when it is given."""


@dataclass(frozen=True)
class ScheduleOf:
    """A function of the remaining progress, 1 at the start and 0 at the end, whose values satisfy ``value``."""

    value: Constraint

    def accepts(self, value: object) -> bool:
        return callable(value) and all(self.value.accepts(now) for now in _values_of(value).values())

    def describe(self) -> str:
        return f"a schedule of the remaining progress with values that are {self.value.describe()}"


def _values_of(schedule: Any) -> dict[float, object]:
    """What a schedule gives at the start, half-way and at the end; an exception where it raises one."""
    values: dict[float, object] = {}
    for progress in PROBED:
        try:
            values[progress] = schedule(progress)
        except Exception as error:
            values[progress] = error
    return values


def _shown_values(value: object) -> str:
    """What a schedule that was refused gives, or one in a dict; nothing of anything else."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}: {shown}" for key, shown in ((k, _shown_values(v)) for k, v in value.items()) if shown)
    if not callable(value) or isinstance(value, type):
        return ""
    return ", ".join(f"{now!r} at a remaining progress of {p:g}" for p, now in _values_of(value).items()) + "."


@dataclass(frozen=True)
class Pattern:
    """A string of the form ``prefix`` or ``prefix_NUMBER``, like ``"auto"`` and ``"auto_0.2"``."""

    prefix: str

    def accepts(self, value: object) -> bool:
        if not isinstance(value, str) or not value.startswith(self.prefix):
            return False
        rest = value[len(self.prefix) :]
        if not rest:
            return True
        try:
            return rest.startswith("_") and float(rest[1:]) > 0 and math.isfinite(float(rest[1:]))
        except ValueError:
            return False

    def describe(self) -> str:
        return f"'{self.prefix}' or '{self.prefix}_x' with a number x > 0"


@dataclass(frozen=True)
class ShortForms:
    """An object of ``base``, or a string that stands for one: ``name``, or ``name_NUMBER``.

    Args:
        base: a class.
        forms: by name, what makes the object, of the number where one is given; its own ranges hold.
        words: all this, to be read after "must be".
    """

    base: type
    forms: Mapping[str, Callable_[..., object]]
    words: str

    def accepts(self, value: object) -> bool:
        return self._made(value) is not None

    def describe(self) -> str:
        return self.words

    def read(self, value: object, which: str) -> Any:
        """The object that a value is or stands for.

        Raises:
            ConfigurationError: it is neither.
        """
        made = self._made(value)
        if made is None:
            raise ConfigurationError(explain(which, self.words, value))
        return made

    def _made(self, value: object) -> object | None:
        if isinstance(value, self.base):
            return value
        if not isinstance(value, str):
            return None
        name, bar, number = value.partition("_")
        try:
            return self.forms[name](*([_number(number)] if bar else []))
        except (KeyError, TypeError, ValueError):  # a ConfigurationError is a ValueError
            return None


def _number(text: str) -> float:
    """A number of a short form; a whole one as an int."""
    number = float(text)
    return int(number) if number.is_integer() else number


@dataclass(frozen=True)
class Every:
    """A pair ``(n, unit)`` with a whole number n >= 1."""

    units: Sequence[str]

    def accepts(self, value: object) -> bool:
        is_pair = isinstance(value, tuple) and len(value) == 2
        return is_pair and Integer(1).accepts(value[0]) and OneOf(self.units).accepts(value[1])  # type: ignore[index]

    def describe(self) -> str:
        return "a pair (n, " + " | ".join(repr(unit) for unit in self.units) + ")"


@dataclass(frozen=True)
class Nothing:
    """``None``."""

    def accepts(self, value: object) -> bool:
        return value is None

    def describe(self) -> str:
        return "None"


@dataclass(frozen=True)
class MappingOf:
    """A mapping whose keys are among ``keys`` and whose values each satisfy one of ``values``."""

    keys: Sequence[str]
    values: Sequence[Constraint]

    def accepts(self, value: object) -> bool:
        if not isinstance(value, Mapping):
            return False
        return all(key in self.keys and any(v.accepts(item) for v in self.values) for key, item in value.items())

    def describe(self) -> str:
        names = ", ".join(repr(key) for key in self.keys)
        return f"a dict with keys among {names} and each value {' or '.join(v.describe() for v in self.values)}"


Constraints = Mapping[str, Sequence[Constraint]]


def check_parameters(caller: str, constraints: Constraints, parameters: Mapping[str, object]) -> None:
    """Check each parameter that has a constraint; alternatives are joined by "or".

    Raises:
        ConfigurationError: names the parameter, what it must be and what it got.
    """
    for name, alternatives in constraints.items():
        if name not in parameters:
            continue
        value = parameters[name]
        if not any(alternative.accepts(value) for alternative in alternatives):
            must = " or ".join(alternative.describe() for alternative in alternatives)
            which, cure = f"The {name!r} parameter of {caller}", _shown_values(value)
            raise ConfigurationError(explain(which, must, value, cure))


def check_names(caller: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse keyword names that a constructor does not have, with the nearest known ones.

    Raises:
        TypeError: as Python itself would, but naming the cure.
    """
    for name in given:
        if name not in known:
            way = ARGUMENTS.get(name)
            cure = nearest(name, known) if way is None else f"Instead: {way}."
            raise TypeError(f"{caller} has no parameter {name!r}. {cure}")
