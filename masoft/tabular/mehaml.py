"""Algorithm 1 on a finite game, exactly: soft policy evaluation by a linear solve, mirror steps by their argmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from masoft.errors import ConfigurationError, explain
from masoft.mirror import (
    Drift,
    Everywhere,
    Neighborhood,
    NoDrift,
    Order,
    RandomPermutation,
)
from masoft.tabular.equilibrium import nash_gap, one_step_gain, residual_of
from masoft.tabular.evaluate import entropies, evaluate, expect_others
from masoft.tabular.finite import log_policy
from masoft.tabular.game import DEFAULT_MAX_BYTES, Array, MarkovGame, Policies, check_memory, game_bytes
from masoft.tabular.penalties import Reference
from masoft.tabular.respond import Task, respond

StateWeights: TypeAlias = ArrayLike | Callable[[Policies], ArrayLike] | None
"""The sampling distribution beta: positive weights (n_states,), or a function from the policies to them."""


@dataclass(frozen=True, eq=False)
class MirrorResult:
    """What a run of exact mirror learning did.

    Args:
        policies: the last ones, one array (n_states, Ai) an agent.
        history: the policies after 0, 1, ... iterations; the first are the initial ones.
        soft_returns: J (Eq. 2) of each of these, (iterations + 1,).
        qre_residual: ``max |pi_i - Boltzmann response|`` of the last ones (Theorem 1); NaN at ent_coef 0.
        one_step_gain: the largest rise of an agent's soft value in one state by deviating, >= 0.
        nash_gap: the most that one agent can add to J by deviating alone, >= 0; 0 at an equilibrium.
        converged: whether ``qre_residual`` (at ent_coef 0: ``one_step_gain``) is at most the tolerance.
    """

    policies: Policies
    history: tuple[Policies, ...]
    soft_returns: Array
    qre_residual: float
    one_step_gain: float
    nash_gap: float
    converged: bool

    @property
    def iterations(self) -> int:
        """Sweeps over the agents that were made."""
        return len(self.history) - 1


def mehaml(
    game: MarkovGame,
    *,
    ent_coef: float,
    drift: Drift | None = None,
    neighborhood: Neighborhood | None = None,
    order: Order | None = None,
    policies: Sequence[ArrayLike] | None = None,
    max_iterations: int = 1000,
    tol: float = 1e-10,
    state_weights: StateWeights = None,
    seed: int = 0,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> MirrorResult:
    """Maximum-entropy heterogeneous-agent mirror learning with exact values and exact maximisers (Algorithm 1).

    Args:
        game: the game.
        ent_coef: the temperature alpha >= 0; 0 is HAML.
        drift: soft constraint, default `NoDrift`; its schedules follow the iterations.
        neighborhood: hard constraint, default `Everywhere`.
        order: of the agents in a sweep, default `RandomPermutation`.
        policies: initial ones, arrays (n_states, Ai) or rows (Ai,) for all states; uniform by default.
        max_iterations: at most so many sweeps.
        tol: stop when no policy is further than this from its Boltzmann response.
        state_weights: the sampling distribution beta, uniform by default; it matters where a neighborhood averages
            over states.
        seed: of the random orders.
        max_bytes: refuse work that needs more memory than this.

    Raises:
        ConfigurationError: a drift or neighborhood that needs what a finite game has not, too large a game, or
            policies without full support under a drift or neighborhood.

    Example:
        >>> from masoft.mirror import KLDrift
        >>> game = MarkovGame.matrix([[5.0, -20.0], [-20.0, 20.0]])
        >>> mehaml(game, ent_coef=10.0, drift=KLDrift(2.0)).converged
        True

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, 2024, Algorithm 1 and Theorem 3.
    """
    if not (np.isfinite(ent_coef) and ent_coef >= 0):
        raise ConfigurationError(explain("ent_coef", "a finite number >= 0", ent_coef))
    history_bytes = 8 * game.n_states * sum(game.n_actions) * (max_iterations + 1)
    needed = game_bytes(game.n_states, game.n_actions) + history_bytes
    check_memory(needed, max_bytes, f"{max_iterations} iterations on {game!r}")
    run = _Run(
        game,
        float(ent_coef),
        drift or NoDrift(),
        neighborhood or Everywhere(),
        order or RandomPermutation(),
        state_weights,
        torch.Generator().manual_seed(seed),
    )
    return run.until(run.start(policies), max_iterations, tol)


def haspi(
    game: MarkovGame,
    *,
    ent_coef: float,
    order: Order | None = None,
    policies: Sequence[ArrayLike] | None = None,
    max_iterations: int = 1000,
    tol: float = 1e-10,
    seed: int = 0,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> MirrorResult:
    """Heterogeneous-agent soft policy iteration (Theorem 2): `mehaml` without drift and neighborhood.

    Args:
        game, ent_coef, order, policies, max_iterations, tol, seed, max_bytes: as for `mehaml`.
    """
    return mehaml(
        game,
        ent_coef=ent_coef,
        order=order,
        policies=policies,
        max_iterations=max_iterations,
        tol=tol,
        seed=seed,
        max_bytes=max_bytes,
    )


@dataclass(frozen=True, eq=False)
class _Run:
    """The settings of one run, and its steps."""

    game: MarkovGame
    ent_coef: float
    drift: Drift
    neighborhood: Neighborhood
    order: Order
    state_weights: StateWeights
    generator: torch.Generator

    def start(self, policies: Sequence[ArrayLike] | None) -> Policies:
        """The initial policies, checked."""
        assert self.game.legal is not None
        initial = self.game.checked_policies(policies)
        trivial = not self.drift.terms and not self.neighborhood.limits
        for agent, (policy, legal) in enumerate(zip(initial, self.game.legal, strict=True)):
            if not trivial and (policy[legal] == 0).any():
                cure = "Give such an action a small probability, or declare it illegal in the game."
                must = "positive on each legal action under a drift or neighborhood (Assumption 1)"
                raise ConfigurationError(explain(f"The policy of agent {agent}", must, policy, cure))
        return initial

    def until(self, policies: Policies, max_iterations: int, tol: float) -> MirrorResult:
        """Sweep until equilibrium, or until nothing moves any more, or the iterations are used up."""
        history = [policies]
        values = evaluate(self.game, policies, self.ent_coef)
        soft_returns = [values.soft_return]
        while (distance := self._distance(policies, values.q)) > tol and len(history) <= max_iterations:
            before = policies
            policies = self._sweep(before, values.q, 1 - (len(history) - 1) / max_iterations)
            history.append(policies)
            values = evaluate(self.game, policies, self.ent_coef)
            soft_returns.append(values.soft_return)
            if self.order.everybody and all(
                np.array_equal(new, old) for new, old in zip(policies, before, strict=True)
            ):
                distance = self._distance(policies, values.q)
                break
        residual = residual_of(self.game, policies, self.ent_coef, values.q) if self.ent_coef > 0 else float("nan")
        return MirrorResult(
            policies,
            tuple(history),
            np.array(soft_returns),
            residual,
            one_step_gain(self.game, policies, self.ent_coef, values.q),
            nash_gap(self.game, policies, self.ent_coef),
            bool(distance <= tol),
        )

    def _distance(self, policies: Policies, q: Array) -> float:
        """How far from an equilibrium."""
        if self.ent_coef > 0:
            return residual_of(self.game, policies, self.ent_coef, q)
        return one_step_gain(self.game, policies, self.ent_coef, q)

    def _sweep(self, old: Policies, q: Array, progress: float) -> Policies:
        """One update of every agent, each seeing those before it (unless the order is simultaneous)."""
        drift, neighborhood = self.drift.at(progress), self.neighborhood.at(progress)
        weights = self._weights(old)
        new: list[Array] = list(old)
        updated: list[int] = []

        def step(agent: int) -> tuple[Array, float]:
            others = new if self.order.sequential else old
            return self._step(agent, others, old[agent], q, weights, tuple(updated), drift, neighborhood)

        for agent in self._walk(lambda remaining: [step(one)[1] for one in remaining]):
            new[agent] = step(agent)[0]
            updated.append(agent)
        return tuple(new)

    def _walk(self, improvements: Callable[[tuple[int, ...]], list[float]]) -> Iterator[int]:
        return self.order.walk(self.game.n_agents, self.generator, improvements)

    def _step(
        self,
        agent: int,
        others: Sequence[Array],
        old: Array,
        q: Array,
        weights: Array,
        updated: tuple[int, ...],
        drift: Drift,
        neighborhood: Neighborhood,
    ) -> tuple[Array, float]:
        """One agent's new policy, and by how much it raises the expected ``E[Q] + alpha H`` under beta."""
        assert self.game.legal is not None
        legal = self.game.legal[agent]
        expected = expect_others(q, others, [agent])
        advantage = expected - (old * expected).sum(-1, keepdims=True)
        reference = Reference(log_policy(old, legal), advantage, weights, updated)
        log_new = respond(Task(self.ent_coef, legal, reference), drift, neighborhood)
        new = np.where(legal, np.exp(log_new), 0.0)
        new = old if np.array_equal(log_new, reference.log_old) else new / new.sum(-1, keepdims=True)
        gain = ((new - old) * expected).sum(-1) + self.ent_coef * (entropies([new]) - entropies([old]))[:, 0]
        return new, float(weights @ gain)

    def _weights(self, policies: Policies) -> Array:
        """The sampling distribution beta, (n_states,), positive, sums to 1."""
        given = self.state_weights(policies) if callable(self.state_weights) else self.state_weights
        n_states = self.game.n_states
        if given is None:
            return np.full(n_states, 1 / n_states)
        weights = np.asarray(given, dtype=np.float64)
        if weights.shape != (n_states,) or not (weights > 0).all() or not np.isfinite(weights).all():
            raise ConfigurationError(explain("The state_weights", f"{n_states} positive numbers", given))
        normalised: Array = weights / weights.sum()
        return normalised
