"""The fast update equals the slow one: losses, weights of actors, critics and targets, temperatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_update import PlainHASAC
from torch import nn

from masoft import HASAC, MASAC
from masoft.buffers import TeamBatch
from masoft.envs import make_vec
from masoft.mirror import FixedOrder
from masoft.spec import TeamSpec
from masoft.testing.games import KINDS, IdentityTeam

BATCH = 12
TOLERANCE = 1e-5


def model_of(
    kinds: list[str],
    *,
    masks: bool = False,
    deaths: bool = False,
    algorithm: Any = HASAC,
    policy: Any = None,
    **kwargs: Any,
) -> Any:
    def make() -> IdentityTeam:
        env = IdentityTeam(kinds, masks=masks)
        env.metadata["has_deaths"] = deaths
        return env

    policy_kwargs = {"net_arch": [16, 16], **(policy or {})}
    return algorithm(
        make_vec(make), batch_size=BATCH, buffer_size=100, learning_rate=1e-3, policy_kwargs=policy_kwargs,
        device="cpu", **{"seed": 0, **kwargs},
    )  # fmt: skip


def random_batch(team: TeamSpec, rng: np.random.Generator, dtype: torch.dtype) -> TeamBatch:
    """A batch that no environment made: all that it may hold, at random."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.as_tensor(rng.normal(size=shape)).to(dtype)

    def flags(size: int) -> torch.Tensor:
        return torch.as_tensor(rng.random((BATCH, size)) < 0.7)

    def masks() -> torch.Tensor:
        legal = flags(team.mask_size)
        for agent, where in zip(team.agents, team.mask_slices, strict=True):
            for part in legal[:, where].split(agent.action.nvec, dim=-1):
                part[:, 0] |= ~part.any(-1)
        return legal

    actions = [
        normal(BATCH, a.action.size).tanh()
        if a.action.is_box
        else torch.as_tensor(np.stack([rng.integers(n, size=BATCH) for n in a.action.nvec], axis=-1)).to(dtype)
        for a in team.agents
    ]
    return TeamBatch(
        state=normal(BATCH, team.critic_state_size),
        next_state=normal(BATCH, team.critic_state_size),
        observations=tuple(normal(BATCH, *a.observation_shape) for a in team.agents),
        next_observations=tuple(normal(BATCH, *a.observation_shape) for a in team.agents),
        actions=torch.cat(actions, dim=-1),
        rewards=normal(BATCH),
        discounts=0.99 ** torch.as_tensor(rng.integers(1, 5, size=BATCH)).to(dtype),
        terminated=flags(1)[:, 0].to(dtype),
        masks=masks() if team.has_masks else None,
        next_masks=masks() if team.has_masks else None,
        active=flags(team.n_agents).to(dtype) if team.has_deaths else None,
        next_active=flags(team.n_agents).to(dtype) if team.has_deaths else None,
    )


def compare(model: Any, seed: int, n_updates: int = 2, dtype: torch.dtype = torch.float64) -> None:
    """Both do the same updates on the same batches; all that they change has to agree."""
    model.policy.to(dtype)
    model.temperature.to(dtype)
    plain = PlainHASAC(model)
    rng = np.random.default_rng(seed)
    for _ in range(n_updates):
        batch = random_batch(model.team, rng, dtype)
        model.sample_batch = lambda batch_size, batch=batch: batch
        model._logger = Recorder()
        model.train(1, BATCH)
        losses = plain.update(batch)
        for name, value in losses.items():
            assert model.logger.values[f"train/{name}"] == pytest.approx(value, abs=TOLERANCE), name
    for i, actor in enumerate(plain.actors):
        check(linear_layers(model.policy.actors[i]), actor.layers, f"actor {i}")
    for name, networks in (("critic", plain.critics), ("critic_target", plain.targets)):
        for fast, slow in zip(getattr(model.policy, name).networks, networks, strict=True):
            check([*fast.children()], slow.layers, name)
    if plain.learns_temperature:
        torch.testing.assert_close(model.temperature.log_values, plain.log_alpha, atol=TOLERANCE, rtol=0)


def check(fast: list[nn.Module], slow: list[nn.Module], which: str) -> None:
    for one, other in zip(fast, slow, strict=True):
        for (name, weight), expected in zip(one.named_parameters(), other.parameters(), strict=True):
            difference = (weight - expected).abs().max().item()
            assert difference < TOLERANCE, f"{name} of {one} of {which} is off by {difference}"


def linear_layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


class Recorder:
    """Takes the place of stable-baselines3's logger, and keeps what is recorded."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def record(self, key: str, value: Any, exclude: Any = None) -> None:
        self.values[key] = value


def fast_equals_plain(
    kinds: list[str], masks: bool, deaths: bool, discrete_gradient: str, layer_norm: bool, ent_coef: Any, seed: int
) -> None:
    model = model_of(
        kinds, masks=masks, deaths=deaths, policy={"layer_norm": layer_norm}, discrete_gradient=discrete_gradient,
        ent_coef=ent_coef, seed=seed,
    )  # fmt: skip
    compare(model, seed)


any_team = given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    masks=st.booleans(),
    deaths=st.booleans(),
    discrete_gradient=st.sampled_from(["exact", "gumbel"]),
    layer_norm=st.booleans(),
    ent_coef=st.sampled_from(["auto", "auto_0.3", 0.2]),
    seed=st.integers(0, 2**16),
)
test_fast_equals_plain = settings(max_examples=10, deadline=None)(any_team(fast_equals_plain))
test_fast_equals_plain_often = pytest.mark.slow(settings(max_examples=50, deadline=None)(any_team(fast_equals_plain)))


@pytest.mark.parametrize("n_critics", [1, 3])
def test_any_number_of_critics(n_critics: int) -> None:
    compare(model_of(["box", "discrete", "box"], policy={"n_critics": n_critics}), seed=1)


@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_other_activations_take_the_general_path(activation: str) -> None:
    compare(model_of(["box", "multidiscrete", "box"], policy={"activation_fn": activation}), seed=2)


def test_the_mean_of_the_targets() -> None:
    compare(model_of(["box", "discrete", "box"], policy={"n_critics": 3}, q_target="mean"), seed=1)


def test_simultaneous_updates() -> None:
    compare(model_of(["box", "discrete", "box"], algorithm=MASAC), seed=3)


@pytest.mark.parametrize("discrete_gradient", ["exact", "gumbel"])
def test_shared_parameters(discrete_gradient: str) -> None:
    kinds = ["box", "discrete", "box", "discrete"]
    model = model_of(kinds, policy={"share_parameters": True}, discrete_gradient=discrete_gradient)
    compare(model, seed=4)


def test_a_fixed_order_and_deeper_networks() -> None:
    compare(model_of(["box", "box"], policy={"net_arch": [16, 8, 12]}, order=FixedOrder((1, 0))), seed=5)


def test_many_choices_are_enumerated_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.fast.saved_first_layer.CHUNK_BYTES", 4 * BATCH * 16 * 8)
    compare(model_of(["discrete", "multidiscrete"]), seed=6)


def test_single_precision() -> None:
    # A larger epsilon keeps Adam's first step from turning rounding errors of tiny gradients into whole steps.
    model = model_of(["box", "discrete", "box"], policy={"optimizer_kwargs": {"eps": 1e-3}}, masks=True, deaths=True)
    compare(model, seed=7, n_updates=1, dtype=torch.float32)


def test_the_comparison_notices_a_small_difference() -> None:
    model = model_of(["box", "box"])
    plain = PlainHASAC(model)
    check(linear_layers(model.policy.actors[0]), plain.actors[0].layers, "actor 0")
    with torch.no_grad():
        plain.actors[0].layers[0].weight[0, 0] += 1e-4
    with pytest.raises(AssertionError, match="weight of Linear.* of actor 0 is off by"):
        check(linear_layers(model.policy.actors[0]), plain.actors[0].layers, "actor 0")
