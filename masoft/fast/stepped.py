"""What masoft's own optimisers share: a step, its hooks, and its size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from masoft.fast.recording import aside, is_recordable


class _Noted:
    """Who is noted at this moment."""

    now: WeakSet[Stepped] | None = None


@contextmanager
def noting_steps() -> Iterator[WeakSet[Stepped]]:
    """Note whose step sizes are read from tensors meanwhile."""
    before, _Noted.now = _Noted.now, WeakSet()
    try:
        yield _Noted.now
    finally:
        _Noted.now = before


class Stepped(torch.optim.Optimizer, ABC):
    """Abstract: a step with its hooks, whose size is read from a tensor where it is recorded."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step for every parameter that has a gradient.

        Args:
            closure: computes the loss anew and its gradients, as in PyTorch.

        Returns:
            what the closure returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for hook in [*self._optimizer_step_pre_hooks.values()]:
            hook(self, (), {})
        self._move_all()
        for hook in [*self._optimizer_step_post_hooks.values()]:
            hook(self, (), {})
        return loss

    # PyTorch wraps the step of a class in a profiler's record and in hooks, unless this says that it has done so.
    step.hooked = True  # type: ignore[attr-defined]

    @abstractmethod
    def _move_all(self) -> None:
        """Move the parameters along their gradients."""

    def turn_rate(self) -> None:
        """Let recorded steps have the step sizes that ``param_groups`` have now."""
        rates = self._rates
        for k, (tensor, written) in rates.items():
            now = float(self.param_groups[k]["lr"])
            if now != written:
                tensor.fill_(now)
                rates[k] = tensor, now

    def _rate_of(self, k: int, group: dict[str, Any]) -> Any:
        """The step size of group k: a number, or where steps can be recorded a scalar beside the weights."""
        if not is_recordable():
            return float(group["lr"])
        if _Noted.now is not None:
            _Noted.now.add(self)
        rates = self._rates
        if k not in rates:
            rate, device = float(group["lr"]), group["params"][0].device
            # A processor's kernels read float64, and so keep Python's number bit by bit; a GPU's want float32.
            dtype = torch.float64 if device.type == "cpu" else torch.float32
            with aside():
                rates[k] = torch.full((), rate, dtype=dtype, device=device), rate
        return rates[k][0]

    @property
    def _rates(self) -> dict[int, tuple[Tensor, float]]:
        # Copies of an optimiser keep PyTorch's own fields only.
        rates: dict[int, tuple[Tensor, float]] = vars(self).setdefault("_rates_by_group", {})
        return rates
