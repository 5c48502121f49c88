"""Agents' observations as views of the global state, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.spec import StateView


def view_of_state(view: StateView, state: NDArray[Any]) -> NDArray[np.float32]:
    """What ``view`` shows of one raw state.

    Args:
        view: see `masoft.spec.StateView`; its standard deviation is the population's (divided by n, not n - 1).
        state: (state_size,).

    Returns:
        (seen_size,), float32. A vector of equal entries is standardised to zeros.
    """
    seen = state if view.indices is None else state[np.asarray(view.indices, dtype=np.intp)]
    seen = seen.astype(np.float32)
    if view.position is not None:
        one_hot = np.zeros(view.one_hot_size, np.float32)
        one_hot[view.position] = 1.0
        seen = np.concatenate([seen, one_hot])
    return standardised(seen) if view.standardise else seen


def standardised(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(x - mean(x)) / std(x)`` of one vector, as the paper's MAMuJoCo runs do; zeros where std is 0."""
    size = np.float32(vector.size)
    centred = vector - vector.sum() / size
    deviation = np.sqrt(centred.dot(centred) / size)
    scaled: NDArray[np.float32] = centred / deviation if deviation > 0 else centred
    return scaled
