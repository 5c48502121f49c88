"""The joint action vector of a team, cut into what each agent's own action space expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from masoft.errors import EnvironmentFault, explain
from masoft.spec import ActionSpec, TeamSpec

Convert = Callable[[NDArray[Any], NDArray[np.int64]], Any]

ROUNDING = 1e-4
"""How far outside its Box (as a fraction of the range) an entry may lie and be clipped silently: float32 rounding."""


class ActionSplitter:
    """Cuts joint actions into agents' actions, in the environment's units, and refuses illegal ones.

    Args:
        team: the team's specification.
    """

    def __init__(self, team: TeamSpec) -> None:
        self.team = team
        parts = [(index, n) for index, agent in enumerate(team.agents) for n in agent.action.nvec]
        self._part_agents = np.array([index for index, _ in parts], dtype=np.int64)
        self._nvec = np.array([n for _, n in parts], dtype=np.int64)
        self._mask_offsets = np.concatenate([[0], np.cumsum(self._nvec)[:-1]]).astype(np.int64)
        is_part = [not a.action.is_box for a in team.agents for _ in range(a.action.size)]
        self._part_entries = np.flatnonzero(is_part)
        self._has_box = not all(is_part)
        space = team.action_space
        self._low = np.asarray(space.low if isinstance(space, spaces.Box) else (), dtype=np.float32)
        self._high = np.asarray(space.high if isinstance(space, spaces.Box) else (), dtype=np.float32)
        self._shape = (team.action_size,)
        starts = np.cumsum([0] + [0 if a.action.is_box else a.action.size for a in team.agents])
        self._converters = tuple(
            _converter(agent.action, team.action_slices[index], int(starts[index]))
            for index, agent in enumerate(team.agents)
        )

    def split(self, joint: Any, live: Sequence[int], mask: NDArray[Any] | None, where: Callable[[], str]) -> list[Any]:
        """Each live agent's own action.

        Args:
            joint: (action_size,) in environment units; categorical parts are choice numbers from 0, rounded to
                whole ones where the team's action space is a Box (whose samples fall in between).
            live: indices of the agents that act.
            mask: the joint action mask (mask_size,) that the team last saw, or None.
            where: says which step this is, for messages.

        Returns:
            One action per entry of ``live``, each in its agent's space; arrays are fresh.

        Raises:
            EnvironmentFault: an entry is not finite, outside its bounds, or forbidden by the mask.
        """
        flat = np.asarray(joint, dtype=np.float32 if self._has_box else None).reshape(-1)
        if flat.shape != self._shape:
            raise EnvironmentFault(explain(f"The joint action {where()}", f"of shape {self._shape}", flat.shape))
        choices = _NO_CHOICES
        if self._has_box:
            flat = self._clip(flat, live, where)
        if len(self._nvec):
            choices = self._choices(flat, live, mask, where)
        converters = self._converters
        return [converters[index](flat, choices) for index in live]

    def _clip(self, flat: NDArray[Any], live: Sequence[int], where: Callable[[], str]) -> NDArray[Any]:
        """The joint action exactly inside its Box; what is further outside than rounding explains is refused."""
        inside: NDArray[Any] = np.minimum(np.maximum(flat, self._low), self._high)
        gap = flat - inside
        if np.count_nonzero(gap):  # NaN counts
            bad = ~(np.abs(gap) <= ROUNDING * (self._high - self._low))
            for index in live:
                part = self.team.action_slices[index]
                if bad[part].any():
                    action = self.team.agents[index].action
                    must = f"finite and inside {action.space}" if action.is_box else f"a choice below {action.nvec}"
                    raise EnvironmentFault(
                        explain(f"The action of agent {self.team.names[index]!r} {where()}", must, flat[part].tolist())
                    )
            inside = np.where(np.isfinite(inside), inside, self._low)  # a dead agent's entry; it is ignored
        return inside

    def _choices(
        self, flat: NDArray[Any], live: Sequence[int], mask: NDArray[Any] | None, where: Callable[[], str]
    ) -> NDArray[np.int64]:
        """Whole choice numbers of all categorical parts, checked against their number and the mask."""
        given = flat[self._part_entries]
        choices: NDArray[np.int64] = given.astype(np.int64) if given.dtype.kind in "iub" else _rounded(given)
        legal = (choices >= 0) & (choices < self._nvec)
        if given.dtype.kind == "f" and not self._has_box:  # a Box holds all numbers between, which are rounded
            legal &= np.abs(given - choices) < 1e-3
        if mask is not None and legal.all():
            legal &= mask[self._mask_offsets + choices].astype(bool)
        if not legal.all():
            self._refuse(choices, given, legal, live, mask, where)
        return choices

    def _refuse(
        self,
        choices: NDArray[np.int64],
        given: NDArray[Any],
        legal: NDArray[np.bool_],
        live: Sequence[int],
        mask: NDArray[Any] | None,
        where: Callable[[], str],
    ) -> None:
        """Name the first live agent whose choice is illegal; what dead agents chose does not matter."""
        for part in np.flatnonzero(~legal):
            index = int(self._part_agents[part])
            if index not in live:
                choices[part] = 0
                continue
            n, offset = int(self._nvec[part]), int(self._mask_offsets[part])
            must, cure = f"a whole number from 0 to {n - 1}", ""
            if mask is not None and 0 <= choices[part] < n:
                must = f"one of the legal choices {np.flatnonzero(mask[offset : offset + n]).tolist()}"
                cure = "Choose among those that the observation's 'action_mask' allows."
            raise EnvironmentFault(
                explain(f"The action of agent {self.team.names[index]!r} {where()}", must, given[part].item(), cure)
            )


_NO_CHOICES: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def _rounded(given: NDArray[Any]) -> NDArray[np.int64]:
    """Nearest whole numbers; what is not finite becomes -1, which no part accepts."""
    return np.rint(np.where(np.isfinite(given), given, -1)).astype(np.int64)


def _converter(action: ActionSpec, entries: slice, first_part: int) -> Callable[..., Any]:
    """A function of (clipped joint vector, all choices) that gives one agent's own action."""
    space = action.space
    shape, dtype = space.shape, np.dtype(space.dtype)
    assert shape is not None
    if action.is_box:
        return _box_converter(entries, shape, dtype)
    parts = slice(first_part, first_part + action.size)
    start = action.start
    if isinstance(space, spaces.Discrete):
        first = np.int64(start[0])
        return lambda _, choices: choices[first_part] + first
    return lambda _, choices: (choices[parts] + start).astype(dtype).reshape(shape)


def _box_converter(entries: slice, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Convert:
    """The Box case of `_converter`. The clipped joint vector is fresh, so a view may be written to."""
    if dtype.kind in "iu":
        return lambda flat, _: np.rint(flat[entries]).astype(dtype).reshape(shape)
    if len(shape) == 1 and dtype == np.float32:
        return lambda flat, _: flat[entries]
    return lambda flat, _: flat[entries].astype(dtype).reshape(shape)
