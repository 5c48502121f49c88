"""Values on the command line: plain data, never evaluated as code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from masoft.notation import looks_like_part
from masoft.presets import strategy

if TYPE_CHECKING:
    ValueType = click.ParamType[Any]
    CountType = click.ParamType[int]
else:  # click before 8.5 has no type arguments
    ValueType = CountType = click.ParamType

_WORDS = {"true": True, "false": False, "none": None, "null": None, "True": True, "False": False, "None": None}


def parse_value(text: str) -> Any:
    """Read a number, true/false/none, JSON, or a part like ``KLDrift(0.5)``; anything else is a string.

    >>> parse_value("3e-4"), parse_value("1e6"), parse_value("auto_0.2"), parse_value('{"net_arch": [64, 64]}')
    (0.0003, 1000000, 'auto_0.2', {'net_arch': [64, 64]})
    """
    if text in _WORDS:
        return _WORDS[text]
    if looks_like_part(text):
        return strategy(text)
    try:
        value = json.loads(text.replace("_", "") if text[:1].isdigit() else text)
    except json.JSONDecodeError:
        if text.startswith(("{", "[")):
            raise click.BadParameter(
                f"{text!r} is no JSON. Quote it for the shell, for example '{{\"net_arch\": [64, 64]}}'."
            ) from None
        return text
    # People write 1e6 for a count; JSON reads a float, which a constructor that wants an integer refuses.
    if isinstance(value, float) and value.is_integer() and "." not in text:
        return int(value)
    return strategy(value)


class Value(ValueType):
    """Any plain value; what a parameter really admits is checked by the algorithm's own constraints."""

    name = "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return parse_value(value) if isinstance(value, str) else value


class Count(CountType):
    """A whole number of at least ``low``; ``1e6`` and ``1_000_000`` are accepted."""

    name = "number"

    def __init__(self, low: int = 0) -> None:
        self.low = low

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = parse_value(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or number < self.low:
            self.fail(f"{value!r} is no whole number of at least {self.low}.", param, ctx)
        return number


def parse_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs, dashes in names standing for underscores.

    Raises:
        click.BadParameter: a pair without ``=``.
    """
    parsed = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is no pair; write name=value, for example continuous_actions=true.")
        parsed[name.replace("-", "_")] = parse_value(text)
    return parsed
