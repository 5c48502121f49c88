"""The off-policy template: HASAC is its trivial instance, and its parts are felt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import masoft
from masoft import HASAC, MASAC, MEHAML
from masoft.envs.adapters.matrix import BIASED_START
from masoft.errors import ConfigurationError
from masoft.mirror import (
    ClipDrift,
    Drift,
    FixedOrder,
    Greedy,
    KLBall,
    KLDrift,
    Linear,
    NoDrift,
    ParameterBall,
    Simultaneous,
    SquaredRatioDrift,
    TotalVariationBall,
    TotalVariationDrift,
    WassersteinDrift,
)

SMALL: dict[str, Any] = dict(
    learning_starts=50, batch_size=32, policy_kwargs=dict(net_arch=[32, 32]), seed=3, device="cpu"
)


def listener() -> Any:
    return masoft.make("mpe/simple_speaker_listener_v4", continuous_actions=True)


def weights(model: Any) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in model.policy.parameters()])


class Recorder(BaseCallback):
    """Averages one logged figure over all trainings and agents."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.values: list[float] = []

    def _on_step(self) -> bool:
        found = [v for k, v in self.model.logger.name_to_value.items() if k.startswith(self.prefix)]
        self.values.extend(float(value) for value in found)
        return True


def mean_figure(prefix: str, steps: int = 150, **parts: Any) -> float:
    recorder = Recorder(prefix)
    MEHAML(listener, learning_rate=3e-3, **parts, **SMALL).learn(steps, callback=recorder, log_interval=10_000)
    return float(np.mean(recorder.values))


@pytest.mark.parametrize("make_env", [listener, "matrix/maxent"])
def test_the_trivial_instance_is_hasac_bit_by_bit(make_env: Any) -> None:
    settings = {**SMALL, "batch_size": 16, "policy_kwargs": dict(net_arch=[16]), "train_freq": 4, "gradient_steps": 1}
    hasac = HASAC(make_env, **settings).learn(2_000)
    trivial = MEHAML(make_env, **settings).learn(2_000)
    assert torch.equal(weights(hasac), weights(trivial))


def test_masac_is_hasac_with_the_simultaneous_order() -> None:
    masac = MASAC(listener, **SMALL).learn(120)
    same = HASAC(listener, order=Simultaneous(), **SMALL).learn(120)
    other = HASAC(listener, order=FixedOrder(), **SMALL).learn(120)
    assert torch.equal(weights(masac), weights(same))
    assert not torch.equal(weights(masac), weights(other))


def test_a_growing_drift_weight_slows_the_policy_to_standing_still() -> None:
    moved = [mean_figure("train/kl", drift=KLDrift(weight)) for weight in (0.0, 1.0, 30.0, 1e4)]
    assert all(later < earlier for earlier, later in zip(moved, moved[1:], strict=False)), moved
    assert moved[-1] < 1e-2 * moved[0]


def test_a_shrinking_ball_freezes_the_policy() -> None:
    moved = [mean_figure("train/kl", neighborhood=KLBall(radius)) for radius in (10.0, 3e-3, 1e-4, 0.0)]
    assert all(later < earlier for earlier, later in zip(moved, moved[1:], strict=False)), moved
    assert moved[-1] == 0.0


def test_a_ball_of_radius_zero_keeps_every_weight_of_the_actors() -> None:
    model = MEHAML(listener, neighborhood=KLBall(0.0), **SMALL)
    before = [weight.clone() for weight in model.policy.actors.parameters()]
    model.learn(120)
    after = list(model.policy.actors.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert mean_figure("train/accepted", steps=80, neighborhood=KLBall(0.0)) == 0.0


@pytest.mark.parametrize(
    "parts",
    [
        dict(reference="polyak_0.05"),
        dict(reference="update", mini_epochs=3),
        dict(order=Greedy()),
        dict(drift=TotalVariationDrift(0.5)),
        dict(drift=WassersteinDrift()),
        dict(drift=SquaredRatioDrift(0.1) + 2 * KLDrift(0.1, direction="forward")),
        dict(drift=KLDrift(Linear(1.0, 0.0))),
        dict(drift=NoDrift(), neighborhood=ParameterBall(0.1) & TotalVariationBall(0.2)),
    ],
    ids=str,
)
def test_every_part_trains_and_keeps_weights_finite(parts: dict[str, Any]) -> None:
    model = MEHAML(listener, **{**dict(drift=KLDrift(0.1)), **parts}, **SMALL).learn(90)
    assert torch.isfinite(weights(model)).all()


def test_the_log_has_drift_distance_and_acceptance_of_each_agent() -> None:
    recorder = Recorder("train/")
    model = MEHAML(listener, drift=KLDrift(0.1), neighborhood=KLBall(0.1), **SMALL)
    model.learn(60, callback=recorder, log_interval=10_000)
    for name in ("speaker_0", "listener_0"):
        assert {f"train/drift/{name}", f"train/kl/{name}", f"train/accepted/{name}"} <= set(model.logger.name_to_value)


def test_a_user_drift_of_ten_lines_trains() -> None:
    from dataclasses import dataclass

    from masoft.mirror import PolicyChange

    @dataclass(frozen=True)
    class ChiSquared(Drift):
        weight: float = 0.1

        def __call__(self, change: PolicyChange) -> torch.Tensor:
            return self.weight * change.expect_old(lambda ratio: (ratio - 1) ** 2)

    assert MEHAML("matrix/maxent", drift=ChiSquared(), **SMALL).learn(100).num_timesteps == 100


def test_clip_drift_works_where_actions_are_enumerated_and_is_refused_elsewhere() -> None:
    MEHAML("matrix/maxent", drift=ClipDrift(0.2), **SMALL).learn(80)
    with pytest.raises(ConfigurationError, match="drift must be one that needs no advantage.*speaker_0"):
        MEHAML(listener, drift=ClipDrift(0.2), **SMALL)


@pytest.mark.slow
def test_kl_drift_ends_in_the_same_equilibrium_as_hasac() -> None:
    """Theorem 3 on the game of Figure 1 at temperature 10."""
    from tests.learning.test_matrix_game import PolicyRecorder

    model = MEHAML(
        "MlpPolicy",
        masoft.make_vec("matrix/maxent", n_envs=20, seed=0),
        drift=KLDrift(5.0),
        ent_coef=10.0,
        learning_rate=3e-3,
        gradient_steps=1,
        tau=0.05,
        policy_kwargs=dict(net_arch=[64, 64], initial_action_probabilities=BIASED_START),
        seed=0,
    )
    recorder = PolicyRecorder()
    model.learn(30_000, callback=recorder)
    policies = np.array(recorder.policies)[-100:].mean(axis=0)
    np.testing.assert_allclose(policies, [(0.0221, 0.0224, 0.9555)] * 2, atol=0.03)


@pytest.mark.parametrize("record", [False, True])
def test_actors_temperatures_and_targets_wait_for_the_policy_delay(record):
    model = HASAC(listener(), policy_delay=3, record=record, **SMALL).learn(60)
    assert model._n_updates == 10
    names = ("actors", "critic", "critic_target")

    def now():
        networks = {name: weights_of(getattr(model.policy, name)) for name in names}
        return {**networks, "temperature": model.temperature.current().clone()}

    for expected in (["critic"], [*names, "temperature"], ["critic"]):
        before = now()
        model.train(1, 32)
        assert [name for name, value in now().items() if not torch.equal(value, before[name])] == expected


def test_each_record_of_a_delayed_update_gives_the_same_weights():
    plain, recorded = (HASAC(listener(), policy_delay=2, record=record, **SMALL).learn(70) for record in (False, True))
    assert torch.equal(weights(plain), weights(recorded))


def weights_of(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])
