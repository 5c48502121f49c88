"""Does exact mirror learning with a drift or a neighborhood keep the promises of Theorem 3 on random games?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from masoft.errors import ConfigurationError, NumericalFault
from masoft.mirror import Drift, FixedOrder, Neighborhood
from masoft.tabular import MarkovGame, MirrorResult, mehaml
from masoft.testing.mirror_cases import fail

LARGEST_FALL = 1e-9
LARGEST_RESIDUAL = 1e-6
MAX_ITERATIONS = 3000


def random_games(count: int, seed: int) -> Iterator[tuple[MarkovGame, float, np.random.Generator]]:
    """Small random games with a temperature each.

    Args:
        count: how many.
        seed: of everything.
    """
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        n_actions = rng.integers(2, 4, size=int(rng.integers(2, 4))).tolist()
        gamma = float(rng.choice([0.0, 0.9]))
        game = MarkovGame.random(int(rng.integers(1, 4)), n_actions, gamma, rng, legal_share=0.8)
        yield game, float(rng.uniform(0.5, 3.0)), rng


def check_on_games(
    subject: object, drift: Drift | None, neighborhood: Neighborhood | None, count: int, seed: int
) -> str | None:
    """Run exact mirror learning; J must not fall and the end must be a QRE.

    Args:
        subject: shown in messages.
        drift, neighborhood: as for `mehaml`.
        count: number of games.
        seed: of the games.

    Returns:
        the refusal, where a finite game has not what is needed; else None.

    Raises:
        AssertionError: J fell, or the end is no QRE.
    """
    for game, ent_coef, rng in random_games(count, seed):
        start = game.random_policies(rng)
        try:
            result = mehaml(
                game,
                ent_coef=ent_coef,
                drift=drift,
                neighborhood=neighborhood,
                order=FixedOrder(),
                policies=start,
                max_iterations=MAX_ITERATIONS,
                tol=LARGEST_RESIDUAL / 10,
            )
        except ConfigurationError as refusal:
            return str(refusal)
        except NumericalFault as fault:
            fail(subject, "the exact solver finds its argmax", str(fault))
        _check_run(subject, game, ent_coef, result)
    return None


def _check_run(subject: object, game: MarkovGame, ent_coef: float, result: MirrorResult) -> None:
    where = f"on {game!r} with ent_coef {ent_coef:.3g}"
    steps = np.diff(result.soft_returns)
    if steps.size and steps.min() < -LARGEST_FALL:
        at = int(steps.argmin())
        before, after = result.soft_returns[at : at + 2]
        found = f"J fell from {before:.9g} to {after:.9g} in iteration {at} {where}"
        fail(subject, "J never falls (Theorem 3, property 1)", found)
    if not result.qre_residual <= LARGEST_RESIDUAL:
        found = f"residual {result.qre_residual:.3g} after {result.iterations} iterations {where}"
        fail(subject, "the limit is a quantal response equilibrium (Theorem 3, property 4)", found)
