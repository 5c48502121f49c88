"""Adam with one fused kernel a step, and next to nothing around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from masoft.fast.recording import aside
from masoft.fast.stepped import Stepped


class FusedAdam(Stepped, torch.optim.Adam):
    """PyTorch's Adam without the bookkeeping that PyTorch puts around the arithmetic: five times cheaper when small.

    Its state has PyTorch's names, so the two read each other's ``state_dict``. Hooks on single steps work as usual, and
    a tensor ``found_inf`` of 1 leaves everything as it is, as in PyTorch's fused optimisers.

    Args:
        params: what to optimise.
        lr, betas, eps, weight_decay: as in ``torch.optim.Adam``.

    Reference:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, fused=True)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Args:
            set_to_none: accepted for PyTorch's sake; they are dropped either way.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def _move_all(self) -> None:
        for k, group in enumerate(self.param_groups):
            weights: list[Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
            if weights:
                self._move(weights, group, self._rate_of(k, group))

    def _move(self, weights: list[Tensor], group: dict[str, Any], rate: float | Tensor) -> None:
        states = [self.state[weight] or self._new_state(weight) for weight in weights]
        counts = [state["step"] for state in states]
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        torch._foreach_add_(counts, 1)
        beta1, beta2 = group["betas"]
        torch._fused_adam_(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            counts,
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
            found_inf=found_inf,
        )
        if found_inf is not None:
            torch._foreach_sub_(counts, [found_inf] * len(counts))

    def _new_state(self, weight: Tensor) -> dict[str, Tensor]:
        with aside():
            state = {
                "step": torch.zeros((), device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
        self.state[weight] = state
        return state
