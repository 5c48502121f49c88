"""The exact updates of MAPPO and HAPPO in a finite game, as in the paper's Appendix B."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from masoft.mirror import ClipDrift, Drift, NoDrift, Order, RandomPermutation, Simultaneous
from masoft.tabular.evaluate import evaluate, expect_others
from masoft.tabular.game import Array, MarkovGame
from masoft.tabular.mehaml import MirrorResult, mehaml


def advantages(game: MarkovGame, policies: Sequence[ArrayLike]) -> Array:
    """``A(s, a) = Q(s, a) - V(s)`` of the ordinary objective (alpha = 0), (n_states, A1, ..., An); Figure 6.

    Args:
        game: the game.
        policies: one array an agent.
    """
    values = evaluate(game, game.checked_policies(policies), 0.0)
    return values.q - values.v.reshape(-1, *(1,) * game.n_agents)


def surrogate_coefficients(
    game: MarkovGame, old: Sequence[ArrayLike], agent: int, updated: dict[int, ArrayLike] | None = None
) -> Array:
    """What multiplies ``pi_i(a | s)`` in the surrogate objective of MAPPO (Eq. 13) and HAPPO.

    With importance ratios written out, ``E_old[(pi_i / old_i) prod_j (new_j / old_j) A]`` is linear in pi_i.

    Args:
        game: the game.
        old: the joint policy that the data come from.
        agent: whose objective.
        updated: new policies of the agents that were updated before it; none for MAPPO.

    Returns:
        (n_states, Ai).
    """
    weights = list(game.checked_policies(old))
    table = advantages(game, weights)
    for other, policy in (updated or {}).items():
        replaced = [policy if number == other else weight for number, weight in enumerate(weights)]
        weights = list(game.checked_policies(replaced))
    return expect_others(table, weights, [agent])


def happo(
    game: MarkovGame,
    *,
    clip_range: float | None = 0.2,
    order: Order | None = None,
    policies: Sequence[ArrayLike] | None = None,
    max_iterations: int = 1000,
    tol: float = 1e-10,
    seed: int = 0,
) -> MirrorResult:
    """HAPPO with exact advantages and the exact argmax of the clipped objective: `mehaml` at alpha = 0.

    Args:
        clip_range: PPO's; None leaves clipping out, as Appendix B does, and each update is then a best answer.
        game, order, policies, max_iterations, tol, seed: as for `mehaml`.
    """
    return mehaml(
        game,
        ent_coef=0.0,
        drift=_drift(clip_range),
        order=order or RandomPermutation(),
        policies=policies,
        max_iterations=max_iterations,
        tol=tol,
        seed=seed,
    )


def mappo(
    game: MarkovGame,
    *,
    clip_range: float | None = 0.2,
    policies: Sequence[ArrayLike] | None = None,
    max_iterations: int = 1000,
    tol: float = 1e-10,
) -> MirrorResult:
    """MAPPO with separate policies, exactly: as `happo`, but all agents update at once.

    Args:
        clip_range: PPO's; None leaves clipping out, as Appendix B does.
        game, policies, max_iterations, tol: as for `mehaml`.
    """
    return mehaml(
        game,
        ent_coef=0.0,
        drift=_drift(clip_range),
        order=Simultaneous(),
        policies=policies,
        max_iterations=max_iterations,
        tol=tol,
    )


def _drift(clip_range: float | None) -> Drift:
    return NoDrift() if clip_range is None else ClipDrift(clip_range)
