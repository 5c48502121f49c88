"""Values of an agent's own actions, in the form of a (greedy) distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from masoft.functional.choices import enumerate_actions

ILLEGAL = -1e9


@dataclass(frozen=True)
class ActionValues:
    """One value for each action of a categorical agent; several parts are enumerated, the last one fastest.

    Args:
        values: (batch, prod(nvec)).
        nvec: number of choices of each part.
        mask: (batch, sum(nvec)), true where a choice is legal; None allows all.
    """

    values: Tensor
    nvec: tuple[int, ...]
    mask: Tensor | None = None

    @cached_property
    def legal(self) -> Tensor | None:
        """(batch, prod(nvec)), true where every part's choice is legal; None allows all."""
        return None if self.mask is None else joint_mask(self.mask, self.nvec)

    @cached_property
    def legal_values(self) -> Tensor:
        """The values, about -1e9 for an illegal action, (batch, prod(nvec))."""
        return self.values if self.legal is None else torch.where(self.legal, self.values, ILLEGAL)

    def mode(self) -> Tensor:
        """The legal action of the largest value, (batch, len(nvec)), int64."""
        return self.action_of(self.legal_values.detach().argmax(-1))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The same; nothing is drawn."""
        return self.mode()

    def detach(self) -> ActionValues:
        """The same values outside the graph."""
        return ActionValues(self.values.detach(), self.nvec, self.mask)

    def rows(self, which: slice) -> ActionValues:
        """The values at some of the states."""
        return ActionValues(self.values[which], self.nvec, None if self.mask is None else self.mask[which])

    def value_of(self, actions: Tensor) -> Tensor:
        """Values of given actions.

        Args:
            actions: (batch, len(nvec)), choice numbers.

        Returns:
            (batch,).
        """
        return self.values.gather(-1, self.number_of(actions).unsqueeze(-1)).squeeze(-1)

    def number_of(self, actions: Tensor) -> Tensor:
        """Place of given actions (batch, len(nvec)) among all of the agent's own, (batch,), int64."""
        number = actions[..., 0].long()
        for part, n in enumerate(self.nvec[1:], start=1):
            number = number * n + actions[..., part].long()
        return number

    def action_of(self, numbers: Tensor) -> Tensor:
        """The actions (batch, len(nvec)) at given places (batch,); the inverse of `number_of`."""
        if len(self.nvec) == 1:
            return numbers.unsqueeze(-1)
        return enumerate_actions(self.nvec, numbers.device).index_select(0, numbers)


def joint_mask(mask: Tensor, nvec: Sequence[int]) -> Tensor:
    """Which of all combinations of choices are legal.

    Args:
        mask: (batch, sum(nvec)), true where a choice is legal.
        nvec: number of choices of each part.

    Returns:
        (batch, prod(nvec)), the last part fastest.
    """
    parts = torch.split(mask.bool(), list(nvec), dim=-1)
    joint: Tensor = parts[0]
    for part in parts[1:]:
        joint = (joint.unsqueeze(-1) & part.unsqueeze(-2)).flatten(-2)
    return joint
