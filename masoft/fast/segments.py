"""A tape cut into functions: what lies between draws and optimisers' steps, on tensors that stay where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from masoft.fast.arena import storage_of, tensors_of
from masoft.fast.views import Place, place_of, seen_through

if TYPE_CHECKING:
    from masoft.fast.tape import Entry, Tape


@dataclass
class Segment:
    """Operations as one function of tensors at places.

    Args:
        entries: the operations, none of which draws.
        draws: made before it.

    Attributes:
        inputs: the function's arguments where they lie.
    """

    entries: list[Entry]
    draws: list[Entry]
    inputs: list[Tensor] = field(default_factory=list)
    _around: dict[Place, tuple[int, Place]] = field(default_factory=dict)
    _kept: list[tuple[Place, int]] = field(default_factory=list)

    def close(self, read: set[int], known: Mapping[int, Tensor]) -> None:
        """Find the inputs.

        Args:
            read: storages that somebody reads afterwards.
            known: by storage, a tensor of its, such as the weights of which the operations read columns.
        """
        made = {storage_of(place): place for entry in self.entries for place in _places(entry)}
        met: dict[int, dict[Place, Tensor]] = defaultdict(dict)
        for entry in self.entries:
            for leaf in tree_leaves((entry.args, entry.kwargs)):
                if isinstance(leaf, Tensor) and storage_of(leaf) not in made:
                    met[storage_of(leaf)].setdefault(place_of(leaf), leaf)
        for storage, tensors in met.items():
            for some in _apart(tensors):
                base = _around(some, known.get(storage))
                self._around.update(dict.fromkeys(map(place_of, some), (len(self.inputs), place_of(base))))
                self.inputs.append(base)
        for storage, place in made.items():
            if storage in read:
                self._kept.append((place_of(place), len(self.inputs)))
                self.inputs.append(place)

    def __call__(self, *inputs: Tensor) -> None:
        """Do it on other tensors of the same layouts; writes into them."""
        made: dict[int, tuple[Tensor, Place]] = {}

        def now(tensor: Tensor) -> Tensor:
            place = place_of(tensor)
            if place.storage in made:
                return seen_through(*made[place.storage], place)
            k, around = self._around[place]
            return seen_through(inputs[k], around, place)

        for entry in self.entries:
            args, kwargs = tree_map_only(Tensor, now, (entry.args, entry.kwargs))
            found = tree_leaves(_done(entry, args, kwargs))
            for tensor, value in zip(entry.places, found, strict=False):
                if tensor is not None:
                    made[storage_of(tensor)] = value, place_of(tensor)
        for place, k in self._kept:
            inputs[k].copy_(seen_through(*made[place.storage], place))


def cut(tape: Tape) -> list[Segment | Entry]:
    """Segments of a tape, and what lies between them."""
    parts: list[Segment | Entry] = []
    now = Segment([], [])
    for entry in _needed(tape.entries, tape.unread):
        if _is_draw(entry) and not _touches(entry, now.entries):
            now.draws.append(entry)
        elif _stays_out(entry):
            parts += [now, entry]
            now = Segment([], [])
        else:
            now.entries.append(entry)
    parts = [part for part in (*parts, now) if not isinstance(part, Segment) or part.entries or part.draws]
    for k, part in enumerate(parts):
        if isinstance(part, Segment):
            later = {storage_of(tensor) for other in parts[k + 1 :] for tensor in _tensors(other)}
            made = {storage_of(place) for entry in part.entries for place in _places(entry)}
            part.close(made - (tape.unread - later), tape.known)
    return parts


def touched(part: Segment | Entry) -> list[Tensor]:
    """All tensors that a part reads or writes, as it reads and writes them."""
    if not isinstance(part, Segment):
        return tensors_of(part)
    return [*part.inputs, *(tensor for draw in part.draws for tensor in tensors_of(draw))]


def _done(entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The operation on other tensors; one for a list of tensors is done tensor by tensor."""
    if not entry.name.startswith("_foreach_"):
        return entry.function(*args, **kwargs)
    name = entry.name.removeprefix("_foreach_")
    one: Callable[..., Any] = torch.linalg.vector_norm if name == "norm" else getattr(torch.ops.aten, name)
    n = len(args[0])
    rows = zip(*(arg if isinstance(arg, list | tuple) else [arg] * n for arg in args), strict=True)
    return [one(*row, **kwargs) for row in rows]


def _needed(entries: Sequence[Entry], unread: set[int]) -> list[Entry]:
    """The operations without those whose results nobody reads."""
    reads, needed = set[int](), []
    for entry in reversed(entries):
        written = {storage_of(tensor) for tensor in (*_places(entry), *_changed(entry))}
        if _stays_out(entry) or any(storage not in unread or storage in reads for storage in written):
            needed.append(entry)
            reads |= {storage_of(tensor) for tensor in tensors_of(entry)}
    return needed[::-1]


def _stays_out(entry: Entry) -> bool:
    """Whether an operation is done as it is: it draws, is Python's, or is fused by hand."""
    is_python = not hasattr(entry.function, "_schema")
    return is_python or _is_draw(entry) or entry.name.startswith("_fused_")


def _is_draw(entry: Entry) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(entry.function, "tags", ())


def _touches(draw: Entry, entries: Iterable[Entry]) -> bool:
    """Whether a draw needs what is computed, or is drawn where something lies that is still read."""
    own = {storage_of(tensor) for tensor in tensors_of(draw)}
    return any(storage_of(tensor) in own for entry in entries for tensor in tensors_of(entry))


def _changed(entry: Entry) -> list[Tensor]:
    """The arguments that an operation writes to."""
    arguments = entry.function._schema.arguments if hasattr(entry.function, "_schema") else ()
    found: list[Any] = []
    for k, argument in enumerate(arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(entry.args[k] if k < len(entry.args) else entry.kwargs.get(argument.name))
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]


def _places(entry: Entry) -> list[Tensor]:
    return [place for place in entry.places if place is not None]


def _tensors(part: Segment | Entry) -> list[Tensor]:
    entries = [*part.entries, *part.draws] if isinstance(part, Segment) else [part]
    return [tensor for entry in entries for tensor in tensors_of(entry)]


def _apart(tensors: dict[Place, Tensor]) -> list[list[Tensor]]:
    """Groups of tensors that lie in one memory, so that no two groups overlap."""
    groups: list[list[Tensor]] = []
    end = -1
    for place in sorted(tensors, key=lambda place: (place.offset, place.end)):
        if place.offset > end:
            groups.append([])
        groups[-1].append(tensors[place])
        end = max(end, place.end)
    return groups


def _around(tensors: list[Tensor], known: Tensor | None) -> Tensor:
    """A tensor around all of these: one of them, the one that is known, or all from the first element to the last."""
    places = [place_of(tensor) for tensor in tensors]
    first, last = min(place.offset for place in places), max(place.end for place in places)
    for place, tensor in zip(places, tensors, strict=True):
        covers = (place.offset, place.end) == (first, last)
        if covers and (len(tensors) == 1 or tensor.numel() == last - first + 1):
            return tensor
    if known is not None and known.dtype == tensors[0].dtype:
        place = place_of(known)
        if place.offset <= first and place.end >= last and known.numel() == place.end - place.offset + 1:
            return known
    return tensors[0].as_strided((last - first + 1,), (1,), first)
