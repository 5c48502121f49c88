"""Updates in pieces that can be recorded once and replayed: what a piece and those who run it have to agree on.

A recorded piece is a list of operations on tensors that stay where they are. Python does not run when it is replayed,
so a piece must not read a number from a tensor, and a number that Python computed stays as it was. Where the fastest
code does one of these, it asks `is_recordable` and takes the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class _Now:
    """What holds at this moment."""

    recordable = False
    is_aside = False
    afterwards: list[Callable[[], None]] | None = None


class Runner(Protocol):
    """Who runs the pieces of updates."""

    def begin(self, inputs: T, numbers: Hashable = ()) -> T:
        """An update begins.

        Args:
            inputs: what its pieces read that is new each time: a tensor, or dataclasses and tuples of tensors.
            numbers: Python's numbers that its pieces are made with; with others they are other pieces.

        Returns:
            the inputs at the place where the pieces look for them.
        """
        ...

    def run(self, name: Hashable, piece: Callable[[], T]) -> T:
        """Do a piece of the update.

        Args:
            name: pieces of one name do the same operations on tensors at the same places, each time.
            piece: does it; what it returns is returned, and the next pieces find its tensors there.
        """
        ...

    def hold(self, name: Hashable, inputs: T) -> T:
        """More inputs at the place where pieces look for them.

        Args:
            name: of the place.
            inputs: as for `begin`.
        """
        ...

    def forget(self) -> None:
        """Record anew from now on: something has been replaced that pieces use."""
        ...


class Direct:
    """Runs pieces as they are."""

    def begin(self, inputs: T, numbers: Hashable = ()) -> T:
        """The inputs themselves."""
        return inputs

    def run(self, name: Hashable, piece: Callable[[], T]) -> T:
        """Do the piece."""
        return piece()

    def hold(self, name: Hashable, inputs: T) -> T:
        """The inputs themselves."""
        return inputs

    def forget(self) -> None:
        """Nothing was recorded."""


DIRECT = Direct()
"""What every algorithm has until it is told otherwise."""


def is_recordable() -> bool:
    """Whether code has to keep to what can be recorded: no look at numbers, and shapes that do not depend on them."""
    return _Now.recordable


@contextmanager
def recordable() -> Iterator[None]:
    """While pieces run that are recorded, or compared with recorded ones."""
    before, _Now.recordable = _Now.recordable, True
    try:
        yield
    finally:
        _Now.recordable = before


def afterwards(what: Callable[[], None]) -> None:
    """Do something in Python after the piece, now and after each replay; at once where nothing is recorded.

    Args:
        what: reads no tensor; may copy one.
    """
    if _Now.afterwards is None:
        what()
    else:
        _Now.afterwards.append(what)


@contextmanager
def collecting_afterwards() -> Iterator[list[Callable[[], None]]]:
    """What `afterwards` is told meanwhile."""
    before, _Now.afterwards = _Now.afterwards, []
    try:
        yield _Now.afterwards
    finally:
        _Now.afterwards = before


@contextmanager
def aside() -> Iterator[None]:
    """For what is made once and stays, such as an optimiser's first moments: it is no part of the piece."""
    before, _Now.is_aside = _Now.is_aside, True
    try:
        yield
    finally:
        _Now.is_aside = before


def is_aside() -> bool:
    """Whether what happens now is no part of the piece that is being recorded."""
    return _Now.is_aside
