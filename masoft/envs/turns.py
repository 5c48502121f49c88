"""PettingZoo's AEC environments as parallel ones: where all act before the world moves, and turn by turn."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from pettingzoo import ParallelEnv

from masoft.errors import ConfigurationError, MasoftError, explain
from masoft.spec import ACTION_MASK

GAMES, MOVES = 3, 200
"""What is played at random to see whether a turn-based game is one that a team can win."""
FOR_TEAMS = (
    "masoft trains teams whose members want the same thing: the sum of their rewards. Where one wins what another "
    "loses there is nothing to be gained together: train one player as a gymnasium environment in which the others "
    "belong to the world (HASAC takes that as a team of one), or use a library for self-play, such as OpenSpiel."
)
COOPERATIVE_CLASSICS = ("hanabi",)


def from_aec(env: Any) -> Any:
    """An AEC environment as a parallel one.

    Where ``metadata["is_parallelizable"]`` is True, everybody acts and then the world moves, by PettingZoo's own
    conversion; else one agent acts at a time, see `TurnTeam`.

    Raises:
        ConfigurationError: it is a game of one against the other.
    """
    if (getattr(env, "metadata", None) or {}).get("is_parallelizable", False):
        from pettingzoo.utils.conversions import aec_to_parallel

        return aec_to_parallel(env)
    name = str((getattr(env, "metadata", None) or {}).get("name", type(env).__name__))
    before, classic, game = type(getattr(env, "unwrapped", env)).__module__.partition("pettingzoo.classic.")
    if classic and not before and not game.startswith(COOPERATIVE_CLASSICS):
        _refuse(name, "a game of one against the other")
    totals = _returns_of_random_games(env)
    if any(any(game) for game in totals) and all(abs(sum(game)) < 1e-6 for game in totals):
        _refuse(name, f"rewards that sum to zero in each of {len(totals)} games: {totals}")
    return TurnTeam(env)


def _refuse(name: str, got: str) -> None:
    raise ConfigurationError(explain(f"The AEC environment {name}", "a cooperative game", got, FOR_TEAMS))


class TurnTeam(ParallelEnv):
    """A turn-based AEC environment: one agent acts at a time, and all are paid for what its move brings them.

    The agent whose turn it is stands alone in ``agents``; the others are shown as inactive until theirs comes, so
    that no policy learns from moves that it did not make. The team's reward of a step is made of what all agents get
    between two moves.

    Args:
        env: the AEC environment.
    """

    def __init__(self, env: Any) -> None:
        self.aec_env = env
        self.possible_agents = list(env.possible_agents)
        self.agents: list[Any] = []
        self.metadata = {**(getattr(env, "metadata", None) or {}), "has_deaths": True, "turn_based": True}
        self.render_mode = getattr(env, "render_mode", None)
        if hasattr(env, "state_space"):
            self.state_space = env.state_space

    @property
    def unwrapped(self) -> Any:
        """The innermost environment."""
        return self.aec_env.unwrapped

    def observation_space(self, agent: Any) -> Any:
        """The agent's own."""
        return self.aec_env.observation_space(agent)

    def action_space(self, agent: Any) -> Any:
        """The agent's own."""
        return self.aec_env.action_space(agent)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Start a game."""
        self.aec_env.reset(seed=seed, options=options)
        self.agents = [self.aec_env.agent_selection]
        return self._seen(), dict(self.aec_env.infos)

    def step(self, actions: Mapping[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One move, and the steps of those that have ended, which PettingZoo asks for."""
        game = self.aec_env
        game.step(actions[game.agent_selection])
        rewards, terminations = dict(game.rewards), dict(game.terminations)
        truncations, infos, seen = dict(game.truncations), dict(game.infos), self._seen()
        while game.agents and (game.terminations[game.agent_selection] or game.truncations[game.agent_selection]):
            game.step(None)
        self.agents = [game.agent_selection] if game.agents else []
        return seen, rewards, terminations, truncations, infos

    def state(self) -> Any:
        """The environment's own."""
        return self.aec_env.state()

    def render(self) -> Any:
        """The environment's own picture."""
        return self.aec_env.render()

    def close(self) -> None:
        """Release what the environment holds."""
        self.aec_env.close()

    def _seen(self) -> dict[Any, Any]:
        return {agent: self.aec_env.observe(agent) for agent in self.aec_env.agents}


def _returns_of_random_games(env: Any) -> list[list[float]]:
    """Each agent's return in a few games at random; what goes wrong in them is left for the first real one."""
    generator = np.random.default_rng(0)
    games: list[list[float]] = []
    try:
        for game in range(GAMES):
            env.reset(seed=game)
            returns = dict.fromkeys(env.possible_agents, 0.0)
            for _ in range(MOVES):
                if not env.agents:
                    break
                is_gone = env.terminations[env.agent_selection] or env.truncations[env.agent_selection]
                env.step(None if is_gone else _random_move(env, generator))
                if not is_gone:
                    for agent, reward in env.rewards.items():
                        returns[agent] += float(reward)
            games.append(list(returns.values()))
        env.reset(seed=int(np.random.SeedSequence().generate_state(1)[0] >> 1))  # runs without a seed stay different
    except MasoftError:
        raise
    except Exception:
        return []
    return games


def _random_move(env: Any, generator: np.random.Generator) -> Any:
    """A legal move of the agent whose turn it is."""
    agent = env.agent_selection
    observation, _, _, _, info = env.last()
    mask = (info or {}).get(ACTION_MASK)
    if isinstance(observation, Mapping) and ACTION_MASK in observation:
        mask = observation[ACTION_MASK]
    space = copy.deepcopy(env.action_space(agent))  # its own generator stays where it is
    space.seed(int(generator.integers(2**31)))
    return space.sample() if mask is None else int(generator.choice(np.flatnonzero(mask)))
