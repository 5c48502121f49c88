"""What ``reset`` and ``step`` of a PettingZoo environment return, in the form that it should have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from masoft.errors import EnvironmentFault, explain
from masoft.spec import TeamSpec

Where = Callable[[], str]
Reset: TypeAlias = tuple[Mapping[Any, Any], Mapping[Any, Any]]

STEP = ("observations", "rewards", "terminations", "truncations", "infos")


def check_reset(answer: Any, known: Mapping[Any, int], where: Where) -> Reset:
    """Observations and infos by agent.

    Raises:
        EnvironmentFault: it is something else.
    """
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        cure = "PettingZoo's form since 1.22; before, reset gave observations alone."
        _refuse("What reset returns", where, "(observations, infos), two dicts by agent", answer, cure)
    check_agents("observations", answer[0], known, where)
    _check_infos(answer[1], where)
    return answer[0], answer[1] or {}


def check_step(answer: Any, known: Mapping[Any, int], where: Where) -> None:
    """``step`` has returned five dicts by agent; asked where working with them has failed.

    Raises:
        EnvironmentFault: it is something else; the message says which part.
    """
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        cure = "PettingZoo's form since 1.22; before, both flags were one 'done'."
        _refuse("What step returns", where, f"five dicts by agent: {', '.join(STEP)}", answer, cure)
    for name, given in zip(STEP[:4], answer, strict=False):
        if not isinstance(given, Mapping):
            _refuse(f"The {name}", where, "a dict by agent", given)
    check_agents("observations", answer[0], known, where)
    _check_flags("terminations", answer[2], where)
    _check_flags("truncations", answer[3], where)
    _check_infos(answer[4], where)


def _check_flags(name: str, flags: Mapping[Any, Any], where: Where) -> None:
    for agent, flag in flags.items():
        if np.size(flag) != 1 or np.asarray(flag).dtype.kind not in "biuf":
            _refuse(f"The {name} of agent {agent!r}", where, "True or False", flag)


def _check_infos(infos: Any, where: Where) -> None:
    if infos is not None and not isinstance(infos, Mapping):
        _refuse("The infos", where, "a dict by agent, or None", infos)
    for agent, info in (infos or {}).items():
        if info is not None and not isinstance(info, Mapping):
            _refuse(f"The info of agent {agent!r}", where, "a dict", info)


def check_agents(name: str, told: Mapping[Any, Any], known: Mapping[Any, int], where: Where) -> None:
    """Refuse a report of an agent that is none of the team's.

    Raises:
        EnvironmentFault: there is one.
    """
    for agent in told:
        if agent not in known:
            cure = "possible_agents has to name all agents that ever take part."
            _refuse(f"The {name}", where, f"of agents among {list(known)}", list(told), cure)


def _refuse(which: str, where: Where, must: str, got: object, cure: str = "") -> NoReturn:
    raise EnvironmentFault(explain(f"{which} {where()}", must, got, cure))


class Roster:
    """Who acts next, and whether those that do not have left as PettingZoo wants it.

    Args:
        team: the team's specification.
        ids: PettingZoo's agent ids, in team order.
        turns: whether one agent after the other acts.
    """

    def __init__(self, team: TeamSpec, ids: Sequence[Any], turns: bool) -> None:
        self.team, self.turns = team, turns
        self.known = {agent: index for index, agent in enumerate(ids)}
        self._ids, self._everybody = list(ids), list(range(len(ids)))

    def alive(
        self, env: Any, terminations: Mapping[Any, bool], truncations: Mapping[Any, bool], where: Where
    ) -> list[int]:
        """Indices of the agents that act next, in team order.

        Raises:
            EnvironmentFault: ``agents`` is no list, or has an agent that nobody knows.
        """
        agents = getattr(env, "agents", None)
        if type(agents) is not list:
            agents = _as_list(agents, where)
        nobody_left = not (True in terminations.values() or True in truncations.values())
        if nobody_left and agents == self._ids:
            return self._everybody
        going = [agent for agent in agents if not (terminations.get(agent) or truncations.get(agent))]
        for agent in going:
            if agent not in self.known:
                cure = "possible_agents has to name all agents that ever take part."
                _refuse("Every agent", where, f"one of {self.team.names}", agent, cure)
        return sorted({self.known[agent] for agent in going})

    def check_start(self, live: Sequence[int], where: Where) -> None:
        """All agents are there when an episode starts, or some where agents may leave.

        Raises:
            EnvironmentFault: it is not so.
        """
        if not live or (not self.team.has_deaths and len(live) < self.team.n_agents):
            absent = [name for index, name in enumerate(self.team.names) if index not in live]
            _refuse("The agents", where, "all present", f"without {absent}", _MAY_LEAVE)

    def check_departures(
        self,
        acted: Sequence[int],
        live: Sequence[int],
        terminations: Mapping[Any, bool],
        truncations: Mapping[Any, bool],
        where: Where,
    ) -> None:
        """Agents leave only by terminating or being truncated, and early only where the team expects it.

        Raises:
            EnvironmentFault: one has left otherwise.
        """
        for index in acted:
            if index in live or (self.turns and live):
                continue
            agent, which = self._ids[index], f"Agent {self.team.names[index]!r}"
            if not (terminations.get(agent) or truncations.get(agent)):
                got, cure = "absent from agents with neither flag", "Set one of its flags in its last step."
                _refuse(which, where, "alive, terminated or truncated", got, cure)
            if live and not self.team.has_deaths:
                must = "present until the episode ends (metadata['has_deaths'] is False)"
                _refuse(which, where, must, "an agent that left early", _MAY_LEAVE)


_MAY_LEAVE = "Declare metadata['has_deaths'] = True if agents may leave before the episode ends."


def _as_list(agents: Any, where: Where) -> list[Any]:
    if isinstance(agents, np.ndarray):
        return list(agents.tolist())
    if not isinstance(agents, (list, tuple)):
        cure = "Set it in reset, and take agents out of it that have ended."
        _refuse("agents", where, "the list of agents that act next", agents, cure)
    return list(agents)
