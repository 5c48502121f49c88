"""The distribution of agents with finitely many actions: independent (masked) categorical parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from masoft.distributions.base import Distribution
from masoft.functional.choices import one_hot_parts

MASKED_LOGIT = -1e9


@dataclass(frozen=True)
class Categoricals(Distribution):
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

    def entropy(self, generator: torch.Generator | None = None) -> Tensor:
        """Exact entropy, (batch,), summed over the parts."""
        return -(self.probs * self.log_probs).sum(-1)

    def straight_through(
        self, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """A Gumbel-softmax draw: one-hot forward, soft gradient (Jang et al., 2017).

        Args:
            generator: source of the draw.
            temperature: > 0, of the softmax behind the draw.

        Returns:
            The one-hot parts (batch, sum(nvec)) and the log-probability of the draw (batch,).
        """
        noise = torch.empty_like(self.log_probs).exponential_(generator=generator).log_()
        perturbed = self.log_probs - noise
        parts = torch.split(perturbed / temperature, list(self.nvec), dim=-1)
        soft = torch.cat([part.softmax(-1) for part in parts], dim=-1)
        hard = one_hot_parts(self._argmax(perturbed.detach()), self.nvec).to(soft.dtype)
        relaxed = hard + soft - soft.detach()
        return relaxed, (relaxed * self.log_probs).sum(-1)

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
        return _starts(self.nvec, device)


@cache
def _starts(nvec: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each part begins, (len(nvec),); made once, since a GPU would have to be waited for."""
    with torch.inference_mode(False):
        return torch.tensor([sum(nvec[:k]) for k in range(len(nvec))], device=device)
