"""One drift, two worlds: what networks train with is what the exact solver solves, for built-in and for own parts."""

from __future__ import annotations

import inspect
import re
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from masoft import mirror
from masoft.distributions import Categoricals
from masoft.errors import ConfigurationError
from masoft.mirror import Drift, Neighborhood, PolicyChange, joint_clip
from masoft.tabular.finite import log_policy
from masoft.tabular.penalties import Penalty, Reference, drift_penalty, neighborhood_limits
from masoft.tabular.respond import Task, respond

ROOT = Path(__file__).parents[3]
ENT_COEF = 0.3
ILLEGAL_LOGIT = -1e9


@dataclass(frozen=True)
class Hinge(Drift):
    """A drift of a user's own, with two bends that nobody declares."""

    start: float = 0.3

    def __call__(self, change: PolicyChange) -> Tensor:
        return 0.7 * change.expect_old(lambda ratio: torch.relu((ratio - 1).abs() - self.start))


@dataclass(frozen=True)
class Cosh(mirror.StatewiseNeighborhood):
    """A neighborhood of a user's own."""

    radius: float = 0.1

    def per_state(self, change: PolicyChange) -> Tensor:
        return change.expect_old(lambda ratio: torch.cosh(ratio - 1) - 1)


@dataclass(frozen=True)
class Root(Neighborhood):
    """One whose distance is not made of one number a state."""

    radius: float = 0.2

    def distance(self, change: PolicyChange) -> Tensor:
        return change.mean(change.expect_old(lambda ratio: (ratio - 1) ** 2)).sqrt()


def of_the_docs() -> list[Drift]:
    """The tutorial's drift, the example's, and those of the gallery."""
    page = (ROOT / "docs/tutorials/new-drift.md").read_text(encoding="utf-8")
    block = re.findall(r"```python\n(.*?)```", page, re.S)[0]
    tutorial: dict[str, type[Drift]] = {"__name__": __name__}  # type: ignore[dict-item]
    exec(block, tutorial)
    example = runpy.run_path(str(ROOT / "examples/02_new_drift.py"))["ChiSquared"]
    gallery = runpy.run_path(str(ROOT / "docs/scripts/_drift_gallery.py"))["DRIFTS"]
    return [tutorial["ChiSquared"](5.0), example(5.0), *gallery.values()]


BUILT_IN: list[Drift] = [
    mirror.NoDrift(),
    mirror.KLDrift(0.5),
    mirror.KLDrift(0.5, direction="forward"),
    mirror.ClipDrift(0.2),
    mirror.TotalVariationDrift(0.5, smoothing=0.3),
    mirror.SquaredRatioDrift(0.3),
    mirror.KLDrift(0.1) + 2 * mirror.ClipDrift(0.3),
]
REFUSED: list[Drift] = [mirror.WassersteinDrift(), joint_clip.JointClipDrift()]
DRIFTS = [*BUILT_IN, Hinge(), *of_the_docs()]
NEIGHBORHOODS: list[Neighborhood] = [
    mirror.Everywhere(),
    mirror.KLBall(0.02),
    mirror.KLBall(0.05, direction="reverse", over="max"),
    mirror.TotalVariationBall(0.1),
    mirror.TotalVariationBall(0.1, over="max"),
    mirror.ParameterBall(0.2),
    mirror.KLBall(0.02) & mirror.TotalVariationBall(0.1, over="max"),
    Cosh(),
    Root(),
]


@dataclass(frozen=True)
class Setting:
    """One agent of a random finite game, seen from both worlds."""

    old: np.ndarray
    legal: np.ndarray
    advantage: np.ndarray
    weights: np.ndarray

    @classmethod
    def random(cls, seed: int, scale: float = 1.0, n_states: int = 4, n_actions: int = 5) -> Setting:
        rng = np.random.default_rng(seed)
        legal = rng.random((n_states, n_actions)) < 0.8
        legal[:, 0] = True
        old = np.where(legal, rng.dirichlet(np.ones(n_actions), size=n_states) + 0.02, 0.0)
        old /= old.sum(-1, keepdims=True)
        q = scale * rng.normal(size=old.shape)
        return cls(old, legal, q - (old * q).sum(-1, keepdims=True), rng.dirichlet(np.ones(n_states)))

    @property
    def reference(self) -> Reference:
        return Reference(log_policy(self.old, self.legal), self.advantage, self.weights, ())

    def moved(self, policy: np.ndarray, size: float, seed: int) -> np.ndarray:
        """A policy nearby."""
        noise = np.random.default_rng(seed).normal(size=policy.shape)
        if seed % 2:  # every second one moves in one state alone
            noise[np.arange(len(noise)) != seed % len(noise)] = 0.0
        new = np.where(self.legal, policy * np.exp(size * noise), 0.0)
        moved: np.ndarray = new / new.sum(-1, keepdims=True)
        return moved

    def deep(self, logits: Tensor) -> PolicyChange:
        """The record of deep learning: normalised, masked categoricals."""
        mask, n_actions = torch.from_numpy(self.legal), self.old.shape[-1]
        old = Categoricals(torch.from_numpy(log_policy(self.old, self.legal)), (n_actions,), mask)
        new = Categoricals(logits, (n_actions,), mask)
        return PolicyChange(
            old,
            new,
            advantage=torch.from_numpy(self.advantage),
            state_weights=torch.from_numpy(self.weights),
            parameter_change=(new.probs - old.probs).flatten(),
        )

    def logits(self, policy: np.ndarray) -> Tensor:
        return torch.from_numpy(log_policy(policy, self.legal))

    def objective(self, drift: Drift, policy: np.ndarray) -> float:
        """What the argmax is of, by the deep drift."""
        change = self.deep(self.logits(policy))
        each = (change.new.probs * change.advantage).sum(-1) + ENT_COEF * change.new.entropy() - drift(change)
        return float((change.state_weights * each).sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("drift", DRIFTS, ids=str)
def test_values_and_slopes_agree(drift: Drift, seed: int) -> None:
    here = Setting.random(seed)
    new = here.moved(here.old, 0.5, seed)
    logits = here.logits(new).requires_grad_()
    value = drift(here.deep(logits))
    penalty = drift_penalty(drift, here.reference)
    if penalty is None:
        assert not value.any()
        return
    np.testing.assert_allclose(penalty.value(log_policy(new, here.legal)), value.detach().numpy(), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    plain = Penalty(here.reference, drift).smooth(log_policy(new, here.legal))
    along = new * (plain.slope - (new * plain.slope).sum(-1, keepdims=True))
    np.testing.assert_allclose(along, gradient.numpy(), rtol=0, atol=1e-12)


def nothing_nearby_is_better(drift: Drift, neighborhood: Neighborhood, here: Setting, best: np.ndarray) -> None:
    """No member of the neighborhood has a higher objective, both as deep learning sees them."""
    value = here.objective(drift, best)
    others = [here.moved(best, size, k) for size in (1e-4, 1e-2, 0.3) for k in range(30)]
    others += [best + share * (here.old - best) for share in (1e-3, 0.1, 1.0)]
    members = [other for other in others if neighborhood.contains(here.deep(here.logits(other)))]
    assert len(members) > 3
    assert max(here.objective(drift, other) for other in members) <= value + 1e-12


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("drift", DRIFTS, ids=str)
def test_the_solver_maximises_what_deep_learning_would(drift: Drift, seed: int) -> None:
    here = Setting.random(seed)
    best = np.exp(respond(Task(ENT_COEF, here.legal, here.reference), drift, mirror.Everywhere()))
    nothing_nearby_is_better(drift, mirror.Everywhere(), here, best)


@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS, ids=str)
def test_the_solver_stays_within_the_deep_neighborhood_and_goes_to_its_border(neighborhood: Neighborhood) -> None:
    here, drift = Setting.random(5), mirror.SquaredRatioDrift(0.05)
    new = here.moved(here.old, 0.5, 0)
    for limit in neighborhood_limits(neighborhood, here.reference):
        distance = limit.distance.value(log_policy(new, here.legal))
        assert distance.shape == (4,) and (distance > 0).all()
    best = np.exp(respond(Task(ENT_COEF, here.legal, here.reference), drift, neighborhood))
    nothing_nearby_is_better(drift, neighborhood, here, best)
    if neighborhood.limits:
        reach = float(neighborhood.distance(here.deep(here.logits(best)))) / float(neighborhood.radius)  # type: ignore[arg-type]
        assert 0.99 <= reach <= 1 + 1e-9


def tripled(measure: Callable[[PolicyChange], Tensor]) -> Callable[[PolicyChange], Tensor]:
    return lambda change: 3 * measure(change)


@pytest.mark.parametrize("drift", [drift for drift in DRIFTS if drift.terms], ids=str)
def test_a_drift_tripled_in_one_world_is_found(drift: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle has teeth: a solver with another drift than the deep one ends somewhere that is not the argmax."""

    def other(drift: Drift, reference: Reference) -> Penalty:
        return Penalty.bent(reference, tripled(drift), drift.bends)

    monkeypatch.setattr(inspect.getmodule(respond), "drift_penalty", other)
    with pytest.raises(AssertionError):
        for here in (Setting.random(seed, scale) for seed in range(3) for scale in (1.0, 0.1)):
            best = np.exp(respond(Task(ENT_COEF, here.legal, here.reference), drift, mirror.Everywhere()))
            nothing_nearby_is_better(drift, mirror.Everywhere(), here, best)


@pytest.mark.parametrize("bends", [(), (0.5, 0.9, 1.1, 2.0), (0.8, 1.2)], ids=str)
def test_bends_are_a_hint_and_no_second_definition(bends: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    here, drift = Setting.random(1), mirror.ClipDrift(0.2)
    told = respond(Task(ENT_COEF, here.legal, here.reference), drift, mirror.Everywhere())
    monkeypatch.setattr(mirror.ClipDrift, "bends", property(lambda self: bends))
    again = respond(Task(ENT_COEF, here.legal, here.reference), drift, mirror.Everywhere())
    np.testing.assert_allclose(np.exp(again), np.exp(told), rtol=0, atol=1e-10)


@pytest.mark.parametrize("drift", REFUSED, ids=str)
def test_both_worlds_refuse_with_the_same_words(drift: Drift) -> None:
    here = Setting.random(0)
    with pytest.raises(ConfigurationError) as deep:
        drift(here.deep(here.logits(here.old)))
    with pytest.raises(ConfigurationError) as exact:
        respond(Task(ENT_COEF, here.legal, here.reference), drift, mirror.Everywhere())
    assert type(deep.value) is type(exact.value)
    assert str(exact.value).split("Got")[0] == str(deep.value).split("Got")[0]


def test_every_built_in_drift_is_tried() -> None:
    tried = {type(drift) for drift in [*BUILT_IN, *REFUSED]} | {mirror.ScaledDrift}
    modules = (mirror.drift, joint_clip)
    known = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Drift) and kind is not Drift
    }
    assert known == tried
