"""How a categorical agent climbs its critic: by an exact expectation, or by the slopes at a relaxed draw.

To write your own, subclass `DiscreteGradient` as a frozen dataclass, define ``enumerates``, and ``draw`` where that is
not a straight-through one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.distributions import Categoricals
from masoft.validation import Integer, Real, ShortForms, check_parameters


@dataclass(frozen=True)
class DiscreteGradient(ABC):
    """The gradient of agents with finitely many actions."""

    @abstractmethod
    def enumerates(self, n_joint: int) -> bool:
        """Whether an agent with ``n_joint`` own actions takes the exact expectation over them."""

    def draw(self, policy: Categoricals, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """An action for agents that enumerate nothing, differentiable in the policy.

        Returns:
            its one-hot parts (batch, sum(nvec)) and its log-probability (batch,).
        """
        return policy.straight_through(generator)


@dataclass(frozen=True)
class Exact(DiscreteGradient):
    """The expectation of Q over an agent's own actions."""

    def enumerates(self, n_joint: int) -> bool:
        return True


@dataclass(frozen=True)
class StraightThrough(DiscreteGradient):
    """The critic's slopes at a straight-through Gumbel-softmax draw, as the paper follows them.

    Args:
        temperature: of the softmax behind the one-hot draw, > 0: low follows the draw, high the policy.

    Reference:
        Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_parameters("StraightThrough", {"temperature": (Real(0, open_low=True),)}, vars(self))

    def enumerates(self, n_joint: int) -> bool:
        return False

    def draw(self, policy: Categoricals, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return policy.straight_through(generator, self.temperature)


@dataclass(frozen=True)
class ExactUpTo(DiscreteGradient):
    """Exact for agents with few own actions, straight-through for the others: ``"auto"``.

    Args:
        limit: largest number of own actions that is enumerated, >= 0.
    """

    limit: int = 64

    def __post_init__(self) -> None:
        check_parameters("ExactUpTo", {"limit": (Integer(0),)}, vars(self))

    def enumerates(self, n_joint: int) -> bool:
        return n_joint <= self.limit


DISCRETE_GRADIENTS = ShortForms(
    DiscreteGradient,
    {"auto": ExactUpTo, "exact": Exact, "gumbel": StraightThrough},
    "'auto', 'exact', 'gumbel', 'gumbel_x' with x > 0, or a DiscreteGradient such as StraightThrough(0.5)",
)
"""The forms of the ``discrete_gradient`` parameter."""
