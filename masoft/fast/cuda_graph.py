"""One piece of an update as a CUDA graph. It has been measured on no GPU yet; a tape stands for it on a processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from masoft.fast.recording import collecting_afterwards
from masoft.fast.tape import Tape


class Graph:
    """A piece that was taped without an obstacle, captured: one launch a replay, from memory of its own.

    Args:
        tape: of the piece; knows which tensors have to stay where they are.
        generators: that the piece draws from.
    """

    def __init__(self, tape: Tape, generators: Sequence[torch.Generator]) -> None:
        self.name, self.result, self.obstacle = tape.name, None, None
        self._tape = tape
        self._afterwards: list[Callable[[], None]] = []
        # Each graph has a pool of its own: graphs of autograd cross from piece to piece, and orders are drawn.
        self._graph = torch.cuda.CUDAGraph()
        for generator in generators:
            if generator.device.type == "cuda":
                self._graph.register_generator_state(generator)

    def record(self, piece: Callable[[], Any]) -> Any:
        """Capture the piece, which does nothing yet, and do it."""
        with collecting_afterwards() as self._afterwards, torch.cuda.graph(self._graph):
            self.result = piece()
        return self.replay()

    def replay(self) -> Any:
        """Do it on what its inputs hold now."""
        self._graph.replay()
        for what in self._afterwards:
            what()
        return self.result

    def has_moved(self) -> bool:
        """Whether an input lies elsewhere now, or is gone."""
        return self._tape.has_moved()

    def settle(self) -> None:
        """Watch those inputs only that somebody keeps."""
        self._tape.settle()
