"""What the critic's target counts: by hand, in the learner's target, and where it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import masoft
from masoft import HASAC, MEHAML
from masoft.errors import ConfigurationError
from masoft.mirror import BoundedRelativeEntropy, KLDrift, Linear, SoftValue

SMALL: dict[str, Any] = dict(
    learning_starts=20, batch_size=16, n_steps=1, policy_kwargs=dict(net_arch=[16]), seed=3, device="cpu"
)


@dataclass(frozen=True)
class Plain(SoftValue):
    """What True counts, as a strategy of one's own."""

    def __call__(self, log_prob: Tensor, old_log_prob: Tensor | None, ent_coef: Tensor) -> Tensor:
        assert old_log_prob is None, "nobody asked"
        return -ent_coef * log_prob


def test_both_terms_are_bounded_by_hand() -> None:
    log_prob, old = torch.tensor([0.5, 3.0, -4.0]), torch.tensor([0.3, -2.0, 0.0])
    alpha = torch.tensor(0.2)
    found = BoundedRelativeEntropy(2.0, bound=1.0)(log_prob, old, alpha)
    torch.testing.assert_close(found, -0.2 * log_prob - 2 * torch.tensor([0.2, 1.0, -1.0]))
    found = BoundedRelativeEntropy(2.0, bound=1.0, entropy_bound=2.5)(log_prob, old, alpha)
    torch.testing.assert_close(found, -0.2 * torch.tensor([0.5, 2.5, -2.5]) - 2 * torch.tensor([0.2, 1.0, -1.0]))


def trained(env: Any, **settings: Any) -> Any:
    model = MEHAML(env, drift=KLDrift(0.1), **{**SMALL, "reference": "every_1000", **settings})
    return model.learn(60)


def boxes() -> Any:
    return masoft.make("mpe/simple_speaker_listener_v4", continuous_actions=True)


def target_of(model: Any, batch: Any, what: Any) -> Tensor:
    """The critic's target at a minibatch, with the same draws each time."""
    model.set_params(soft_critic=what)
    update = model._begin_update()
    model.generator.manual_seed(7)
    return update.critic_target(batch)


def test_a_strategy_of_ones_own_counts_entropies_as_true_does() -> None:
    model = trained(boxes)
    batch = model.sample_batch(16)
    torch.testing.assert_close(target_of(model, batch, Plain()), target_of(model, batch, True))


def test_choices_count_the_divergence_from_the_old_policies_exactly() -> None:
    model = trained("mpe/simple_spread_v3", learning_rate=1e-2)
    batch = model.sample_batch(16)
    plain, found = (target_of(model, batch, what) for what in (True, BoundedRelativeEntropy(50.0, bound=1e6)))
    divergence = torch.zeros(16)
    for i in range(model.team.n_agents):
        seen, mask = batch.next_observations[i], model.policy.own_mask(i, batch.next_masks)
        divergence += model.policy.actors[i](seen, mask).kl(model._reference.actors[i](seen, mask)).detach()
    assert float(divergence.min()) > 1e-3, "the policies have moved away"
    weight = batch.discounts * (1 - batch.terminated)
    torch.testing.assert_close(found, plain - 50 * weight * divergence, atol=1e-5, rtol=1e-5)


def test_densities_are_compared_at_the_fresh_action_and_bounded() -> None:
    model = trained(boxes, learning_rate=1e-2)
    batch = model.sample_batch(16)
    plain = target_of(model, batch, True)
    found, bounded = (target_of(model, batch, BoundedRelativeEntropy(1.0, bound=bound)) for bound in (1e6, 0.01))
    most = batch.discounts * (1 - batch.terminated) * model.team.n_agents * 0.01
    assert ((bounded - plain).abs() <= most + 1e-4).all()
    assert ((found - plain).abs() > most + 1e-2).any(), "without a bound some would be larger"


def test_the_policies_themselves_as_the_old_ones_cost_nothing() -> None:
    model = trained(boxes, reference="update")
    batch = model.sample_batch(16)
    found, plain = (target_of(model, batch, what) for what in (BoundedRelativeEntropy(5.0), True))
    torch.testing.assert_close(found, plain, atol=1e-3, rtol=1e-4)


def test_a_reference_is_kept_for_it_alone_and_its_schedule_is_followed() -> None:
    model = MEHAML(boxes, soft_critic=BoundedRelativeEntropy(Linear(1.0, 0.0)), **SMALL)
    assert model._reference is not None
    model._current_progress_remaining = 0.25
    assert model._begin_update().soft_critic == BoundedRelativeEntropy(0.25)
    assert MEHAML(boxes, soft_critic=Plain(), **SMALL)._reference is None


def test_wrong_numbers_and_kinds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'weight' parameter of BoundedRelativeEntropy"):
        BoundedRelativeEntropy(-1.0)
    with pytest.raises(ConfigurationError, match="'bound' parameter of BoundedRelativeEntropy"):
        BoundedRelativeEntropy(1.0, bound=0.0)
    with pytest.raises(ConfigurationError, match="old_log_prob"):
        BoundedRelativeEntropy()(torch.zeros(1), None, torch.ones(()))
    with pytest.raises(ConfigurationError, match="soft_critic.*a SoftValue"):
        HASAC("matrix/climbing", soft_critic="entropy")  # type: ignore[arg-type]
