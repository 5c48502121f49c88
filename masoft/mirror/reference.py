"""Which policy is "old" in off-policy learning: how a reference follows the actors.

At the old policy a drift has zero value and slope (Definition 4), so with one gradient step from it a drift does
nothing at all; the reference must last over several gradient steps. To write your own pace, subclass `Pace` as a frozen
dataclass and define ``share``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from masoft.validation import Integer, Real, ShortForms, check_parameters


@dataclass(frozen=True)
class Pace(ABC):
    """How reference policies follow the actors."""

    @abstractmethod
    def share(self, n_updates: int) -> float:
        """By which share, 0 to 1, the references move to the actors before an update.

        Args:
            n_updates: updates made so far.
        """


@dataclass(frozen=True)
class EveryK(Pace):
    """The references become the actors before every k-th update; ``EveryK(1)`` is ``"update"``.

    Args:
        k: updates that a reference lasts, >= 1.
    """

    k: int = 10

    def __post_init__(self) -> None:
        check_parameters("EveryK", {"k": (Integer(1),)}, vars(self))

    def share(self, n_updates: int) -> float:
        return 1.0 if n_updates % self.k == 0 else 0.0


@dataclass(frozen=True)
class Polyak(Pace):
    """The references move by the same share before each update.

    Args:
        tau: the share, in (0, 1].
    """

    tau: float = 0.01

    def __post_init__(self) -> None:
        check_parameters("Polyak", {"tau": (Real(0, 1, open_low=True),)}, vars(self))

    def share(self, n_updates: int) -> float:
        return self.tau


PACES = ShortForms(
    Pace,
    {"update": lambda: EveryK(1), "every": EveryK, "polyak": Polyak},
    "'update', 'every_k' with a whole number k >= 1, 'polyak_x' with x in (0, 1], or a Pace such as EveryK(10)",
)
"""The forms of the ``reference`` parameter."""
