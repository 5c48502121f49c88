"""What every distribution offers, and one of a user's own in off-policy and on-policy learning."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from masoft import HAML, HAPPO, HASAC, make_vec
from masoft.distributions import Categoricals, DiagonalGaussian, Distribution, FixedAction, SquashedGaussian
from masoft.errors import ConfigurationError
from masoft.mirror import KLDrift, PolicyChange, SquaredRatioDrift, WassersteinDrift
from masoft.networks import Head
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {"gamma": 0.0, "seed": 0, "device": "cpu"}
OFF_POLICY: dict[str, Any] = {
    **SMALL,
    "learning_starts": 20,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "train_freq": 4,
    "gradient_steps": 2,
}
ON_POLICY: dict[str, Any] = {**SMALL, "n_steps": 32, "batch_size": 32, "learning_rate": 3e-3}


@dataclass(frozen=True)
class Beta(Distribution):
    """Independent entries ``2 x - 1`` with ``x ~ Beta(a, b)``."""

    a: Tensor
    b: Tensor

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        one, other = (torch._standard_gamma(each, generator) for each in (self.a, self.b))
        return 2 * one / (one + other) - 1

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.rsample(generator)

    def log_prob(self, actions: Tensor) -> Tensor:
        shares = ((actions + 1) / 2).clamp(1e-6, 1 - 1e-6)
        return (torch.distributions.Beta(self.a, self.b).log_prob(shares) - log(2.0)).sum(-1)

    def mode(self) -> Tensor:
        return 2 * self.a / (self.a + self.b) - 1


class BetaHead(Head):
    """Both numbers above 1, so that the density has one peak."""

    def __init__(self, n_features: int, action: Any) -> None:
        super().__init__(n_features, 2 * action.size)

    def read(self, outputs: Tensor, mask: Tensor | None = None) -> Beta:
        return Beta(*(1 + softplus(outputs)).chunk(2, dim=-1))


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


KINDS: list[Distribution] = [
    SquashedGaussian(normal(5, 2), normal(5, 2) - 1),
    DiagonalGaussian(normal(5, 2), normal(2)),
    Categoricals(normal(5, 5), (3, 2)),
    Categoricals(normal(5, 5), (3, 2), torch.tensor([True, False, True, True, True]).expand(5, -1)),
    FixedAction(normal(5, 2).tanh()),
    Beta(2 + normal(5, 2).abs(), 2 + normal(5, 2).abs()),
]
ids = [type(kind).__name__ for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_rows_joins_and_copies_are_the_same_distribution(kind: Distribution) -> None:
    action = kind.mode()
    assert action.shape[0] == 5 and kind.sample(torch.Generator().manual_seed(0)).shape == action.shape
    picked = kind.rows(torch.tensor([3, 1]))
    torch.testing.assert_close(picked.mode(), action[[3, 1]])
    assert kind.rows(None) is kind
    both = type(kind).join([kind, picked])
    torch.testing.assert_close(both.mode(), torch.cat([action, action[[3, 1]]]))
    assert type(kind).join([kind]) is kind
    if not isinstance(kind, FixedAction):
        torch.testing.assert_close(both.log_prob(both.mode())[5:], kind.log_prob(action)[[3, 1]])


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_what_is_kept_stays_when_the_network_moves(kind: Distribution) -> None:
    name, values = next(iter(kind.parameters.items()))
    with_graph = type(kind)(**{**vars_of(kind), name: values.clone().requires_grad_()})
    kept = with_graph.keep()
    before = kept.parameters[name].clone()
    with torch.no_grad():
        with_graph.parameters[name].add_(1.0)
    assert torch.equal(kept.parameters[name], before) and not kept.parameters[name].requires_grad
    assert not with_graph.detach().parameters[name].requires_grad
    if isinstance(kind, DiagonalGaussian | SquashedGaussian | Categoricals):
        torch.testing.assert_close(kept.kl(kept), torch.zeros(5))


def vars_of(kind: Distribution) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in kind.__dataclass_fields__}  # type: ignore[attr-defined]


def test_an_entropy_without_closed_form_is_a_draw_with_the_right_mean() -> None:
    many = Beta(torch.full((20_000, 1), 2.0), torch.full((20_000, 1), 3.0))
    exact = torch.distributions.Beta(2.0, 3.0).entropy() + log(2.0)
    assert float((many.entropy(torch.Generator().manual_seed(0)).mean() - exact).abs()) < 0.01


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Categoricals(torch.zeros(1, 2), (2,)).rsample(), "differentiable in its parameters"),
        (lambda: KLDrift()(PolicyChange(KINDS[-1], KINDS[-1])), "KL divergence in closed form. Got 'Beta'"),
    ],
)
def test_what_a_distribution_lacks_is_refused_by_name(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=message):
        call()


@pytest.mark.parametrize("algorithm, settings", [(HASAC, OFF_POLICY), (HAPPO, ON_POLICY)])
def test_a_distribution_of_ones_own_learns_is_saved_and_loaded(  # type: ignore[no-untyped-def]
    algorithm, settings, tmp_path: Path
) -> None:
    env = make_vec(lambda: IdentityTeam(("box", "discrete")), n_envs=4, seed=0)
    model = algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [32], "head": BetaHead}, **settings)
    box, discrete = model.policy.actors
    assert type(box.head) is BetaHead and type(discrete.head) is not BetaHead
    test = make_vec(lambda: IdentityTeam(("box", "discrete")), seed=1)
    before = model.score(test, n_eval_episodes=5)
    model.learn(1_200)
    assert model.score(test, n_eval_episodes=5) > before + 1
    model.save(tmp_path / "team.zip")
    loaded = algorithm.load(tmp_path / "team.zip", env=env, trusted=[BetaHead])
    obs = env.reset()
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


def test_a_head_for_one_agent_and_a_wrong_one() -> None:
    env = make_vec(lambda: IdentityTeam(("box", "box")), seed=0)
    model = HASAC("MlpPolicy", env, policy_kwargs={"net_arch": [8], "head": {"agent_1": BetaHead}}, **OFF_POLICY)
    assert [type(actor.head) is BetaHead for actor in model.policy.actors] == [False, True]
    with pytest.raises(ConfigurationError, match="'head' of agent .* must be a class of heads"):
        HASAC("MlpPolicy", env, policy_kwargs={"head": "beta"}, **OFF_POLICY)


@pytest.mark.parametrize("drift", [WassersteinDrift(0.5), SquaredRatioDrift(0.5)], ids=str)
def test_drifts_take_the_gaussians_of_haml(drift) -> None:  # type: ignore[no-untyped-def]
    env = make_vec(lambda: IdentityTeam(("box", "box")), n_envs=2, seed=0)
    model = HAML("MlpPolicy", env, drift=drift, policy_kwargs={"net_arch": [16]}, **ON_POLICY)
    model.learn(128)
    assert all(torch.isfinite(weight).all() for weight in model.policy.parameters())


def test_wasserstein_between_plain_gaussians_by_hand() -> None:
    old = DiagonalGaussian(torch.zeros(1, 2), torch.zeros(2))
    new = DiagonalGaussian(torch.tensor([[3.0, 4.0]]), torch.full((2,), 2.0).log())
    torch.testing.assert_close(WassersteinDrift(1.0)(PolicyChange(old, new)), torch.tensor([25.0 + 2.0]))
