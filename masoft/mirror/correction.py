"""How the policy changes of the other agents enter an agent's advantage, in on-policy learning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.validation import Instance, Nothing, Real, check_parameters


@dataclass(frozen=True)
class Correction(ABC):
    """What weighs an agent's advantage ``A``, which was measured while everybody followed the old policies.

    Class attributes:
        of_everybody: whether the present ratios of all other agents are asked for at each gradient step, rather than
            those of the agents updated before, once a turn.
    """

    of_everybody: ClassVar[bool] = False
    clip: float | None = None
    traces: bool = False

    def __post_init__(self) -> None:
        constraints = {"clip": (Real(0, open_low=True), Nothing()), "traces": (Instance((bool,), "a bool"),)}
        check_parameters(type(self).__name__, constraints, vars(self))

    @abstractmethod
    def joint_ratio(self, log_ratios: Sequence[Tensor], clip_range: float | None = None) -> Tensor | None:
        """The weight of each taken joint action.

        Args:
            log_ratios: one (batch,) tensor an agent that counts: log of new probability over old, 0 where it is dead.
            clip_range: the drift's, or None.

        Returns:
            (batch,), or None where nobody counts.
        """

    def trace(self, log_ratios: Sequence[Tensor]) -> Tensor | None:
        """``min(1, joint ratio)`` (batch,), by which the advantage cuts the traces of later steps; None: not at all."""
        if not self.traces or not log_ratios:
            return None
        return sum(log_ratios[1:], log_ratios[0]).clamp_max(0).exp()

    def _product(self, log_ratios: Sequence[Tensor], clip_range: float | None) -> Tensor | None:
        if not log_ratios:
            return None
        ratio = torch.exp(sum(log_ratios[1:], log_ratios[0]))
        if self.clip is None:
            return ratio
        if clip_range is None:
            must, cure = "one with a clip range, since the correction clips in units of it", "Use ClipDrift."
            raise ConfigurationError(explain("drift", must, clip_range, cure))
        reach = self.clip * clip_range
        return ratio.clamp(1 - reach, 1 + reach)


@dataclass(frozen=True)
class SequentialRatio(Correction):
    """The product of the ratios of the agents updated before: ``M = prod_j (new_j / old_j) A`` (HAPPO, A2PO).

    With simultaneous updates nobody is updated before, so it changes nothing (MAPPO).

    Args:
        clip: clip the product to ``1 +- clip * clip_range`` with the drift's clip range; None leaves it as it is.
        traces: cut the advantage's traces where the updated agents would act otherwise, as A2PO does.

    Reference:
        Kuba et al., Trust Region Policy Optimisation in Multi-Agent Reinforcement Learning, 2022; Wang et al., Order
        Matters: Agent-by-agent Policy Optimization, 2023.
    """

    def joint_ratio(self, log_ratios: Sequence[Tensor], clip_range: float | None = None) -> Tensor | None:
        return self._product(log_ratios, clip_range)


@dataclass(frozen=True)
class CoordinatedRatio(Correction):
    """The product of all other agents' present ratios, looked at again at each gradient step (CoPPO).

    Args:
        clip: clip the product to ``1 +- clip * clip_range``; below 1, so that it never uses up the drift's range.
        traces: not possible here.

    Reference:
        Wu et al., Coordinated Proximal Policy Optimization, 2021.
    """

    of_everybody: ClassVar[bool] = True
    clip: float | None = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.traces:
            raise ConfigurationError(explain("The traces of CoordinatedRatio", "False", True, "Use SequentialRatio."))

    def joint_ratio(self, log_ratios: Sequence[Tensor], clip_range: float | None = None) -> Tensor | None:
        return self._product(log_ratios, clip_range)
