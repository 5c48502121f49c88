"""A PettingZoo parallel environment as one gymnasium environment: a team is one agent to stable-baselines3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from masoft.envs.actions import ActionSplitter
from masoft.envs.inspection import Parallel, agent_ids, choose_team_reward, read_team
from masoft.envs.observations import Joint, ObservationGatherer
from masoft.envs.reach import ReachesInside, moves_of
from masoft.errors import EnvironmentFault, MasoftError, explain
from masoft.spec import ACTION_MASK, ACTIVE, TeamSpec

_RUNNING = ("_live", "_mask", "_is_over", "_episode", "_elapsed")
"""What a TeamEnv itself knows of the running episode."""


class TeamEnv(ReachesInside[Joint, NDArray[Any]]):
    """One joint environment over a PettingZoo ``ParallelEnv``.

    The observation is a dict: one array per agent, then ``"state"`` where the environment has one, ``"action_mask"``
    where it has masks, and ``"active"`` (n_agents,), 1 for those that have not left. The action is one vector of all
    agents' actions, see `TeamSpec.action_space`. An agent that has left shows zeros, allows every choice, and what
    it is told to do is ignored. The step that ends an episode returns the last observation, so that a truncated
    episode can be bootstrapped (stable-baselines3 carries it as ``info["terminal_observation"]``).

    Args:
        env: the PettingZoo environment; used as it is, wrapped or not.
        team_reward: how the agents' rewards become the team's: ``"mean"`` or ``"sum"`` over all agents (one that has
            left counts 0), ``"shared"`` where all get the same, or ``"auto"``: what the environment declares in
            ``metadata["team_reward"]``, else the mean. The agents' own rewards are in ``info["rewards"]``.

    Raises:
        SpaceError, ConfigurationError: the environment cannot be a team; the message has the cure.

    Example:
        >>> from masoft.envs import TeamEnv, make
        >>> env = TeamEnv(make("matrix/maxent"))
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step([2, 2])
        >>> reward, terminated, truncated
        (20.0, True, False)
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(self, env: Parallel, *, team_reward: str = "auto") -> None:
        self.parallel_env = env
        self._moves = moves_of(env)
        self.team_reward = choose_team_reward(env, team_reward)
        self.team: TeamSpec = read_team(env)
        self.observation_space = self.team.observation_space
        self.action_space = self.team.action_space
        self.metadata = {"render_modes": [], **(getattr(env, "metadata", None) or {})}  # type: ignore[misc]
        self.render_mode = getattr(env, "render_mode", None)
        self._ids = agent_ids(env)
        self._names = self.team.names
        self._index = {agent: index for index, agent in enumerate(self._ids)}
        self._splitter = ActionSplitter(self.team)
        self._gatherer = ObservationGatherer(self.team, self._ids)
        self._everybody, self._id_list = list(range(self.team.n_agents)), list(self._ids)
        self._all_active = np.ones(self.team.n_agents, np.int8)
        self._live: list[int] = []
        self._mask: NDArray[np.int8] | None = None
        self._is_over = True
        self._episode = self._elapsed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Joint, dict[str, Any]]:
        """Start an episode.

        Raises:
            EnvironmentFault: the environment breaks its contract.
        """
        super().reset(seed=seed)
        self._moves.count += 1
        self._episode, self._elapsed, self._is_over = self._episode + 1, 0, True
        try:
            reported, infos = self.parallel_env.reset(seed=seed, options=options)
        except MasoftError:
            raise
        except Exception as error:
            raise EnvironmentFault(explain(f"reset of {self._name()}", "free of errors", error)) from error
        self._live = self._alive({}, {})
        if not self._live or (not self.team.has_deaths and len(self._live) < self.team.n_agents):
            absent = [name for index, name in enumerate(self._names) if index not in self._live]
            self._fault("The agents", "all present", f"without {absent}", _MAY_LEAVE)
        self._is_over = False
        return self._observe(reported, infos, self._live), _team_info(infos)

    def step(self, action: Any) -> tuple[Joint, float, bool, bool, dict[str, Any]]:
        """One step of the whole team.

        Args:
            action: (action_size,) in environment units; categorical parts are choice numbers from 0.

        Returns:
            observation, team reward, terminated (every agent that was left has terminated), truncated, info.

        Raises:
            EnvironmentFault: an illegal action, a step after the end, or the environment breaks its contract.
        """
        if self._is_over:
            self._fault("The episode", "running when step is called", "one that has ended", "Call reset first.")
        acted = self._live
        actions = self._splitter.split(action, acted, self._mask, self._where)
        self._elapsed += 1
        self._moves.count += 1
        ids = self._ids
        reported, rewards, terminations, truncations, infos = self._advance(
            {ids[index]: chosen for index, chosen in zip(acted, actions, strict=True)}
        )
        info = _team_info(infos)
        reward, info["rewards"] = self._team_reward(rewards, acted)
        self._live = shown = self._alive(terminations, truncations)
        terminated = truncated = False
        if shown != acted:
            self._check_departures(acted, terminations, truncations)
        if not shown:
            self._is_over = True
            shown = [index for index in acted if not terminations.get(ids[index])]
            truncated = bool(shown)
            terminated = not truncated
        observation = self._observe(reported, infos, shown, last_words=acted if terminated else ())
        return observation, reward, terminated, truncated, info

    def render(self) -> Any:
        """The environment's own picture."""
        return self.parallel_env.render()

    def close(self) -> None:
        """Release what the environment holds."""
        self.parallel_env.close()

    def get_snapshot(self) -> dict[str, Any] | None:
        """Everything that decides how the episode goes on, see `masoft.envs.snapshot`; None where that is unknown."""
        from masoft.envs.snapshot import environment_values

        inner = environment_values(self.parallel_env)
        if inner is None:
            return None
        own = {name: getattr(self, name) for name in _RUNNING}
        return {"team": {**own, "_live": list(self._live)}, "env": inner}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave, after a reset."""
        from masoft.envs.snapshot import restore_environment

        restore_environment(self.parallel_env, values["env"])
        for name in _RUNNING:
            setattr(self, name, values["team"][name])

    def _advance(self, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """The environment's step; whatever it raises becomes a fault that names the step."""
        try:
            answer: tuple[Any, Any, Any, Any, Any] = self.parallel_env.step(actions)
            return answer
        except MasoftError:
            raise
        except Exception as error:
            self._is_over = True
            cure = "The error above comes from the environment itself."
            raise EnvironmentFault(explain(f"step {self._where()}", "free of errors", error, cure)) from error

    def _alive(self, terminations: Mapping[Any, bool], truncations: Mapping[Any, bool]) -> list[int]:
        """Indices of the agents that act next, in team order."""
        agents = self.parallel_env.agents
        nobody_left = not (True in terminations.values() or True in truncations.values())
        if nobody_left and agents == self._id_list:
            return self._everybody
        alive = []
        for agent in agents:
            if terminations.get(agent) or truncations.get(agent):
                continue
            if agent not in self._index:
                cure = "possible_agents has to name all agents that ever take part."
                self._fault("Every agent", f"one of {self._names}", agent, cure)
            alive.append(self._index[agent])
        return sorted(alive)

    def _check_departures(
        self, acted: list[int], terminations: Mapping[Any, bool], truncations: Mapping[Any, bool]
    ) -> None:
        """Agents leave only by terminating or being truncated, and early only where the team expects it."""
        for index in acted:
            if index in self._live:
                continue
            agent, which = self._ids[index], f"Agent {self._names[index]!r}"
            if not (terminations.get(agent) or truncations.get(agent)):
                got, cure = "absent from agents with neither flag", "Set one of its flags in its last step."
                self._fault(which, "alive, terminated or truncated", got, cure)
            if self._live and not self.team.has_deaths:
                must = "present until the episode ends (metadata['has_deaths'] is False)"
                self._fault(which, must, "an agent that left early", _MAY_LEAVE)

    def _team_reward(self, rewards: Mapping[Any, Any], acted: list[int]) -> tuple[float, dict[str, float]]:
        """The team's reward, and each agent's own by name (0 for those that have left)."""
        own = dict.fromkeys(self._names, 0.0)
        names, ids = self._names, self._ids
        try:
            for index in acted:
                own[names[index]] = float(rewards[ids[index]])
        except KeyError as absent:
            self._fault("The rewards", f"given for agent {absent.args[0]!r}", list(rewards))
        values = list(own.values())
        total = sum(values)
        if not math.isfinite(total):
            self._fault("The rewards", "finite", own)
        if self.team_reward == "sum":
            return total, own
        if self.team_reward == "mean":
            return total / len(own), own
        shared = values[acted[0]]
        if values.count(shared) < len(acted):
            must, cure = "the same for all agents (team_reward='shared')", "Choose team_reward='mean' or 'sum'."
            self._fault("The rewards", must, own, cure)
        return shared, own

    def _observe(
        self, reported: Mapping[Any, Any], infos: Mapping[Any, Any], shown: list[int], last_words: Sequence[int] = ()
    ) -> Joint:
        """The joint observation. Agents in ``shown`` must report, in ``last_words`` may; zeros for the others."""
        speakers = last_words or shown
        told = list(map(reported.get, self._ids))
        if len(speakers) < len(told):
            told = [told[index] if index in speakers else None for index in self._everybody]
        for index in shown:
            if told[index] is None:
                cure = "Each agent that acts or is truncated reports an observation."
                self._fault("The observations", f"given for agent {self._names[index]!r}", list(reported), cure)
        joint = self._gatherer.gather(told, self._state(), self._where)
        if self.team.has_masks:
            self._mask = self._gatherer.masks(shown, reported, infos, self._where, team_is_over=self._is_over)
            joint[ACTION_MASK] = self._mask.copy()
        elif shown and ACTION_MASK in (infos.get(self._ids[shown[0]]) or ()):
            cure = "Declare metadata['has_masks'] = True."
            self._fault("Action masks", "there from the first reset on", "a mask that comes later", cure)
        active = self._all_active.copy()
        if self.team.has_deaths and len(shown) < len(active):
            active[:] = 0
            active[shown] = 1
        joint[ACTIVE] = active
        return joint

    def _state(self) -> Any:
        """The global state, or None where the team has none."""
        if not self.team.state_size:
            return None
        try:
            return self.parallel_env.state()
        except Exception as error:
            raise EnvironmentFault(explain(f"state() {self._where()}", "free of errors", error)) from error

    def _fault(self, which: str, must: str, got: object, cure: str = "") -> NoReturn:
        raise EnvironmentFault(explain(f"{which} {self._where()}", must, got, cure))

    def _where(self) -> str:
        return f"at step {self._elapsed} of episode {self._episode} of {self._name()}"

    def _name(self) -> str:
        return str((getattr(self.parallel_env, "metadata", None) or {}).get("name", type(self.parallel_env).__name__))


_MAY_LEAVE = "Declare metadata['has_deaths'] = True if agents may leave before the episode ends."


def _team_info(infos: Mapping[Any, Any]) -> dict[str, Any]:
    """A fresh info: agents' own under ``"agents"`` where they say anything, and the team's success if reported."""
    if not any(infos.values()):
        return {}
    told = {str(agent): info for agent, info in infos.items() if info}
    team: dict[str, Any] = {"agents": told}
    successes = [bool(info["is_success"]) for info in told.values() if "is_success" in info]
    if successes:
        team["is_success"] = all(successes)
    return team
