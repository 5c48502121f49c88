"""Google Research Football's academy: a team attacks a goal that the game's own players defend.

Reference:
    Kurach et al., Google Research Football: A Novel Reinforcement Learning Environment, 2020; the paper's Section H.2.4
    and Tables 15 and 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.envs.adapters.football_engine import Engine, FootballEngine, Raw
from masoft.envs.adapters.football_features import OBSERVATION_SIZE, CheckpointReward, indices_of, joint_state
from masoft.errors import ConfigurationError, EnvironmentFault, explain, nearest
from masoft.spec import StateView

SCENARIOS = {
    "3_vs_1": ("academy_3_vs_1_with_keeper", 3),
    "corner": ("academy_corner", 11),
    "counterattack_easy": ("academy_counterattack_easy", 4),
    "counterattack_hard": ("academy_counterattack_hard", 4),
    "empty_goal": ("academy_empty_goal", 1),
    "empty_goal_close": ("academy_empty_goal_close", 1),
    "pass_and_shoot": ("academy_pass_and_shoot_with_keeper", 2),
    "rps": ("academy_run_pass_and_shoot_with_keeper", 2),
    "run_to_score": ("academy_run_to_score", 1),
    "run_to_score_with_keeper": ("academy_run_to_score_with_keeper", 1),
    "single_goal_versus_lazy": ("academy_single_goal_versus_lazy", 11),
}
"""Short name -> gfootball's name, and how many players the agents move (without the keeper where there are few)."""

LARGEST_SEED = 2_000_000_000


class FootballTeam(ParallelEnv):
    """Some or all players of the left team, one an agent.

    An agent sees 115 numbers (`masoft.envs.adapters.football_features`); the state is their shared part once and each
    agent's own, 115 + 11 (n - 1), and the observations are views of it. Agents choose among the game's 19 actions;
    all are always legal.

    Everybody gets the score's change (1 for a goal, -1 against). With ``checkpoints`` an agent also gets what its own
    player dribbles, up to 1 an episode, so that rewards differ between agents. The team's reward is their **mean**: a
    goal counts 1 and all checkpoints together 1 at most, whatever the team's size.

    A goal, the ball out of play, or (in some scenarios) its loss ends the episode by termination, the end of the
    game's time by truncation: no agent sees the clock. The step that ends it has ``info["is_success"]``, whether the
    team has scored more than the other.

    Args:
        engine: the game.
        name: what it is called in messages.
        checkpoints: pay for dribbling too (the dense reward), or for goals alone.
        render_mode: ``"rgb_array"`` or None.
    """

    def __init__(
        self, engine: Engine, *, name: str = "football", checkpoints: bool = True, render_mode: str | None = None
    ) -> None:
        self._engine = engine
        self.render_mode = render_mode
        self.metadata = {
            "name": name,
            "render_modes": ["rgb_array"],
            "render_fps": 10,
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": False,
            "team_reward": "mean" if checkpoints else "shared",
        }
        self.possible_agents = [f"agent_{index}" for index in range(engine.n_agents)]
        self.agents: list[str] = []
        self._checkpoints = CheckpointReward(engine.n_agents) if checkpoints else None
        self._observation = spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE,), np.float32)
        self._action: spaces.Discrete[np.int64] = spaces.Discrete(engine.n_actions)
        indices = [indices_of(index) for index in range(engine.n_agents)]
        self.observation_views = {
            agent: StateView(own) for agent, own in zip(self.possible_agents, indices, strict=True)
        }
        self.state_view = StateView()
        self._seen = np.array(indices)
        self._state = np.zeros(int(self._seen.max()) + 1, np.float32)
        self.state_space = spaces.Box(-np.inf, np.inf, self._state.shape, np.float32)
        self._generator = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Box:
        """115 numbers."""
        return self._observation

    def action_space(self, agent: str) -> spaces.Discrete[np.int64]:
        """The game's actions: idle, eight directions, passes, shot, sprint, dribble, and ways to let go of them."""
        return self._action

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start an episode; the seed decides this one and all that follow."""
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        self.agents = self.possible_agents[:]
        if self._checkpoints is not None:
            self._checkpoints.start_episode()
        raw = self._engine.reset(int(self._generator.integers(LARGEST_SEED)))
        return self._observe(raw), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, Any, Any, Any, Any]:
        """Play a tenth of a second.

        Raises:
            EnvironmentFault: the episode has ended, or an action is not one of the game's.
        """
        if not self.agents:
            must, got = "running when step is called", "one that has ended"
            raise EnvironmentFault(explain(f"The episode of {self.metadata['name']}", must, got, "Call reset first."))
        agents = self.possible_agents
        raw, score, is_over = self._engine.step([self._legal(agent, actions[agent]) for agent in agents])
        dribbled = [0.0] * len(agents)
        if self._checkpoints is not None:
            dribbled = self._checkpoints.collect(raw, raw["left_agent_controlled_player"], scored=score == 1)
        is_truncated = is_over and raw["steps_left"] <= 0 and score == 0
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in agents}
        if is_over:
            self.agents = []
            own, other = raw["score"]
            infos = {agent: {"is_success": bool(own > other), "score": (int(own), int(other))} for agent in agents}
        return (
            self._observe(raw),
            {agent: score + reward for agent, reward in zip(agents, dribbled, strict=True)},
            dict.fromkeys(agents, is_over and not is_truncated),
            dict.fromkeys(agents, is_truncated),
            infos,
        )

    def state(self) -> NDArray[np.float32]:
        """What all agents see alike, and which player each one is."""
        return self._state

    def render(self) -> NDArray[np.uint8] | None:
        """A picture where ``render_mode`` asks for one."""
        return self._engine.render() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Release the game."""
        self._engine.close()

    def _observe(self, raw: Raw) -> dict[str, NDArray[np.float32]]:
        self._state = joint_state(raw, raw["left_agent_controlled_player"])
        return dict(zip(self.possible_agents, self._state[self._seen], strict=True))

    def _legal(self, agent: str, action: int) -> int:
        """The action; one out of range would end inside the engine."""
        if not self._action.contains(action):
            must = f"a whole number below {self._action.n}"
            raise EnvironmentFault(explain(f"The action of {agent!r} in {self.metadata['name']}", must, action))
        return int(action)


def make_football(
    scenario: str, *, n_agents: int | None = None, checkpoints: bool = True, render_mode: str | None = None
) -> FootballTeam:
    """An academy scenario.

    Args:
        scenario: one of `SCENARIOS`, or gfootball's own name of any scenario, with ``n_agents``.
        n_agents: players that the agents move; None: as in `SCENARIOS`. The others are the game's own.
        checkpoints, render_mode: see `FootballTeam`.

    Raises:
        ConfigurationError: an unknown scenario, or more agents than players.
        MissingDependencyError: the engine has not been built.
    """
    if scenario not in SCENARIOS and n_agents is None:
        raise ConfigurationError(
            explain("The football scenario", "a known one where n_agents is not given", scenario,
                    nearest(scenario, SCENARIOS))
        )  # fmt: skip
    level, usual = SCENARIOS.get(scenario, (scenario, 1))
    engine = FootballEngine(level, usual if n_agents is None else n_agents)
    return FootballTeam(engine, name=f"football/{scenario}", checkpoints=checkpoints, render_mode=render_mode)
