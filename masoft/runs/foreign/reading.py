"""Settings of another library: what was taken over, and what has no counterpart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from masoft.errors import ConfigurationError, explain
from masoft.runs.settings import RunSettings

UNKNOWN = "ENV"
"""Stands for an environment that the files do not name."""


@dataclass(frozen=True)
class Left:
    """A setting that was not taken over as it stands.

    Args:
        name, value: as in the file.
        why: what masoft has instead, or that it has nothing.
    """

    name: str
    value: Any
    why: str


@dataclass(frozen=True)
class Translation:
    """A run of another library in masoft's words.

    Args:
        origin: the library.
        settings: of the run; its environment is ``"ENV"`` where the files name none.
        left: what was not taken over as it stands.
    """

    origin: str
    settings: RunSettings
    left: tuple[Left, ...]


class Source:
    """Nested settings by name; remembers what was asked for.

    Args:
        values: as in the files.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(_flat(values))
        self._used: set[str] = set()
        self.left: list[Left] = []

    def __contains__(self, name: str) -> bool:
        return self._key(name) is not None

    def take(self, name: str, default: Any = None) -> Any:
        """The value of a setting, which then counts as taken over."""
        key = self._key(name)
        if key is None:
            return default
        self._used.add(key)
        return self._values[key]

    def peek(self, name: str) -> Any:
        """The value of a setting, which does not count as taken over; None where there is none."""
        key = self._key(name)
        return None if key is None else self._values[key]

    def number(self, name: str, default: float | None = None) -> Any:
        """The same, where it has to be a number; YAML reads 5e-4 as text.

        Raises:
            ConfigurationError: it is none.
        """
        value = self.take(name, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise ConfigurationError(explain(f"{name} of the file", "a number", value)) from None
        if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
            raise ConfigurationError(explain(f"{name} of the file", "a number", value))
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) >= 1 else value

    def leave(self, name: str, why: str, *, harmless: Any = ()) -> None:
        """Say why a setting that nobody took is not taken over, unless its value is one that changes nothing here."""
        key = self._key(name)
        if key is None or key in self._used:
            return
        self._used.add(key)
        if self._values[key] not in harmless:
            self.left.append(Left(key, self._values[key], why))

    def note(self, name: str, why: str) -> None:
        """Say something about a setting that is taken over."""
        key = self._key(name)
        if key is not None:
            self.left.append(Left(key, self._values[key], why))

    def ignore(self, names: Iterable[str]) -> None:
        """Pass over settings that masoft has no need of: devices, folders, names of classes."""
        for name in names:
            self._used |= {key for key in self._values if name in key.split(".")}

    def ignore_starting(self, starts: tuple[str, ...]) -> None:
        """Pass over settings of another kind of method that nobody has asked for."""
        self._used |= {key for key in self._values if key.rpartition(".")[2].startswith(starts)}

    def finish(self) -> tuple[Left, ...]:
        """What was left, and everything that nobody asked for."""
        rest = (Left(key, value, "no counterpart") for key, value in self._values.items() if key not in self._used)
        return (*self.left, *rest)

    def _key(self, name: str) -> str | None:
        found = (key for key in self._values if key == name or key.endswith(f".{name}"))
        return next(found, None)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def given(**parameters: Any) -> dict[str, Any]:
    """Those that the file has."""
    return {name: value for name, value in parameters.items() if value is not None}
