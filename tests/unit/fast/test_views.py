"""A window into a tensor, found again through another tensor around it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from masoft.fast.views import place_of, seen_through

WINDOWS: dict[str, Callable[[Tensor], Tensor]] = {
    "itself": lambda x: x,
    "columns": lambda x: x[:, 1:3],
    "columns turned": lambda x: x[:, 1:3].transpose(0, 1),
    "a row": lambda x: x[2],
    "an entry": lambda x: x[2, 3],
    "a block": lambda x: x[1:3, 2:],
    "flat": lambda x: x.reshape(-1),
    "other rows": lambda x: x.reshape(-1, 2),
    "a new axis": lambda x: x[:, :, None],
    "repeated": lambda x: x[:, 1, None].expand(-1, 5),
    "a column of one": lambda x: x[:, 1:2],
    "every second": lambda x: x[::2, ::2],
    "the diagonal": lambda x: x.diagonal(),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_window_is_found(kind: str) -> None:
    whole = torch.arange(24.0).view(6, 4)
    window, copy = WINDOWS[kind](whole), whole.clone()
    found = seen_through(copy, place_of(whole), place_of(window))
    assert torch.equal(found, window)
    if window.numel() and 0 not in window.stride():
        found.add_(100)
        assert torch.equal(WINDOWS[kind](copy), window + 100)


def test_a_copy_begins_where_it_begins() -> None:
    part = torch.arange(24.0).view(6, 4)[1:]
    for window in (part.diagonal(), part[:, 1], part):
        assert torch.equal(seen_through(part.clone(), place_of(part), place_of(window)), window)


@given(st.data())
def test_any_narrowed_permuted_window_is_found(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3), label="shape")
    whole = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)
    window = whole
    for axis in range(window.dim()):
        start = data.draw(st.integers(0, window.shape[axis] - 1))
        size = data.draw(st.integers(1, window.shape[axis] - start))
        window = window.narrow(axis, start, size)
    window = window.permute(data.draw(st.permutations(range(window.dim()))))
    assert torch.equal(seen_through(whole.clone(), place_of(whole), place_of(window)), window)
