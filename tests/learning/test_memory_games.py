"""A game that only who remembers can win: off-policy methods with a memory win it, and without they cannot."""

from __future__ import annotations

from typing import Any

import pytest

import masoft
from masoft.testing.games import CueTeam

pytestmark = pytest.mark.slow


def wins(name: str, policy: str, seed: int, steps: int = 2_400) -> float:
    """Share of games won after training."""
    kwargs: dict[str, Any] = {"net_arch": [32]}
    if policy != "MlpPolicy":
        kwargs.update(hidden_size=16, sequence_length=8, burn_in=4)
    settings: dict[str, Any] = {} if name == "HATD3" else {"target_entropy": 0.05}
    model = getattr(masoft, name)(
        policy, masoft.make_vec(CueTeam, n_envs=8, seed=seed), learning_rate=3e-3, learning_starts=200, batch_size=128,
        gradient_steps=2, gamma=0.9, n_steps=1, policy_kwargs=kwargs, seed=seed, device="cpu", **settings,
    )  # fmt: skip
    model.learn(steps)
    return float(model.score(masoft.make_vec(CueTeam, n_envs=8, seed=99), n_eval_episodes=200))


@pytest.mark.parametrize(
    ("name", "policy"),
    [("HASAC", "RnnPolicy"), ("HASAC", "MlpLstmPolicy"), ("MASAC", "RnnPolicy"), ("HATD3", "RnnPolicy")],
)
def test_memory_wins_on_three_seeds(name: str, policy: str) -> None:
    won = [wins(name, policy, seed) for seed in range(3)]
    print(f"{name} with {policy}: {won}")
    assert min(won) > 0.95


def test_without_memory_half_of_the_games_is_the_most() -> None:
    won = [wins("HASAC", "MlpPolicy", seed) for seed in range(3)]
    print(f"HASAC without memory: {won}")
    assert max(won) < 0.62  # 200 games around at most 0.5
