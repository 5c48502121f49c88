"""Runs updates from recordings of their pieces."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar
from weakref import WeakSet

import torch

from masoft.fast.arena import Arena
from masoft.fast.compare import Places, first_difference
from masoft.fast.compiled import PATIENCE, Compiler
from masoft.fast.cuda_graph import Graph
from masoft.fast.held import Held, shape_of
from masoft.fast.recording import Direct, recordable
from masoft.fast.stepped import Stepped, noting_steps
from masoft.fast.tape import Tape

T = TypeVar("T")

MOST_VARIANTS = 256
"""When more kinds of updates than these have been met, all recordings are forgotten."""


def not_recorded(piece: Hashable, obstacle: str) -> str:
    """A sentence for users: which piece cannot be recorded, and why."""
    if piece == "act":
        return f"What the team does from observations to actions cannot be recorded: {obstacle}."
    name = f"{piece[0]!r} of agent {piece[1]}" if isinstance(piece, tuple) else repr(piece)
    return f"The piece {name} of an update cannot be recorded: {obstacle}."


class Unrecorded:
    """Runs pieces as they are, by the ways that can be recorded: what recordings are compared with.

    Args:
        optimizers: gives those that there are now, whose step sizes pieces read from tensors.
        as_on_gpu: keep to what a GPU could record, wherever tensors lie.
    """

    def __init__(self, optimizers: Callable[[], Iterable[Any]], as_on_gpu: bool = False) -> None:
        self._held = Held()
        self._optimizers, self._as_on_gpu = optimizers, as_on_gpu

    def begin(self, inputs: T, numbers: Hashable = ()) -> T:
        """The inputs at their places."""
        return self.hold("inputs", inputs)

    def run(self, name: Hashable, piece: Callable[[], T]) -> T:
        """Do the piece."""
        self._turn_rates()
        with recordable(self._as_on_gpu):
            return piece()

    def hold(self, name: Hashable, inputs: T) -> T:
        """The inputs at their places."""
        return self._held.put(name, inputs)

    def forget(self) -> None:
        """Nothing was recorded."""

    def _turn_rates(self) -> None:
        for optimizer in self._optimizers():
            if isinstance(optimizer, Stepped):
                optimizer.turn_rate()


class Recorder(Unrecorded):
    """Records each piece of an update the second time that it is asked for, and replays it from then on.

    An update of other shapes, or with other numbers of Python's, has recordings of its own. Where one piece cannot be
    recorded, the pieces of such updates run as they are: graphs of autograd may cross from one to the next.

    Args:
        generators: gives those that pieces draw from.
        optimizers: gives those that there are now, whose step sizes recordings read.
        checks: record each piece twice and compare the recordings, before any is replayed; notes whose line is whose.
        as_on_gpu: keep to what a GPU could record, wherever tensors lie.
        compiler: of what was recorded, on a processor.

    Attributes:
        obstacles: by piece, why it is not replayed.
        replays: by piece, how often it was.
    """

    def __init__(
        self,
        generators: Callable[[], Sequence[torch.Generator]],
        optimizers: Callable[[], Iterable[Any]],
        checks: bool = False,
        as_on_gpu: bool = False,
        compiler: Compiler | None = None,
    ) -> None:
        super().__init__(optimizers, as_on_gpu)
        self.compiler = compiler
        self._find_generators, self._checks = generators, checks
        self._generators: tuple[torch.Generator, ...] = ()
        self._arena = Arena()
        self.obstacles: dict[Hashable, str] = {}
        self.replays: dict[Hashable, int] = {}
        self._variants: dict[Hashable, Variant] = {}
        self._now = Variant(())

    def begin(self, inputs: T, numbers: Hashable = ()) -> T:
        """The inputs at their places; what was recorded of such updates is looked at again."""
        generators = tuple(self._find_generators())
        if [*map(id, generators)] != [*map(id, self._generators)]:
            self._generators = generators
            self.forget()
        held = super().begin(inputs, numbers)
        key = shape_of(held), shape_of(numbers)
        if key in self._variants and self._variants[key].is_void():
            del self._variants[key]
        if key not in self._variants and len(self._variants) == MOST_VARIANTS:
            self._variants.clear()
        self._now = self._variants.setdefault(key, Variant(numbers))
        self._now.n_updates += 1
        return held

    def run(self, name: Hashable, piece: Callable[[], T]) -> T:
        """Do the piece, record it, or replay it."""
        now = self._now
        if now.is_direct or now.n_updates == 1:
            return super().run(name, piece)
        known = now.tapes.get(name)
        if isinstance(known, Tape) and self._is_on_gpu():
            return self._capture(name, piece, known)
        if known is None or (self._checks and isinstance(known, Tape) and not known.is_checked):
            return self._record(name, piece, known)
        for optimizer in self._now.steps[name]:
            optimizer.turn_rate()
        if self.compiler is not None and now.n_updates > PATIENCE and isinstance(known, Tape) and not known.is_final:
            self._compile(known, self.compiler)
        self.replays[name] = self.replays.get(name, 0) + 1
        result: T = known.replay()
        return result

    def forget(self) -> None:
        """Record anew from now on."""
        self._variants.clear()
        self._now = Variant(())

    @property
    def numbers(self) -> list[Hashable]:
        """Python's numbers of each kind of update that was met."""
        return [variant.numbers for variant in self._variants.values()]

    def __reduce__(self) -> tuple[type[Direct], tuple[()]]:
        """Copies of a model record anew, once they are told to."""
        return Direct, ()

    def _compile(self, tape: Tape, compiler: Compiler) -> None:
        calls = compiler.calls_of(tape)
        if calls is None:
            tape.share(self._arena)
        else:
            tape.replace(calls)

    def _is_on_gpu(self) -> bool:
        return any(generator.device.type == "cuda" for generator in self._generators)

    def _capture(self, name: Hashable, piece: Callable[[], T], tape: Tape) -> T:
        self._turn_rates()
        graph = Graph(tape, self._generators)
        with recordable(self._as_on_gpu):
            result: T = graph.record(piece)
        self._now.tapes[name] = graph
        return result

    def _record(self, name: Hashable, piece: Callable[[], T], before: Tape | Graph | None) -> T:
        self._turn_rates()
        tape = Tape(name, self._generators, keeps_lines=self._checks)
        with recordable(self._as_on_gpu), noting_steps() as self._now.steps[name]:
            result: T = tape.record(piece)
        if isinstance(before, Tape):
            tape.is_checked = True
            tape.obstacle = tape.obstacle or first_difference(before, tape, self._now.places)
        if self.compiler is None and not self._checks:
            tape.share(self._arena)
        self._now.keep(name, tape)
        if tape.obstacle is not None:
            self._now.is_direct = True
            if not self.obstacles and not self._checks:
                warnings.warn(f"{not_recorded(name, tape.obstacle)} It runs as it is.", UserWarning, stacklevel=2)
            self.obstacles.setdefault(name, tape.obstacle)
        return result


class Variant:
    """The recordings of updates of one kind.

    Args:
        numbers: of Python's, with which its pieces were made.

    Attributes:
        is_direct: whether its pieces run as they are.
        steps: by piece, the optimisers whose step sizes it reads.
        n_updates: how many there were; the first runs as it is, so that nothing is made lazily in a recording.
    """

    def __init__(self, numbers: Hashable) -> None:
        self.numbers, self.is_direct = numbers, False
        self.n_updates = 0
        self.tapes: dict[Hashable, Tape | Graph] = {}
        self.steps: dict[Hashable, WeakSet[Stepped]] = {}
        self.places = Places()
        self._settled: set[Hashable] = set()

    def keep(self, name: Hashable, tape: Tape) -> None:
        """Replay this one from now on."""
        self.tapes[name] = tape
        self.places.add(tape)
        self._settled.discard(name)

    def is_void(self) -> bool:
        """Whether something lies elsewhere now that a recording reads or writes."""
        for name, tape in self.tapes.items():
            if name not in self._settled:
                tape.settle()
                self._settled.add(name)
        return any(tape.has_moved() for tape in self.tapes.values())
