"""How the target critics' values become one. To write your own, subclass `QTarget` and define ``__call__``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.validation import Integer, ShortForms, check_parameters


@dataclass(frozen=True)
class QTarget(ABC):
    """From the values of several critics to the one that the return bootstraps from."""

    @abstractmethod
    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One value a state.

        Args:
            values: (n_critics, batch).
            generator: source of random choices, on the device of ``values``.

        Returns:
            (batch,).
        """

    @property
    def least(self) -> int:
        """Critics that it cannot do without."""
        return 1

    def check(self, n_critics: int) -> None:
        """Refuse too few critics.

        Raises:
            ConfigurationError: names the number needed.
        """
        if n_critics < self.least:
            cure = f"Set policy_kwargs=dict(n_critics={self.least}) or more."
            raise ConfigurationError(explain("n_critics", f"at least {self.least} for {self}", n_critics, cure))


@dataclass(frozen=True)
class Smallest(QTarget):
    """The smallest value: cautious (Fujimoto et al., 2018)."""

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return values.amin(dim=0)


@dataclass(frozen=True)
class Mean(QTarget):
    """The mean: less cautious."""

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return values.mean(dim=0)


@dataclass(frozen=True)
class Subset(QTarget):
    """The smallest of k critics drawn anew for each update, out of a larger ensemble.

    Args:
        k: how many, >= 1; ``policy_kwargs=dict(n_critics=...)`` sets the size of the ensemble.

    Reference:
        Chen et al., Randomized Ensembled Double Q-Learning, 2021.
    """

    k: int = 2

    def __post_init__(self) -> None:
        check_parameters("Subset", {"k": (Integer(1),)}, vars(self))

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.randperm(len(values), generator=generator, device=values.device)[: self.k]
        return values[drawn].amin(dim=0)

    @property
    def least(self) -> int:
        return self.k


Q_TARGETS = ShortForms(
    QTarget,
    {"min": Smallest, "mean": Mean, "subset": Subset},
    "'min', 'mean', 'subset_k' with a whole number k >= 1, or a QTarget such as Subset(2)",
)
"""The forms of the ``q_target`` parameter."""
