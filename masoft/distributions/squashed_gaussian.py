"""The distribution of off-policy actors with continuous actions: a Gaussian squashed into the Box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from masoft.distributions.gaussian import LOG_TWO_PI, Gaussian

LOG_TWO = math.log(2.0)


@dataclass(frozen=True)
class SquashedGaussian(Gaussian):
    """``tanh(u)`` with ``u ~ N(mean, exp(log_std)^2)``, independent entries, in [-1, 1].

    Args:
        mean: (batch, size), before squashing.
        log_std: (batch, size).

    Reference:
        Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018, Appendix C.
    """

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        return torch.tanh(torch.addcmul(self.mean, self.log_std.exp(), self.noise(generator)))

    def sample_with_log_prob(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A reparameterised action (batch, size) and its log-density (batch,)."""
        action, log_prob = _SquashedDraw.apply(self.mean, self.log_std, self.noise(generator))  # type: ignore[no-untyped-call]
        return action, log_prob

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of given actions.

        Args:
            actions: (..., batch, size), entries in [-1, 1]; clipped a little inside.

        Returns:
            (..., batch).
        """
        unsquashed = torch.atanh(actions.clamp(-1 + 1e-6, 1 - 1e-6))
        standard = (unsquashed - self.mean) * torch.exp(-self.log_std)
        terms = -0.5 * standard.square() - self.log_std - _log_tanh_slope(unsquashed)
        return terms.sum(-1) - 0.5 * LOG_TWO_PI * self.mean.shape[-1]

    def mode(self) -> Tensor:
        """``tanh(mean)``, (batch, size): the action used when acting deterministically."""
        return torch.tanh(self.mean)

    def kl(self, other: SquashedGaussian) -> Tensor:
        """KL(self || other), (batch,), in closed form (squashing by the same bijection leaves it unchanged)."""
        log_ratio = other.log_std - self.log_std
        moved = ((self.mean - other.mean) * torch.exp(-other.log_std)).square()
        # expm1 keeps each term >= 0 when the two policies nearly agree.
        return 0.5 * (torch.expm1(-2 * log_ratio) + 2 * log_ratio + moved).sum(-1)


class _SquashedDraw(torch.autograd.Function):
    """``a = tanh(u)`` with ``u = mean + exp(log_std) noise``, and ``log pi(a)``; the gradient is written out.

    With the noise held, ``d log pi / du = 2 a`` and ``d log pi / d log_std = -1`` beside what goes through ``u``.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        scaled = log_std.exp().mul_(noise)
        unsquashed = mean + scaled
        action = unsquashed.tanh()
        terms = _log_tanh_slope(unsquashed).add_(log_std).addcmul_(noise, noise, value=0.5)
        ctx.save_for_backward(action, scaled)
        return action, terms.sum(-1).add_(0.5 * LOG_TWO_PI * mean.shape[-1]).neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_action: Tensor, of_log_prob: Tensor) -> tuple[Tensor, Tensor, None]:
        action, scaled = ctx.saved_tensors
        of_log_prob = of_log_prob.unsqueeze(-1)
        of_mean = torch.addcmul(of_action, of_action * action, action, value=-1).addcmul_(of_log_prob, action, value=2)
        return of_mean, (of_mean * scaled).sub_(of_log_prob), None


def _log_tanh_slope(unsquashed: Tensor) -> Tensor:
    """``log(1 - tanh(u)^2)``, stable for large ``|u|``."""
    # softplus with beta = -2 is -softplus(-2 u) / 2: one pass instead of two.
    return torch.sub(unsquashed, F.softplus(unsquashed, beta=-2), alpha=2).add_(-LOG_TWO).mul_(-2)
