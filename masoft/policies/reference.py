"""The old policy of a mirror step: a reference that lasts, so that drifts and neighborhoods are felt."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from masoft.distributions import Categoricals, Distribution
from masoft.mirror.change import PolicyChange
from masoft.mirror.reference import Pace
from masoft.policies.team_policy import TeamPolicy


@dataclass(frozen=True)
class OldPolicy:
    """One agent's old policy at a batch of states, ready to be compared with new ones.

    Args:
        distribution: the old policy's distribution, outside the graph.
        actions: (batch, size), drawn from it; None where all its actions can be enumerated.
        active: (batch,) or None.
        parameters: the old policy's weights.
        current: the weights that are being changed.
    """

    distribution: Distribution
    actions: Tensor | None
    active: Tensor | None
    parameters: tuple[Tensor, ...]
    current: tuple[Tensor, ...]

    def change_to(self, new: Distribution, advantage: Tensor | None, updated: tuple[int, ...]) -> PolicyChange:
        """The change from the old policy to ``new``."""
        pairs = zip(self.current, self.parameters, strict=True)
        moved = torch.cat([(now - old).reshape(-1) for now, old in pairs])
        return PolicyChange(
            self.distribution,
            new,
            actions=self.actions,
            advantage=advantage,
            active=self.active,
            updated=updated,
            parameter_change=moved,
        )


class ReferencePolicies:
    """Copies of the actors that follow them at a chosen pace.

    At the old policy a drift has zero value and slope (Definition 4), so with one gradient step from it a drift does
    nothing at all. The old policy therefore lasts over several gradient steps.

    Args:
        policy: the team's policy.
        pace: how they follow.
    """

    def __init__(self, policy: TeamPolicy, pace: Pace) -> None:
        self._policy = policy
        self.pace = pace
        self.actors = deepcopy(policy.actors).requires_grad_(False)
        self.n_updates = 0
        self._prices: Tensor | None = None

    def price(self, first: float | None) -> None:
        """Give each agent a price that begins at ``first``; prices there are already stay, None takes them away."""
        if first is None:
            self._prices = None
        elif self._prices is None:
            self._prices = torch.full((len(self.actors),), first, device=self._policy.device)

    def price_of(self, i: int) -> Tensor | None:
        """Agent i's price, scalar, to be written in place; None where nothing is priced."""
        return None if self._prices is None else self._prices[i]

    def follow(self) -> None:
        """Move the references as their pace demands; called once before each update."""
        share = self.pace.share(self.n_updates)
        if share > 0:
            now = [weight.detach() for weight in self._policy.actors.parameters()]
            torch._foreach_lerp_(list(self.actors.parameters()), now, share)
        self.n_updates += 1

    def state_dict(self) -> dict[str, Any]:
        """The references' weights, the number of updates seen, and prices where there are any."""
        state: dict[str, Any] = {"actors": self.actors.state_dict(), "n_updates": self.n_updates}
        return state if self._prices is None else {**state, "prices": self._prices}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.actors.load_state_dict(state["actors"])
        self.n_updates = int(state["n_updates"])
        if self._prices is not None and "prices" in state:
            self._prices.copy_(state["prices"])

    @torch.no_grad()
    def of(self, i: int, observation: Tensor, mask: Tensor | None) -> Distribution:
        """Agent i's old distribution at its observations, as for `old_of`."""
        distribution: Distribution = self.actors[i](observation, mask)
        return distribution

    @torch.no_grad()
    def old_of(
        self, i: int, observation: Tensor, mask: Tensor | None, active: Tensor | None, generator: torch.Generator
    ) -> OldPolicy:
        """Agent i's old policy at its observations (batch, *shape).

        Args:
            i: the agent.
            observation: (batch, *shape).
            mask: its own action mask, (batch, mask_size), or None.
            active: (batch,) or None.
            generator: source of the carried actions.
        """
        distribution = self.of(i, observation, mask)
        actions = None if isinstance(distribution, Categoricals) else distribution.sample(generator)
        parameters = tuple(self.actors[i].parameters())
        return OldPolicy(distribution, actions, active, parameters, tuple(self._policy.actors[i].parameters()))
