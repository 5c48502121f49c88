"""Places for last observations, taken and given back on the host and on a device, in any mixture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masoft.buffers.finals import LastObservations

LAYOUT = {"seen": ((2,), torch.float32)}


@pytest.mark.parametrize("seed", range(3))
def test_no_place_is_given_twice_or_lost(seed: int) -> None:
    """A ring of transitions that keep places, filled by tensors, by arrays, and interrupted by saving."""
    rng, n_envs, rows = np.random.default_rng(seed), 5, 40
    store = LastObservations(LAYOUT, n_envs, n_envs * rows, torch.device("cpu"))
    ring: list[torch.Tensor | None] = [None] * rows
    for step in range(400):
        ended = torch.as_tensor(rng.random(n_envs) < 0.7)
        values = torch.full((n_envs, 2), float(step)) + torch.arange(n_envs).unsqueeze(1) / 10
        way = rng.random()
        if way < 0.8:
            slots = store.keep_on_device(ended, {"seen": values}).clone()
        elif way < 0.9:
            slots = torch.full((n_envs,), -1)
            slots[ended] = torch.tensor(store.keep_all({"seen": values[ended]}, int(ended.sum())), dtype=torch.long)
        else:
            store.free = store.free[:]  # as loading does
            slots = torch.full((n_envs,), -1)
            for env in ended.nonzero().flatten().tolist():
                slots[env] = store.keep({"seen": values[env]})
        for env in range(n_envs):
            if ended[env]:
                assert torch.equal(store.store.views["seen"][slots[env]], values[env])
        before = ring[step % rows]
        ring[step % rows] = slots
        if before is not None:
            store.release(before)
        used = torch.cat([each[each >= 0] for each in ring if each is not None]).tolist()
        free = store.free
        assert len(set(used)) == len(used) and not set(used) & set(free) and len(used) + len(free) == len(store)
    assert len(store) <= store.most
