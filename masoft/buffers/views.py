"""What agents and critics see of a stored state, computed when a batch is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from masoft.functional.observations import TaggedRows, as_rows
from masoft.spec import STATE, StateView, TeamSpec

STANDARD_EPSILON = 1e-8


def apply_view(view: StateView, state: Tensor) -> Tensor:
    """Compute ``standardise([state[indices], one_hot(position)])``, see `StateView`.

    Args:
        view: which entries, which appended one-hot, whether to standardise each row.
        state: (batch, state_size), raw.

    Returns:
        (batch, length of the view).
    """
    seen = state
    if view.indices is not None:
        seen = state.index_select(1, _indices(view.indices, state.device))
    if view.position is not None:
        tail = state.new_zeros(state.shape[0], view.one_hot_size)
        tail[:, view.position] = 1
        seen = torch.cat([seen, tail], dim=-1)
    if view.standardise:
        seen = standardise_rows(seen)
    return seen


def viewed_state(team: TeamSpec, seen: Mapping[str, Tensor]) -> Tensor | None:
    """The critic's view of the raw state; None where the environment has none.

    Args:
        team: its specification.
        seen: the joint observation, (batch, ...) by name.
    """
    return apply_view(team.state_view, seen[STATE]) if STATE in seen else None


def critic_state(team: TeamSpec, view: Tensor | None, seen: Mapping[str, Any]) -> Tensor:
    """What a critic sees of a team: the view of the state, all observations, or both; (batch, critic_state_size).

    Args:
        team: its specification.
        view: see `viewed_state`.
        seen: the joint observation, (batch, ...) by name; pictures become rows.
    """
    if view is not None and not team.state_and_observations:
        return view
    rows = [as_rows(seen[name]).float() for name in team.names]
    return torch.cat(rows if view is None else [view, *rows], dim=-1)


def tagged_rows(view: StateView, state: Tensor, made: dict[StateView, tuple[Tensor, Tensor]]) -> TaggedRows:
    """The same as `apply_view` for a view with a one-hot vector, with what it has in common with others kept once.

    Args:
        view: with a position.
        state: (batch, state_size), raw.
        made: common parts and tails of this state so far, by view; completed here.
    """
    assert view.position is not None
    alike = replace(view, position=0)
    if alike not in made:
        raw = apply_view(replace(view, position=None, one_hot_size=0, standardise=False), state)
        tail = raw.new_tensor([0.0, 1.0]).expand(len(raw), 2)
        if view.standardise:
            seen = apply_view(replace(alike, standardise=False), state)
            deviation, mean = torch.std_mean(seen, dim=-1, keepdim=True, correction=0)
            deviation = deviation + STANDARD_EPSILON
            raw, tail = (raw - mean) / deviation, torch.cat([-mean, torch.ones_like(mean)], dim=1) / deviation
        made[alike] = raw, tail
    common, tail = made[alike]
    return TaggedRows(common, tail, view.position, view.one_hot_size)


@lru_cache(maxsize=1024)
def _indices(indices: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(indices, dtype=torch.long, device=device)


def standardise_rows(values: Tensor) -> Tensor:
    """Each row minus its own mean, divided by its own (population) standard deviation; (batch, size) both ways."""
    deviation, mean = torch.std_mean(values, dim=-1, keepdim=True, correction=0)
    return (values - mean) / (deviation + STANDARD_EPSILON)
