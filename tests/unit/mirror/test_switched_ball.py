"""The ball kept by gradients: by hand, exactly, in training, and where it does not belong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import masoft
from masoft import HAML, MEHAML
from masoft.distributions import Categoricals
from masoft.errors import ConfigurationError
from masoft.mirror import FixedOrder, KLBall, PolicyChange, SwitchedKLBall
from masoft.tabular import MarkovGame, mehaml
from masoft.testing import check_neighborhood

OLD = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], dtype=torch.float64)
NEW = torch.tensor([[0.49, 0.31, 0.2], [0.1, 0.1, 0.8]], dtype=torch.float64)
"""The first state is well within 0.1 nats, the second far outside."""


def change(logits: Tensor) -> PolicyChange:
    return PolicyChange(Categoricals(OLD.log(), (3,)), Categoricals(logits, (3,)))


def test_inside_the_objective_counts_and_outside_nothing_but_the_way_back() -> None:
    logits = NEW.log().requires_grad_()
    objective = logits.exp().square().sum(-1)
    step, price = change(logits), torch.tensor(3.0, dtype=torch.float64)
    priced = SwitchedKLBall(0.1).priced(objective, step, price)
    torch.testing.assert_close(priced, torch.stack([objective[0], 3 * step.kl_old_new()[1]]))
    (found,) = torch.autograd.grad(priced.sum(), logits, retain_graph=True)
    (inside,) = torch.autograd.grad(objective.sum(), logits, retain_graph=True)
    (back,) = torch.autograd.grad(3 * step.kl_old_new().sum(), logits)
    torch.testing.assert_close(found, torch.stack([inside[0], back[1]]))


def test_the_price_rises_while_policies_are_too_far_and_falls_while_they_are_not() -> None:
    price = torch.tensor(2.0, dtype=torch.float64)
    far, at_old = change(NEW.log()), change(OLD.log())
    mean = float(far.kl_old_new().mean())
    ball = SwitchedKLBall(mean / 1.5, rate=0.1)
    assert float(ball.next_price(price, far)) == pytest.approx(2 * math.exp(0.1 * 0.5))
    assert float(ball.next_price(price, at_old)) == pytest.approx(2 * math.exp(-0.1))
    # A policy that is a hundred times too far moves the price by no more than twice the radius does.
    assert float(SwitchedKLBall(mean / 100, rate=0.1).next_price(price, far)) == pytest.approx(2 * math.exp(0.1))
    assert SwitchedKLBall(0.1, rate=0.0).next_price(price, far) == price


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_exact_argmax_is_that_of_the_ball_at_every_state(direction: Any) -> None:
    draw = np.random.default_rng(0)
    transitions = draw.dirichlet(np.ones(3), size=(3, 3, 3))
    game = MarkovGame(draw.normal(size=(3, 3, 3)), transitions, 0.9, np.full(3, 1 / 3))
    settings: dict[str, Any] = dict(ent_coef=0.1, order=FixedOrder(), max_iterations=40)
    found = mehaml(game, neighborhood=SwitchedKLBall(0.05, direction=direction), **settings)
    ball = mehaml(game, neighborhood=KLBall(0.05, over="max", direction=direction), **settings)
    assert np.diff(found.soft_returns).min() >= -1e-9 and len(found.history) == len(ball.history)
    for mine, its in zip(found.history, ball.history, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, its, strict=True))
    first = [np.log(found.history[k][0]) for k in (0, 1)]
    old, new = first if direction == "forward" else first[::-1]
    distance = (np.exp(old) * (old - new)).sum(-1)
    assert distance.max() == pytest.approx(0.05, rel=1e-6), "the ball is reached somewhere, and left nowhere"


def test_the_kit_passes_it() -> None:
    report = check_neighborhood(SwitchedKLBall(0.2), games=2)
    assert not report.refused and len(report.ball) >= 3


def test_the_kit_sees_a_ball_without_a_price() -> None:
    class Free(SwitchedKLBall):
        @property
        def first_price(self) -> float | None:
            return None

    with pytest.raises(AssertionError, match="a first price above zero"):
        check_neighborhood(Free(0.2), games=0)


def test_the_kit_sees_an_objective_bent_at_the_old_policy() -> None:
    class Bent(SwitchedKLBall):
        def priced(self, objective: Tensor, change: PolicyChange, price: Tensor) -> Tensor:
            return 2 * objective

    with pytest.raises(AssertionError, match="at the old policy the objective counts as it is"):
        check_neighborhood(Bent(0.2), games=0)


def trained(neighborhood: Any, **settings: Any) -> Any:
    """A short training of two agents with boxes, its reference as old as the run."""
    env = masoft.make("mpe/simple_speaker_listener_v4", continuous_actions=True)
    return MEHAML(
        env, neighborhood=neighborhood, reference="every_1000", learning_starts=50, batch_size=32, learning_rate=3e-3,
        policy_kwargs=dict(net_arch=[32, 32]), seed=3, device="cpu", **settings,
    ).learn(200)  # fmt: skip


def distance_of(model: Any) -> float:
    """Mean KL(old || new) of the first agent after the last update."""
    return float(model.logger.name_to_value["train/kl/speaker_0"])


def test_training_stays_near_where_the_ball_is_small() -> None:
    free = distance_of(trained(SwitchedKLBall(1e6)))
    near = trained(SwitchedKLBall(0.01))
    assert free > 0.15 and distance_of(near) < 0.03, (free, distance_of(near))
    assert near.logger.name_to_value["train/accepted/speaker_0"] == 1.0, "no step is undone"


def test_prices_are_learned_saved_and_kept_by_a_change_of_settings(tmp_path: Any) -> None:
    model = trained(SwitchedKLBall(1e-3, rate=0.01))
    prices = model._reference.state_dict()["prices"].clone()
    assert prices.shape == (2,) and (prices > 1.5).all()
    model.save_checkpoint(tmp_path / "run")
    again = MEHAML.resume(tmp_path / "run", env=model.env)
    assert torch.equal(again._reference.state_dict()["prices"], prices)
    again.set_params(neighborhood=SwitchedKLBall(0.2))
    assert torch.equal(again._reference.state_dict()["prices"], prices)
    again.set_params(neighborhood=KLBall(0.2))
    assert "prices" not in again._reference.state_dict()


def test_it_is_refused_where_prices_have_no_place() -> None:
    with pytest.raises(ConfigurationError, match="'price' parameter of SwitchedKLBall"):
        SwitchedKLBall(0.1, price=0.0)
    with pytest.raises(ConfigurationError, match="'radius' parameter of SwitchedKLBall"):
        SwitchedKLBall(0.0)
    with pytest.raises(ConfigurationError, match="one that bends the objective stands alone"):
        SwitchedKLBall(0.1) & KLBall(0.1)
    with pytest.raises(ConfigurationError, match="prices are learned off-policy only"):
        HAML("matrix/climbing", neighborhood=SwitchedKLBall(0.1))
