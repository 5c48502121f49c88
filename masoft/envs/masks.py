"""Action masks: where a team's environment tells them, and all agents' in a row, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from masoft.errors import EnvironmentFault, explain
from masoft.spec import ACTION_MASK, TeamSpec

Where = Callable[[], str]

METHOD = "action_masks"
"""The method by which sb3-contrib's environments tell their masks."""


def mask_method(env: Any, ids: Sequence[Any]) -> Callable[[], Any] | None:
    """A function that gives masks by agent where an environment has the method ``action_masks()``, else None.

    The method may give a dict by agent or a list in team order.
    """
    ask = getattr(env, METHOD, None) or getattr(getattr(env, "unwrapped", env), METHOD, None)
    if not callable(ask):
        return None

    def by_agent() -> Any:
        told = ask()
        if isinstance(told, Mapping):
            return told
        if len(ids) == 1 and np.ndim(told) == 1:
            return {ids[0]: told}
        return dict(zip(ids, told, strict=True))

    return by_agent


def reported_mask(agent: Any, observations: Mapping[Any, Any], infos: Mapping[Any, Any]) -> Any:
    """The mask by either of PettingZoo's conventions, or None."""
    observation = observations.get(agent)
    if type(observation) is not np.ndarray and isinstance(observation, Mapping) and ACTION_MASK in observation:
        return observation[ACTION_MASK]
    info = infos.get(agent)
    return info.get(ACTION_MASK) if info else None


class MaskGatherer:
    """All agents' masks in a row.

    Args:
        team: the team's specification.
        ids: PettingZoo's agent ids, in team order.
        method: see `mask_method`.
    """

    def __init__(self, team: TeamSpec, ids: Sequence[Any], method: Callable[[], Any] | None = None) -> None:
        self.team, self.ids, self._method = team, tuple(ids), method
        self._parts = [np.cumsum((0, *agent.action.nvec))[:-1] for agent in team.agents]
        self._shapes = [(agent.action.mask_size,) for agent in team.agents]

    def gather(
        self,
        live: Sequence[int],
        observations: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        where: Where,
        *,
        team_is_over: bool = False,
    ) -> NDArray[np.int8]:
        """All agents' action masks in a row, (mask_size,); ones where an agent has left or reports none.

        Raises:
            EnvironmentFault: a mask has the wrong size or entries, or leaves an agent without any legal choice.
        """
        joint = np.ones(self.team.mask_size, np.int8)
        by_method = self._ask(where, team_is_over)
        for index in live:
            given = reported_mask(self.ids[index], observations, infos)
            if given is None:
                given = by_method.get(self.ids[index])
            if given is None or self.team.agents[index].action.is_box:
                continue
            mask = self._flat(index, given, where)
            if not self._leaves_a_choice(index, mask):
                if team_is_over:
                    continue  # nobody will act on it; many games report an empty mask after the last move
                self._refuse(index, "nonzero for one choice or more", mask.tolist(), where)
            joint[self.team.mask_slices[index]] = mask
        return joint

    def check_absent(self, live: Sequence[int], infos: Mapping[Any, Any], where: Where) -> None:
        """Refuse a mask in the info of any agent of a team that was found to have none.

        Raises:
            EnvironmentFault: there is one; from here on illegal actions would be taken.
        """
        for index in live:
            if ACTION_MASK in (infos.get(self.ids[index]) or ()):
                refuse_late_mask(self.team.names[index], where)

    def _ask(self, where: Where, team_is_over: bool) -> Mapping[Any, Any]:
        if self._method is None:
            return {}
        try:
            told: Mapping[Any, Any] = self._method()
            return told
        except Exception as error:
            if team_is_over:
                return {}
            must = "a dict of masks by agent, or a list in the agents' order"
            raise EnvironmentFault(explain(f"What {METHOD}() gives {where()}", must, error)) from error

    def _flat(self, index: int, given: Any, where: Where) -> NDArray[np.int8]:
        """Zeros and ones in a row; a tuple has one array per categorical part, as gymnasium's ``sample(mask)``."""
        if type(given) is not np.ndarray:
            given = _joined(given)
        flat = given.reshape(-1)
        if flat.shape != self._shapes[index] and flat.dtype.kind in "biuf":
            self._refuse(index, f"of {self._shapes[index][0]} entries", flat.shape, where)
        kind = flat.dtype.kind
        if kind not in "biuf" or (kind != "b" and int(np.count_nonzero(flat * (flat - 1)))):  # NaN counts
            cure = "1 marks a legal choice, 0 one that is forbidden."
            self._refuse(index, "made of zeros and ones", given if kind not in "biuf" else flat.tolist(), where, cure)
        mask: NDArray[np.int8] = flat.astype(np.int8)
        return mask

    def _leaves_a_choice(self, index: int, mask: NDArray[np.int8]) -> bool:
        """Whether each categorical part has a legal choice."""
        starts = self._parts[index]
        if len(starts) == 1:
            return bool(mask.any())
        return bool(np.logical_or.reduceat(mask, starts).all())

    def _refuse(self, index: int, must: str, got: object, where: Where, cure: str = "") -> None:
        raise EnvironmentFault(
            explain(f"The action mask of agent {self.team.names[index]!r} {where()}", must, got, cure)
        )


def refuse_late_mask(name: str, where: Where) -> NoReturn:
    """Raise the fault of a mask in a team that was found to have none."""
    must, got = "there from the first reset on, or declared", "a mask that comes later"
    cure = "Declare metadata['has_masks'] = True."
    raise EnvironmentFault(explain(f"The action mask of agent {name!r} {where()}", must, got, cure))


def _joined(given: Any) -> NDArray[Any]:
    """A list of flags, or one of lists, as an array; what is neither as an array of objects."""
    try:
        if isinstance(given, (tuple, list)) and given and np.ndim(given[0]) > 0:
            return np.concatenate([np.asarray(part).reshape(-1) for part in given])
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError):
        return np.array([None])
