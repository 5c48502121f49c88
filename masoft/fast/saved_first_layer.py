"""A critic's turns with what its first layer gives of everybody saved: an agent's turn adds its own difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from masoft.fast.recording import may_look
from masoft.fast.smallest import has_written_out_gradient, smallest_value
from masoft.fast.written_out import linear, pass_through

CHUNK_BYTES = 2**20
"""Actions are enumerated in blocks whose hidden layers take about this much: what fits a core's cache."""


class SavedFirstLayer:
    """Independent networks whose weights rest while the agents improve one after the other; equals `PlainTurns`.

    The first layer over the state and all agents' current actions is computed once; an agent's turn only adds the
    difference that its own action makes. Gradients flow to the agent's action alone, through the smaller network.

    Args:
        layers: of each network, a linear one first; used without gradients to their weights.
        weights: all of them.
        state: (batch, state_size).
        actions: (batch, action_size), the current encoded joint action; not modified.
    """

    def __init__(
        self, layers: Sequence[Sequence[nn.Module]], weights: Sequence[Tensor], state: Tensor, actions: Tensor
    ) -> None:
        self._weights = weights
        self._offset = state.shape[-1]
        self._actions = actions.detach().to(state.dtype, copy=True)
        firsts: list[nn.Linear] = [network[0] for network in layers]  # type: ignore[misc]
        self._first_weights: list[Tensor] = [first.weight.detach() for first in firsts]
        self._layers: list[Sequence[nn.Module]] = [network[1:] for network in layers]
        # A row goes back through its own network only; on a GPU one would have to wait for how many these are.
        self._is_written_out = may_look(state) and all(map(has_written_out_gradient, self._layers))
        with torch.no_grad():
            inputs = torch.cat([state, self._actions], dim=-1)
            self._hidden: list[Tensor] = [linear(inputs, first) for first in firsts]

    @property
    def actions(self) -> Tensor:
        """The current encoded joint action, (batch, action_size)."""
        return self._actions

    def value(self, where: slice, action: Tensor) -> Tensor:
        """Smallest Q-value when one agent plays ``action`` and the others their current actions.

        Args:
            where: the agent's slice of the encoded joint action.
            action: (batch, size), may carry gradients.

        Returns:
            (batch,), differentiable in ``action``.
        """
        change = action - self._actions[:, where]
        if self._is_written_out:
            return smallest_value(change, self._hidden, self._columns(where), self._layers)
        with self._resting():
            hidden = [torch.addmm(h, change, c) for h, c in zip(self._hidden, self._columns(where), strict=True)]
            return self._smallest(hidden)

    @torch.no_grad()
    def value_of_each(self, where: slice, actions: Tensor) -> Tensor:
        """Smallest Q-value of each of an agent's own actions, the others playing their current ones.

        Args:
            where: the agent's slice of the encoded joint action.
            actions: (k, size), every encoded action of the agent.

        Returns:
            (batch, k), without gradient.
        """
        pairs = list(zip(self._hidden, self._columns(where), strict=True))
        rest = [torch.addmm(hidden, self._actions[:, where], columns, alpha=-1) for hidden, columns in pairs]
        own = [actions.to(columns.dtype) @ columns for _, columns in pairs]
        n_rows, width = rest[0].shape
        at_once = max(1, CHUNK_BYTES // (n_rows * width * rest[0].element_size()))
        found = []
        for first in range(0, len(actions), at_once):
            some = [mine[first : first + at_once, None] for mine in own]
            hidden = [(others + mine).flatten(0, 1) for others, mine in zip(rest, some, strict=True)]
            found.append(self._smallest(hidden).view(-1, n_rows))
        return torch.cat(found).t()

    @torch.no_grad()
    def replace(self, where: slice, action: Tensor) -> None:
        """Let one agent's current action be ``action`` (batch, size) from now on."""
        change = action - self._actions[:, where]
        for hidden, columns in zip(self._hidden, self._columns(where), strict=True):
            hidden.addmm_(change, columns)
        self._actions[:, where] = action

    def _columns(self, where: slice) -> list[Tensor]:
        """The first layers' weights of one agent's actions, (size, width) a network."""
        start, stop = self._offset + where.start, self._offset + where.stop
        return [weight[:, start:stop].t() for weight in self._first_weights]

    @contextmanager
    def _resting(self) -> Iterator[None]:
        """Keep autograd from the critic's weights."""
        learning = [weight for weight in self._weights if weight.requires_grad]
        for weight in learning:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in learning:
                weight.requires_grad_(True)

    def _smallest(self, hidden: Iterable[Tensor]) -> Tensor:
        """The smallest of all networks' values, from what their first linear layers gave."""
        values = [pass_through(inputs, layers) for inputs, layers in zip(hidden, self._layers, strict=True)]
        return torch.stack(values).amin(dim=0)
