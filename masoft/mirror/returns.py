"""What several steps of a replayed stretch make of the critic's target.

To write your own, subclass `ReturnRule` and define ``following``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from masoft.mirror.schedule import Schedulable, Scheduled, check_scheduled, number
from masoft.validation import ShortForms


class StepsBetween(Protocol):
    """What can be asked about the steps between a transition and its bootstrap; (n_steps - 1, batch) each.

    ``s`` and ``a`` are the stored state and joint action of such a step, ``pi`` the policies of now. What nobody asks
    for is not computed.
    """

    @property
    def entropy_bonus(self) -> Tensor:
        """``alpha sum_i H(pi_i(. | s))``; 0 for a deterministic method."""
        ...

    @property
    def value(self) -> Tensor:
        """``V(s)``: the target critics at ``s`` and a fresh action, plus the entropy bonus."""
        ...

    @property
    def taken_value(self) -> Tensor:
        """``Q(s, a)``, the target critics at the stored action."""
        ...

    @property
    def log_ratio(self) -> Tensor:
        """``log pi(a | s) - log mu(a | s)``, where ``mu`` is what acted then.

        Raises:
            ConfigurationError: the policies are deterministic.
        """
        ...


@dataclass(frozen=True)
class ReturnRule(Schedulable, ABC):
    """How rewards of several steps become one target: ``G_t = r_t + gamma following(s_{t+1}, a_{t+1}, ..., G_{t+1})``.

    At the last step ``G`` is ``r + gamma V(s')``. Fields may be schedules.

    Class attributes:
        looks_between: whether anything but the rewards is asked for.
        needs_log_probs: whether log-probabilities of actions are stored when they are taken.
    """

    looks_between: ClassVar[bool] = True
    needs_log_probs: ClassVar[bool] = False

    @abstractmethod
    def following(self, between: StepsBetween, k: int, later: Tensor) -> Tensor:
        """The value of standing in the k-th state in between.

        Args:
            between: what is known there.
            k: row of it, 0 for the state after the transition.
            later: (batch,), the return from there on along the stored actions, without the entropy of that state.

        Returns:
            (batch,).
        """

    def target(
        self, rewards: Tensor, goes_on: Tensor, bootstrap: Tensor, gamma: float, between: StepsBetween
    ) -> Tensor:
        """The return of each row.

        Args:
            rewards: (n_steps, batch), of the stored steps; those after an end do not matter.
            goes_on: (n_steps - 1, batch), true where the step after is still of this return.
            bootstrap: (batch,), ``(1 - terminated) V(s')`` at the state after the last step that is.
            gamma: discount factor.
            between: what the rule may ask for.

        Returns:
            (batch,).
        """
        total = rewards[-1] + gamma * bootstrap
        for k in reversed(range(len(goes_on))):
            total = rewards[k] + gamma * torch.where(goes_on[k], self.following(between, k, total), bootstrap)
        return total


@dataclass(frozen=True)
class PlainReturn(ReturnRule):
    """The sum of the rewards: ``following = G``. Leaves out entropies, and corrects nothing.

    Biased for returns of two steps and more: towards who acted then, and towards no entropy in between.
    """

    looks_between: ClassVar[bool] = False

    def following(self, between: StepsBetween, k: int, later: Tensor) -> Tensor:
        return later


@dataclass(frozen=True)
class SoftReturn(ReturnRule):
    """Rewards and the entropies of the steps between: ``following = alpha H(s) + G``.

    Right where the stored actions are those of the policies of now; otherwise biased towards who acted then.
    """

    def following(self, between: StepsBetween, k: int, later: Tensor) -> Tensor:
        return between.entropy_bonus[k] + later


@dataclass(frozen=True)
class PengReturn(ReturnRule):
    """A geometric mean over all lengths: ``following = (1 - trace) V(s) + trace (alpha H(s) + G)``.

    Uncorrected, as `SoftReturn`, but the weight of stored actions falls with their distance.

    Args:
        trace: in [0, 1], or a schedule. 0 is a return of one step, 1 is `SoftReturn`.

    Reference:
        Peng and Williams, Incremental Multi-Step Q-Learning, 1996; Kozuno et al., Revisiting Peng's Q(lambda) for
        Modern Reinforcement Learning, 2021.
    """

    trace: Scheduled = 0.7

    def __post_init__(self) -> None:
        check_scheduled(self, "trace", high=1.0)

    def following(self, between: StepsBetween, k: int, later: Tensor) -> Tensor:
        trace = number(self.trace, "PengReturn's trace")
        return (1 - trace) * between.value[k] + trace * (between.entropy_bonus[k] + later)


@dataclass(frozen=True)
class RetraceReturn(ReturnRule):
    """Corrected: ``following = V(s) + trace min(clip, pi(a|s) / mu(a|s)) (G - Q(s, a))``.

    Its expectation is the soft Q-function of the policies of now wherever the target critic is, whoever acted. With
    ``clip=None`` it is importance sampling with the critic as a control variate.

    Args:
        trace: lambda, in [0, 1], or a schedule.
        clip: the largest ratio of joint probabilities that counts, > 0, or a schedule; None: any.

    Reference:
        Munos et al., Safe and Efficient Off-Policy Reinforcement Learning, 2016.
    """

    needs_log_probs: ClassVar[bool] = True
    trace: Scheduled = 1.0
    clip: Scheduled | None = 1.0

    def __post_init__(self) -> None:
        check_scheduled(self, "trace", high=1.0)
        if self.clip is not None:
            check_scheduled(self, "clip", open_low=True)

    def following(self, between: StepsBetween, k: int, later: Tensor) -> Tensor:
        ratio = between.log_ratio[k].exp()
        if self.clip is not None:
            ratio = ratio.clamp_max(number(self.clip, "RetraceReturn's clip"))
        trace = number(self.trace, "RetraceReturn's trace")
        return between.value[k] + trace * ratio * (later - between.taken_value[k])


RETURN_RULES = ShortForms(
    ReturnRule,
    {"plain": PlainReturn, "soft": SoftReturn, "peng": PengReturn, "retrace": RetraceReturn},
    "'plain', 'soft', 'peng', 'retrace', or a ReturnRule such as RetraceReturn(trace=0.9)",
)
"""The forms of the ``return_rule`` parameter."""
