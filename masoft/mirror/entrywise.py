"""Adam whose entries step apart: each counts its own steps, and may take a part of one or none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from masoft.fast.recording import aside
from masoft.fast.stepped import Stepped


class EntrywiseAdam(Stepped):
    """Adam for one vector, where entry k moves ``shares[k]`` of a step; at 0 nothing of it changes, nor its moments.

    Args:
        parameter: the vector, (n,).
        lr: step size, >= 0.
        betas: decay of the first and second moment.
        eps: added to the root of the second moment.

    Reference:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015.
    """

    shares: Tensor | None = None
    """(n,), for the next step, in [0, 1]; None: a whole step for all."""
    leaves_out_bad_steps = True
    """A tensor ``found_inf`` of 1 leaves everything as it is, as in PyTorch's fused optimisers."""

    def __init__(
        self, parameter: nn.Parameter, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__([parameter], {"lr": lr, "betas": betas, "eps": eps})

    def _move_all(self) -> None:
        group = self.param_groups[0]
        (parameter,) = group["params"]
        if parameter.grad is not None:
            shares = torch.ones_like(parameter) if self.shares is None else self.shares
            self._move(parameter, parameter.grad, shares, group)

    def _move(self, parameter: Tensor, grad: Tensor, shares: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            with aside():
                state.update(step=torch.zeros_like(parameter), exp_avg=torch.zeros_like(parameter),
                             exp_avg_sq=torch.zeros_like(parameter))  # fmt: skip
        if state["step"].dim() == 0:  # of a file that one counter for all has written
            state["step"] = state["step"].to(parameter).expand_as(parameter).clone()
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        if found_inf is not None:
            shares, grad = (torch.where(found_inf > 0, 0.0, each) for each in (shares, grad))
        beta1, beta2 = group["betas"]
        counts = (shares > 0).to(parameter.dtype)
        steps = state["step"].add_(counts)
        first = state["exp_avg"].lerp_(grad, (1 - beta1) * counts)
        second = state["exp_avg_sq"].lerp_(grad.square(), (1 - beta2) * counts)
        at_least_one = steps.clamp_min(1)
        scale = (second / (1 - beta2**at_least_one)).sqrt() + group["eps"]
        parameter.sub_(self._rate_of(0, group) * shares * first / (1 - beta1**at_least_one) / scale)
