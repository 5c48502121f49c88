"""The last layer of an actor: features in, an action distribution out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from masoft.distributions import Categoricals, Distribution, FixedAction, SquashedGaussian
from masoft.errors import ConfigurationError, explain
from masoft.fast.precision import full
from masoft.spec import ActionSpec, AgentSpec

LOG_STD_MIN = -20.0
LOG_STD_MAX = 2.0

Heads: TypeAlias = "Callable[[int, ActionSpec], Head] | Mapping[str, Callable[[int, ActionSpec], Head]] | None"
"""Heads of a user's own: one for all agents with a Box, or one an agent by name."""


class Head(nn.Module, ABC):
    """Abstract: one linear layer, whose outputs are read as a distribution.

    One of your own goes into ``policy_kwargs={"head": ...}`` as a class and is made by ``head(n_features, action)``,
    where ``action`` is the agent's `ActionSpec`.

    Args:
        n_features: length of the feature vector.
        n_outputs: of the linear layer.
    """

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, n_outputs)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        """Distribution over actions for features (batch, n_features); mask (batch, sum(nvec)), true = legal."""
        return self.read(full(self.linear(features)), mask)

    @abstractmethod
    def read(self, outputs: Tensor, mask: Tensor | None = None) -> Distribution:
        """The same from what the linear layer gave, (..., n_outputs)."""


class SquashedGaussianHead(Head):
    """Mean and state-dependent standard deviation of a tanh-squashed Gaussian, in one linear layer.

    Args:
        n_features: length of the feature vector.
        size: number of action entries.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__(n_features, 2 * size)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> SquashedGaussian:
        """A distribution over actions in [-1, 1] from outputs (..., 2 * size); a mask has no meaning here."""
        mean, log_std = outputs.chunk(2, dim=-1)
        return SquashedGaussian(mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX))


class DeterministicHead(Head):
    """A tanh-squashed action, without noise.

    Args:
        n_features: length of the feature vector.
        size: number of action entries.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__(n_features, size)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> FixedAction:
        """The action in [-1, 1] from outputs (..., size); a mask has no meaning here."""
        return FixedAction(torch.tanh(outputs))


class CategoricalHead(Head):
    """Logits of independent categorical parts.

    The last layer starts a hundred times smaller than usual, so that a fresh policy is close to uniform (or to
    ``initial_probabilities``) in every state.

    Args:
        n_features: length of the feature vector.
        nvec: number of choices of each part.
        initial_probabilities: probabilities with which every state's policy starts exactly, (sum(nvec),).
    """

    def __init__(
        self, n_features: int, nvec: tuple[int, ...], initial_probabilities: Sequence[float] | None = None
    ) -> None:
        super().__init__(n_features, sum(nvec))
        self.nvec = nvec
        with torch.no_grad():
            self.linear.bias.zero_()
            self.linear.weight.mul_(0.01)
            if initial_probabilities is not None:
                self.linear.weight.zero_()
                self.linear.bias.copy_(_checked_probabilities(initial_probabilities, nvec).log())

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> Categoricals:
        """A distribution over choices from outputs (..., sum(nvec))."""
        return Categoricals(outputs, self.nvec, mask)


def own_head(agent: AgentSpec, heads: Heads, n_features: int) -> Head | None:
    """The head that a user has chosen for an agent; None where the usual one serves.

    Args:
        agent: the agent.
        heads: a class for all agents with a Box, or classes by agent.
        n_features: length of the feature vector.

    Raises:
        ConfigurationError: what was chosen is no class of heads.
    """
    of_all: Any = heads if agent.action.is_box else None
    chosen: Any = heads.get(agent.name) if isinstance(heads, Mapping) else of_all
    if chosen is None:
        return None
    is_head = isinstance(chosen, type) and issubclass(chosen, Head)
    if not is_head:
        cure = "Subclass masoft.networks.Head and give the class, not an object."
        raise ConfigurationError(explain(f"The 'head' of agent {agent.name!r}", "a class of heads", chosen, cure))
    head: Head = chosen(n_features, agent.action)
    return head


def stochastic_head(
    agent: AgentSpec, n_features: int, initial_probabilities: Sequence[float] | None = None, heads: Heads = None
) -> Head:
    """The head of an off-policy agent that draws its actions: a user's own, a squashed Gaussian, or categorical.

    Args:
        agent: the agent.
        n_features: length of the feature vector.
        initial_probabilities: of a categorical agent, see `CategoricalHead`.
        heads: see `own_head`.
    """
    own = own_head(agent, heads, n_features)
    if own is not None:
        return own
    if agent.action.is_box:
        return SquashedGaussianHead(n_features, agent.action.size)
    return CategoricalHead(n_features, agent.action.nvec, initial_probabilities)


def _checked_probabilities(probabilities: Sequence[float], nvec: tuple[int, ...]) -> Tensor:
    """The starting probabilities as a tensor, or an error that says what is wrong with them."""
    values = torch.as_tensor(probabilities, dtype=torch.float32).reshape(-1)
    is_valid = values.numel() == sum(nvec) and bool((values > 0).all())
    if is_valid:
        sums = torch.stack([part.sum() for part in torch.split(values, list(nvec))])
        is_valid = bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-4))
    if not is_valid:
        must = f"{sum(nvec)} positive numbers that sum to 1 over each categorical part {nvec}"
        raise ConfigurationError(explain("initial_action_probabilities", must, probabilities))
    return values
