"""Strategies that have short forms: what each string stands for, what is refused, and classes of a user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from masoft import HASAC, HATD3, MEHAML, make_vec
from masoft.distributions import Categoricals
from masoft.errors import ConfigurationError
from masoft.mirror import (
    DiscreteGradient,
    EveryK,
    Exact,
    ExactUpTo,
    KLDrift,
    Mean,
    Pace,
    Polyak,
    QTarget,
    Smallest,
    StraightThrough,
    Subset,
)
from masoft.mirror.discrete_gradient import DISCRETE_GRADIENTS
from masoft.mirror.q_target import Q_TARGETS
from masoft.mirror.reference import PACES
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {
    "learning_starts": 10, "batch_size": 16, "gradient_steps": 1, "n_steps": 1, "seed": 0, "device": "cpu",
}  # fmt: skip
TINY = {"net_arch": [8]}


def env():  # type: ignore[no-untyped-def]
    return make_vec(lambda: IdentityTeam(("box", "discrete")), n_envs=2, seed=0)


def weights(model) -> Tensor:  # type: ignore[no-untyped-def]
    return torch.cat([weight.detach().flatten() for weight in model.policy.parameters()])


@pytest.mark.parametrize(
    "forms, text, stands_for",
    [
        (PACES, "update", EveryK(1)),
        (PACES, "every", EveryK(10)),
        (PACES, "every_3", EveryK(3)),
        (PACES, "polyak", Polyak(0.01)),
        (PACES, "polyak_0.1", Polyak(0.1)),
        (PACES, "polyak_1", Polyak(1)),
        (DISCRETE_GRADIENTS, "auto", ExactUpTo(64)),
        (DISCRETE_GRADIENTS, "exact", Exact()),
        (DISCRETE_GRADIENTS, "gumbel", StraightThrough(1.0)),
        (DISCRETE_GRADIENTS, "gumbel_0.5", StraightThrough(0.5)),
        (Q_TARGETS, "min", Smallest()),
        (Q_TARGETS, "mean", Mean()),
        (Q_TARGETS, "subset_3", Subset(3)),
    ],
)
def test_what_a_short_form_stands_for(forms, text: str, stands_for: object) -> None:  # type: ignore[no-untyped-def]
    assert forms.read(text, "it") == stands_for
    assert forms.read(stands_for, "it") is stands_for


@pytest.mark.parametrize(
    "parameter, wrong",
    [
        *(("reference", text) for text in ("every_0.5", "every_0", "every_-1", "every_", "every_x", "every_inf")),
        *(("reference", text) for text in ("polyak_5", "polyak_0", "polyak_nan", "update_2", "never", "", 10, None)),
        *(("discrete_gradient", text) for text in ("gumbel_0", "exact_1", "soft", True)),
        *(("q_target", text) for text in ("min_2", "subset_0", "subset_1.5", "max", 2)),
    ],
)
def test_what_no_form_fits_is_refused_before_any_work(parameter: str, wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=f"The '{parameter}' parameter of MEHAML must be '"):
        MEHAML(drift=KLDrift(), **{parameter: wrong})


@pytest.mark.parametrize("make", [lambda: EveryK(0), lambda: EveryK(1.5), lambda: Polyak(0.0), lambda: Polyak(2.0)])  # type: ignore[arg-type]
def test_objects_check_their_own_ranges(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match="parameter of (EveryK|Polyak) must be"):
        make()


def test_a_reference_becomes_the_actors_before_the_first_update_and_every_kth_after() -> None:
    assert [EveryK(3).share(n) for n in range(7)] == [1, 0, 0, 1, 0, 0, 1]
    assert [Polyak(0.1).share(n) for n in range(3)] == [0.1, 0.1, 0.1]


def test_a_subset_needs_enough_critics_and_takes_the_smallest_of_some() -> None:
    with pytest.raises(ConfigurationError, match=r"n_critics must be at least 3 for Subset\(k=3\). Got 2"):
        HASAC(env(), q_target="subset_3", policy_kwargs=TINY, **SMALL)
    values = torch.tensor([[1.0], [2.0], [3.0]])
    generator = torch.Generator().manual_seed(0)
    found = {float(Subset(2)(values, generator)) for _ in range(50)}
    assert found == {1.0, 2.0}
    assert float(Subset(3)(values)) == float(Smallest()(values)) == 1.0 and float(Mean()(values)) == 2.0


def test_a_low_temperature_has_steeper_slopes_at_the_same_draw() -> None:
    logits = torch.tensor([[0.2, -0.1, 0.0]], requires_grad=True)
    slopes = []
    for temperature in (1.0, 5.0):
        draw, _ = StraightThrough(temperature).draw(Categoricals(logits, (3,)), torch.Generator().manual_seed(0))
        assert sorted(draw.detach().flatten().tolist()) == [0.0, 0.0, 1.0]
        slopes.append(torch.autograd.grad(draw[0, 0], logits)[0].norm())
    assert slopes[0] > 2 * slopes[1]


@pytest.mark.parametrize(
    "algorithm, text, made",
    [
        (MEHAML, dict(reference="every_3"), dict(reference=EveryK(3))),
        (MEHAML, dict(reference="polyak_0.2"), dict(reference=Polyak(0.2))),
        (HASAC, dict(discrete_gradient="gumbel"), dict(discrete_gradient=StraightThrough())),
        (HATD3, dict(discrete_gradient="exact"), dict(discrete_gradient=Exact())),
        (HASAC, dict(q_target="mean"), dict(q_target=Mean())),
    ],
    ids=str,
)
def test_a_string_trains_as_its_object_and_both_are_saved(algorithm, text, made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    own = {"drift": KLDrift(0.5)} if algorithm is MEHAML else {}
    one, other = (algorithm(env(), policy_kwargs=TINY, **own, **each, **SMALL).learn(60) for each in (text, made))
    assert torch.equal(weights(one), weights(other))
    for model, each in ((one, text), (other, made)):
        model.save(tmp_path / "team.zip")
        loaded = algorithm.load(tmp_path / "team.zip", env=env())
        assert {name: loaded.get_params()[name] for name in each} == each


@dataclass(frozen=True)
class Warming(Pace):
    """Follows closely at first."""

    updates: int = 10

    def share(self, n_updates: int) -> float:
        return 1.0 if n_updates < self.updates else 0.0


@dataclass(frozen=True)
class FewAlone(DiscreteGradient):
    """Exact where there are two actions."""

    def enumerates(self, n_joint: int) -> bool:
        return n_joint == 2


@dataclass(frozen=True)
class Between(QTarget):
    """Half cautious."""

    weight: float = 0.5

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.lerp(values.amin(0), values.amax(0), self.weight)


def test_a_strategy_of_ones_own_trains_and_holds_the_reference(tmp_path: Path) -> None:
    parts: dict[str, Any] = {"reference": Warming(), "discrete_gradient": FewAlone(), "q_target": Between()}
    model = MEHAML(env(), drift=KLDrift(0.5), policy_kwargs=TINY, **parts, **SMALL).learn(30)
    held = [weight.clone() for weight in model._reference.actors.parameters()]
    model.learn(30, reset_num_timesteps=False)
    assert all(torch.equal(a, b) for a, b in zip(held, model._reference.actors.parameters(), strict=True))
    assert torch.isfinite(weights(model)).all()
    model.save(tmp_path / "team.zip")
    loaded = MEHAML.load(tmp_path / "team.zip", env=env(), trusted=[Warming, FewAlone, Between])
    assert loaded.q_target == Between() and loaded.reference == Warming()
