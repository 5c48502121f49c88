"""What ``reset`` and ``step`` of a PettingZoo environment return, in the form that it should have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from masoft.errors import EnvironmentFault, explain

Where = Callable[[], str]
Reset: TypeAlias = tuple[Mapping[Any, Any], Mapping[Any, Any]]
Step: TypeAlias = tuple[Mapping[Any, Any], Mapping[Any, Any], Mapping[Any, bool], Mapping[Any, bool], Mapping[Any, Any]]

STEP = ("observations", "rewards", "terminations", "truncations", "infos")


def check_reset(answer: Any, known: Mapping[Any, int], where: Where) -> Reset:
    """Observations and infos by agent.

    Raises:
        EnvironmentFault: it is something else.
    """
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        cure = "PettingZoo's form since 1.22; before, reset gave observations alone."
        _refuse("What reset returns", where, "(observations, infos), two dicts by agent", answer, cure)
    _check_agents("observations", answer[0], known, where)
    return answer[0], _infos(answer[1], where)


def check_step(answer: Any, known: Mapping[Any, int], where: Where) -> Step:
    """The five dicts by agent that ``step`` returns.

    Raises:
        EnvironmentFault: it is something else; the message says which part.
    """
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        cure = "PettingZoo's form since 1.22; before, both flags were one 'done'."
        _refuse("What step returns", where, f"five dicts by agent: {', '.join(STEP)}", answer, cure)
    observations, rewards, terminations, truncations, infos = answer
    for part in answer:
        if type(part) is not dict:
            infos = _infos(infos, where)
            for name, given in zip(STEP[:4], answer, strict=False):
                if not isinstance(given, Mapping):
                    _refuse(f"The {name}", where, "a dict by agent", given)
            break
    if len(observations) > len(known):
        _check_agents("observations", observations, known, where)
    return observations, rewards, terminations, truncations, infos


def check_flags(flags: Mapping[Any, Any], name: str, where: Where) -> None:
    """Each flag is one truth value.

    Raises:
        EnvironmentFault: one is not.
    """
    for agent, flag in flags.items():
        if np.size(flag) != 1 or np.asarray(flag).dtype.kind not in "biuf":
            _refuse(f"The {name} of agent {agent!r}", where, "True or False", flag)


def agents_of(env: Any, where: Where) -> Sequence[Any]:
    """PettingZoo's ``agents``, those that act next, as a list.

    Raises:
        EnvironmentFault: the environment does not say.
    """
    agents = getattr(env, "agents", None)
    if isinstance(agents, np.ndarray):
        agents = agents.tolist()
    if not isinstance(agents, (list, tuple)):
        cure = "Set it in reset, and take agents out of it that have ended."
        _refuse("agents", where, "the list of agents that act next", agents, cure)
    return agents


def _infos(infos: Any, where: Where) -> Mapping[Any, Any]:
    if infos is None:
        return {}
    if not isinstance(infos, Mapping):
        _refuse("The infos", where, "a dict by agent, or None", infos)
    for agent, info in infos.items():
        if info is not None and not isinstance(info, Mapping):
            _refuse(f"The info of agent {agent!r}", where, "a dict", info)
    return infos


def _check_agents(name: str, told: Mapping[Any, Any], known: Mapping[Any, int], where: Where) -> None:
    for agent in told:
        if agent not in known:
            cure = "possible_agents has to name all agents that ever take part."
            _refuse(f"The {name}", where, f"of agents among {list(known)}", list(told), cure)


def _refuse(which: str, where: Where, must: str, got: object, cure: str = "") -> NoReturn:
    raise EnvironmentFault(explain(f"{which} {where()}", must, got, cure))
