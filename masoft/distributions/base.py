"""What every action distribution offers to algorithms, drifts and buffers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain

Self = TypeVar("Self", bound="Distribution")


class Distribution(ABC):
    """What one agent's policy is at a batch of states: a frozen dataclass whose tensors are its parameters.

    A parameter is (batch, size), or (size,) where it is the same in every state. Actions of a Box count in units where
    the Box is [-1, 1]; those of categorical parts are choice numbers. Every draw takes the caller's generator, so that
    one seed decides everything. To write your own, subclass it as a frozen dataclass, define `sample`, `log_prob` and
    `mode`, and for off-policy methods `rsample`; a head (`masoft.networks.heads.Head`) makes it from features.
    """

    @abstractmethod
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """An action, (batch, size)."""

    @abstractmethod
    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability (of a Box: log-density) of actions (..., batch, size): (..., batch)."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The action when acting deterministically, (batch, size)."""

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """An action that is differentiable in the parameters, (batch, size).

        Raises:
            ConfigurationError: the distribution has no such draw.
        """
        raise self._lacks("a draw that is differentiable in its parameters", "Define rsample, or train on-policy.")

    def sample_with_log_prob(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """`rsample` (batch, size) and its log-probability (batch,), both differentiable."""
        action = self.rsample(generator)
        return action, self.log_prob(action)

    def entropy(self, generator: torch.Generator | None = None) -> Tensor:
        """Entropy in each state, (batch,), nats: where no closed form is known, minus the log-density of a fresh draw.

        The draw is reparameterised and apart from any action taken, so the estimate has the right mean and slope.
        """
        return -self.sample_with_log_prob(generator)[1]

    def kl(self, other: Any) -> Tensor:
        """KL(self || other) in closed form, (batch,).

        Raises:
            ConfigurationError: there is none.
        """
        raise self._lacks("a KL divergence in closed form", "Define kl, or use a drift of ratios: SquaredRatioDrift.")

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The tensors that make the distribution, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}

    def detach(self: Self) -> Self:
        """The same distribution outside the graph."""
        return self._with(Tensor.detach)

    def keep(self: Self) -> Self:
        """A copy outside the graph that later changes of the network leave alone."""
        return self._with(lambda value: value.detach().clone())

    def rows(self: Self, rows: Tensor | None) -> Self:
        """The distribution at some of its states.

        Args:
            rows: (k,), numbers of states; None keeps all.
        """
        return self if rows is None else self._with(lambda value: value if value.dim() == 1 else value[rows])

    @classmethod
    def join(cls, distributions: Sequence[Self]) -> Self:
        """Distributions over the same kind of action as one over all their states, in order."""
        first = distributions[0]
        if len(distributions) == 1:
            return first
        each = [one._spread() for one in distributions]
        return replace(first, **{name: torch.cat([one[name] for one in each]) for name in each[0]})  # type: ignore[type-var]

    def _spread(self) -> dict[str, Tensor]:
        """The parameters, each (batch, size)."""
        parameters = self.parameters
        batch = max(len(value) for value in parameters.values() if value.dim() > 1)
        return {name: value.expand(batch, -1) if value.dim() == 1 else value for name, value in parameters.items()}

    def _with(self: Self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{name: change(value) for name, value in self.parameters.items()})  # type: ignore[type-var]

    def _lacks(self, what: str, cure: str) -> ConfigurationError:
        return ConfigurationError(explain("The action distribution", f"one with {what}", type(self).__name__, cure))
