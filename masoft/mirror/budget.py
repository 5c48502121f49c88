"""How much each agent of a team may change in an update: shares of a common budget."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from masoft.errors import ConfigurationError, explain
from masoft.validation import Real, check_parameters


@dataclass(frozen=True)
class Budget(ABC):
    """Deals the radius of a neighborhood among agents; a ``step_kl`` that an improver brings itself is not dealt.

    Class attributes:
        needs_slopes: whether a deal needs the agents' slopes, which cost a gradient and a conjugate gradient each.

    Example:
        >>> from dataclasses import dataclass
        >>> from masoft.mirror import Budget
        >>> @dataclass(frozen=True)
        ... class OnlySteepest(Budget):
        ...     def shares(self, slopes):
        ...         return [len(slopes) * (slope == max(slopes)) for slope in slopes]
        >>> OnlySteepest().shares([1.0, 3.0])
        [0, 2]
    """

    needs_slopes: ClassVar[bool] = True

    @abstractmethod
    def shares(self, slopes: Sequence[float]) -> Sequence[float]:
        """What each agent's radius is multiplied by; of mean 1, so that the team's budget stays what it was.

        Args:
            slopes: by agent, the squared length of its natural slope, ``g^T H^-1 g``: to second order, a KL
                divergence d gains the agent ``sqrt(2 d g^T H^-1 g)``.
        """


@dataclass(frozen=True)
class EqualBudget(Budget):
    """The same radius for every agent."""

    needs_slopes: ClassVar[bool] = False

    def shares(self, slopes: Sequence[float]) -> Sequence[float]:
        return [1.0] * len(slopes)


@dataclass(frozen=True)
class SlopeBudget(Budget):
    """Radii in proportion to the squared natural slopes: what makes the sum of the agents' gains largest.

    The gains ``sqrt(2 d_i) b_i`` of agents with slopes ``b_i`` have the largest sum under ``sum d_i = n d`` at
    ``d_i = n d b_i^2 / sum b_j^2``, by the conditions of Karush, Kuhn and Tucker.

    Args:
        least: share of an equal radius that everyone keeps, in [0, 1]; 1 is `EqualBudget`.

    Reference:
        The weighted threshold of HATRPO-W (2025, arXiv:2508.10340).
    """

    least: float = 0.0

    def __post_init__(self) -> None:
        check_parameters("SlopeBudget", {"least": (Real(0, 1),)}, vars(self))

    def shares(self, slopes: Sequence[float]) -> Sequence[float]:
        total = sum(slopes)
        if not total > 0:
            return [1.0] * len(slopes)
        return [self.least + (1 - self.least) * len(slopes) * slope / total for slope in slopes]


def dealt(budget: Budget, slopes: Sequence[float]) -> list[float]:
    """A budget's shares, checked.

    Raises:
        ConfigurationError: not one finite number >= 0 an agent.
    """
    shares = [float(share) for share in budget.shares(slopes)]
    if len(shares) != len(slopes) or not all(share >= 0 and math.isfinite(share) for share in shares):
        must = f"{len(slopes)} finite numbers >= 0, one an agent"
        raise ConfigurationError(explain(f"The shares of {type(budget).__name__}", must, shares))
    return shares
