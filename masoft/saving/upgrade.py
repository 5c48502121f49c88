"""Files of earlier formats, brought up to the present one when they are read.

Format 1 held the critics as stacked tensors. Format 2 has one ordinary network a critic; the optimisers of a file in
format 1 start afresh, since their moments were stored in the old order. Format 3 keeps the layers of an
actor, up to its head, in its torso.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

FORMAT = 3
READABLE = (1, 2, 3)
_OF_TORSO = re.compile(
    r"(?P<actor>(?:.*\.)?(?:actors|actors_target|networks)\.\d+|\d+)\.(?P<rest>(encoder|body|memory)\..*)"
)


def is_outdated(form: int, name: str) -> bool:
    """Whether a part of a file in an earlier format is left as a new model has it."""
    return form == 1 and (name.startswith("actor_optimizer") or name == "critic_optimizer")


def upgraded(form: int, name: str, value: Any) -> Any:
    """One part's state in the present format."""
    if not isinstance(value, dict) or name not in ("policy", "reference"):
        return value
    state = dict(value)
    if name == "reference":
        return state if form > 2 else {**state, "actors": _with_torsos(state["actors"])}
    if form == 1:
        state = _with_networks(state)
    return state if form > 2 else _with_torsos(state)


def is_obsolete(form: int, name: str, parts: Collection[str]) -> bool:
    """Whether a part of a file is no part any more: memories of teams without memory."""
    return form <= 2 and name == "memories" and name not in parts


def _with_torsos(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Actors' layers as those of torsos; behind a memory there is an inner one."""
    matches = {key: _OF_TORSO.fullmatch(key) for key in state}
    remember = {match["actor"] for match in matches.values() if match and match["rest"].startswith("memory.")}
    renamed = {}
    for key, match in matches.items():
        if match:
            inner = "inner." if match["actor"] in remember and not match["rest"].startswith("memory.") else ""
            renamed[key] = f"{match['actor']}.torso.{inner}{match['rest']}"
    return {renamed.get(key, key): value for key, value in state.items()}


def _with_networks(state: dict[str, Any]) -> dict[str, Any]:
    """Critics of format 1 as separate networks."""
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
