"""A tape as plain calls: results go straight to their places, and nothing that was known is looked up again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from masoft.fast.tape import Entry

QUICK = {
    name: getattr(torch, name)
    for name in ("mm", "addmm", "addmv", "bmm", "baddbmm", "add", "sub", "mul", "div", "neg", "exp", "log", "cat",
                 "stack", "minimum", "maximum", "tanh", "clamp", "eq", "abs", "sqrt")
}  # fmt: skip
"""PyTorch's own functions for these, which are called with less ado than the dispatcher's, and know ``out=`` too."""
QUICK_IN_PLACE = {
    name: getattr(Tensor, name)
    for name in ("copy_", "add_", "sub_", "mul_", "div_", "relu_", "tanh_", "log_", "neg_", "zero_", "clamp_", "addmm_",
                 "addcmul_", "exponential_")
}  # fmt: skip
MEMORY = ("dtype", "layout", "device", "pin_memory", "memory_format")
"""Arguments that say where and how a result is made, which is settled when its place is given."""


def calls_of(entries: Sequence[Entry]) -> list[Callable[[], Any]]:
    """The operations as calls without arguments, bit for bit the same.

    Args:
        entries: of a tape.
    """
    return [_call(entry) for entry in entries]


def _call(entry: Entry) -> Callable[[], Any]:
    name = entry.name
    if not hasattr(entry.function, "_schema"):
        return partial(_copied, entry.function, entry.args, entry.kwargs, entry.places)
    if not entry.places:
        return partial(QUICK_IN_PLACE.get(name, entry.function._op), *entry.args, **entry.kwargs)
    places = [place for place in entry.places if place is not None]
    if len(places) == 1 and len(entry.places) == 1:
        filled = _filling(name, places[0], entry)
        if filled is not None:
            return filled
    names, form = _given_places(entry.function)
    is_list = len(names) == 1 and str(entry.function._schema.returns[0].type) == "List[Tensor]"
    if form is not None and len(places) == len(entry.places) and (is_list or len(names) == len(places)):
        kwargs = {key: value for key, value in entry.kwargs.items() if key not in MEMORY}
        into = {names[0]: places} if is_list else dict(zip(names, places, strict=True))
        quick = QUICK.get(name) if names == ("out",) else None
        return partial(quick or form._op, *entry.args, **kwargs, **into)
    return partial(_copied, entry.function._op, entry.args, entry.kwargs, entry.places)


def _filling(name: str, place: Tensor, entry: Entry) -> Callable[[], Any] | None:
    """Makers of tensors as what they write into the place; None: it is no such maker."""
    if name in ("clone", "_to_copy"):
        return partial(Tensor.copy_, place, entry.args[0])
    if name in ("zeros", "zeros_like", "new_zeros"):
        return partial(Tensor.zero_, place)
    if name in ("ones", "ones_like", "new_ones"):
        return partial(Tensor.fill_, place, 1)
    if name == "randn":
        return partial(Tensor.normal_, place, generator=entry.kwargs.get("generator"))
    return None


def _copied(function: Any, args: Any, kwargs: Any, places: Sequence[Tensor | None]) -> None:
    """For what writes nowhere but into memory of its own."""
    for place, value in zip(places, tree_leaves(function(*args, **kwargs)), strict=True):
        if place is not None:
            place.copy_(value)


@cache
def _given_places(function: Any) -> tuple[tuple[str, ...], Any]:
    """The form of an operation that is given its results' places, behind the names of these; None: it has none."""
    schema = function._schema
    if any(each.alias_info is not None for each in (*schema.arguments, *schema.returns)):
        return (), None
    wanted = [(each.name, str(each.type)) for each in schema.arguments if each.name not in MEMORY]
    packet = function.overloadpacket
    for overload in packet.overloads():
        form = getattr(packet, overload)
        given = [each for each in form._schema.arguments if not each.is_out and each.name not in MEMORY]
        places = [each.name for each in form._schema.arguments if each.is_out]
        if len(places) == len(schema.returns) and [(each.name, str(each.type)) for each in given] == wanted:
            return tuple(places), form
    return (), None
