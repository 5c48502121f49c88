"""Weights that are no numbers, refused at every door: when they are saved, loaded or exported."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from masoft.errors import MasoftError, NumericalFault, explain


def check_finite(model: Any, where: str, cure: str = "", error: type[MasoftError] = NumericalFault) -> None:
    """Refuse weights that are no numbers.

    Args:
        model: with `state_parts`.
        where: what they would go to or come from, for the message: "a checkpoint".
        cure: what to do.
        error: what is raised.

    Raises:
        NumericalFault: names the tensor.
    """
    modules = {name: part for name, part in model.state_parts().items() if isinstance(part, torch.nn.Module)}
    for part, module in modules.items():
        check_module(module, part, f"NaN or infinity in {where} at step {model.num_timesteps}", cure, error)


def check_module(
    module: torch.nn.Module, name: str, got: str, cure: str = "", error: type[MasoftError] = NumericalFault
) -> None:
    """The same for one module: its parameters must be finite, its other tensors no NaN."""
    parameters = {key for key, _ in module.named_parameters(remove_duplicate=False)}
    for key, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            continue
        is_good = tensor.isfinite() if key in parameters else ~tensor.isnan()
        if not bool(is_good.all()):
            raise error(explain(f"{name}.{key}", "free of NaN and infinity", got, cure))
