"""One piece of an update on tape: which operations it did, and on which tensors; they can be done again without Python.

The tape lies below autograd, so that it holds what is really computed, forwards and backwards. What it promises is what
a CUDA graph promises: every tensor of the piece keeps its place, a replay reads its inputs where they lay and writes
its results where they lay, and draws from the generators are new ones.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from masoft.fast.arena import Arena, passing, storage_of, tensors_of
from masoft.fast.blame import Blame
from masoft.fast.calls import calls_of
from masoft.fast.recording import collecting_afterwards, is_aside, noting_wholes

READS = frozenset(("item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__float__", "__int__", "__index__"))
"""Methods of tensors by which Python gets numbers."""
COPIES = frozenset(("tensor", "new_tensor", "as_tensor", "asarray", "from_numpy", "frombuffer"))
"""Functions that copy Python's numbers into a tensor, once."""
MASKED = frozenset(("index", "index_put", "index_put_", "_index_put_impl_"))
"""Operations whose shape depends on numbers where they get a mask."""
UNFILLED = frozenset(("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"))
"""Operations that make a place and no numbers."""

WAIT = "the host would wait for a number; keep it a tensor (torch.where decides without being asked)"
SHAPE = "the shape of its result depends on numbers; multiply by the mask, or use torch.where"
COPY = "Python's numbers are copied once and stay; make the tensor once, outside of the piece"
MOVE = "the tensor gets another place in memory; write into it with copy_"
STRANGER = "a recording draws from the model's own generator only; take the one that is given"


@dataclass(frozen=True)
class Entry:
    """One operation.

    Args:
        function: of PyTorch's dispatcher, or a step that is a `whole`.
        args, kwargs: with tensors that lie where the piece's own lay.
        places: where its results go, one an output; None: it writes or looks at something that is there already.
        line: whose code asked for it; empty unless lines are kept.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    places: tuple[Tensor | None, ...]
    line: str = ""

    @property
    def name(self) -> str:
        """Of the operation, as PyTorch calls it."""
        schema = getattr(self.function, "_schema", None)
        return self.function.__name__ if schema is None else str(schema.name.partition("::")[2])


class Tape:
    """A piece that has been done once, and can be done again.

    Args:
        name: of the piece.
        generators: whose draws a replay makes anew.
        keeps_lines: note whose code asked for each operation; slow.

    Attributes:
        result: what the piece returned; each replay fills its tensors anew.
        obstacle: why the piece cannot be replayed; None: it can.
        is_checked: whether it was compared with another recording of the piece.
        unread: storages that the piece made and that nobody reads after it.
        known: by storage, the first tensor in it that was met or made.
        is_final: whether what it replays, and where, stays as it is now.
    """

    def __init__(
        self, name: Any, generators: Sequence[torch.Generator], keeps_lines: bool = False, arena: Arena | None = None
    ) -> None:
        self.name, self.generators, self.keeps_lines = name, tuple(generators), keeps_lines
        self.entries: list[Entry] = []
        self.result: Any = None
        self.obstacle: str | None = None
        self.is_checked = False
        self.made: dict[int, int] = {}
        self.inputs: list[tuple[weakref.ref[Tensor], int]] = []
        self.known: dict[int, Tensor] = {}  # kept alive, so that no place is used twice
        self._afterwards: list[Callable[[], None]] = []
        self._calls: list[Callable[[], Any]] | None = None
        self.unread: set[int] = set()
        self.is_final = False

    def record(self, piece: Callable[[], Any]) -> Any:
        """Do the piece, for good, and note what it does; an obstacle does not stop it."""
        with (
            collecting_afterwards() as self._afterwards,
            noting_wholes(self.note_whole),
            Blame() as self._blame,
            _Calls(self),
            _Operations(self),
        ):
            self.result = piece()
        if not self.keeps_lines:
            own = [tensor for entry in self.entries for tensor in tensors_of(entry)]
            self.unread = passing(self.made, [*own, *self.known.values()])
        self._finish()
        return self.result

    def replay(self) -> Any:
        """Do it again, on what its inputs hold now."""
        if self._calls is None:
            self._calls = calls_of(self.entries)
        with torch._C._AutoDispatchBelowAutograd():
            for call in self._calls:
                call()
        self._finish()
        return self.result

    def has_moved(self) -> bool:
        """Whether an input lies elsewhere now, or is gone."""
        return any((tensor := known()) is None or tensor.data_ptr() != place for known, place in self.inputs)

    def settle(self) -> None:
        """Watch those inputs only that somebody keeps: the rest were windows into them."""
        self.inputs = [(known, place) for known, place in self.inputs if known() is not None]

    def refuse(self, operation: str, why: str) -> None:
        """Note the first thing that no replay can do."""
        if self.obstacle is None:
            self.obstacle = f"{operation} at {self._blame.line()}: {why}"

    def share(self, arena: Arena) -> None:
        """Have what nobody reads afterwards in an arena instead of where it was made."""
        self.entries = arena.place(self.entries, self.unread)
        self._leave_unread()

    def replace(self, calls: list[Callable[[], Any]]) -> None:
        """Replay these calls instead of the operations."""
        self._calls, self.entries = calls, []
        self._leave_unread()

    def _leave_unread(self) -> None:
        for storage in self.unread:
            del self.known[storage], self.made[storage]
        self.unread, self.is_final = set(), True

    def _finish(self) -> None:
        for what in self._afterwards:
            what()

    # What follows is told by `_Operations`.

    def look(self, function: Any, args: tuple[Any, ...]) -> None:
        """Refuse an operation that waits for a number."""
        name = function._schema.name.partition("::")[2]
        is_masked = name in MASKED and any(_is_mask(index) for index in args[1])
        if is_masked or torch.Tag.dynamic_output_shape in function.tags:
            self.refuse(name, SHAPE)
        elif torch.Tag.data_dependent_output in function.tags:
            self.refuse("item" if name == "_local_scalar_dense" else name, WAIT)

    def note(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any) -> None:
        """Keep an operation, unless it only looks at a tensor in another way."""
        places = {storage_of(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        results = self._places_of(made, places)
        writes = any(
            argument.alias_info is not None and argument.alias_info.is_write for argument in function._schema.arguments
        )
        fills = function._schema.name.partition("::")[2] not in UNFILLED
        if fills and (writes or any(place is not None for place in results)):
            self._keep(function, args, kwargs, results)

    def note_whole(self, step: Callable[..., Any], args: tuple[Any, ...], made: Any) -> None:
        """Keep a step that is one operation."""
        for leaf in tree_leaves(args):
            if isinstance(leaf, Tensor):
                self.meet(leaf)
        self._keep(step, args, {}, self._places_of(made, set()))

    def meet(self, tensor: Tensor) -> None:
        """Watch a tensor that was there before the piece."""
        if storage_of(tensor) not in self.known:
            self.known[storage_of(tensor)] = _alias(tensor)
            self.inputs.append((weakref.ref(tensor), tensor.data_ptr()))

    def _places_of(self, made: Any, known: set[int]) -> list[Tensor | None]:
        """The places of an operation's results; None for those in memory that it was given."""
        results: list[Tensor | None] = []
        for leaf in tree_leaves(made):
            is_new = isinstance(leaf, Tensor) and storage_of(leaf) not in known
            results.append(_alias(leaf) if is_new else None)
            if is_new and storage_of(leaf) not in self.known:
                self.known[storage_of(leaf)] = _alias(leaf)
                self.made[storage_of(leaf)] = len(self.made)
        return results

    def _keep(self, function: Any, args: Any, kwargs: Any, results: list[Tensor | None]) -> None:
        args, kwargs = tree_map_only(Tensor, _alias, (args, kwargs))
        places = tuple(results) if any(place is not None for place in results) else ()
        line = self._blame.line() if self.keeps_lines else ""
        self.entries.append(Entry(function, args, kwargs, places, line))


class _Operations(TorchDispatchMode):
    """Tells a tape of operations, below autograd."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tape = tape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_aside():
            return func(*args, **kwargs)
        self.tape.look(func, args)
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self.tape.meet(leaf)
        made = func(*args, **kwargs)
        self.tape.note(func, args, kwargs, made)
        return made


class _Calls(TorchFunctionMode):
    """Tells a tape of calls that reach no operation, above autograd."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not is_aside():
            self._look(func, getattr(func, "__name__", ""), args, kwargs)
        return func(*args, **kwargs)

    def _look(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        first = args[0] if args else None
        if name in READS and isinstance(first, Tensor):
            self.tape.refuse(name, WAIT)
        elif name in COPIES and not (name.startswith("as") and isinstance(first, Tensor)):
            self.tape.refuse(name, COPY)
        elif name == "__set__" and getattr(func, "__self__", None) is Tensor.data:
            self.tape.refuse("data", MOVE)
        for value in (*args, *kwargs.values()):
            if isinstance(value, torch.Generator) and not any(value is known for known in self.tape.generators):
                self.tape.refuse(name, STRANGER)


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)


def _alias(tensor: Tensor) -> Tensor:
    """The tensor without its history: what a replay writes must not look to autograd as if the piece had changed it."""
    return tensor.data
