"""Arrays that lie side by side are read and written as if each lay by itself."""

from __future__ import annotations

import numpy as np
import torch

from masoft.buffers.rows import RowStore

CPU = torch.device("cpu")
LAYOUT = {
    "vector": ((3,), torch.float32),
    "image": ((2, 4, 4), torch.uint8),
    "grid": ((2, 2), torch.float32),
    "flags": ((5,), torch.bool),
}


def values(rng: np.random.Generator, *lead: int) -> dict[str, np.ndarray]:
    return {
        "vector": rng.normal(size=(*lead, 3)).astype(np.float32),
        "image": rng.integers(256, size=(*lead, 2, 4, 4)).astype(np.uint8),
        "grid": rng.normal(size=(*lead, 2, 2)).astype(np.float32),
        "flags": rng.integers(2, size=(*lead, 5)).astype(np.int8),
        "unknown": np.zeros(lead),
    }


def filled(n_rows: int = 6, n_envs: int = 2) -> tuple[RowStore, dict[str, np.ndarray]]:
    store, given = RowStore(LAYOUT, (n_rows, n_envs), CPU), values(np.random.default_rng(0), n_rows, n_envs)
    for row in range(n_rows):
        store.write(row, {name: array[row] for name, array in given.items()})
    return store, given


def test_views_hold_what_was_written_each_in_its_own_type_and_shape() -> None:
    store, given = filled()
    assert set(store.views) == set(LAYOUT)
    for name, (shape, dtype) in LAYOUT.items():
        assert store.views[name].shape == (6, 2, *shape) and store.views[name].dtype == dtype
        np.testing.assert_array_equal(store.views[name].numpy(), given[name].astype(store.views[name].numpy().dtype))


def test_tensors_can_be_written_too() -> None:
    store, given = filled()
    store.write(1, {name: torch.as_tensor(array[4]) for name, array in given.items()})
    for view in store.views.values():
        assert torch.equal(view[1], view[4])


def test_reading_flat_places_gives_fresh_tensors() -> None:
    store, _ = filled()
    found = store.read(torch.tensor([7, 0, 7]))
    for name, view in store.views.items():
        assert torch.equal(found[name], view.flatten(0, 1)[[7, 0, 7]])
    found["vector"].zero_()
    assert store.views["vector"].abs().min() > 0


def test_reading_with_a_side_store_takes_what_lies_there() -> None:
    store, _ = filled()
    side, _ = filled(3, 1)
    small = RowStore(LAYOUT, (3,), CPU)
    for slot in range(3):
        small.write(slot, {name: view[slot, 0] for name, view in side.views.items()})
    found = store.read_or(torch.tensor([3, 4, 5]), small, torch.tensor([-1, 2, -1], dtype=torch.int32))
    for name, view in store.views.items():
        flat = view.flatten(0, 1)
        assert torch.equal(found[name], torch.stack([flat[3], small.views[name][2], flat[5]]))


def test_copying_fills_the_first_places() -> None:
    store, _ = filled(3, 2)
    larger = RowStore(LAYOUT, (5, 2), CPU)
    larger.copy_from(store)
    for name, view in store.views.items():
        assert torch.equal(larger.views[name][:3], view)
