"""Published hyper-parameters as data: one TOML file an algorithm, every value with the table it stands in.

In the folder ``own`` are settings of our own, variant ``"own"``: for experiments that the paper has not, and for some
of its own that do better with others.

Each file is a list of layers. A layer names its ``source``, the ``tasks`` that it holds for (shell patterns), the
``variant`` where it is not for all, and the values. Later layers win over earlier ones. ``same_as`` puts another
algorithm's layers first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from masoft.errors import ConfigurationError, explain, nearest
from masoft.files.text import MAX_JSON_BYTES, read_limited
from masoft.notation import looks_like_part, parse_part

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAPER, REFERENCE, OWN = "paper", "reference", "own"
_LAYER_KEYS = {"source", "tasks", "variant", "env", "env_kwargs", "n_envs", "total_timesteps", "parameters", "note"}


@dataclass(frozen=True)
class Preset:
    """The settings of one experiment.

    Args:
        algorithm: name of the class.
        name: of the experiment; the environment id, with a suffix where one environment serves several.
        variant: ``"paper"``; ``"reference"``: what HARL's repository publishes where that differs; ``"own"``: settings
            of our own.
        env: environment id.
        env_kwargs: its keyword arguments.
        n_envs: copies of it that are stepped together.
        total_timesteps: environment steps of the published run.
        parameters: the algorithm's constructor keywords.
        sources: setting -> where it is printed; keys of nested dicts are joined by dots.
        notes: what the settings cannot say.
    """

    algorithm: str
    name: str
    variant: str
    env: str
    n_envs: int
    total_timesteps: int
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """The name, with its variant where there is a choice of them."""
        is_only = self.variant == OWN and PAPER not in _by_variant(self.algorithm.lower(), self.name)
        return self.name if self.variant == PAPER or is_only else f"{self.name}@{self.variant}"

    def settings(self) -> dict[str, Any]:
        """Everything in one flat dict, in the names that `sources` uses."""
        top = {"env": self.env, "n_envs": self.n_envs, "total_timesteps": self.total_timesteps}
        nested = {"env_kwargs": self.env_kwargs, **self.parameters}
        return {**top, **dict(_flatten(nested))}


@dataclass(frozen=True)
class PresetName:
    """A line of `list_presets`.

    Args:
        algorithm: name of the class.
        name: of the experiment.
        variants: which ones there are.
    """

    algorithm: str
    name: str
    variants: tuple[str, ...]


def preset(algorithm: str, name: str, *, variant: str = PAPER) -> Preset:
    """The published settings of an experiment.

    Args:
        algorithm: ``"HASAC"``; upper or lower case.
        name: for example ``"mamujoco/Ant-4x2"``, or ``"mamujoco/Ant-4x2@reference"``.
        variant: ``"paper"``, ``"reference"`` or ``"own"``; an experiment that the paper has not is ``"own"`` by itself.

    Raises:
        ConfigurationError: no such algorithm, experiment or variant; the message has the nearest names.

    Example:
        >>> from masoft.presets import preset
        >>> preset("HASAC", "mamujoco/Ant-2x4").parameters["batch_size"]
        2200
        >>> preset("HASAC", "mamujoco/Ant-2x4").sources["batch_size"]
        'Table 10'
    """
    files = _files(_algorithm_key(algorithm))
    name, _, suffix = name.partition("@")
    variant = suffix or variant
    known = [task for file in files for task in file["tasks"]]
    if name not in known:
        which = f"The preset of {files[0]['algorithm']}"
        raise ConfigurationError(explain(which, "a published one", name, nearest(name, known)))
    found = _by_variant(_algorithm_key(algorithm), name)
    variants = tuple(found)
    if variants == (OWN,) and variant == PAPER:
        variant = OWN
    if variant not in found:
        cure = "The reference's settings are listed only where they differ." if variant == REFERENCE else ""
        raise ConfigurationError(explain(f"The variant of {name!r}", f"one of {variants}", variant, cure))
    return _merge(found[variant], name, variant)


def read_preset(path: str | Path, algorithm: str, name: str = "") -> Preset:
    """The settings in a preset file of one's own, which has the form of those here; `masoft tune` writes one.

    Args:
        path: TOML file.
        algorithm: name of the class that they shall be for; upper or lower case.
        name: of the experiment in the file; empty: the first.

    Raises:
        ConfigurationError: no such file, it is damaged, or it is for another algorithm or other environments.
    """
    path = Path(path)
    try:
        text = read_limited(path, MAX_JSON_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            explain("The preset", "a TOML file that can be read", str(path), str(error))
        ) from error
    file = parse(text, str(path))
    if str(file["algorithm"]).lower() != algorithm.lower():
        raise ConfigurationError(explain(f"The algorithm of {path}", algorithm, file["algorithm"]))
    known = list(file["tasks"])
    if not known or (name and name not in known):
        cure = "Settings rarely carry over; to try, add it to tasks in the file."
        raise ConfigurationError(explain(f"The environment of {path}", f"one of {known}", name, cure))
    return _merge(file, name or known[0], OWN)


def list_presets() -> tuple[PresetName, ...]:
    """All experiments with published settings, by algorithm."""
    found = []
    for key in _algorithm_keys():
        files = _files(key)
        names = dict.fromkeys(name for file in files for name in file["tasks"])
        found += [PresetName(files[0]["algorithm"], name, tuple(_by_variant(key, name))) for name in names]
    return tuple(found)


def _merge(file: dict[str, Any], name: str, variant: str) -> Preset:
    """Lay the layers of one experiment over each other."""
    top: dict[str, Any] = {"env": name}
    env_kwargs: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    sources: dict[str, str] = {}
    notes = []
    for layer in _layers_of(file, name, variant):
        top |= {key: layer[key] for key in ("env", "n_envs", "total_timesteps") if key in layer}
        env_kwargs |= layer.get("env_kwargs", {})
        _update(parameters, layer.get("parameters", {}))
        if "note" in layer:
            notes.append(layer["note"])
        named = {key: layer[key] for key in top if key in layer} | {"env_kwargs": layer.get("env_kwargs", {})}
        sources |= {key: layer["source"] for key, _ in _flatten(named | layer.get("parameters", {}))}
    parameters = {key: strategy(value) for key, value in parameters.items()}
    return Preset(
        file["algorithm"], name, variant, **top,
        env_kwargs=env_kwargs, parameters=parameters, sources=sources, notes=tuple(notes),
    )  # fmt: skip


def strategy(value: Any) -> Any:
    """A value as constructors take it: text like ``Linear(0.001, 0.0)`` becomes that object of `masoft.mirror`.

    Args:
        value: anything; only text that looks like a call is touched, in tables too.

    Raises:
        ConfigurationError: as `parse_part`.
    """
    if isinstance(value, dict):
        return {name: strategy(each) for name, each in value.items()}
    if not isinstance(value, str) or not looks_like_part(value):
        return value
    import masoft.mirror  # here, since it imports torch, which listing presets does not need

    return parse_part(value, {name: getattr(masoft.mirror, name) for name in masoft.mirror.__all__})


def _layers_of(file: dict[str, Any], name: str, variant: str) -> Iterator[dict[str, Any]]:
    for layer in file["layer"]:
        if layer.get("variant", variant) == variant and any(fnmatchcase(name, task) for task in layer["tasks"]):
            yield deepcopy(layer)  # what users get must not share lists with the cached file


def _by_variant(key: str, name: str) -> dict[str, dict[str, Any]]:
    """The file that holds each variant of an experiment, the published one first; none of an unknown one."""
    files = [file for file in _files(key) if name in file["tasks"]]
    return {variant: file for file in files for variant in _variants(file, name)}


def _variants(file: dict[str, Any], name: str) -> tuple[str, ...]:
    own = {layer["variant"] for layer in file["layer"] if "variant" in layer and name in _matched(file, layer)}
    return (file["first"], *sorted(own - {file["first"]}))


def _matched(file: dict[str, Any], layer: dict[str, Any]) -> list[str]:
    return [name for name in file["tasks"] if any(fnmatchcase(name, task) for task in layer["tasks"])]


def _update(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Merge nested dicts; a plain value replaces."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _update(into[key], value)
        else:
            into[key] = value


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dicts with their dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _algorithm_keys() -> list[str]:
    here = resources.files(__name__)
    entries = [*here.iterdir(), *here.joinpath(OWN).iterdir()]
    return sorted({entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml")})


def _algorithm_key(algorithm: str) -> str:
    key = algorithm.lower()
    known = _algorithm_keys()
    if key not in known:
        cure = nearest(key, known)
        raise ConfigurationError(explain("The algorithm of a preset", "one with presets", algorithm, cure))
    return key


def _files(key: str) -> list[dict[str, Any]]:
    """What there is of one algorithm: published settings first, then our own."""
    found = [_file(key, first) for first in (PAPER, OWN)]
    return [file for file in found if file is not None]


@cache
def _file(key: str, first: str) -> dict[str, Any] | None:
    """One file, checked: a key or a pattern that means nothing is an error, not a shrug; None where there is none."""
    here = resources.files(__name__)
    path = (here if first == PAPER else here.joinpath(OWN)).joinpath(f"{key}.toml")
    if not path.is_file():
        return None
    file = parse(path.read_text(encoding="utf-8"), f"{key}.toml")
    if "same_as" in file:
        file["layer"] = [*(_file(file["same_as"], first) or {"layer": []})["layer"], *file["layer"]]
    return {**file, "first": first}


def parse(text: str, origin: str) -> dict[str, Any]:
    """Read and check the text of one preset file.

    Raises:
        ConfigurationError: no TOML, an unknown key, a layer without source, or a pattern that matches no task.
    """
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{origin} is no TOML: {error}") from error
    needed = {"algorithm", "tasks", "layer"}
    _check_keys(origin, file, needed | {"same_as"}, required=needed)
    for number, layer in enumerate(file["layer"], 1):
        where = f"{origin}, layer {number}"
        _check_keys(where, layer, _LAYER_KEYS, required={"source", "tasks"})
        for task in layer["tasks"]:
            if not any(fnmatchcase(name, task) for name in file["tasks"]):
                raise ConfigurationError(explain(f"{where}: a pattern in tasks", "matched by a task", task))
    return file


def _check_keys(where: str, table: dict[str, Any], known: set[str], required: set[str]) -> None:
    for key in table:
        if key not in known:
            raise ConfigurationError(explain(f"{where}: the key", "known", key, nearest(key, known)))
    for key in sorted(required - set(table)):
        raise ConfigurationError(f"{where}: the key {key!r} is missing.")
