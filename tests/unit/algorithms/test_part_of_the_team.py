"""Updates of a part of a large team: whoever is drawn moves, the others stay, and everybody is drawn in time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import masoft
from masoft.mirror import RandomSubset
from masoft.tabular import MarkovGame, mehaml
from masoft.testing.games import IdentityTeam

OFF_POLICY = ("HASAC", "HATD3", "HAD3QN", "MEHAML")
ON_POLICY = ("HAPPO", "HATRPO", "HAA2C")


def made(name: str, **more: Any) -> Any:
    kinds = ("discrete",) * 5 if name == "HAD3QN" else ("box", "discrete", "box", "discrete", "box")
    kinds = ("box",) * 5 if name == "HATD3" else kinds
    env = masoft.make_vec(lambda: IdentityTeam(kinds, episode_length=5), 1, seed=0)
    own: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 1} if name in ON_POLICY else {
        "learning_starts": 10, "batch_size": 8, "buffer_size": 100,
    }  # fmt: skip
    if name in ("HATRPO", "HAA2C"):
        own.pop("n_epochs"), own.pop("batch_size")
    settings = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"}
    return getattr(masoft, name)(env, order=RandomSubset(2), **own, **settings, **more)


def moved(model: Any, before: list[list[torch.Tensor]]) -> set[int]:
    pairs = enumerate(zip(model.policy.actors, before, strict=True))
    return {i for i, (actor, old) in pairs if not all(map(torch.equal, actor.parameters(), old))}


@pytest.mark.parametrize("name", [*OFF_POLICY, *ON_POLICY])
def test_two_of_five_agents_move_in_an_update_and_all_in_time(name: str) -> None:
    model = made(name)
    model.learn(16)
    seen: set[int] = set()
    for _ in range(40):
        before = [[weight.clone() for weight in actor.parameters()] for actor in model.policy.actors]
        if name in ON_POLICY:
            model.learn(16, reset_num_timesteps=False)
        else:
            model.train(1, 8)
            if name == "HATD3":  # actors move every other update
                model.train(1, 8)
        some = moved(model, before)
        assert 1 <= len(some) <= 2
        seen |= some
        if len(seen) == 5:
            break
    assert seen == set(range(5))


def test_recorded_updates_of_a_part_are_the_same() -> None:
    plain, recorded = made("HASAC"), made("HASAC", record=True)
    for model in (plain, recorded):
        model.learn(60)
    assert recorded.runner.replays and all(
        map(torch.equal, plain.policy.state_dict().values(), recorded.policy.state_dict().values())
    )


def test_the_exact_template_ends_in_the_same_equilibrium() -> None:
    game = MarkovGame.matrix([[5.0, -20.0], [-20.0, 20.0]])
    found = mehaml(game, ent_coef=10.0, order=RandomSubset(1))
    assert found.converged and mehaml(game, ent_coef=10.0).converged
