"""Cooperative Markov games with finitely many states and actions, held as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masoft.errors import ConfigurationError, explain

Array: TypeAlias = NDArray[np.float64]
Policies: TypeAlias = tuple[Array, ...]
"""One array (n_states, n_actions[i]) an agent; each row is a distribution over the agent's actions."""

DEFAULT_MAX_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False, repr=False)
class MarkovGame:
    """A game in which all agents share one reward.

    Args:
        rewards: (n_states, A1, ..., An).
        transitions: (n_states, A1, ..., An, n_states), probabilities of the next state.
        gamma: discount, in [0, 1).
        initial: (n_states,), distribution of the first state; None is uniform.
        legal: one boolean array (n_states, Ai) an agent, true where the action can be taken; None allows all.
            What rewards and transitions say about illegal actions is never used.

    Raises:
        ConfigurationError: shapes that do not fit, numbers that are no probabilities or not finite.

    Example:
        >>> game = MarkovGame.matrix([[5.0, -20.0], [-20.0, 20.0]])
        >>> game
        MarkovGame(n_states=1, n_actions=(2, 2), gamma=0.0)
    """

    rewards: Array
    transitions: Array
    gamma: float
    initial: Array | None = None
    legal: tuple[NDArray[np.bool_], ...] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "rewards", np.asarray(self.rewards, dtype=np.float64))
        set_field(self, "transitions", np.asarray(self.transitions, dtype=np.float64))
        if self.rewards.ndim < 2 or 0 in self.rewards.shape:
            must = "an array (n_states, A1, ..., An) with at least one agent"
            raise ConfigurationError(explain("The rewards", must, self.rewards.shape))
        if self.transitions.shape != (*self.rewards.shape, self.n_states):
            must = f"of shape {(*self.rewards.shape, self.n_states)}, the rewards' and the next state"
            raise ConfigurationError(explain("The transitions", must, self.transitions.shape))
        if not 0 <= self.gamma < 1:
            raise ConfigurationError(explain("The discount gamma", "in [0, 1)", self.gamma))
        set_field(self, "gamma", float(self.gamma))
        set_field(self, "initial", _checked_initial(self.initial, self.n_states))
        set_field(self, "legal", _checked_legal(self.legal, self.n_states, self.n_actions))
        self._check_reachable()

    def __repr__(self) -> str:
        return f"MarkovGame(n_states={self.n_states}, n_actions={self.n_actions}, gamma={self.gamma})"

    @property
    def n_states(self) -> int:
        """Number of states."""
        return int(self.rewards.shape[0])

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return self.rewards.ndim - 1

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Number of actions of each agent."""
        return tuple(self.rewards.shape[1:])

    @cached_property
    def legal_joint(self) -> NDArray[np.bool_]:
        """Joint actions that can be taken, (n_states, A1, ..., An)."""
        assert self.legal is not None
        joint = np.ones((self.n_states,) + (1,) * self.n_agents, dtype=bool)
        for agent, mask in enumerate(self.legal):
            joint = joint & _along(mask, agent, self.n_agents)
        return joint

    @classmethod
    def matrix(cls, payoff: ArrayLike, legal: Sequence[ArrayLike] | None = None) -> MarkovGame:
        """A matrix game: one state, one step.

        Args:
            payoff: (A1, ..., An).
            legal: one boolean array (Ai,) an agent; None allows all.
        """
        rewards = np.asarray(payoff, dtype=np.float64)[None]
        masks = None if legal is None else tuple(np.asarray(mask, dtype=bool)[None] for mask in legal)
        return cls(rewards, np.ones((*rewards.shape, 1)), 0.0, np.ones(1), masks)

    @classmethod
    def random(
        cls,
        n_states: int,
        n_actions: Sequence[int],
        gamma: float,
        rng: np.random.Generator,
        legal_share: float = 1.0,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> MarkovGame:
        """A random game: normal rewards, next states from flat Dirichlet distributions, a random first state.

        Args:
            n_states: number of states.
            n_actions: number of actions of each agent.
            gamma: discount, in [0, 1).
            rng: where the numbers come from.
            legal_share: probability that an action can be taken in a state; each agent keeps at least one.
            max_bytes: refuse games that need more memory than this.

        Raises:
            ConfigurationError: the game would need more than ``max_bytes``; nothing was allocated.
        """
        check_memory(game_bytes(n_states, n_actions), max_bytes, f"A game of {n_states} states, {tuple(n_actions)}")
        joint = (n_states, *n_actions)
        rewards = rng.standard_normal(joint)
        transitions = rng.standard_exponential((*joint, n_states))
        transitions /= transitions.sum(-1, keepdims=True)
        legal = []
        for count in n_actions:
            mask = rng.random((n_states, count)) < legal_share
            mask[np.arange(n_states), rng.integers(count, size=n_states)] = True
            legal.append(mask)
        return cls(rewards, transitions, gamma, rng.dirichlet(np.ones(n_states)), tuple(legal))

    def uniform_policies(self) -> Policies:
        """Each agent equally likely to take each legal action."""
        assert self.legal is not None
        return tuple(mask / mask.sum(-1, keepdims=True) for mask in self.legal)

    def random_policies(self, rng: np.random.Generator, concentration: float = 1.0) -> Policies:
        """Policies from Dirichlet distributions over the legal actions.

        Args:
            rng: where the numbers come from.
            concentration: the Dirichlet's parameter; small values give nearly deterministic policies.
        """
        assert self.legal is not None
        drawn = []
        for mask in self.legal:
            weights = np.where(mask, rng.standard_gamma(concentration, mask.shape) + 1e-6, 0.0)
            drawn.append(weights / weights.sum(-1, keepdims=True))
        return tuple(drawn)

    def checked_policies(self, policies: Sequence[ArrayLike] | None) -> Policies:
        """The policies as float64 arrays, uniform where none are given.

        A single row (Ai,) stands for the same distribution in every state.

        Raises:
            ConfigurationError: a wrong number of agents, shape, sum or support.
        """
        if policies is None:
            return self.uniform_policies()
        if len(policies) != self.n_agents:
            raise ConfigurationError(explain("The policies", f"{self.n_agents} arrays, one an agent", len(policies)))
        return tuple(self._checked_policy(agent, policy) for agent, policy in enumerate(policies))

    def _checked_policy(self, agent: int, policy: ArrayLike) -> Array:
        assert self.legal is not None
        mask, which = self.legal[agent], f"The policy of agent {agent}"
        array = np.asarray(policy, dtype=np.float64)
        if array.shape == mask.shape[1:]:
            array = np.broadcast_to(array, mask.shape)
        if array.shape != mask.shape:
            raise ConfigurationError(explain(which, f"of shape {mask.shape}", array.shape))
        if not np.allclose(array.sum(-1), 1, atol=1e-8) or (array < 0).any() or array[~mask].any():
            raise ConfigurationError(explain(which, "rows of probabilities over legal actions", policy))
        normalised: Array = array / array.sum(-1, keepdims=True)
        return normalised

    def _check_reachable(self) -> None:
        """Numbers of illegal joint actions become harmless ones; those of legal ones must be right."""
        rewards, transitions, legal = self.rewards, self.transitions, self.legal_joint
        if not legal.all():
            rewards = np.where(legal, rewards, 0.0)
            transitions = np.where(legal[..., None], transitions, 1 / self.n_states)
        if not np.isfinite(rewards).all():
            raise ConfigurationError(explain("The rewards", "finite", "NaN or infinity"))
        worst = float(np.abs(transitions.sum(-1) - 1).max())
        if not worst <= 1e-8 or (transitions < 0).any():
            must = "probabilities that sum to 1 over the next state"
            raise ConfigurationError(explain("The transitions", must, f"a sum off by {worst:.3g}"))
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "transitions", transitions)


def game_bytes(n_states: int, n_actions: Sequence[int]) -> int:
    """Memory that a game and one exact iteration on it need, in bytes: 8 S A (S + 4) + 8 S^2, A the joint actions."""
    joint = n_states * prod(n_actions)
    return 8 * joint * (n_states + 4) + 8 * n_states**2


def check_memory(needed: int, limit: int, what: str) -> None:
    """Refuse work that would need more memory than allowed, before any of it is allocated.

    Raises:
        ConfigurationError: names the size needed and the limit.
    """
    if needed > limit:
        must = f"at most {limit / 2**30:.3g} GiB in memory"
        cure = "Fewer states, agents or actions, or a larger max_bytes."
        raise ConfigurationError(explain(what, must, f"{needed / 2**30:.3g} GiB ({needed} bytes)", cure))


def _along(table: NDArray[np.bool_], agent: int, n_agents: int) -> NDArray[np.bool_]:
    """A table (n_states, Ai) with its action axis at the agent's place among the joint action axes."""
    shape = [table.shape[0]] + [1] * n_agents
    shape[agent + 1] = table.shape[1]
    return table.reshape(shape)


def _checked_initial(initial: ArrayLike | None, n_states: int) -> Array:
    if initial is None:
        return np.full(n_states, 1 / n_states)
    array = np.asarray(initial, dtype=np.float64)
    if array.shape != (n_states,) or (array < 0).any() or abs(array.sum() - 1) > 1e-8:
        raise ConfigurationError(explain("The initial distribution", f"{n_states} probabilities", initial))
    return array


def _checked_legal(
    legal: Sequence[ArrayLike] | None, n_states: int, n_actions: tuple[int, ...]
) -> tuple[NDArray[np.bool_], ...]:
    if legal is None:
        return tuple(np.ones((n_states, count), dtype=bool) for count in n_actions)
    masks = tuple(np.asarray(mask, dtype=bool) for mask in legal)
    shapes = [mask.shape for mask in masks]
    if shapes != [(n_states, count) for count in n_actions]:
        must = f"one array an agent of shapes {[(n_states, count) for count in n_actions]}"
        raise ConfigurationError(explain("The legal actions", must, shapes))
    if not all(mask.any(-1).all() for mask in masks):
        raise ConfigurationError(explain("The legal actions", "at least one in each state for each agent", legal))
    return masks
