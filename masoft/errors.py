"""The errors that masoft raises: each says which argument, what it must be, what it got, and the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONG_LIST = 20
"""More choices than this are not listed whole in a message."""


class MasoftError(Exception):
    """Base class of every error that masoft raises on purpose."""


class ConfigurationError(MasoftError, ValueError):
    """An argument has a wrong value, or two arguments do not fit together."""


class ForeignNameError(MasoftError, AttributeError):
    """A name of stable-baselines3 that a team has not; the message says what to write instead."""


class SpaceError(MasoftError, ValueError):
    """An observation or action space that a team cannot use."""


class EnvironmentFault(MasoftError, RuntimeError):
    """An environment broke its contract: wrong shape, NaN, a missing agent, a dead worker."""


class NumericalFault(MasoftError, ArithmeticError):
    """A loss, gradient or weight became NaN or infinite."""


class ModelFileError(MasoftError, ValueError):
    """A file that is no masoft model, or is damaged, or asks for code that is not trusted."""


class FolderBusyError(ConfigurationError):
    """A folder that another process works in, or has taken over."""


class MissingDependencyError(MasoftError, ImportError):
    """An optional package is absent; the message has the exact command that installs it."""


def explain(which: str, must: str, got: object, cure: str = "") -> str:
    """One sentence form for all messages.

    Args:
        which: the argument or thing at fault, as the user wrote it.
        must: what it must be, to be read after "must be".
        got: the value received; shown with ``repr``, cut at 200 characters.
        cure: what to do about it; may be empty.

    Returns:
        ``"{which} must be {must}. Got {got!r}. {cure}"``.
    """
    shown = repr(got)
    if len(shown) > 200:
        shown = shown[:197] + "..."
    return f"{which} must be {must}. Got {shown}. {cure}".rstrip()


def nearest(name: str, choices: Iterable[str], count: int = 3) -> str:
    """Name the choices most like ``name``, for messages about unknown names.

    Returns:
        ``"Did you mean 'a' or 'b'?"``; where none is alike, all choices, or of a long list those least unlike.
    """
    pool = sorted(choices)
    close = difflib.get_close_matches(name, pool, n=count, cutoff=0.5)
    if not close and len(pool) > LONG_LIST:
        close = sorted(pool, key=lambda choice: -_likeness(name.lower(), choice.lower()))[:count]
    if close:
        return "Did you mean " + " or ".join(repr(choice) for choice in close) + "?"
    return "Known: " + ", ".join(pool) + "."


def _likeness(name: str, choice: str) -> float:
    """How alike two names are: by the best of the parts between slashes, and higher where one contains the other."""
    alike = max(difflib.SequenceMatcher(None, name, part).ratio() for part in (choice, *choice.split("/")))
    return alike + (name in choice)
