"""The two action distributions of a team: squashed Gaussians and independent (masked) categoricals.

Plain records of tensors, with everything written out: no validation, no hidden sampling state. Every draw takes the
caller's generator, so that one seed decides everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LOG_TWO_PI = math.log(2 * math.pi)
LOG_TWO = math.log(2.0)
MASKED_LOGIT = -1e9


@dataclass(frozen=True)
class SquashedGaussian:
    """``tanh(u)`` with ``u ~ N(mean, exp(log_std)^2)``, independent entries, in [-1, 1].

    Args:
        mean: (batch, size), before squashing.
        log_std: (batch, size).

    Reference:
        Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018, Appendix C.
    """

    mean: Tensor
    log_std: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A reparameterised action, (batch, size), differentiable in mean and log_std."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return torch.tanh(torch.addcmul(self.mean, self.log_std.exp(), noise))

    def sample_with_log_prob(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A reparameterised action (batch, size) and its log-density (batch,)."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        action, log_prob = _SquashedDraw.apply(self.mean, self.log_std, noise)  # type: ignore[no-untyped-call]
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

    def detach(self) -> SquashedGaussian:
        """The same distribution outside the graph."""
        return SquashedGaussian(self.mean.detach(), self.log_std.detach())

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


@dataclass(frozen=True)
class Categoricals:
    """Independent categorical parts, one an entry of the action (a Discrete space has one part).

    Args:
        logits: (batch, sum(nvec)), unnormalised; the parts one after the other.
        nvec: number of choices of each part.
        mask: (batch, sum(nvec)), true where a choice is legal; None allows all.
    """

    logits: Tensor
    nvec: tuple[int, ...]
    mask: Tensor | None = None

    @cached_property
    def log_probs(self) -> Tensor:
        """Log-probability of each choice of each part, (batch, sum(nvec)); about -1e9 for an illegal choice."""
        logits = self.logits
        if self.mask is not None:
            logits = torch.where(self.mask.bool(), logits, MASKED_LOGIT)
        if len(self.nvec) == 1:
            return F.log_softmax(logits, dim=-1)
        return torch.cat([F.log_softmax(part, dim=-1) for part in torch.split(logits, list(self.nvec), dim=-1)], dim=-1)

    @cached_property
    def probs(self) -> Tensor:
        """Probability of each choice of each part, (batch, sum(nvec)); exactly 0 for an illegal choice."""
        return self.log_probs.exp()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """An action as choice numbers, (batch, len(nvec)), int64; never an illegal one."""
        noise = torch.empty_like(self.log_probs).exponential_(generator=generator).log_()
        return self._argmax(self.log_probs.detach() - noise)

    def mode(self) -> Tensor:
        """The likeliest choice of each part, (batch, len(nvec)), int64."""
        return self._argmax(self.log_probs.detach())

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability of given actions.

        Args:
            actions: (..., batch, len(nvec)), choice numbers.

        Returns:
            (..., batch), summed over the parts.
        """
        index = actions.long() + self._offsets(actions.device)
        log_probs = self.log_probs.expand(*index.shape[:-1], -1)
        return log_probs.gather(-1, index).sum(-1)

    def entropy(self) -> Tensor:
        """Exact entropy, (batch,), summed over the parts."""
        return -(self.probs * self.log_probs).sum(-1)

    def straight_through(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A Gumbel-softmax draw at temperature 1: one-hot forward, soft gradient (Jang et al., 2017).

        Returns:
            The one-hot parts (batch, sum(nvec)) and the log-probability of the draw (batch,).
        """
        noise = torch.empty_like(self.log_probs).exponential_(generator=generator).log_()
        perturbed = self.log_probs - noise
        soft = torch.cat([part.softmax(-1) for part in torch.split(perturbed, list(self.nvec), dim=-1)], dim=-1)
        hard = one_hot_parts(self._argmax(perturbed.detach()), self.nvec).to(soft.dtype)
        relaxed = hard + soft - soft.detach()
        return relaxed, (relaxed * self.log_probs).sum(-1)

    def detach(self) -> Categoricals:
        """The same distribution outside the graph."""
        return Categoricals(self.logits.detach(), self.nvec, self.mask)

    def kl(self, other: Categoricals) -> Tensor:
        """KL(self || other), (batch,), summed over the parts; illegal choices count nothing."""
        gap = torch.where(self.probs > 0, self.log_probs - other.log_probs, 0.0)
        # sum p log(p/q) + sum (q - p): the same number, but each term is >= 0 when the two policies nearly agree.
        return torch.where(self.probs > 0, self.probs * (gap + torch.expm1(-gap)), other.probs).sum(-1)

    def joint_log_probs(self) -> Tensor:
        """Log-probability of every action of the agent, (batch, prod(nvec)); the last part varies fastest."""
        parts = torch.split(self.log_probs, list(self.nvec), dim=-1)
        joint = parts[0]
        for part in parts[1:]:
            joint = (joint.unsqueeze(-1) + part.unsqueeze(-2)).flatten(-2)
        return joint

    def _argmax(self, scores: Tensor) -> Tensor:
        if len(self.nvec) == 1:
            return scores.argmax(-1, keepdim=True)
        return torch.stack([part.argmax(-1) for part in torch.split(scores, list(self.nvec), dim=-1)], dim=-1)

    def _offsets(self, device: torch.device) -> Tensor:
        starts = [sum(self.nvec[:k]) for k in range(len(self.nvec))]
        return torch.tensor(starts, device=device)


Distribution: TypeAlias = SquashedGaussian | Categoricals


def one_hot_parts(actions: Tensor, nvec: Sequence[int]) -> Tensor:
    """One-hot vectors of categorical parts, side by side.

    Args:
        actions: (..., len(nvec)), choice numbers.
        nvec: number of choices of each part.

    Returns:
        (..., sum(nvec)), true at each choice.
    """
    # Comparing needs no look at the largest number, for which a GPU would have to be waited for.
    parts = [actions[..., k : k + 1] == torch.arange(n, device=actions.device) for k, n in enumerate(nvec)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def enumerate_actions(nvec: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Every action of an agent with categorical parts, (prod(nvec), len(nvec)); the last part varies fastest."""
    choices = [torch.arange(n, device=device) for n in nvec]
    return torch.cartesian_prod(*choices).reshape(-1, len(nvec))


def _log_tanh_slope(unsquashed: Tensor) -> Tensor:
    """``log(1 - tanh(u)^2)``, stable for large ``|u|``."""
    # softplus with beta = -2 is -softplus(-2 u) / 2: one pass instead of two.
    return torch.sub(unsquashed, F.softplus(unsquashed, beta=-2), alpha=2).add_(-LOG_TWO).mul_(-2)
