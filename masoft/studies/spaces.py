"""Search spaces as data: ranges and choices for each argument, in TOML."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import masoft
from masoft.errors import ConfigurationError, explain, nearest
from masoft.files.text import MAX_JSON_BYTES, read_limited
from masoft.presets import strategy

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Suggest = Callable[[Any], Mapping[str, Any]]
"""What a search space is: a function of an Optuna trial that gives constructor arguments."""
_RANGE = {"low", "high", "log", "complement", "whole"}


@dataclass(frozen=True)
class Space:
    """A search space; calling it with an Optuna trial gives constructor arguments.

    Args:
        arguments: name -> ``{"low": 1e-4, "high": 1e-2, "log": True}`` or ``{"choices": [...]}``. ``complement`` is
            even in the logarithm of 1 - value, ``whole`` gives integers. A nested argument is named with a dot,
            ``policy_kwargs.net_arch``; objects are text like ``"KLDrift(0.5)"``.

    Raises:
        ConfigurationError: an argument is neither.

    Example:
        >>> Space({"gamma": {"low": 0.9, "high": 0.99}}).arguments["gamma"]["high"]
        0.99
    """

    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, entry in self.arguments.items():
            if not isinstance(entry, Mapping) or not (_is_choice(entry) or _is_range(entry)):
                must = "{choices = [...]}, or {low, high} with low < high and log, complement or whole"
                raise ConfigurationError(explain(f"{name} of the search space", must, entry))

    def __call__(self, trial: Any) -> dict[str, Any]:
        """Constructor arguments of a trial."""
        plain = self.plain(trial)
        return {name: strategy(value) for name, value in plain.items()}

    def plain(self, trial: Any) -> dict[str, Any]:
        """The same with objects left as text."""
        found: dict[str, Any] = {}
        for name, entry in self.arguments.items():
            outer, dot, inner = name.partition(".")
            value = _suggest(trial, name, entry)
            if dot:
                found.setdefault(outer, {})[inner] = value
            else:
                found[outer] = value
        return found


def space_of(algorithm: str) -> Space:
    """The ready search space of an algorithm.

    Raises:
        ConfigurationError: no such algorithm.
    """
    if algorithm not in masoft.ALGORITHMS:
        cure = nearest(algorithm, masoft.ALGORITHMS)
        raise ConfigurationError(explain("The algorithm", "a known one", algorithm, cure))
    return Space({name: entry for part in _ready()["algorithms"][algorithm] for name, entry in _part(part).items()})


def read_space(path: str | Path) -> Space:
    """A search space of one's own: a TOML file with a line an argument.

    Raises:
        ConfigurationError: no such file, no TOML, or no space.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(explain("The search space", "an existing TOML file", str(path)))
    try:
        return Space(tomllib.loads(read_limited(path, MAX_JSON_BYTES).decode()))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error


def _suggest(trial: Any, name: str, entry: Mapping[str, Any]) -> Any:
    """One value; Optuna's choices are plain, so a list is written as JSON in between."""
    if "choices" in entry:
        texts = [json.dumps(each) for each in entry["choices"]]
        return json.loads(trial.suggest_categorical(name, texts))
    if entry.get("complement"):
        return 1 - trial.suggest_float(f"1-{name}", 1 - entry["high"], 1 - entry["low"], log=True)
    suggest = trial.suggest_int if entry.get("whole") else trial.suggest_float
    return suggest(name, entry["low"], entry["high"], log=bool(entry.get("log")))


def _is_choice(entry: Mapping[str, Any]) -> bool:
    return set(entry) == {"choices"} and isinstance(entry["choices"], list) and len(entry["choices"]) > 0


def _is_range(entry: Mapping[str, Any]) -> bool:
    low, high = entry.get("low"), entry.get("high")
    if not set(entry) <= _RANGE or not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    kind = int if entry.get("whole") else (int, float)
    above, below = (0 if entry.get("log") else -math.inf), (1 if entry.get("complement") else math.inf)
    return isinstance(low, kind) and isinstance(high, kind) and above < low < high < below


@cache
def _ready() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("spaces.toml").read_text(encoding="utf-8"))


def _part(name: str) -> dict[str, Any]:
    found: dict[str, Any] = _ready()["parts"][name]
    return found
