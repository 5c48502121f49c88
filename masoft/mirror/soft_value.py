"""What the critic's target counts beside the critic's own value: the regularisers of the soft value ``V(s')``.

To write your own, subclass `SoftValue` as a frozen dataclass and define ``__call__``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number


@dataclass(frozen=True)
class SoftValue(Schedulable, ABC):
    """One agent's share of ``V(s') = Q(s', a') + sum_i share_i``. Fields may be schedules.

    Class attributes:
        needs_old: whether the old policies' log-probabilities are asked for.
    """

    needs_old: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, log_prob: Tensor, old_log_prob: Tensor | None, ent_coef: Tensor) -> Tensor:
        """The share of an agent that draws a fresh action, (rows,).

        Args:
            log_prob: (rows,), of that action; of a choice its mean over the agent's own actions, minus the entropy.
            old_log_prob: (rows,), by the old policy; of a choice its mean, so that the difference is KL(new || old).
                None where ``needs_old`` is false.
            ent_coef: scalar, the joint temperature.
        """


@dataclass(frozen=True)
class BoundedRelativeEntropy(SoftValue):
    """``-alpha clip(log pi, -b, b) - weight clip(log pi - log pi_old, -c, c)``: both regularisers, with bounds.

    With ``MEHAML(drift=KLDrift(weight))`` the actors pay the same price for leaving the old policies as the critic
    counts. Densities are unbounded, and so are the targets that count their logarithms; KL regularisation helped only
    where these were bounded. In an exact game the old policy is the one that is evaluated, so that the second term is 0
    and what is left is the drift alone.

    Args:
        weight: of the relative entropy, >= 0, or a schedule; that of the `KLDrift` beside it.
        bound: c > 0 nats, or a schedule.
        entropy_bound: b > 0 nats, or a schedule; None bounds nothing.

    Reference:
        Iwaki, Mirror Descent Actor Critic via Bounded Advantage Learning, 2025, which bounds the two terms of its
        critic's target; there the old policy is that of the last target network.
    """

    needs_old: ClassVar[bool] = True
    weight: Scheduled = 0.1
    bound: Scheduled = 1.0
    entropy_bound: Scheduled | None = None

    def __post_init__(self) -> None:
        check_scheduled(self, "weight")
        check_scheduled(self, "bound", open_low=True)
        if self.entropy_bound is not None:
            check_scheduled(self, "entropy_bound", open_low=True)

    def __call__(self, log_prob: Tensor, old_log_prob: Tensor | None, ent_coef: Tensor) -> Tensor:
        if old_log_prob is None:
            raise ConfigurationError(explain("old_log_prob", "given, since BoundedRelativeEntropy needs it", None))
        bound = number(self.bound, "BoundedRelativeEntropy's bound")
        relative = (log_prob - old_log_prob).clamp(-bound, bound)
        if self.entropy_bound is not None:
            most = number(self.entropy_bound, "BoundedRelativeEntropy's entropy_bound")
            log_prob = log_prob.clamp(-most, most)
        return -ent_coef * log_prob - number(self.weight, "BoundedRelativeEntropy's weight") * relative
