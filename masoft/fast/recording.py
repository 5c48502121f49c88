"""Updates in pieces that can be recorded once and replayed: what a piece and those who run it have to agree on.

A recorded piece is a list of operations on tensors that stay where they are. Python does not run when it is replayed,
so a piece must not read a number from a tensor, and a number that Python computed stays as it was. Where the fastest
code does one of these, it asks `is_recordable` and takes the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from torch import Tensor

T = TypeVar("T")


class _Now:
    """What holds at this moment."""

    recordable = False
    as_on_gpu = False
    is_aside = False
    note: Callable[[Callable[..., Any], tuple[Any, ...], Any], None] | None = None
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


def may_look(values: Tensor) -> bool:
    """Whether a step that is recorded as a `whole` may look at numbers: not where it would wait for another device."""
    return values.is_cpu and not _Now.as_on_gpu


@contextmanager
def recordable(as_on_gpu: bool = False) -> Iterator[None]:
    """While pieces run that are recorded, or compared with recorded ones.

    Args:
        as_on_gpu: whether code has to keep to what a GPU can record, wherever its tensors lie.
    """
    before = _Now.recordable, _Now.as_on_gpu
    _Now.recordable, _Now.as_on_gpu = True, as_on_gpu
    try:
        yield
    finally:
        _Now.recordable, _Now.as_on_gpu = before


def whole(step: Callable[..., T], *args: Any) -> T:
    """``step(*args)`` as one operation of the piece; what Python does in there, it does again in each replay.

    Args:
        step: below autograd. May look at numbers where `may_look` says so; changes none of its arguments; gives a
            tensor or a tuple of tensors, new ones, always of the same shapes.
        args: all tensors that it reads, and what else it needs.
    """
    with aside():
        made = step(*args)
    if _Now.note is not None and not _Now.is_aside:
        _Now.note(step, args, made)
    return made


@contextmanager
def noting_wholes(note: Callable[[Callable[..., Any], tuple[Any, ...], Any], None]) -> Iterator[None]:
    """Tell of each `whole` meanwhile: the step, its arguments, and what it gave."""
    before, _Now.note = _Now.note, note
    try:
        yield
    finally:
        _Now.note = before


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
