"""Finding StarCraft II and oxwhirl's packages, and saying what is missing; nothing here starts the game."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from masoft.errors import MissingDependencyError, explain

SMAC_COMMAND = "pip install git+https://github.com/oxwhirl/smac.git"
SMACV2_COMMAND = "pip install git+https://github.com/oxwhirl/smacv2.git"

GAME_CURE = (
    "Download the game from Blizzard's s2client-proto page, the maps from oxwhirl's release, and set SC2PATH to the "
    "game's folder."
)


def import_class(module: str, name: str, command: str) -> Any:
    """A class of one of oxwhirl's packages.

    Args:
        module: for example ``"smac.env"``.
        name: the class.
        command: what installs the package.

    Raises:
        MissingDependencyError: the package is absent, is another one of the same name (the index has an optimiser
            called ``smac``), or its protocol files are too old for the installed protobuf.
    """
    package = module.split(".")[0]
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name not in (package, module):
            raise MissingDependencyError(explain(f"What {package!r} imports", "installed", str(error))) from error
        found = None
    except TypeError as error:
        if "Descriptors cannot" not in str(error):
            raise
        cure = (
            "Set PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python before Python starts, or use an environment of its own "
            "with protobuf<3.21."
        )
        must = "readable by the installed protobuf"
        raise MissingDependencyError(explain("StarCraft II's protocol files", must, str(error), cure)) from error
    if found is None:
        got = "another package of that name (an optimiser)" if package in sys.modules else "nothing"
        must = f"oxwhirl's, with {module}.{name}; it is not in the package index"
        raise MissingDependencyError(explain(f"The package {package!r}", must, got, f"Run: {command}"))
    return found


def game_folder() -> Path:
    """Where the game is expected: ``SC2PATH``, or ``~/StarCraftII``."""
    return Path(os.environ.get("SC2PATH") or "~/StarCraftII").expanduser()


def missing_parts(folder: Path) -> list[str]:
    """What a StarCraft II folder lacks for these environments, in words; empty: nothing.

    Args:
        folder: the game's; see `game_folder`.
    """
    missing = []
    if not any((folder / "Versions").glob("Base*")):
        missing.append("Versions/Base* (the game; the paper's runs used 4.10)")
    if not any(folder.glob("Maps/**/*.SC2Map")):
        missing.append("Maps/SMAC_Maps/*.SC2Map (the maps)")
    return missing


def explain_missing_game(folder: Path) -> str:
    """What to say where the game cannot be launched; empty where the folder looks complete."""
    missing = missing_parts(folder)
    if not missing:
        return ""
    must, got = "complete", "without " + " and ".join(missing)
    return explain(f"The folder of StarCraft II, {str(folder)!r},", must, got, GAME_CURE)


@contextlib.contextmanager
def own_randomness(generator: np.random.Generator) -> Iterator[None]:
    """Python's global ``random`` drawn from ``generator`` for a while, and then as it was: SMACv2 shuffles with it."""
    before = random.getstate()
    random.seed(int(generator.integers(2**31)))
    try:
        yield
    finally:
        random.setstate(before)


def seed_distributions(game: Any, generator: np.random.Generator) -> None:
    """Give every distribution of a SMACv2 game a generator that follows from ``generator``; it has no seed for them."""
    for distribution in getattr(game, "env_key_to_distribution_map", {}).values():
        _seed(distribution, generator)


def _seed(distribution: Any, generator: np.random.Generator) -> None:
    for name, value in sorted(vars(distribution).items()):
        if isinstance(value, np.random.Generator):
            setattr(distribution, name, generator.spawn(1)[0])
        elif hasattr(value, "generate"):
            _seed(value, generator)
