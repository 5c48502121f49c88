"""A team's specification as JSON values and arrays, and back, with every size checked before anything is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from gymnasium import spaces

from masoft.errors import MasoftError, ModelFileError, explain
from masoft.files.budget import Budget
from masoft.spec import ActionSpec, AgentSpec, StateView, TeamSpec, check_agent_spaces

MAX_ENTRIES = 2**24
"""Most entries that all masks, states and one-hots of a stored team may have together; arrays are bounded anyway."""


def team_to_values(team: TeamSpec) -> dict[str, Any]:
    """A specification as dicts, numbers and arrays, for `masoft.files.Encoder`."""
    return {
        "agents": [
            {
                "name": agent.name,
                "observation": space_to_values(agent.observation_space),
                "action": space_to_values(agent.action.space),
                "view": None if agent.view is None else asdict(agent.view),
            }
            for agent in team.agents
        ],
        "state_size": team.state_size,
        "state_view": asdict(team.state_view),
        "has_masks": team.has_masks,
        "has_deaths": team.has_deaths,
        "state_and_observations": team.state_and_observations,
    }


def space_to_values(space: spaces.Space[Any]) -> dict[str, Any]:
    """One agent's space."""
    if isinstance(space, spaces.Box):
        return {"kind": "Box", "low": space.low, "high": space.high}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": "MultiDiscrete", "nvec": space.nvec, "start": space.start}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "shape": list(space.shape)}
    raise ModelFileError(explain("A space to be saved", "a Box, Discrete, MultiDiscrete or MultiBinary", space))


def team_from_values(values: Any) -> TeamSpec:
    """The specification that `team_to_values` described.

    Raises:
        ModelFileError: it is none, or its sizes are absurd.
    """
    try:
        budget = Budget(MAX_ENTRIES)
        agents = tuple(_agent(entry, budget) for entry in values["agents"])
        if not agents or len({agent.name for agent in agents}) != len(agents):
            raise ModelFileError("The team in the model file has no agents, or two of one name.")
        view = _view(values["state_view"], budget)
        assert view is not None
        state_size = budget.take(values["state_size"], least=0)
        flags = (bool(values["has_masks"]), bool(values["has_deaths"]), bool(values.get("state_and_observations")))
        return TeamSpec(agents, state_size, view, *flags)
    except MasoftError as error:
        raise ModelFileError(f"The team in the model file cannot be used: {error}") from error
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError, OverflowError) as error:
        raise ModelFileError(f"The team in the model file is incomplete or damaged: {error!r}") from error


def _agent(entry: dict[str, Any], budget: Budget) -> AgentSpec:
    name = entry["name"]
    if not isinstance(name, str):
        raise ModelFileError(explain("An agent's name in the model file", "a string", name))
    observation, action = _space(entry["observation"], budget), _space(entry["action"], budget)
    check_agent_spaces(name, observation, action)
    assert isinstance(observation, spaces.Box)
    return AgentSpec(name, observation, ActionSpec(action), _view(entry["view"], budget))


def _view(values: dict[str, Any] | None, budget: Budget) -> StateView | None:
    if values is None:
        return None
    indices, position = values["indices"], values["position"]
    if indices is not None:
        indices = tuple(_index(i) for i in indices)
    if position is not None and not isinstance(position, int):
        raise ModelFileError(explain("A view's position in the model file", "a whole number or null", position))
    return StateView(indices, position, budget.take(values["one_hot_size"], least=0), bool(values["standardise"]))


def _index(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ModelFileError(explain("An index in the model file", "a whole number >= 0", value))
    return value


def _space(values: dict[str, Any], budget: Budget) -> spaces.Space[Any]:
    kinds: dict[str, Callable[[dict[str, Any], Budget], spaces.Space[Any]]] = {
        "Box": _box,
        "Discrete": lambda v, b: spaces.Discrete(b.take(v["n"]), start=int(v["start"])),
        "MultiDiscrete": _multi_discrete,
        "MultiBinary": _multi_binary,
    }
    if values["kind"] not in kinds:
        raise ModelFileError(explain("A space in the model file", f"one of {[*kinds]}", values["kind"]))
    return kinds[values["kind"]](values, budget)


def _box(values: dict[str, Any], budget: Budget) -> spaces.Box:
    low, high = values["low"], values["high"]
    if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray) or low.shape != high.shape:
        raise ModelFileError("The bounds of a Box in the model file are no arrays of one shape.")
    if low.dtype != high.dtype or low.dtype.kind not in "iuf" or np.isnan(low).any() or np.isnan(high).any():
        raise ModelFileError("The bounds of a Box in the model file are no numbers of one type.")
    return spaces.Box(low, high, dtype=low.dtype.type)


def _multi_discrete(values: dict[str, Any], budget: Budget) -> spaces.MultiDiscrete:
    nvec = values["nvec"]
    if not isinstance(nvec, np.ndarray) or nvec.size == 0 or nvec.dtype.kind not in "iu":
        raise ModelFileError("A MultiDiscrete in the model file has no array of whole numbers.")
    for n in nvec.reshape(-1).tolist():
        budget.take(n)
    return spaces.MultiDiscrete(nvec, start=values["start"])


def _multi_binary(values: dict[str, Any], budget: Budget) -> spaces.MultiBinary:
    shape = [budget.take(n) for n in values["shape"]]
    budget.take(math.prod(shape))
    return spaces.MultiBinary(shape if len(shape) != 1 else shape[0])
