"""Where a VMAS scenario keeps the numbers of its worlds, so that some worlds can begin anew while others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

PLAIN = (str, bytes, int, float, bool, complex, type, ModuleType, torch.Generator, torch.device, torch.dtype)


def restart_where(roots: list[Any], worlds: Tensor, restart_all: Callable[[], None]) -> None:
    """Begin an episode in all worlds at once, and put back what the others had before.

    Args:
        roots: objects from which all tensors of the simulation can be reached.
        worlds: (n_worlds,), true where an episode begins.
        restart_all: begins one everywhere; may write tensors in place or replace them.
    """
    before = {id(owner): (owner, {key: (value, value.clone()) for key, value in values})
              for owner, values in _tensors(roots, len(worlds))}  # fmt: skip
    restart_all()
    merged: dict[int, Tensor] = {}
    for owner, values in before.values():
        for key, (was, copy) in values.items():
            now = owner[key]
            if not isinstance(now, Tensor) or now.shape != copy.shape:
                continue
            if id(now) not in merged:  # what two names share stays shared
                where = worlds.view(-1, *[1] * (now.dim() - 1))
                merged[id(now)] = torch.where(where, now, copy)
                if now is was and now.dtype == copy.dtype and not _is_expanded(now):
                    merged[id(now)] = now.copy_(merged[id(now)])
            owner[key] = merged[id(now)]


def _is_expanded(values: Tensor) -> bool:
    return 0 in values.stride()


def _tensors(roots: list[Any], n_worlds: int) -> Iterator[tuple[Any, list[tuple[Any, Tensor]]]]:
    """Each dict or list that holds tensors of all worlds, with their keys."""
    met: set[int] = set()
    pending = list(roots)
    while pending:
        each = pending.pop()
        if isinstance(each, (*PLAIN, Tensor)) or each is None or id(each) in met:
            continue
        met.add(id(each))
        if isinstance(each, MutableMapping):
            items = list(each.items())
            pending.extend(each.values())
        elif isinstance(each, list):
            items = list(enumerate(each))
            pending.extend(each)
        elif isinstance(each, tuple | set | frozenset):
            pending.extend(each)
            continue
        elif hasattr(each, "__dict__") and not callable(each):
            pending.append(vars(each))
            continue
        else:
            continue
        found = [(key, value) for key, value in items if isinstance(value, Tensor) and value.shape[:1] == (n_worlds,)]
        if found:
            yield each, found
