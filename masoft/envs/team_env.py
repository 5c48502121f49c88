"""A PettingZoo parallel environment as one gymnasium environment: a team is one agent to stable-baselines3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from masoft.envs.actions import ActionSplitter
from masoft.envs.inspection import Parallel, agent_ids, choose_team_reward, read_team
from masoft.envs.observations import ObservationGatherer
from masoft.errors import EnvironmentFault, MasoftError, explain
from masoft.spec import ACTION_MASK, ACTIVE, STATE, TeamSpec

Joint = dict[str, NDArray[Any]]


class TeamEnv(gymnasium.Env[Joint, NDArray[Any]]):
    """One joint environment over a PettingZoo ``ParallelEnv``.

    The observation is a dict: one array per agent, then ``"state"`` where the environment has one, ``"action_mask"``
    where it has masks, and ``"active"`` (n_agents,), 1 for those that have not left. The action is one vector of all agents'
    actions, see `TeamSpec.action_space`. An agent that has left shows zeros, allows every choice, and what it is
    told to do is ignored. The step that ends an episode returns the last observation, so that a truncated episode
    can be bootstrapped (stable-baselines3 carries it as ``info["terminal_observation"]``).

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
        self.team_reward = choose_team_reward(env, team_reward)
        self.team: TeamSpec = read_team(env)
        self.observation_space = self.team.observation_space  # type: ignore[assignment]
        self.action_space = self.team.action_space
        self.metadata = {"render_modes": [], **(getattr(env, "metadata", None) or {})}  # type: ignore[misc]
        self.render_mode = getattr(env, "render_mode", None)
        self._ids = agent_ids(env)
        self._names = self.team.names
        self._index = {agent: index for index, agent in enumerate(self._ids)}
        self._splitter = ActionSplitter(self.team)
        self._gatherer = ObservationGatherer(self.team, self._ids)
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
        self._episode, self._elapsed = self._episode + 1, 0
        try:
            reported, infos = self.parallel_env.reset(seed=seed, options=options)
        except MasoftError:
            raise
        except Exception as error:
            raise EnvironmentFault(explain(f"reset of {self._name()}", "free of errors", error)) from error
        self._live = self._alive({}, {})
        self._is_over = False
        observation = self._gather(reported, infos, self._live)
        return observation, _team_info(infos)

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
            raise EnvironmentFault(
                explain(f"An episode of {self._name()}", "running when step is called", "an episode that has ended",
                        "Call reset first.")
            )  # fmt: skip
        acted = self._live
        actions = self._splitter.split(action, acted, self._mask, self._where)
        self._elapsed += 1
        reported, rewards, terminations, truncations, infos = self._advance(
            {self._ids[index]: chosen for index, chosen in zip(acted, actions, strict=True)}
        )
        reward, own = self._team_reward(rewards, acted)
        self._live = self._alive(terminations, truncations)
        self._check_departures(acted, terminations, truncations)
        terminated = truncated = False
        shown = self._live
        if not self._live:
            self._is_over = True
            shown = [i for i in acted if truncations.get(self._ids[i]) and not terminations.get(self._ids[i])]
            truncated = bool(shown)
            terminated = not truncated
        info = _team_info(infos)
        info["rewards"] = own
        observation = self._gather(reported, infos, shown, last_words=acted if terminated else ())
        return observation, reward, terminated, truncated, info

    def render(self) -> Any:
        """The environment's own picture."""
        return self.parallel_env.render()

    def close(self) -> None:
        """Release what the environment holds."""
        self.parallel_env.close()

    def _advance(self, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """The environment's step; whatever it raises becomes a fault that names the step."""
        try:
            return self.parallel_env.step(actions)
        except MasoftError:
            raise
        except Exception as error:
            cure = "The error above comes from the environment itself."
            raise EnvironmentFault(explain(f"step {self._where()}", "free of errors", error, cure)) from error

    def _alive(self, terminations: Mapping[Any, bool], truncations: Mapping[Any, bool]) -> list[int]:
        """Indices of the agents that act next."""
        alive = []
        for agent in self.parallel_env.agents:
            if terminations.get(agent) or truncations.get(agent):
                continue
            index = self._index.get(agent)
            if index is None:
                raise EnvironmentFault(
                    explain(f"Agent {agent!r} {self._where()}", f"one of {self._names}", agent,
                            "possible_agents has to name all agents that ever take part.")
                )  # fmt: skip
            alive.append(index)
        if not terminations and len(alive) < self.team.n_agents and not self.team.has_deaths:
            self._refuse_departure(next(i for i in range(self.team.n_agents) if i not in alive))
        return alive

    def _check_departures(
        self, acted: list[int], terminations: Mapping[Any, bool], truncations: Mapping[Any, bool]
    ) -> None:
        """Agents leave only by terminating or being truncated, and early only where the team expects it."""
        if len(acted) == len(self._live):
            return
        for index in acted:
            if index in self._live:
                continue
            agent = self._ids[index]
            if not (terminations.get(agent) or truncations.get(agent)):
                raise EnvironmentFault(
                    explain(f"Agent {self._names[index]!r} {self._where()}", "alive, terminated or truncated",
                            "absent from agents with neither flag", "Set one of its flags in its last step.")
                )  # fmt: skip
            if self._live and not self.team.has_deaths:
                self._refuse_departure(index)

    def _refuse_departure(self, index: int) -> None:
        raise EnvironmentFault(
            explain(
                f"Agent {self._names[index]!r} {self._where()}",
                "present until the episode ends (metadata['has_deaths'] is False)",
                "an agent that is missing",
                "Declare metadata['has_deaths'] = True if agents may leave early.",
            )
        )

    def _team_reward(self, rewards: Mapping[Any, Any], acted: list[int]) -> tuple[float, dict[str, float]]:
        """The team's reward, and each agent's own by name (0 for those that have left)."""
        own = dict.fromkeys(self._names, 0.0)
        total = 0.0
        for index in acted:
            reward = rewards.get(self._ids[index])
            if reward is None:
                raise EnvironmentFault(
                    explain(f"The rewards {self._where()}", f"given for agent {self._names[index]!r}", list(rewards))
                )
            total += reward
            own[self._names[index]] = float(reward)
        total = float(total)
        if total - total != 0.0:  # NaN or infinite
            raise EnvironmentFault(explain(f"The rewards {self._where()}", "finite", own))
        if self.team_reward == "sum":
            return total, own
        if self.team_reward == "mean":
            return total / len(self._names), own
        shared = own[self._names[acted[0]]]
        if any(own[self._names[index]] != shared for index in acted):
            raise EnvironmentFault(
                explain(f"The rewards {self._where()}", "the same for all agents (team_reward='shared')", own,
                        "Choose team_reward='mean' or 'sum'.")
            )  # fmt: skip
        return shared, own

    def _gather(
        self, reported: Mapping[Any, Any], infos: Mapping[Any, Any], shown: list[int], last_words: Any = ()
    ) -> Joint:
        """The joint observation. ``shown`` agents must report; ``last_words`` may, zeros stand for the others."""
        gatherer, where = self._gatherer, self._where
        joint: Joint = {}
        for index, agent in enumerate(self._ids):
            if index in shown:
                if agent not in reported:
                    raise EnvironmentFault(
                        explain(f"The observations {where()}", f"given for agent {self._names[index]!r}",
                                list(reported), "Each agent that acts or is truncated reports an observation.")
                    )  # fmt: skip
                joint[self._names[index]] = gatherer.observation(index, reported[agent], where)
            elif index in last_words and agent in reported:
                joint[self._names[index]] = gatherer.observation(index, reported[agent], where)
            else:
                joint[self._names[index]] = gatherer.absent(index)
        if self.team.state_size:
            joint[STATE] = gatherer.state(self._read_state(), where)
        if self.team.has_masks:
            self._mask = gatherer.masks(shown, reported, infos, where, team_is_over=self._is_over)
            joint[ACTION_MASK] = self._mask.copy()
        elif any(ACTION_MASK in info for info in infos.values() if info):
            raise EnvironmentFault(
                explain(f"Action masks {where()}", "there from the first reset on", "a mask that comes later",
                        "Declare metadata['has_masks'] = True.")
            )  # fmt: skip
        active = np.ones(self.team.n_agents, np.int8)
        if self.team.has_deaths:
            active[:] = 0
            active[shown] = 1
        joint[ACTIVE] = active
        return joint

    def _read_state(self) -> Any:
        try:
            return self.parallel_env.state()
        except Exception as error:
            raise EnvironmentFault(explain(f"state() {self._where()}", "free of errors", error)) from error

    def _where(self) -> str:
        return f"at step {self._elapsed} of episode {self._episode} of {self._name()}"

    def _name(self) -> str:
        return str((getattr(self.parallel_env, "metadata", None) or {}).get("name", type(self.parallel_env).__name__))


def _team_info(infos: Mapping[Any, Any]) -> dict[str, Any]:
    """A fresh info: agents' own under ``"agents"`` where they say anything, and the team's success if reported."""
    told = {str(agent): info for agent, info in infos.items() if info}
    if not told:
        return {}
    team: dict[str, Any] = {"agents": told}
    successes = [bool(info["is_success"]) for info in told.values() if "is_success" in info]
    if successes:
        team["is_success"] = all(successes)
    return team
