"""In which precision networks are multiplied while an update is done; everything is as before when it has ended."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from masoft.fast import lowered

PRECISIONS = ("float32", "tf32", "bf16")


@contextmanager
def at_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Do matrix products in this precision meanwhile.

    Args:
        precision: ``"float32"``: as IEEE has it, also on a GPU, where PyTorch by itself lets recurrent layers round to
            TF32; ``"tf32"``: with ten bits behind the point, on NVIDIA's GPUs alone; ``"bf16"``: networks in bfloat16
            by autocast, with weights, optimisers and what networks give in float32.
        device: of the networks.
    """
    with _tf32(precision == "tf32"):
        if precision != "bf16":
            yield
            return
        # Without its cache: weights move between two passes of one update.
        with lowered(), torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            yield


def full(outputs: Tensor) -> Tensor:
    """What a network gives in the precision of its weights, where it was computed in a lower one."""
    return outputs.float() if outputs.dtype is torch.bfloat16 else outputs


@contextmanager
def _tf32(wanted: bool) -> Iterator[None]:
    switches = _switches()
    before = [getattr(owner, name) for owner, name, _ in switches]
    try:
        for owner, name, values in switches:
            setattr(owner, name, values[wanted])
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def _switches() -> list[tuple[Any, str, tuple[Any, Any]]]:
    """PyTorch's switches of TF32, each with its values for off and on."""
    backends: Any = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        owners = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        return [(owner, "fp32_precision", ("ieee", "tf32")) for owner in owners]
    return [(backends.cuda.matmul, "allow_tf32", (False, True)), (backends.cudnn, "allow_tf32", (False, True))]


def tell_of_no_use(precision: str, device: torch.device) -> None:
    """Say that TF32 makes no difference where there is no GPU."""
    if precision == "tf32" and device.type != "cuda":
        text = f"precision='tf32' makes no difference on {device.type}: only NVIDIA's GPUs have it."
        warnings.warn(text, UserWarning, stacklevel=2)
