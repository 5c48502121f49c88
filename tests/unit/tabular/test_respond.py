"""The exact argmax inside an intersection is what a general solver of constrained problems finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from masoft.mirror import KLBall, Neighborhood, NoDrift
from masoft.tabular import MarkovGame, mehaml
from masoft.tabular.maximise import make_problem, maximise
from masoft.tabular.penalties import Reference, neighborhood_limits
from masoft.tabular.respond import Task, respond

N_STATES, N_ACTIONS, ENT_COEF = 2, 3, 0.3

PAIRS = [
    KLBall(0.05) & KLBall(0.08, direction="reverse"),
    KLBall(0.02) & KLBall(0.05, over="max"),
]


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def by_slsqp(reference: Reference, neighborhood: Neighborhood) -> float:
    def objective(flat: np.ndarray) -> float:
        return -value(reference, softmax(flat.reshape(N_STATES, N_ACTIONS)))

    def room(flat: np.ndarray) -> np.ndarray:
        log_new = softmax(flat.reshape(N_STATES, N_ACTIONS))
        left = []
        for limit in neighborhood_limits(neighborhood, reference):
            distance = limit.distance.value(log_new)
            left += [(reference.weights * distance).sum()] if limit.shared else [*distance]
        return np.array(radii(neighborhood, reference)) - np.array(left)

    inside = {"type": "ineq", "fun": room}
    found = minimize(objective, reference.log_old.ravel(), constraints=inside, options={"ftol": 1e-13, "maxiter": 500})
    assert (room(found.x) > -1e-9).all()
    return -float(found.fun)


def radii(neighborhood: Neighborhood, reference: Reference) -> list[float]:
    found: list[float] = []
    for limit in neighborhood_limits(neighborhood, reference):
        found += [float(limit.radius)] * (1 if limit.shared else N_STATES)
    return found


def value(reference: Reference, log_new: np.ndarray) -> float:
    a_state = (np.exp(log_new) * (reference.advantage - ENT_COEF * log_new)).sum(1)
    return float((reference.weights * a_state).sum())


@pytest.mark.parametrize("neighborhood", PAIRS, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_an_intersection_is_solved_exactly(neighborhood: Neighborhood, seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_old = softmax(rng.normal(size=(N_STATES, N_ACTIONS)))
    advantage = rng.normal(size=(N_STATES, N_ACTIONS)) * 2
    weights = rng.dirichlet(np.ones(N_STATES) * 5)
    reference = Reference(log_old, advantage, weights, ())
    legal = np.ones((N_STATES, N_ACTIONS), bool)
    log_new = respond(Task(ENT_COEF, legal, reference), NoDrift(), neighborhood)
    assert neighborhood.contains(reference.change(torch.from_numpy(log_new)))
    assert value(reference, log_new) == pytest.approx(by_slsqp(reference, neighborhood), abs=1e-6)


@pytest.mark.parametrize("seed", [3, 231])
def test_a_ball_is_left_neither_to_rounding_nor_at_a_corner(seed: int) -> None:
    """Payoffs on which the solver gave up: a steep penalty whose loss rounds, and a start at a nearly pure policy."""
    game = MarkovGame.matrix(np.random.default_rng(seed).normal(size=(4, 4)))
    found = mehaml(game, ent_coef=0.1, neighborhood=KLBall(0.1), max_iterations=300, tol=1e-6, seed=seed)
    assert found.converged and np.diff(found.soft_returns).min() > -1e-9
    # Where it stands still, each agent plays its best answer to the others: small balls end at an equilibrium, too.
    again = mehaml(game, ent_coef=0.1, policies=found.policies, max_iterations=300, tol=1e-6, seed=seed)
    assert again.soft_returns[-1] == pytest.approx(found.soft_returns[-1], abs=1e-6)


@pytest.mark.parametrize("price", [1e2, 1e4, 1e6])
def test_a_maximiser_stays_one_under_a_steep_penalty(price: float) -> None:
    """Asked again from where it ended, the solver has to see that it is there, however the loss rounds."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        log_old, advantage = softmax(2 * rng.normal(size=(1, 4))), 3 * rng.normal(size=(1, 4))
        reference = Reference(log_old, advantage - (np.exp(log_old) * advantage).sum(), np.ones(1), ())
        distance = neighborhood_limits(KLBall(0.1), reference)[0].distance
        problem = make_problem(reference, 0.1, [distance * np.full((1, 1), price)], np.ones((1, 4), bool))
        found = maximise(problem, log_old)
        np.testing.assert_allclose(maximise(problem, found), found, atol=1e-9)
