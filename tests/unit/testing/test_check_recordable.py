"""`check_recordable` passes every class with its parts, and refuses by name what no recording can repeat."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import masoft
from masoft.errors import ConfigurationError
from masoft.mirror import (
    BoundedRelativeEntropy,
    ClipDrift,
    Drift,
    Greedy,
    KLBall,
    KLDrift,
    Linear,
    Neighborhood,
    ParameterBall,
    PolicyChange,
    SquaredRatioDrift,
    SwitchedKLBall,
    TotalVariationBall,
    TotalVariationDrift,
    WassersteinDrift,
)
from masoft.testing import IdentityTeam, check_recordable

OFF: dict[str, Any] = dict(batch_size=8, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
ON: dict[str, Any] = dict(n_steps=16, batch_size=8, n_epochs=2, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
DISCRETE = ("HASAC", "MASAC", "HADDPG", "HATD3", "MADDPG", "MATD3", "HAD3QN", "VDN", "QMIX", "FOP")
CONTINUOUS = ("HASAC", "MASAC", "HADDPG", "HATD3", "FOP")
ON_POLICY = ("HAPPO", "MAPPO", "A2PO", "CoPPO", "IPPO")


REMEMBERS = {"net_arch": [8], "hidden_size": 8, "sequence_length": 8, "burn_in": 4}


def spread(continuous: bool = False) -> Any:
    return masoft.make_vec("mpe/simple_spread_v3", n_envs=1, seed=1, continuous_actions=continuous)


def mehaml(env: Any = "matrix/climbing", **settings: Any) -> Any:
    return masoft.MEHAML(env, reference="every_3", **{**OFF, **settings})


@pytest.mark.parametrize("name", DISCRETE)
def test_choices(name: str) -> None:
    check_recordable(getattr(masoft, name)("matrix/climbing", **OFF), n=8)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_boxes_of_agents_that_come_and_go(name: str) -> None:
    check_recordable(getattr(masoft, name)(spread(continuous=True), **OFF), n=8)


@pytest.mark.parametrize("name", ON_POLICY)
@pytest.mark.parametrize("continuous", [False, True])
def test_minibatch_steps(name: str, continuous: bool) -> None:
    check_recordable(getattr(masoft, name)(spread(continuous), **ON), n=4)


@pytest.mark.parametrize(
    "drift",
    [KLDrift(0.5), KLDrift(0.5, direction="forward"), ClipDrift(0.2), TotalVariationDrift(), SquaredRatioDrift(),
     KLDrift(0.2) + TotalVariationDrift(0.1), 0.5 * KLDrift()],
    ids=repr,
)  # fmt: skip
def test_drifts(drift: Drift) -> None:
    check_recordable(mehaml(drift=drift), n=8)


@pytest.mark.parametrize("drift", [KLDrift(0.5), WassersteinDrift()], ids=repr)
def test_drifts_of_gaussians(drift: Drift) -> None:
    check_recordable(mehaml(spread(continuous=True), drift=drift), n=8)


@pytest.mark.parametrize(
    "neighborhood",
    [KLBall(1e-5), KLBall(1e-3, over="max"), TotalVariationBall(1e-3), ParameterBall(1e-2),
     KLBall(1e-4) & TotalVariationBall(0.02), SwitchedKLBall(1e-3)],
    ids=repr,
)  # fmt: skip
def test_neighborhoods(neighborhood: Neighborhood) -> None:
    check_recordable(mehaml(neighborhood=neighborhood, mini_epochs=2), n=8)


MIXED: dict[str, Callable[[], Any]] = {
    "mixed and masked": lambda: masoft.HASAC(IdentityTeam(["box", "discrete", "multidiscrete", "multibinary"]), **OFF),
    "mixed and masked, on-policy": lambda: masoft.HAPPO(IdentityTeam(["box", "discrete", "multidiscrete"]), **ON),
    "one actor for all": lambda: masoft.HASAC(spread(), **{**OFF, "policy_kwargs": {"share_parameters": True}}),
    "a greedy order": lambda: masoft.HASAC(spread(), order=Greedy(), **OFF),
    "straight-through draws": lambda: masoft.HASAC(spread(), discrete_gradient="gumbel", **OFF),
    "a fixed temperature": lambda: masoft.HASAC("matrix/climbing", ent_coef=0.2, n_steps=1, **OFF),
    "a frozen agent": lambda: masoft.HASAC(spread(), **OFF).freeze("agent_1"),
    "a falling learning rate": lambda: masoft.HASAC("matrix/climbing", learning_rate=Linear(1e-3, 0), **OFF),
    "relative entropy in the target": lambda: mehaml(soft_critic=BoundedRelativeEntropy(0.1, entropy_bound=1.0)),
    "the same of Gaussians": lambda: mehaml(spread(True), soft_critic=BoundedRelativeEntropy(0.1)),
    "a GRU": lambda: masoft.HASAC("RnnPolicy", "matrix/climbing", **{**OFF, "policy_kwargs": REMEMBERS}),
    "a GRU, on-policy": lambda: masoft.HAPPO("RnnPolicy", spread(), **{**ON, "policy_kwargs": {"sequence_length": 4}}),
    "a clipped value loss and entropy": lambda: masoft.HAPPO(spread(), clip_range_vf=0.2, ent_coef=0.01, **ON),
    "on-policy, a drift and a ball": lambda: masoft.HAML(spread(), drift=KLDrift(0.5), neighborhood=KLBall(1e-3), **ON),
}


@pytest.mark.parametrize("name", MIXED)
def test_other_parts(name: str) -> None:
    check_recordable(MIXED[name](), n=6)


def test_a_model_that_has_learned_is_as_it_was() -> None:
    model = masoft.HASAC("matrix/climbing", learning_starts=8, **OFF).learn(20)
    before = [value.clone() for value in model.policy.state_dict().values()]
    draws, n_updates, n_steps = model.generator.get_state(), model._n_updates, model.num_timesteps
    check_recordable(model, n=6)
    assert all(torch.equal(a, b) for a, b in zip(before, model.policy.state_dict().values(), strict=True))
    assert torch.equal(draws, model.generator.get_state())
    assert (n_updates, n_steps) == (model._n_updates, model.num_timesteps)


@dataclass(frozen=True)
class Scaled(Drift):
    """A drift whose factor some test defines."""

    def __call__(self, change: PolicyChange) -> Tensor:
        return change.expect_old(lambda ratio: (ratio - 1) ** 2) * self.factor(change)

    def factor(self, change: PolicyChange) -> Any:
        raise NotImplementedError


class Reads(Scaled):
    def factor(self, change: PolicyChange) -> Any:
        return change.kl_old_new().mean().item()


class Asks(Scaled):
    def factor(self, change: PolicyChange) -> Any:
        return 1.0 if change.kl_old_new().mean() > 0.1 else 2.0


class Lists(Scaled):
    def factor(self, change: PolicyChange) -> Any:
        return sum(change.kl_old_new().tolist())


class Picks(Scaled):
    def factor(self, change: PolicyChange) -> Any:
        far = change.kl_old_new()
        return far[far > 0.0].sum()


class Makes(Scaled):
    def factor(self, change: PolicyChange) -> Any:
        return torch.tensor(2.0)


class Draws(Scaled):
    def factor(self, change: PolicyChange) -> Any:
        return torch.rand((), generator=torch.Generator())


class Counts(Scaled):
    calls = [0]

    def factor(self, change: PolicyChange) -> Any:
        self.calls[0] += 1
        return 0.5 * self.calls[0]


class Alternates(Scaled):
    calls = [0]

    def factor(self, change: PolicyChange) -> Any:
        self.calls[0] += 1
        return change.kl_old_new().mean().exp() if (self.calls[0] - 1) // 2 % 2 else change.kl_old_new().mean().cos()


REFUSED = {
    Reads: r"item at \S*test_check_recordable.py:\d+ \(return change.kl_old_new\(\).mean\(\).item\(\)\): the host",
    Asks: r"__bool__ at \S*test_check_recordable.py:\d+ \(return 1.0 if",
    Lists: r"tolist at \S*test_check_recordable.py:\d+",
    Picks: r"index at \S*test_check_recordable.py:\d+ \(return far\[far > 0.0\].sum\(\)\): the shape of its result",
    Makes: r"tensor at \S*test_check_recordable.py:\d+ .*copied once",
    Draws: r"rand at \S*test_check_recordable.py:\d+ .*the model's own generator",
    Counts: r"mul at \S*test_check_recordable.py:\d+ .*Python's number [\d.]+ is [\d.]+ at another time",
    Alternates: r"(cos|exp) at \S*test_check_recordable.py:\d+ .*at another time it was (exp|cos) at",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_recording_can_repeat_is_refused_by_name(kind: type[Drift]) -> None:
    piece = re.escape("The piece 'improve' of agent ") + r"\d of an update cannot be recorded: "
    with pytest.raises(ConfigurationError, match=piece + REFUSED[kind]):
        check_recordable(mehaml(drift=kind()), n=6)


def test_the_line_search_of_a_natural_gradient_is_named() -> None:
    settings = {name: value for name, value in ON.items() if name not in ("n_epochs", "batch_size")}
    with pytest.raises(ConfigurationError, match=r"The piece 'step' of agent \d .* at masoft\S+improver.py:\d+"):
        check_recordable(masoft.HATRPO(spread(), **settings), n=4)


def test_an_optimiser_that_waits_is_named() -> None:
    settings = {**OFF, "policy_kwargs": {"optimizer_class": torch.optim.SGD}}
    with pytest.raises(ConfigurationError, match="The piece 'critics' of an update cannot be recorded"):
        check_recordable(masoft.HASAC("matrix/climbing", **settings), n=4)


def test_a_scheduled_drift_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"a scheduled drift is recorded anew.*KLDrift\(weight=1.0"):
        check_recordable(mehaml(drift=KLDrift(Linear(1, 0))), n=5)


class Late(Scaled):
    """Python's number changes after the recording."""

    calls = [0]

    def factor(self, change: PolicyChange) -> Any:
        self.calls[0] += 1
        return 1.0 + (self.calls[0] > 20)


def test_a_number_that_changes_later_is_told_by_what_differs() -> None:
    Late.calls[0] = 0
    with pytest.raises(AssertionError, match=r"from update \d+ on, in .*drift"):
        check_recordable(mehaml(drift=Late()), n=20)


def test_too_few_updates_tell_nothing() -> None:
    with pytest.raises(ConfigurationError, match="must be an integer >= 4"):
        check_recordable(masoft.HASAC("matrix/climbing", **OFF), n=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in masoft.ALGORITHMS if name != "HATRPO"])
def test_fifty_updates_of_every_class(name: str) -> None:
    cls = getattr(masoft, name)
    is_on_policy = "gae_lambda" in cls.parameter_names()
    settings = {name: value for name, value in (ON if is_on_policy else OFF).items() if name in cls.parameter_names()}
    check_recordable(cls("matrix/two_step", **settings), n=50)
