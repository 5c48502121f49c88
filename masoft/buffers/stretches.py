"""A replay buffer in stretches of rows, so that saving it again costs what is new, not what is there.

Rows are numbered from the first that was ever added; row k lies at k modulo the ring's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from masoft.buffers.replay import TeamReplayBuffer
from masoft.errors import ConfigurationError, explain


class ReplayStretches:
    """Reads and writes stretches of rows of one buffer, and the few numbers that are not in any row.

    Args:
        buffer: the replay buffer.
    """

    def __init__(self, buffer: TeamReplayBuffer) -> None:
        self.buffer = buffer

    @property
    def first(self) -> int:
        """Number of the oldest row that can still be drawn."""
        return max(self.buffer.n_added - (self.buffer.rows - 1), 0)

    @property
    def end(self) -> int:
        """Number after the newest row."""
        return self.buffer.n_added

    @property
    def bytes_per_row(self) -> int:
        """Size of one row, counted as if an episode ended in it."""
        tensors = [*self.buffer.frames.values(), *self.buffer.columns.values()]
        # An episode's end stores its last observation a second time.
        return sum(tensor.element_size() * tensor[0].numel() for tensor in [*tensors, *self.buffer.frames.values()])

    def cut(self, start: int, limit: int) -> Iterator[tuple[int, int]]:
        """Stretches (start, stop) that cover the rows from ``start`` on, each of about ``limit`` bytes at most."""
        step = max(limit // self.bytes_per_row, 1)
        for low in range(max(start, self.first), self.end, step):
            yield low, min(low + step, self.end)

    def head(self) -> dict[str, Any]:
        """What is not in any row: the count, the sampler's generator, the side store's free places."""
        return {
            "rows": self.buffer.rows,
            "n_envs": self.buffer.n_envs,
            "n_added": self.buffer.n_added,
            "n_finals": next(iter(self.buffer.finals.values())).shape[0],
            "free_slots": torch.tensor(self.buffer._finals.free, dtype=torch.int64),
            "generator": self.buffer.generator.get_state(),
        }

    def load_head(self, head: Mapping[str, Any]) -> None:
        """Set what `head` gave and make room; the rows from `first` to `end` have to be written next.

        Raises:
            ConfigurationError: this buffer is of another size.
        """
        buffer = self.buffer
        for name in ("rows", "n_envs"):
            if head[name] != getattr(buffer, name):
                which, cure = f"{name} of the replay buffer", "Use the buffer_size and n_envs that it was saved with."
                raise ConfigurationError(explain(which, f"{head[name]}", getattr(buffer, name), cure))
        n_added, n_finals = int(head["n_added"]), int(head["n_finals"])
        if n_added < 0 or not 0 <= n_finals <= buffer._finals.most:
            raise ConfigurationError(explain("The replay buffer's counts", "possible", (n_added, n_finals)))
        buffer.n_added, buffer.pos, buffer.full = n_added, n_added % buffer.rows, n_added >= buffer.rows
        buffer.generator.set_state(head["generator"])
        if len(buffer._finals) < n_finals:
            buffer._finals.grow(n_finals)
        buffer._finals.free = head["free_slots"].tolist()
        buffer.final_slots.fill_(-1)
        buffer._newest = None

    def read(self, start: int, stop: int) -> dict[str, Tensor]:
        """Rows ``start`` to ``stop`` - 1, with the observation after the last, and where episodes ended in them."""
        buffer = self.buffer
        rows = self._places(start, stop)
        tensors = {name: column[rows] for name, column in buffer.columns.items()}
        followed = self._places(start, stop + 1)
        tensors |= {f"frames.{name}": frame[followed] for name, frame in buffer.frames.items()}
        slots = tensors["final_slots"]
        used = slots[slots >= 0].long()
        tensors |= {f"finals.{name}": final[used] for name, final in buffer.finals.items()}
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}

    def write(self, start: int, stop: int, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `read` gave for the same rows.

        Raises:
            ConfigurationError: the arrays are not those of this buffer.
        """
        buffer = self.buffer
        slots = self._checked(tensors, start, stop)["final_slots"]
        rows, followed = self._places(start, stop), self._places(start, stop + 1)
        for name, column in buffer.columns.items():
            column[rows] = tensors[name].to(buffer.device)
        for name, frame in buffer.frames.items():
            frame[followed] = tensors[f"frames.{name}"].to(buffer.device)
        used = slots[slots >= 0].long().to(buffer.device)
        for name, final in buffer.finals.items():
            final[used] = tensors[f"finals.{name}"].to(buffer.device)

    def _places(self, start: int, stop: int) -> Tensor:
        return torch.arange(start, stop, device=self.buffer.device) % self.buffer.rows

    def _checked(self, tensors: Mapping[str, Tensor], start: int, stop: int) -> Mapping[str, Tensor]:
        """The arrays, if their names, types, shapes and slot numbers are possible here."""
        buffer = self.buffer
        shapes = {name: (stop - start, *column.shape[1:]) for name, column in buffer.columns.items()}
        shapes |= {f"frames.{name}": (stop - start + 1, *frame.shape[1:]) for name, frame in buffer.frames.items()}
        slots = tensors.get("final_slots", torch.empty(0))
        n_used = int((slots >= 0).sum())
        shapes |= {f"finals.{name}": (n_used, *final.shape[1:]) for name, final in buffer.finals.items()}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        n_finals = next(iter(buffer.finals.values())).shape[0]
        if found != shapes or not (0 <= start <= stop <= buffer.n_added) or (n_used and int(slots.max()) >= n_finals):
            must, got = _apart(shapes, found), _apart(found, shapes)
            raise ConfigurationError(explain(f"Rows {start} to {stop} of a replay buffer", f"arrays {must}", got))
        return tensors


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of one that the other does not have."""
    return {name: value for name, value in one.items() if other.get(name) != value}
