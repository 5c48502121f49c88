"""What a drift or a neighborhood sees: one agent's step from an old policy to a new one, at a batch of states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain

ENUMERATION_LIMIT = 4096
"""Largest number of own actions over which an expectation is taken exactly; beyond it, carried samples are used."""

_ZERO_PROBABILITY = -1e8

_CURES = {
    "actions": "Carry actions drawn from the old policy: PolicyChange(old, new, actions=old.sample(generator)).",
    "advantage": "Carry the agent's advantage: (batch,) at the carried actions, or (batch, n_joint) over all its own.",
    "joint_ratio": "Carry the product of the ratios of the agents that were already updated, (batch,).",
    "active": "Carry the agent's active flags, (batch,).",
    "state_weights": "Carry the positive weights of the states, (batch,).",
    "parameter_change": "Carry the new parameters minus the old ones as one flat vector.",
}


class ActionDistribution(Protocol):
    """What a policy change needs of a distribution; `SquashedGaussian` and `Categoricals` offer it.

    One over finitely many actions also offers ``joint_log_probs() -> (batch, n_joint)`` and ``nvec``.
    """

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability of actions (..., batch, size): (..., batch)."""
        ...

    def kl(self, other: Any) -> Tensor:
        """KL(self || other), (batch,)."""
        ...

    def detach(self) -> Any:
        """The same distribution outside the graph."""
        ...


@dataclass(frozen=True)
class PolicyChange:
    """One agent's step from ``old`` to ``new`` at a batch of states; the old side is outside the graph.

    Args:
        old: the reference policy pi of Definition 4; detached on construction.
        new: the policy hat-pi that is being sought; gradients flow into it.
        actions: actions drawn from ``old``, (batch, size) or (K, batch, size).
        advantage: (batch,) at the carried actions, or (batch, n_joint) over all own actions (last part fastest);
            in the latter case already averaged over the other agents, those in ``updated`` by their new policies.
        joint_ratio: (batch,), product of new/old over the agents in ``updated`` at the actions they took.
        active: (batch,), 1 where the agent is alive; None means everywhere.
        state_weights: (batch,), positive weights of the states (the sampling distribution beta); None means equal.
        updated: numbers of the agents that were already updated in this sweep, in order.
        parameter_change: new minus old parameters of the policy as one flat vector, for `ParameterBall`.
        old_log_prob: of the carried actions, (batch,) or (K, batch); None: asked of ``old``.
    """

    old: Any
    new: Any
    actions: Tensor | None = None
    advantage: Tensor | None = None
    joint_ratio: Tensor | None = None
    active: Tensor | None = None
    state_weights: Tensor | None = None
    updated: tuple[int, ...] = ()
    parameter_change: Tensor | None = None
    old_log_prob: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "old", self.old.detach())

    @property
    def is_finite(self) -> bool:
        """Whether the agent chooses among finitely many actions, few enough to enumerate."""
        if not hasattr(self.old, "joint_log_probs"):
            return False
        return prod(getattr(self.old, "nvec", ())) <= ENUMERATION_LIMIT

    def require(self, field: str, who: str) -> Any:
        """The field's value, or a refusal that names who needs it.

        Args:
            field: name of an optional field.
            who: who needs it, as in ``"ClipDrift"``.

        Raises:
            ConfigurationError: the field is None.
        """
        value = getattr(self, field)
        if value is None:
            which = f"The {field!r} of a policy change"
            raise ConfigurationError(explain(which, f"given, since {who} needs it", value, _CURES.get(field, "")))
        return value

    def ratio(self) -> Tensor:
        """``new(a) / old(a)`` at the carried actions, (batch,) or (K, batch).

        Raises:
            ConfigurationError: no actions are carried.
        """
        return self._ratio

    @cached_property
    def _ratio(self) -> Tensor:
        actions = self.require("actions", "ratio()")
        old = self.old.log_prob(actions) if self.old_log_prob is None else self.old_log_prob
        ratio: Tensor = (self.new.log_prob(actions) - old).exp()
        return ratio

    @cached_property
    def old_probs(self) -> Tensor:
        """Old probability of every own action, (batch, n_joint); finite action sets only."""
        found: Tensor = self.old.joint_log_probs().exp()
        return found

    @cached_property
    def all_ratios(self) -> Tensor:
        """``new(a) / old(a)`` of every own action, (batch, n_joint); 1 where the old policy never goes."""
        old = self.old.joint_log_probs()
        # Differences of two masked log-probabilities are noise; cut them out before exp, so no gradient is NaN.
        gap = torch.where(old > _ZERO_PROBABILITY, self.new.joint_log_probs() - old, 0.0)
        return gap.exp()

    def expect_old(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """``E_{a ~ old}[function(new(a) / old(a))]`` per state.

        Exact over all own actions where these are finitely many (at most `ENUMERATION_LIMIT`), else the mean over
        the carried actions.

        Args:
            function: of the ratios, (batch, n_joint) in the exact case and (K, batch) else; keeps the shape.

        Returns:
            (batch,).

        Raises:
            ConfigurationError: the expectation needs carried actions and there are none.
        """
        if self.is_finite:
            return (self.old_probs * function(self.all_ratios)).sum(-1)
        self.require("actions", "an expectation over more actions than can be enumerated")
        ratio = self.ratio()
        return function(ratio if ratio.dim() == 2 else ratio.unsqueeze(0)).mean(0)

    def kl_old_new(self) -> Tensor:
        """``KL(old || new)`` in closed form, (batch,)."""
        found: Tensor = self.old.kl(self.new)
        return found

    def kl_new_old(self) -> Tensor:
        """``KL(new || old)`` in closed form, (batch,)."""
        found: Tensor = self.new.kl(self.old)
        return found

    def mean(self, per_state: Tensor) -> Tensor:
        """Average over the states where the agent is active, weighted by ``state_weights``.

        Args:
            per_state: (batch,).

        Returns:
            scalar; 0 where no state counts.
        """
        weights = self._weights()
        if weights is None:
            return per_state.mean()
        # where, not a product: an inactive agent's value may be infinite, and 0 * inf is NaN.
        counted = torch.where(weights > 0, per_state, 0.0)
        return (weights * counted).sum() / weights.sum().clamp_min(torch.finfo(per_state.dtype).tiny)

    def max(self, per_state: Tensor) -> Tensor:
        """The largest value over the states where the agent is active, scalar; 0 where no state counts."""
        weights = self._weights()
        if weights is None:
            return per_state.max()
        return torch.where(weights > 0, per_state, 0.0).max()

    def _weights(self) -> Tensor | None:
        if self.active is None:
            return self.state_weights
        active = self.active.to(self.state_weights.dtype if self.state_weights is not None else torch.float32)
        return active if self.state_weights is None else active * self.state_weights
