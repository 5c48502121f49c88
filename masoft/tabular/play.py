"""From exact games to learners and back: a game as an environment, and what a model plays in each of its states."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from masoft.errors import ConfigurationError, EnvironmentFault, explain
from masoft.spec import ACTION_MASK, StateView
from masoft.tabular.game import Array, MarkovGame, Policies


class GameEnv(ParallelEnv):
    """A finite game as a team environment, for learners to play what `mehaml` solves.

    Everybody sees the state, (n_states,) one-hot. Where actions are illegal, infos carry masks. A game with
    ``gamma = 0`` ends after one step, by termination; others never end, so an episode is truncated, and what would
    follow is bootstrapped: give the learner the game's gamma, and what it maximises is the game's soft return J.

    Args:
        game: the game.
        max_episode_steps: steps until an episode is truncated, >= 1.

    Raises:
        ConfigurationError: no such number of steps.

    Example:
        >>> import numpy as np
        >>> from masoft.tabular import GameEnv, MarkovGame
        >>> env = GameEnv(MarkovGame.random(3, (2, 4), gamma=0.9, rng=np.random.default_rng(0)))
        >>> observations, infos = env.reset(seed=0)
        >>> observations["agent_1"].shape, env.action_space("agent_1")
        ((3,), Discrete(4))
    """

    def __init__(self, game: MarkovGame, *, max_episode_steps: int = 25) -> None:
        if not isinstance(max_episode_steps, int) or max_episode_steps < 1:
            raise ConfigurationError(explain("max_episode_steps", "an integer >= 1", max_episode_steps))
        self.game = game
        self.max_episode_steps = max_episode_steps
        self.possible_agents = [f"agent_{index}" for index in range(game.n_agents)]
        self.agents: list[str] = []
        self.render_mode = None
        self.metadata = {
            "name": "finite_game",
            "render_modes": [],
            "is_parallelizable": True,
            "has_deaths": False,
            "has_masks": not game.legal_joint.all(),
            "team_reward": "shared",
        }
        self.state_space = spaces.Box(0.0, 1.0, (game.n_states,), np.float32)
        self.state_view = StateView()
        self.observation_views = {agent: StateView() for agent in self.possible_agents}
        self._actions: dict[str, spaces.Discrete[np.int64]] = {
            agent: spaces.Discrete(count) for agent, count in zip(self.possible_agents, game.n_actions, strict=True)
        }
        self._rng = np.random.default_rng()
        self._where, self._elapsed = 0, 0

    def observation_space(self, agent: str) -> spaces.Box:
        """The state, as a one-hot vector."""
        return self.state_space

    def action_space(self, agent: str) -> spaces.Discrete[np.int64]:
        """The agent's actions, legal or not."""
        return self._actions[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, dict[str, Any]]]:
        """Start an episode in a state from the game's first distribution."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._elapsed = self.possible_agents[:], 0
        self._where = int(self._rng.choice(self.game.n_states, p=self.game.initial))
        return self._observe(), self._infos()

    def step(self, actions: dict[str, int]) -> tuple[Any, Any, Any, Any, Any]:
        """Pay everybody the same and draw the next state.

        Raises:
            EnvironmentFault: the episode has ended, or an action is illegal.
        """
        agents, taken = self.possible_agents, tuple(int(actions[agent]) for agent in self.possible_agents)
        if not self.agents:
            raise EnvironmentFault(explain("The episode", "running when step is called", "one that has ended"))
        if not self.game.legal_joint[(self._where, *taken)]:
            masks = {name: info.get(ACTION_MASK) for name, info in self._infos().items()}
            raise EnvironmentFault(explain("The joint action", f"legal by the masks {masks}", taken))
        reward = float(self.game.rewards[(self._where, *taken)])
        self._where = int(self._rng.choice(self.game.n_states, p=self.game.transitions[(self._where, *taken)]))
        self._elapsed += 1
        is_over = self.game.gamma == 0
        is_cut = not is_over and self._elapsed >= self.max_episode_steps
        if is_over or is_cut:
            self.agents = []
        ends, cuts = dict.fromkeys(agents, is_over), dict.fromkeys(agents, is_cut)
        return self._observe(), dict.fromkeys(agents, reward), ends, cuts, self._infos()

    def state(self) -> NDArray[np.float32]:
        """Where the game is, (n_states,) one-hot."""
        state = np.zeros(self.game.n_states, np.float32)
        state[self._where] = 1.0
        return state

    def get_snapshot(self) -> dict[str, Any]:
        """State, clock and generator, see `masoft.envs.snapshot`."""
        own = {"agents": list(self.agents), "where": self._where, "elapsed": self._elapsed}
        return {**own, "generator": self._rng.bit_generator.state}

    def set_snapshot(self, values: dict[str, Any]) -> None:
        """Continue from what `get_snapshot` gave."""
        self.agents, self._where, self._elapsed = list(values["agents"]), values["where"], values["elapsed"]
        self._rng.bit_generator.state = values["generator"]

    def render(self) -> None:
        """There is nothing to see."""

    def close(self) -> None:
        """There is nothing to release."""

    def _observe(self) -> dict[str, NDArray[np.float32]]:
        return {agent: self.state() for agent in self.possible_agents}

    def _infos(self) -> dict[str, dict[str, Any]]:
        if not self.metadata["has_masks"]:
            return {agent: {} for agent in self.possible_agents}
        assert self.game.legal is not None
        masks = [mask[self._where].astype(np.int8) for mask in self.game.legal]
        return {agent: {ACTION_MASK: mask} for agent, mask in zip(self.possible_agents, masks, strict=True)}


def learned_policies(model: Any, game: MarkovGame) -> Policies:
    """What a model that was trained on ``GameEnv(game)`` plays in each state, for `evaluate` or `nash_gap`.

    Args:
        model: an estimator without memory. One that values actions, such as QMIX, plays its best ones.
        game: the game.

    Returns:
        one array (n_states, Ai) an agent, float64; rows sum to one.

    Raises:
        ConfigurationError: the model has other agents, actions, masks or observations than the game, or a memory.

    Example:
        >>> from masoft import HASAC
        >>> from masoft.tabular import GameEnv, MarkovGame, evaluate, learned_policies
        >>> game = MarkovGame.matrix([[5.0, -20.0], [-20.0, 20.0]])
        >>> model = HASAC(GameEnv(game), gamma=game.gamma, ent_coef=1.0, seed=0)
        >>> policies = learned_policies(model, game)
        >>> evaluate(game, policies, ent_coef=1.0).q.shape
        (1, 2, 2)
    """
    assert game.legal is not None
    team, policy = model.team, model.policy
    wanted = [((game.n_states,), (count,)) for count in game.n_actions]
    found = [(agent.observation_shape, agent.action.nvec) for agent in team.agents]
    has_masks = not game.legal_joint.all()
    if found != wanted or team.has_masks != has_masks:
        must = f"trained on GameEnv(game), with masks: {has_masks}, observations and actions {wanted}"
        raise ConfigurationError(explain("The model", must, f"one with masks: {team.has_masks}, {found}"))
    states = np.eye(game.n_states, dtype=np.float32)
    shown: dict[str, Any] = {name: model.normalize_obs({name: states})[name] for name in team.names}
    if has_masks:
        shown[ACTION_MASK] = np.concatenate(game.legal, axis=1)
    with torch.no_grad():
        found_policies = policy.get_distribution(shown).values()
        drawn = [_probabilities(each, count) for each, count in zip(found_policies, game.n_actions, strict=True)]
    return tuple(probs / probs.sum(-1, keepdims=True) for probs in drawn)


def _probabilities(policy: Any, n_actions: int) -> Array:
    """(n_states, n_actions), float64; of an agent that takes its best action always, all on that one."""
    if hasattr(policy, "probs"):
        probs: Array = policy.probs.double().cpu().numpy()
        return probs
    greedy: Array = np.eye(n_actions)[policy.mode()[:, 0].long().cpu().numpy()]
    return greedy
