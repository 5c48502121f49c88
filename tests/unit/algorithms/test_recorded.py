"""Training with recorded updates: the same numbers, also where a recording is void or a piece cannot be recorded."""

from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import masoft
from masoft.fast.recorder import Recorder
from masoft.mirror import Drift, PolicyChange
from tests.unit.algorithms.test_guard import Poison

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)


def pair(algorithm: Any, env: Any = "matrix/climbing", **settings: Any) -> tuple[Any, Any]:
    """Two models alike: one whose updates are recorded, and one as it comes."""
    recorded, plain = (algorithm(env, **{**SMALL, **settings}) for _ in range(2))
    recorded.record = True
    return recorded, plain


def assert_equal(recorded: Any, plain: Any) -> None:
    weights = recorded.policy.state_dict().items()
    assert [k for k, value in weights if not torch.equal(value, plain.policy.state_dict()[k])] == []
    assert torch.equal(recorded.generator.get_state(), plain.generator.get_state())


def n_replays(model: Any) -> int:
    assert isinstance(model.runner, Recorder)
    return sum(model.runner.replays.values())


def test_it_is_off_until_it_is_wanted() -> None:
    model = masoft.HASAC("matrix/climbing", **SMALL)
    assert not model.record
    model.record = True
    runner = model.runner
    model.record = True
    assert model.record and model.runner is runner
    model.record = False
    assert not model.record


@pytest.mark.parametrize(
    "algorithm", [masoft.HASAC, masoft.MASAC, masoft.HATD3, masoft.HAD3QN, masoft.QMIX, masoft.VDN, masoft.FOP]
)
def test_learning_is_the_same(algorithm: Any) -> None:
    recorded, plain = pair(algorithm)
    for model in (recorded, plain):
        model.learn(30)
    assert n_replays(recorded) > 20
    assert_equal(recorded, plain)


def test_sampled_actions_learn_the_same() -> None:
    recorded, plain = (
        masoft.HASAC(env=masoft.make_vec("mpe/simple_spread_v3", seed=0, continuous_actions=True), **SMALL)
        for _ in "ab"
    )
    recorded.record = True
    for model in (recorded, plain):
        model.learn(30)
    assert n_replays(recorded) > 20
    assert_equal(recorded, plain)


def test_on_policy_learning_is_the_same() -> None:
    settings: dict[str, Any] = dict(n_steps=16, batch_size=8, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
    recorded, plain = (masoft.HAPPO("mpe/simple_spread_v3", **settings) for _ in range(2))
    recorded.record = True
    for model in (recorded, plain):
        model.learn(48)
    assert n_replays(recorded) > 50
    assert_equal(recorded, plain)


def test_recordings_are_made_anew_where_something_is_replaced() -> None:
    recorded, plain = pair(masoft.HASAC)
    other = masoft.HASAC("matrix/climbing", **{**SMALL, "seed": 1}).learn(12)
    for model in (recorded, plain):
        model.learn(20)
        model.set_parameters(deepcopy(other.get_parameters()))  # loading gives optimisers other moments
        model.train(4, 8)
        model.train(4, 5)  # another batch size
        model.set_params(tau=0.5)
        model.train(4, 8)
        moments = model.policy.critic_optimizer
        moments.load_state_dict(deepcopy(other.policy.critic_optimizer.state_dict()))
        model.train(4, 8)
        for weight in model.policy.critic.parameters():
            weight.data = weight.data.clone()  # as a move to another device does
        model.train(4, 8)
        model.set_random_seed(5)
        model.train(4, 8)
        model.freeze("agent_0")
        model.train(4, 8)
    assert_equal(recorded, plain)


@pytest.mark.parametrize("algorithm", [masoft.HASAC, masoft.FOP])
def test_bad_gradients_are_left_out_and_counted(algorithm: Any) -> None:
    recorded, plain = pair(algorithm, "matrix/maxent")
    for model in (recorded, plain):
        model.on_nan = "skip"
        model.learn(60, callback=Poison(25, 40))
    assert recorded.n_skipped == plain.n_skipped == (15 if algorithm is masoft.HASAC else plain.n_skipped) > 0
    assert_equal(recorded, plain)


def test_a_bad_gradient_in_a_replay_names_its_update() -> None:
    told = []
    for model in pair(masoft.HASAC, "matrix/maxent"):
        with pytest.raises(masoft.errors.NumericalFault, match="gradient of policy.critic.* at step 25") as fault:
            model.learn(60, callback=Poison(25))
        told.append(str(fault.value))
    assert told[0] == told[1]


@dataclass(frozen=True)
class Loud(Drift):
    """Python looks at a number."""

    def __call__(self, change: PolicyChange) -> Tensor:
        distance = change.kl_new_old()
        return distance * (2.0 if distance.mean().item() > 1e-3 else 1.0)


def test_what_cannot_be_recorded_runs_as_it_is_and_is_named_once() -> None:
    recorded, plain = pair(masoft.MEHAML, drift=Loud(), reference="every_3")
    with pytest.warns(UserWarning, match=r"The piece 'improve' of agent \d .*item at .*test_recorded.py:\d+") as told:
        recorded.learn(30)
    plain.learn(30)
    assert len(told) == 1
    assert_equal(recorded, plain)


def test_copies_begin_without_recordings() -> None:
    model, _ = pair(masoft.HASAC)
    model.learn(20)
    assert n_replays(model) > 0
    assert not isinstance(deepcopy(model.runner), Recorder)
    assert not isinstance(pickle.loads(pickle.dumps(model.runner)), Recorder)
    assert masoft.clone(model).record and not masoft.clone(model).runner.replays
