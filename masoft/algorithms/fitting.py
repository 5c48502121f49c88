"""Whether things fit: a buffer into memory, an environment to the team that a model was made for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gymnasium import spaces

from masoft.errors import ConfigurationError, explain
from masoft.spec import TeamSpec


@contextmanager
def fitting_into_memory(which: str, size: int) -> Iterator[None]:
    """Say which argument asks for more memory than there is.

    Raises:
        ConfigurationError: names the argument.
    """
    try:
        yield
    except (MemoryError, OverflowError, RuntimeError, TypeError) as error:  # torch has one for each way to fail
        cure = f"Lower it: {next(iter(str(error).splitlines()), type(error).__name__)}"
        raise ConfigurationError(explain(which, "small enough for memory", size, cure)) from error


def check_same_team(expected: TeamSpec, found: TeamSpec) -> None:
    """Refuse an environment whose team is not the one that a model was made for.

    Raises:
        ConfigurationError: names the first difference.
    """
    if expected.names != found.names:
        raise ConfigurationError(explain("The environment's agents", f"{expected.names}", found.names))
    pairs: tuple[tuple[str, spaces.Space, spaces.Space], ...] = (  # type: ignore[type-arg]
        ("observation space", expected.observation_space, found.observation_space),
        ("action space", expected.action_space, found.action_space),
    )
    for what, mine, theirs in pairs:
        if mine != theirs:
            raise ConfigurationError(explain(f"The environment's {what}", f"{mine}", theirs))
