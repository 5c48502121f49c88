"""Files of earlier formats, brought up to the present one when they are read.

Format 1 held the critics as stacked tensors. Format 2 has one ordinary network a critic; the optimisers of a file in
format 1 start afresh, since their moments were stored in the old order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

FORMAT = 2
READABLE = (1, 2)


def is_outdated(form: int, name: str) -> bool:
    """Whether a part of a file in an earlier format is left as a new model has it."""
    return form == 1 and (name.startswith("actor_optimizer") or name == "critic_optimizer")


def upgraded(form: int, name: str, value: Any) -> Any:
    """One part's state in the present format."""
    if form != 1 or name != "policy" or not isinstance(value, dict):
        return value
    state = dict(value)
    for critic in ("critic", "critic_target"):
        old = {key: state.pop(key) for key in list(state) if key.startswith(f"{critic}.")}
        if f"{critic}.first_weight" in old:
            state.update(_unstacked(critic, {key.removeprefix(f"{critic}."): each for key, each in old.items()}))
        else:
            state.update(old)
    return state


def _unstacked(critic: str, old: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Separate networks from tensors with a leading critic axis."""
    n_critics = old["weights.0"].shape[0]
    n_hidden = sum(key.startswith("weights.") for key in old)
    has_norm = "gains.0" in old
    stride = 3 if has_norm else 2
    first_weight = old["first_weight"].chunk(n_critics, dim=1)
    first_bias = old["first_bias"].chunk(n_critics)
    new = {}
    for k in range(n_critics):
        base = f"{critic}.networks.{k}"
        new[f"{base}.0.weight"], new[f"{base}.0.bias"] = first_weight[k].T.contiguous(), first_bias[k].clone()
        for depth in range(n_hidden):
            if has_norm:
                new[f"{base}.{stride * depth + 1}.weight"] = old[f"gains.{depth}"][k].reshape(-1)
                new[f"{base}.{stride * depth + 1}.bias"] = old[f"shifts.{depth}"][k].reshape(-1)
            place = stride * (depth + 1)
            new[f"{base}.{place}.weight"] = old[f"weights.{depth}"][k].T.contiguous()
            new[f"{base}.{place}.bias"] = old[f"biases.{depth}"][k].reshape(-1)
    return new
