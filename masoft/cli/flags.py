"""Flags generated from a constructor: one per parameter, with its documentation and default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from masoft.cli.values import Value

# Given by the command itself, or meaningless on a command line.
NOT_FLAGS = ("env", "seed", "verbose", "tensorboard_log")


def flags_of(cls: type) -> Iterator[click.Option]:
    """One option per constructor parameter; an option that is not given stays None and is left out."""
    described = parameter_help(cls)
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in NOT_FLAGS or parameter.kind is parameter.VAR_KEYWORD:
            continue
        default = "" if parameter.default in (parameter.empty, None) else f"  [default: {parameter.default}]"
        text = described.get(name, "").replace("`", "").rstrip(".")
        yield click.Option(
            [f"--{name.replace('_', '-')}", name],
            type=Value(),
            default=None,
            help=f"{text[:1].upper()}{text[1:]}.{default}" if text else default.strip() or None,
        )


def given(flags: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Of all flags those that belong to the constructor and were given; a JSON list stands for a tuple."""
    names = [name for name in inspect.signature(cls).parameters if name not in NOT_FLAGS]
    values = {name: flags[name] for name in names if flags.get(name) is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def parameter_help(cls: type) -> dict[str, str]:
    """What the ``Args:`` sections of a class and its bases say of each parameter; the class itself wins."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for doc in (base.__dict__.get("__doc__"), getattr(base.__dict__.get("__init__"), "__doc__", None)):
            found.update(_args_section(inspect.cleandoc(doc or "")))
    return found


def _args_section(doc: str) -> dict[str, str]:
    """Parse ``Args:`` of one docstring into name -> text on one line."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc, flags=re.MULTILINE)
    if not section:
        return {}
    lines = inspect.cleandoc("\n" + section.group(1))
    parsed: dict[str, str] = {}
    for entry in re.split(r"^(?=\w[\w, ]*: )", lines, flags=re.MULTILINE):
        names, colon, text = entry.partition(": ")
        for name in names.split(","):
            if colon:
                parsed[name.strip()] = " ".join(text.split())
    return parsed
