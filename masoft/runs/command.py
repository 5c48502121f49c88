"""What repeats a run: its command line, and a preset file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from masoft.runs.settings import RunSettings

_OPTIONAL = ("backend", "on_env_error", "env_timeout", "threads", "stop_at", "track")
_WORDS = {True: "true", False: "false", None: "none"}
# What the command line would take for something else than text.
_NO_TEXT = re.compile(r"[\[{\"]|[-+.]?\d|(true|false|none|null|nan|-?infinity)$", re.IGNORECASE)


def command_of(settings: RunSettings) -> str:
    """``masoft train ...`` with every setting written out, quoted for a shell.

    Example:
        >>> from masoft.runs.settings import RunSettings
        >>> command_of(RunSettings("HASAC", "mpe/simple_spread_v3", {"N": 2}, 1, 0, 500, {"gamma": 0.9}))
        'masoft train hasac mpe/simple_spread_v3 -e N=2 --total-timesteps 500 --seed 0 --gamma 0.9'
    """
    return shlex.join(_words(settings))


def _words(settings: RunSettings) -> Iterator[str]:
    yield from ("masoft", "train", settings.algorithm.lower(), settings.env)
    for name, value in settings.env_kwargs.items():
        yield from ("-e", f"{name}={written(value)}")
    yield from ("--total-timesteps", str(settings.total_timesteps))
    if settings.seed is not None:
        yield from ("--seed", str(settings.seed))
    if settings.n_envs != 1:
        yield from ("--n-envs", str(settings.n_envs))
    defaults = {each.name: each.default for each in fields(RunSettings)}
    for name in _OPTIONAL:
        value = getattr(settings, name)
        if value != defaults[name]:
            yield from (_flag(name), str(value))
    if settings.eval_every:
        yield from ("--eval-every", str(settings.eval_every), "--eval-episodes", str(settings.eval_episodes))
    for name, value in settings.parameters.items():
        if value is not None:  # the command line's own word for "not given"
            yield from (_flag(name), written(value))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def written(value: Any) -> str:
    """A value as the command line reads it."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=repr)
    if isinstance(value, str):
        return json.dumps(value) if _NO_TEXT.match(value) else value
    return repr(value)


def preset_text(settings: RunSettings, source: str) -> str:
    """A preset file that ``masoft train --preset FILE`` takes, see `masoft.presets.read_preset`.

    Args:
        settings: of the run.
        source: where the settings come from.
    """
    lines = [
        f"algorithm = {_toml(settings.algorithm)}", f"tasks = {_toml([settings.env])}", "", "[[layer]]",
        f"source = {_toml(source)}", 'tasks = ["*"]', f"n_envs = {settings.n_envs}",
        f"total_timesteps = {settings.total_timesteps}",
    ]  # fmt: skip
    for title, table in (("env_kwargs", settings.env_kwargs), ("parameters", settings.parameters)):
        given = {name: value for name, value in table.items() if value is not None}
        lines += [f"[layer.{title}]", *(f"{json.dumps(name)} = {_toml(value)}" for name, value in given.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Plain data as TOML, whose numbers, texts and lists are those of JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, default=repr)
