"""The joint action vector: what critics see of it, and how it maps to the environment's units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from masoft.functional.choices import enumerate_actions, one_hot_parts
from masoft.spec import ActionSpec, TeamSpec


def encode_action(action: ActionSpec, values: Tensor) -> Tensor:
    """One agent's action as a critic sees it.

    Args:
        action: the agent's action specification.
        values: (batch, size), Box entries in [-1, 1] or choice numbers.

    Returns:
        (batch, encoded_size), float: the Box entries, or one-hot vectors side by side.
    """
    if action.is_box:
        return values
    return one_hot_parts(values, action.nvec).to(torch.get_default_dtype())


def encode_joint_action(team: TeamSpec, actions: Tensor) -> Tensor:
    """The joint action as a critic sees it: (batch, action_size) to (batch, encoded_size)."""
    if team.encoded_size == team.action_size:
        return actions
    parts = [
        encode_action(agent.action, actions[:, where])
        for agent, where in zip(team.agents, team.action_slices, strict=True)
    ]
    return torch.cat(parts, dim=-1)


def encoded_choices(action: ActionSpec, device: torch.device | str = "cpu") -> Tensor:
    """Every action of a categorical agent as a critic sees it, (prod(nvec), encoded_size)."""
    return encode_action(action, enumerate_actions(action.nvec, device))


def log_choices(mask: Tensor, nvec: Sequence[int]) -> Tensor:
    """Logarithm of the number of legal actions: the largest entropy that a policy can have there.

    Args:
        mask: (batch, sum(nvec)), true where a choice is legal; a part without any counts as one choice.
        nvec: number of choices of each part.

    Returns:
        (batch,), nats; 0 where there is nothing to choose.
    """
    parts = torch.split(mask.to(torch.get_default_dtype()), list(nvec), dim=-1)
    return torch.stack([part.sum(-1).clamp_min(1).log() for part in parts]).sum(0)


def to_environment(team: TeamSpec, actions: np.ndarray) -> np.ndarray:
    """Joint actions in the environment's units.

    Args:
        team: the team's specification.
        actions: (n, action_size); Box entries in [-1, 1], categorical parts as choice numbers.

    Returns:
        (n, action_size): Box entries scaled exactly onto [low, high]; float32, or int64 where all are categorical.
    """
    space = team.action_space
    if not isinstance(space, spaces.Box):
        return np.asarray(actions).astype(np.int64)
    values = np.asarray(actions, dtype=np.float32)
    scaled = _between(space.low, space.high, values)
    for where in team.categorical_slices:
        scaled[:, where] = values[:, where]
    return scaled


class ToEnvironment:
    """`to_environment` for tensors, which stay on their device; the bounds are brought there once.

    Args:
        team: the team's specification.
        device: where the actions lie.
    """

    def __init__(self, team: TeamSpec, device: torch.device) -> None:
        space = team.action_space
        self.device, self._bounds, self._choices = device, None, None
        if isinstance(space, spaces.Box):
            low, high = (torch.as_tensor(bound, device=device) for bound in (space.low, space.high))
            self._bounds = low, high, high - low
            columns = [k for where in team.categorical_slices for k in range(where.start, where.stop)]
            self._choices = torch.tensor(columns, device=device) if columns else None

    def __call__(self, actions: Tensor) -> Tensor:
        """(n, action_size) to the same, number for number what `to_environment` gives."""
        if self._bounds is None:
            return actions.long()
        low, high, width = self._bounds
        scaled = ((actions + 1) * 0.5).mul_(width).add_(low)
        scaled = torch.minimum(torch.maximum(scaled, low), high)
        if self._choices is None:
            return scaled
        return scaled.index_copy(1, self._choices, actions.index_select(1, self._choices))


def unit_to_box(action: ActionSpec, values: np.ndarray) -> np.ndarray:
    """Entries in [-1, 1] scaled onto the Box's own bounds, float32; never a rounding error outside them."""
    return _between(action.low, action.high, values)


def _between(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = values + 1
    scaled *= np.float32(0.5)
    scaled *= high - low
    scaled += low
    np.maximum(scaled, low, out=scaled)
    np.minimum(scaled, high, out=scaled)
    return scaled


def box_to_unit(action: ActionSpec, values: np.ndarray) -> np.ndarray:
    """Entries in the Box's own bounds scaled to [-1, 1], float32."""
    low, high = action.low, action.high
    scaled: np.ndarray = (2 * (values - low) / (high - low) - 1).astype(np.float32)
    return scaled
