"""Which stored steps make a return, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Between:
    """The steps of a minibatch's returns; of those after an end of episode what is here does not matter.

    Args:
        rewards: (n_steps, batch).
        goes_on: (n_steps - 1, batch), true where the step after is still of the return.
        state: ((n_steps - 1) * batch, critic_state_size), of the steps after the first, one step after the other.
        observations: one ((n_steps - 1) * batch, *shape) tensor an agent.
        actions: ((n_steps - 1) * batch, action_size).
        log_probs: ((n_steps - 1) * batch,), of the joint actions when they were taken; None where nobody keeps them.
        masks, active: as in `TeamBatch`, or None.
    """

    rewards: Tensor
    goes_on: Tensor
    state: Tensor
    observations: tuple[Any, ...]
    actions: Tensor
    log_probs: Tensor | None
    masks: Tensor | None
    active: Tensor | None


@dataclass(frozen=True)
class Chain:
    """Flat places of the steps that follow some transitions.

    Args:
        places: (batch, n_steps); those after the last step that is taken are of other episodes.
        n_taken: (batch,), steps until the return bootstraps.
        last: (batch,), place of the last of them.
    """

    places: Tensor
    n_taken: Tensor
    last: Tensor


class Horizon:
    """Returns of at most ``n_steps`` steps.

    Args:
        n_steps: rewards summed before bootstrapping, at most.
        gamma: discount factor.
        device: where the buffer lies.
    """

    def __init__(self, n_steps: int, gamma: float, device: torch.device) -> None:
        self.n_steps = n_steps
        self._steps = torch.arange(n_steps, device=device)
        self._discounts = gamma ** torch.arange(n_steps + 1, device=device)
        # Row k: the weights of the rewards of a return that takes k steps.
        self._weights = self._discounts[:-1].expand(n_steps + 1, n_steps).tril(-1).contiguous()

    def places(self, start: Tensor, n_envs: int, n_places: int) -> Tensor:
        """Flat places of the steps from ``start`` on, (batch, n_steps)."""
        return (start.unsqueeze(1) + self._steps * n_envs) % n_places

    def chain(self, places: Tensor, ends: Tensor, until_newest: Tensor) -> Chain:
        """How far each return goes.

        Args:
            places: (batch, n_steps).
            ends: (batch, n_steps), true where an episode ends in a step; written over.
            until_newest: (batch,), steps from the first to the newest that is stored.
        """
        ends |= until_newest.unsqueeze(1) == self._steps
        ends[:, -1] = True
        before_last = ends.byte().argmax(1)  # the first of equals
        return Chain(places, before_last + 1, places.gather(1, before_last.unsqueeze(1)).squeeze(1))

    def sums(self, rewards: Tensor, n_taken: Tensor) -> Tensor:
        """Discounted sums of the rewards (batch, n_steps) of the steps that are taken."""
        if self.n_steps == 1:
            return rewards[:, 0]
        return (rewards * self._weights.index_select(0, n_taken)).sum(1)

    def discounts(self, n_taken: Tensor) -> Tensor:
        """``gamma`` to the power of the steps that are taken."""
        if self.n_steps == 1:
            return self._discounts[1].expand(len(n_taken))
        return self._discounts.index_select(0, n_taken)

    def goes_on(self, n_taken: Tensor) -> Tensor:
        """(n_steps - 1, batch), true where the step after is still taken."""
        return self._steps[1:].unsqueeze(1) < n_taken
