"""Stops at gradients that are no numbers before they reach the weights, and says whose they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from masoft.errors import NumericalFault, explain
from masoft.fast.recording import afterwards, is_recordable, may_look, whole
from masoft.saving.parts import StatePart

MOST_SKIPPED = 100
"""So many steps in a row of one optimiser are skipped; then the run is beyond repair."""


class GradientGuard:
    """Looks at all gradients of all optimisers right before they are used.

    With ``on_nan="raise"`` a bad one raises; with ``"skip"`` that optimiser's step is left out and counted. A GPU would
    have to be waited for: there the optimiser leaves a bad step out by itself, and `settle` raises or counts later.

    Args:
        model: the algorithm.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        parts = model.state_parts()
        self._names = _parameter_names(parts)
        self._owners = _owners(model, parts)
        self._in_a_row = dict.fromkeys(self._owners, 0)
        optimizers = {name: part for name, part in parts.items() if isinstance(part, Optimizer)}
        self._keys = {id(optimizer): name for name, optimizer in optimizers.items()}
        self._optimizers = list(optimizers.values())
        self._handles = [optimizer.register_step_pre_hook(self._check) for optimizer in self._optimizers]
        self._unread: list[tuple[str, int, Tensor]] = []

    def remove(self) -> None:
        """Look no more."""
        for handle in self._handles:
            handle.remove()
        for optimizer in self._optimizers:
            vars(optimizer).pop("found_inf", None)

    def settle(self) -> None:
        """Read what a device has found since the last call, after it has finished.

        Raises:
            NumericalFault: a step was left out, and ``on_nan`` is ``"raise"`` or it was one too many in a row.
        """
        unread, self._unread = self._unread, []
        found = torch.stack([is_bad for _, _, is_bad in unread]).tolist() if unread else []
        for (key, update, _), is_bad in zip(unread, found, strict=True):
            if is_bad:
                self._meet(key, update)
            else:
                self._in_a_row[key] = 0

    def _check(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        grads: list[Tensor] = [p.grad for p in parameters]
        key = self._keys[id(optimizer)]
        if _leaves_out_bad_steps(optimizer) and not is_at_hand(grads[0]):
            if may_look(grads[0]):
                vars(optimizer)["found_inf"] = whole(self._flag, key, [*map(id, parameters)], grads)
                return
            is_bad = _largest_is_bad(grads)
            vars(optimizer)["found_inf"] = is_bad
            afterwards(lambda: self._note(key, is_bad))
            return
        vars(optimizer).pop("found_inf", None)
        if self._is_met(key, [*map(id, parameters)], grads):
            for parameter in parameters:
                parameter.grad = None

    def _is_met(self, key: str, owners: list[int], grads: list[Tensor]) -> bool:
        """Whether a gradient is bad, which has then been counted or raised."""
        # One number for all; a finite gradient can overflow it, so what looks bad is looked at closely.
        if math.isfinite(float(torch.stack(torch._foreach_norm(grads)).sum())):
            self._in_a_row[key] = 0
            return False
        for owner, grad in zip(owners, grads, strict=True):
            if not bool(grad.isfinite().all()):
                self._meet(key, self._model._n_updates, self._names.get(owner), grad)
                return True
        return False

    def _flag(self, key: str, owners: list[int], grads: list[Tensor]) -> Tensor:
        """`_is_met` as the scalar that tells an optimiser to leave a step out."""
        return grads[0].new_full((), float(self._is_met(key, owners, grads)), dtype=torch.float32)

    def _note(self, key: str, is_bad: Tensor) -> None:
        """Keep what a device finds, to be read later; a replay writes it to the same place again."""
        self._unread.append((key, self._model._n_updates, is_bad.clone() if is_recordable() else is_bad))

    def _meet(self, key: str, update: int, name: str | None = None, grad: Tensor | None = None) -> None:
        """Raise because of a bad gradient, or count it."""
        self._in_a_row[key] += 1
        if self._model.on_nan == "raise" or self._in_a_row[key] > MOST_SKIPPED:
            raise self._fault(key, update, name, grad)
        self._model.n_skipped += 1
        self._model.logger.record("train/skipped_steps", self._model.n_skipped)

    def _fault(self, key: str, update: int, name: str | None, grad: Tensor | None) -> NumericalFault:
        got = "NaN or infinity"
        if grad is not None:
            got += f" in {int((~grad.isfinite()).sum())} of {grad.numel()} entries"
        which = f"The gradient of {name or key}{self._owners[key]} at step {self._model.num_timesteps}, update {update}"
        if self._in_a_row[key] > 1:
            got += f", {self._in_a_row[key]} times in a row"
        cure = "The weights are as they were. Lower the learning rate, normalise the rewards, or set on_nan='skip'."
        return NumericalFault(explain(which, "finite", got, cure))


def is_at_hand(values: Tensor) -> bool:
    """Whether looking at numbers costs no wait for another device, and no recording."""
    return values.is_cpu and not is_recordable()


def _largest_is_bad(grads: list[Tensor]) -> Tensor:
    """1 where a gradient has an entry that is no number, else 0, a scalar; nobody waits for it."""
    largest = torch.stack(torch._foreach_norm(grads, math.inf)).amax()
    return (~largest.isfinite()).float()


def _leaves_out_bad_steps(optimizer: Optimizer) -> bool:
    return bool(getattr(optimizer, "leaves_out_bad_steps", optimizer.defaults.get("fused")))


def _parameter_names(parts: Mapping[str, StatePart]) -> dict[int, str]:
    """Dotted names of all parameters by identity."""
    modules = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
    return {id(p): f"{part}.{name}" for part, module in modules.items() for name, p in module.named_parameters()}


def _owners(model: Any, parts: Mapping[str, StatePart]) -> dict[str, str]:
    """Whose gradients an optimiser holds, in words, by the optimiser's name."""
    by_agent = getattr(model.policy, "actor_optimizers", ())
    owners = {}
    for name, part in parts.items():
        agents = [a for a, optimizer in zip(model.team.names, by_agent, strict=False) if optimizer is part]
        owners[name] = f" ({', '.join(f'agent {agent!r}' for agent in agents)})" if agents else ""
    return owners
