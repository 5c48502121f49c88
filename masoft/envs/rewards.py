"""The agents' rewards, checked, and the team's one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from masoft.errors import EnvironmentFault, explain

Where = Callable[[], str]


class RewardGatherer:
    """Makes the team's reward of the agents'.

    Args:
        how: ``"mean"``, ``"sum"`` or ``"shared"``, see `masoft.envs.TeamEnv`.
        names: of the agents, in team order.
        ids: PettingZoo's ids of them.
        pays_all: whether agents are paid in steps in which it is not their turn.
    """

    def __init__(self, how: str, names: Sequence[str], ids: Sequence[Any], pays_all: bool = False) -> None:
        self.how, self.names, self.ids, self.pays_all = how, tuple(names), tuple(ids), pays_all
        self._known = {agent: index for index, agent in enumerate(ids)}

    def gather(self, rewards: Mapping[Any, Any], acted: Sequence[int], where: Where) -> tuple[float, dict[str, float]]:
        """The team's reward, and each agent's own by name (0 for those that have left).

        Raises:
            EnvironmentFault: a reward is missing, no number, not finite, or of an agent that nobody knows.
        """
        names, ids = self.names, self.ids
        own = dict.fromkeys(names, 0.0)
        if len(rewards) != len(acted):
            acted = self._paid(rewards, acted, where)
        try:
            for index in acted:
                reward = rewards[ids[index]]
                own[names[index]] = reward if type(reward) is float else self._number(index, reward, where)
        except KeyError as absent:
            _refuse("The rewards", where, f"given for agent {absent.args[0]!r}", list(rewards))
        values = list(own.values())
        total = sum(values)
        if not math.isfinite(total):
            bad = next((name for name, value in own.items() if not math.isfinite(value)), None)
            _refuse("The rewards", where, "finite" if bad is None else f"finite, also that of agent {bad!r}", own)
        if self.how == "sum":
            return total, own
        if self.how == "mean":
            return total / len(own), own
        shared = values[acted[0]]
        if values.count(shared) < len(acted):
            must, cure = "the same for all agents (team_reward='shared')", "Choose team_reward='mean' or 'sum'."
            _refuse("The rewards", where, must, own, cure)
        return shared, own

    def _paid(self, rewards: Mapping[Any, Any], acted: Sequence[int], where: Where) -> Sequence[int]:
        """Who is paid, where that is not exactly those that acted."""
        for agent in rewards:
            if agent not in self._known:
                cure = "possible_agents has to name all agents that ever take part."
                _refuse("The rewards", where, f"of agents among {list(self.names)}", list(rewards), cure)
        return sorted(self._known[agent] for agent in rewards) if self.pays_all else acted

    def _number(self, index: int, reward: Any, where: Where) -> float:
        """A reward that is no Python float as one; arrays of one element count as their element."""
        if isinstance(reward, (float, np.floating)):
            return float(reward)
        try:
            array = np.asarray(reward)
        except (TypeError, ValueError, RuntimeError):
            array = np.empty(0, object)
        if array.size != 1 or array.dtype.kind not in "biuf":
            cure = "A vector of objectives has to be weighed: pass on its product with the weights." * (array.size > 1)
            _refuse(f"The reward of agent {self.names[index]!r}", where, "one number", reward, cure)
        return float(array.item())


def _refuse(which: str, where: Where, must: str, got: object, cure: str = "") -> NoReturn:
    raise EnvironmentFault(explain(f"{which} {where()}", must, got, cure))
