"""Trained teams that come with masoft: small ones, to be played at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masoft.errors import ConfigurationError, explain, nearest
from masoft.runs.command import command_of
from masoft.runs.curves import read_outcome
from masoft.runs.settings import SETTINGS, RunSettings

PREFIX = "zoo:"
HOME = Path(__file__).parent / "teams"


@dataclass(frozen=True)
class Entry:
    """A team of the zoo.

    Args:
        name: the environment id, with a suffix where an environment has several teams.
        folder: of its run.
        settings: of its run.
        outcome: what ``outcome.json`` says: return, that of random actions, steps, seconds, machine.
    """

    name: str
    folder: Path
    settings: RunSettings
    outcome: dict[str, Any]

    @property
    def command(self) -> str:
        """What made it."""
        return command_of(self.settings)


def teams() -> tuple[Entry, ...]:
    """All teams of the zoo, by name."""
    folders = sorted(path.parent for path in HOME.rglob(SETTINGS))
    return tuple(
        Entry(folder.relative_to(HOME).as_posix(), folder, RunSettings.load(folder), read_outcome(folder))
        for folder in folders
    )


def team_folder(name: str) -> Path:
    """Where a team of the zoo lies.

    Args:
        name: with or without ``zoo:``.

    Raises:
        ConfigurationError: there is none of that name.
    """
    known = {entry.name: entry.folder for entry in teams()}
    plain = name.removeprefix(PREFIX)
    if plain not in known:
        cure = f"{nearest(plain, known)} `masoft zoo` lists them."
        raise ConfigurationError(explain("A team of the zoo", "one that is there", plain, cure))
    return known[plain]


def writable(folder: Path) -> Path:
    """The folder itself, or for a team of the zoo, which is masoft's own, one under ``runs``."""
    if not folder.is_relative_to(HOME):
        return folder
    place = Path("runs") / f"zoo-{'-'.join(folder.relative_to(HOME).parts)}"
    place.mkdir(parents=True, exist_ok=True)
    return place
