"""Episodes counted on a device are the last ones, in order, however many end at once."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch

from masoft.algorithms.tally import EpisodeTally
from masoft.infos import DeviceInfos


@pytest.mark.parametrize("window", [1, 7, 100])
@pytest.mark.parametrize("knows_wins", [False, True])
def test_the_last_episodes_are_kept_in_order(window: int, knows_wins: bool) -> None:
    rng, tally = np.random.default_rng(0), EpisodeTally(window, torch.device("cpu"))
    expected: deque[tuple[float, int]] = deque(maxlen=window)
    wins: deque[bool] = deque(maxlen=window)
    found: deque[tuple[float, int]] = deque(maxlen=window)
    found_wins: deque[bool] = deque(maxlen=window)
    n_ended = 0
    for step in range(40):
        dones = torch.as_tensor(rng.random(16) < rng.choice([0.0, 0.2, 1.0]))
        won = torch.as_tensor(rng.random(16) < 0.5)
        infos = DeviceInfos(("one",), torch.zeros(16, 1), {}, dones, dones, won if knows_wins else None)
        infos.returns, infos.lengths = torch.arange(16) + 100.0 * step, torch.full((16,), step)
        tally.count(dones, infos)
        n_ended += int(dones.sum())
        for env in dones.nonzero().flatten().tolist():
            expected.append((env + 100.0 * step, step))
            wins.append(bool(won[env]))
        if step % 9 == 8:
            episodes, some = tally.read()
            found.extend((float(each["r"]), each["l"]) for each in episodes)
            found_wins.extend(some)
            assert found == expected and (list(found_wins) == list(wins) if knows_wins else not found_wins)
    assert tally.n_since() == n_ended > 100 and tally.n_since() == 0
