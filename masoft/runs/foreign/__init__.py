"""Configurations of other libraries in masoft's words: HARL's, BenchMARL's and EPyMARL's YAML or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import masoft
from masoft.errors import ConfigurationError, MissingDependencyError, explain, nearest
from masoft.files.text import MAX_JSON_BYTES, read_limited
from masoft.runs.foreign import benchmarl, epymarl, harl
from masoft.runs.foreign.harl_actors import load_harl_actors as load_harl_actors
from masoft.runs.foreign.reading import Left as Left
from masoft.runs.foreign.reading import Translation as Translation

ORIGINS: dict[str, ModuleType] = {"harl": harl, "benchmarl": benchmarl, "epymarl": epymarl}


def import_config(paths: Sequence[Path], *, origin: str = "", algorithm: str = "", env: str = "") -> Translation:
    """Read one or several files of one run, later ones over earlier ones, and say it in masoft's words.

    Args:
        paths: YAML or JSON files.
        origin: ``"harl"``, ``"benchmarl"`` or ``"epymarl"``; empty: told by the settings.
        algorithm: its name there; empty: what the settings or the files' names say.
        env: masoft's environment id; empty: what the settings or the files' names say.

    Raises:
        ConfigurationError: no such file, no YAML, a library or algorithm that masoft has no counterpart of.
        MissingDependencyError: PyYAML is not installed, which YAML needs.
    """
    values: dict[str, Any] = {}
    for path in paths:
        values = _merged(values, _read(path))
    found = [name for name, module in ORIGINS.items() if module.is_one(values)]
    if origin and origin not in ORIGINS:
        raise ConfigurationError(explain("origin", f"one of {list(ORIGINS)}", origin, nearest(origin, ORIGINS)))
    if not origin and len(found) != 1:
        cure = "Give --from, and all files of the run: that of the experiment and that of the algorithm."
        raise ConfigurationError(
            explain("The files", f"of one of {list(ORIGINS)}", [str(path) for path in paths], cure)
        )
    module = ORIGINS[origin or found[0]]
    name = algorithm or _algorithm(values, paths, module)
    translated: Translation = module.translate(values, _class_of(name, module), env or _environment(paths, module))
    return translated


def _class_of(name: str, module: ModuleType) -> str:
    known: dict[str, str] = module.ALGORITHMS
    if name.lower() not in known:
        cure = f"masoft has {', '.join(masoft.ALGORITHMS)}; --algorithm takes one of {module.NAME}'s names."
        raise ConfigurationError(explain(f"{module.NAME}'s algorithm", f"one of {sorted(known)}", name, cure))
    return known[name.lower()]


def _algorithm(values: dict[str, Any], paths: Sequence[Path], module: ModuleType) -> str:
    """By the settings, or by the name of a file."""
    main = values.get("main_args")
    if isinstance(main, dict) and main.get("algo"):
        return str(main["algo"])
    if module is epymarl and values.get("name"):
        return str(values["name"])
    named = [path.stem for path in paths if path.stem.lower() in module.ALGORITHMS]
    in_algorithms = [path.stem for path in paths if path.parent.name in ("algorithm", "algos_cfgs", "algs")]
    return (named or in_algorithms or [""])[-1]


def _environment(paths: Sequence[Path], module: ModuleType) -> str:
    if module is not benchmarl:
        return ""
    found = (benchmarl.environment((path.parent.name, path.stem)) for path in paths)
    return next((name for name in found if name), "")


def _read(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise MissingDependencyError("YAML needs PyYAML. pip install pyyaml") from None
    try:
        values = yaml.safe_load(read_limited(path, MAX_JSON_BYTES).decode())
    except FileNotFoundError:
        raise ConfigurationError(explain("The file", "an existing YAML or JSON file", str(path))) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(explain(f"The content of {path}", "names with values", type(values).__name__))
    return values


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    found = dict(one)
    for name, value in other.items():
        is_table = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if is_table else value
    return found
