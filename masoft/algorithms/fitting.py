"""Whether things fit: a buffer into memory, an environment to the team that a model was made for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from masoft.envs.alike import first_difference
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


def same_team(expected: TeamSpec, found: TeamSpec) -> TeamSpec:
    """The team of an environment as a model's critics see it, refused if it is not the one that the model was made for.

    Args:
        expected: the model's team.
        found: the environment's; it may have another opinion of what critics see.

    Raises:
        ConfigurationError: names the first difference.
    """
    known, seen = ((team.names, team.observation_space, team.action_space) for team in (expected, found))
    difference = first_difference(expected, found) if known != seen else None
    if difference is not None:
        what, must, got = difference
        cure = "Give an environment like the one that it was made for, or make a new model."
        raise ConfigurationError(explain(f"{what} of the environment", f"as the model has it: {must!r}", got, cure))
    return replace(found, state_view=expected.state_view, state_and_observations=expected.state_and_observations)
