"""Recorded pieces as compiled code, by PyTorch's inductor. Experimental: the last bits are others than uncompiled ones.

What is compiled is what the tape says, below autograd; draws and the optimisers' steps stay as they are, in order. Each
piece is done both ways, and compiled code that gives something else is not used.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from masoft.fast.calls import calls_of
from masoft.fast.segments import Segment, cut, touched

if TYPE_CHECKING:
    from masoft.fast.tape import Entry, Tape

TOLERANCE = 1e-4
"""How far compiled results may lie from uncompiled ones, of the largest number of their tensor."""
TRIES = 2
"""How often a piece is compared: where two actions are nearly equal, a last bit can decide, but not each time."""
MOST_OPERATIONS = 2_000
"""Pieces of more, such as a recurrent critic's over long stretches, would be compiled for many minutes."""
PATIENCE = 1_000
"""How many updates of a kind there are before it is compiled: those that pass soon are not worth it."""

log = logging.getLogger("masoft")


def why_not_compiled(device: torch.device) -> str | None:
    """What keeps pieces from being compiled on this machine; None: nothing.

    Args:
        device: of the model.
    """
    if device.type != "cpu":
        return f"it is for processors; on {device.type!r} pieces are captured as graphs"
    if not hasattr(torch._inductor, "standalone_compile"):
        return f"PyTorch {torch.__version__} has no torch._inductor.standalone_compile; install a newer one"
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:  # inductor has one of its own on each platform
        return f"PyTorch finds no C++ compiler ({str(error).splitlines()[0]}); install g++ or clang"
    return None


def by_inductor(graph: GraphModule, examples: list[Any]) -> Callable[..., Any]:
    """A graph as code for this processor; PyTorch keeps it in its cache."""
    code: Callable[..., Any] = torch._inductor.standalone_compile(graph, examples, dynamic_shapes="from_example_inputs")
    return code


class Refused(Exception):
    """A piece that is not compiled, and why."""


class Compiler:
    """Compiles tapes, each kind of code once.

    Args:
        to_code: makes a function of a graph and examples of its inputs.
    """

    def __init__(self, to_code: Callable[[GraphModule, list[Any]], Callable[..., Any]] = by_inductor) -> None:
        self._to_code = to_code
        self._known: dict[Hashable, Callable[..., Any]] = {}
        self._refused = False

    def calls_of(self, tape: Tape) -> list[Callable[[], Any]] | None:
        """The piece as calls of compiled code, which has been compared; None, with a warning once: it has to stay."""
        began = time.perf_counter()
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's of itself
                if len(tape.entries) > MOST_OPERATIONS:
                    raise Refused(f"it has {len(tape.entries)} operations, {MOST_OPERATIONS} at most")
                parts = cut(tape)
                calls = [call for part in parts for call in self._calls(part)]
                _compare(calls, parts, tape)
        except Exception as error:  # of the compiler, whatever it is: what was recorded still works
            if not self._refused:
                kind = "" if isinstance(error, Refused) else f"{type(error).__name__}: "
                text = f"{kind}{error}".splitlines()[0][:300]
                warnings.warn(f"The piece {tape.name!r} is replayed uncompiled: {text}", UserWarning, stacklevel=2)
            self._refused = True
            return None
        log.info("compiled the piece %r in %.1f s", tape.name, time.perf_counter() - began)
        return calls

    def _calls(self, part: Segment | Entry) -> list[Callable[[], Any]]:
        if not isinstance(part, Segment):
            return calls_of([part])
        return [*calls_of(part.draws), partial(self._code_of(part), *part.inputs)]

    def _code_of(self, segment: Segment) -> Callable[..., Any]:
        from torch.fx.experimental.proxy_tensor import make_fx  # with sympy, which nobody needs who does not compile

        examples = [_like(tensor) for tensor in segment.inputs]
        graph: GraphModule = make_fx(torch.func.functionalize(segment, remove="mutations"))(*examples)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        for node in graph.graph.nodes:
            node.meta.clear()
        layouts = tuple((*tensor.shape, tensor.stride(), tensor.dtype) for tensor in segment.inputs)
        has_constants = any(node.op == "get_attr" for node in graph.graph.nodes)
        key = object() if has_constants else (graph.code, layouts)
        if key not in self._known:
            self._known[key] = self._to_code(graph, [_like(tensor) for tensor in segment.inputs])
        return self._known[key]


def _compare(calls: Sequence[Callable[[], Any]], parts: Sequence[Segment | Entry], tape: Tape) -> None:
    """Do the piece both ways from the same state, which is then as it was; refuse what differs."""
    state = _State(parts, tape.generators)
    ways, start = (calls, calls_of(tape.entries)), state.copy()
    numbers, draws = start
    try:
        for _ in range(TRIES):
            found = []
            for way in ways:
                state.restore(numbers, draws)
                for call in way:
                    call()
                found.append(state.copy())
            difference = max(map(_difference, found[0][0], found[1][0]), default=0.0)
            if difference <= TOLERANCE:
                return
            draws = found[1][1]
    finally:
        state.restore(*start)
    raise Refused(f"compiled code differs by {difference:.1e} of a tensor's largest number")


class _State:
    """All that the parts of a piece read and write, without what stays inside of one."""

    def __init__(self, parts: Sequence[Segment | Entry], generators: Sequence[torch.Generator]) -> None:
        self._tensors = [tensor for part in parts for tensor in touched(part)]
        self._generators = generators

    def copy(self) -> tuple[list[Tensor], list[Tensor]]:
        """All numbers, and where the generators are."""
        return [_like(tensor) for tensor in self._tensors], [each.get_state() for each in self._generators]

    def restore(self, numbers: Sequence[Tensor], draws: Sequence[Tensor]) -> None:
        """Have them as they were."""
        for tensor, value in zip(self._tensors, numbers, strict=True):
            tensor.copy_(value)
        for generator, value in zip(self._generators, draws, strict=True):
            generator.set_state(value)


def _difference(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors over the largest number."""
    if one.numel() == 0:
        return 0.0
    one, other = one.double(), other.double()
    is_same = (one == other) | (one.isnan() & other.isnan())
    largest = other.abs().nan_to_num().amax()
    found = float((torch.where(is_same, 0.0, (one - other).abs()) / largest.clamp(min=1e-30)).amax())
    return found if found == found else float("inf")


def _like(tensor: Tensor) -> Tensor:
    """A copy with the same strides, which clone() does not keep for a window."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype).copy_(tensor)
