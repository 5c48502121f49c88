"""A PettingZoo parallel environment as one gymnasium environment: a team is one agent to stable-baselines3."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from masoft.envs.actions import ActionSplitter
from masoft.envs.answers import Roster, check_agents, check_reset, check_step
from masoft.envs.inspection import Inspection, Parallel, agent_ids, choose_team_reward, inspect_env
from masoft.envs.masks import MaskGatherer
from masoft.envs.observations import Joint, ObservationGatherer
from masoft.envs.reach import ReachesInside, moves_of
from masoft.envs.rewards import RewardGatherer
from masoft.envs.state import State, last_state
from masoft.errors import EnvironmentFault, MasoftError, explain
from masoft.spec import ACTION_MASK, ACTIVE, STATE, TeamSpec

MALFORMED = (AttributeError, TypeError, ValueError, LookupError)
"""What it raises to work with an answer that has another form than PettingZoo's."""
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
        state: what critics see. ``"env"``: the environment's, or the observations in a row where it has none;
            ``"observations"``: those in any case; ``"both"``: the observations behind the environment's state; or a
            function of the PettingZoo environment that gives an array.
        check: look at every observation's bounds too, which costs time; `masoft.testing.check_env` does.

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

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, env: Parallel, *, team_reward: str = "auto", state: State = "env", check: bool = False) -> None:
        self.parallel_env = env
        self._moves = moves_of(env)
        self.team_reward, self.state_choice = choose_team_reward(env, team_reward), state
        self.inspection: Inspection = inspect_env(env, state)
        self.team: TeamSpec = self.inspection.team
        self.observation_space = self.team.observation_space
        self.action_space = self.team.action_space
        self.metadata = {"render_modes": [], **(getattr(env, "metadata", None) or {})}
        self.render_mode = getattr(env, "render_mode", None)
        self._ids = agent_ids(env)
        self._names = self.team.names
        self._splitter = ActionSplitter(self.team)
        self._gatherer = ObservationGatherer(self.team, self._ids, self.inspection.readers)
        self.check = check
        self._roster = Roster(self.team, self._ids, self.inspection.turns)
        self._ask_state, self._state_reader = self.inspection.state.ask, self.inspection.state.reader
        self._masks = MaskGatherer(self.team, self._ids, self.inspection.ask_masks)
        self._rewards = RewardGatherer(self.team_reward, self._names, self._ids, self.inspection.turns)
        self._everybody = list(range(self.team.n_agents))
        self._all_active = np.ones(self.team.n_agents, np.int8)
        self._live: list[int] = []
        self._mask: NDArray[np.int8] | None = None
        self._last: Joint | None = None
        self._is_over = True
        self._has_warned = False
        self._episode = self._elapsed = 0

    @property
    def check(self) -> bool:
        """Whether every observation's bounds are looked at."""
        return self._gatherer.checks_bounds

    @check.setter
    def check(self, value: bool) -> None:
        self._gatherer.checks_bounds = value

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Joint, dict[str, Any]]:
        """Start an episode.

        Raises:
            EnvironmentFault: the environment breaks its contract.
        """
        super().reset(seed=seed)
        self._moves.count += 1
        self._episode, self._elapsed, self._is_over, self._last = self._episode + 1, 0, True, None
        try:
            answer = self.parallel_env.reset(seed=seed, options=options)
        except MasoftError:
            raise
        except Exception as error:
            raise EnvironmentFault(explain(f"reset of {self._name()}", "free of errors", error)) from error
        try:
            reported, infos = answer
            self._live = self._roster.alive(self.parallel_env, _NOTHING, _NOTHING, self._where)
            self._roster.check_start(self._live, self._where)
            self._is_over = False
            info = _team_info(infos)
            return self._observe(reported, infos if info else _NOTHING, self._live), info
        except MasoftError:
            raise
        except MALFORMED as error:
            check_reset(answer, self._roster.known, self._where)
            self._fault("What reset returns", "two dicts by agent", error)

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
        acted, where = self._live, self._where
        actions = self._splitter.split(action, acted, self._mask, where)
        self._elapsed += 1
        self._moves.count += 1
        ids = self._ids
        answer = self._advance({ids[index]: chosen for index, chosen in zip(acted, actions, strict=True)})
        try:
            reported, rewards, terminations, truncations, infos = answer
            info = _team_info(infos)
            told = infos if info else _NOTHING
            reward, info["rewards"] = self._rewards.gather(rewards, acted, where)
            self._live = shown = self._roster.alive(self.parallel_env, terminations, truncations, where)
            terminated = truncated = False
            if shown != acted:
                self._roster.check_departures(acted, shown, terminations, truncations, where)
            if not shown:
                self._is_over = True
                shown = [index for index in acted if not terminations.get(ids[index])]
                truncated = bool(shown)
                terminated = not truncated
            last_words = acted if terminated or (truncated and not self.team.has_deaths) else ()
            observation = self._observe(reported, told, shown, last_words)
            return observation, reward, terminated, truncated, info
        except MasoftError:
            raise
        except MALFORMED as error:
            check_step(answer, self._roster.known, where)
            self._fault("What step returns", "five dicts by agent", error)

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

    def _advance(self, actions: dict[Any, Any]) -> Any:
        """The environment's step; whatever it raises becomes a fault that names the step."""
        try:
            return self.parallel_env.step(actions)
        except MasoftError:
            raise
        except Exception as error:
            self._is_over = True
            cure = "The error above comes from the environment itself."
            raise EnvironmentFault(explain(f"step {self._where()}", "free of errors", error, cure)) from error

    def _observe(
        self, reported: Mapping[Any, Any], infos: Mapping[Any, Any], shown: list[int], last_words: Sequence[int] = ()
    ) -> Joint:
        """The joint observation. Agents in ``shown`` must report, in ``last_words`` may; zeros for the others."""
        speakers, where = last_words or shown, self._where
        told = list(map(reported.get, self._ids))
        if len(reported) > len(told):
            check_agents("observations", reported, self._roster.known, where)
        if len(speakers) < len(told):
            told = [told[index] if index in speakers else None for index in self._everybody]
        for index in shown:
            if told[index] is None:
                cure = "Each agent that acts or is truncated reports an observation."
                self._fault("The observations", f"given for agent {self._names[index]!r}", list(reported), cure)
        if self._ask_state is None:
            joint = self._gatherer.gather(told, None, where)
        elif self._is_over and self._elapsed:
            joint = self._last_joint(told, truncated=bool(shown))
        else:
            joint = self._gatherer.gather(told, self._state(), where)
        if self.team.has_masks:
            self._mask = self._masks.gather(shown, reported, infos, where, team_is_over=self._is_over)
            joint[ACTION_MASK] = self._mask.copy()
        elif infos:
            self._masks.check_absent(shown, infos, where)
        active = self._all_active.copy()
        if self.team.has_deaths and len(shown) < len(active):
            active[:] = 0
            active[shown] = 1
        joint[ACTIVE] = active
        self._last = joint
        return joint

    def _last_joint(self, told: list[Any], truncated: bool) -> Joint:
        """As `_observe` has it; a state that has gone with the episode is made of what was known."""
        try:
            return self._gatherer.gather(told, self._state(), self._where)
        except EnvironmentFault as fault:
            nothing = np.zeros(self.team.state_size, np.float32)
            joint = self._gatherer.gather(told, nothing, self._where)  # where an observation is at fault, it says so
            joint[STATE], is_exact = last_state(self._last, joint, self._names)
            if truncated and not is_exact and not self._has_warned:
                self._has_warned = True
                warnings.warn(f"{fault} The state of one step earlier stands in where an episode is cut.", stacklevel=2)
            return joint

    def _state(self) -> Any:
        """The global state as the environment has it."""
        try:
            state = self._ask_state()  # type: ignore[misc]
            reader = self._state_reader
            if reader is not None:
                return reader.read(state, "The state", self._where)
            return self._fault("The state", "an array of numbers", None) if state is None else state
        except MasoftError:
            raise
        except Exception as error:
            cure = "With state='observations' the observations stand in for it."
            raise EnvironmentFault(explain(f"state() {self._where()}", "free of errors", error, cure)) from error

    def _fault(self, which: str, must: str, got: object, cure: str = "") -> NoReturn:
        raise EnvironmentFault(explain(f"{which} {self._where()}", must, got, cure))

    def _where(self) -> str:
        return f"at step {self._elapsed} of episode {self._episode} of {self._name()}"

    def _name(self) -> str:
        return str((getattr(self.parallel_env, "metadata", None) or {}).get("name", type(self.parallel_env).__name__))


_NOTHING: Mapping[Any, Any] = {}


def _team_info(infos: Mapping[Any, Any] | None) -> dict[str, Any]:
    """A fresh info: agents' own under ``"agents"`` where they say anything, and the team's success if reported."""
    if infos is None or not any(infos.values()):
        return {}
    told = {str(agent): info for agent, info in infos.items() if info}
    for info in told.values():
        if not isinstance(info, Mapping):
            raise TypeError("an info that is no dict")  # said properly by `check_step`
    team: dict[str, Any] = {"agents": told}
    successes = [bool(info["is_success"]) for info in told.values() if "is_success" in info]
    if successes:
        team["is_success"] = all(successes)
    return team
