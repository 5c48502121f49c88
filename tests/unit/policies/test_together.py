"""Agents with equal actors act in one pass, as each of them would alone, whatever happens to their weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from masoft import HAPPO, HASAC, HATD3
from masoft.algorithms.estimator import Estimator
from masoft.distributions import Categoricals
from masoft.policies.team_policy import TeamPolicy
from masoft.policies.together import Ensemble
from masoft.spec import ACTION_MASK
from masoft.testing.games import IdentityTeam

MIXED = ("box", "discrete", "box", "multidiscrete", "discrete", "box")


def model_of(algorithm: type[Estimator] = HASAC, kinds: tuple[str, ...] = MIXED, **policy: Any) -> Any:
    policy_kwargs = {"net_arch": [16, 12], **policy}
    return algorithm(IdentityTeam(kinds), policy_kwargs=policy_kwargs, seed=0, device="cpu")  # type: ignore[call-arg]


def seen_by(model: Any, n: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    obs: dict[str, np.ndarray] = {
        agent.name: rng.normal(size=(n, *agent.observation_shape)).astype(np.float32) for agent in model.team.agents
    }
    masks = rng.random((n, model.team.mask_size)) < 0.6
    masks[:, [where.start for where in model.team.mask_slices if where.stop > where.start]] = True
    for agent, where in zip(model.team.agents, model.team.mask_slices, strict=True):
        start = where.start
        for size in agent.action.nvec:
            masks[:, start] = True
            start += size
    obs[ACTION_MASK] = masks
    return obs


def alone(model: Any, obs: dict[str, np.ndarray]) -> list[Any]:
    """Each agent's policy, by its own actor."""
    masks = torch.as_tensor(obs[ACTION_MASK])
    with torch.no_grad():
        return [model.policy.distribution(i, torch.as_tensor(obs[n]), masks) for i, n in enumerate(model.team.names)]


def check(model: Any) -> tuple[Ensemble, ...]:
    """What the agents do together is what each does alone; gives the sets that act together."""
    obs = seen_by(model)
    together, single = model.policy.act(obs, deterministic=True), alone(model, obs)
    expected = torch.cat([choice.mode().float() for choice in single], dim=-1)
    np.testing.assert_allclose(together, expected, atol=1e-6)
    masks = torch.as_tensor(obs[ACTION_MASK])
    for some in model.policy._ensembles:
        choice = some.choice(obs, masks)
        for k, i in enumerate(some.members):
            if isinstance(choice, Categoricals):
                torch.testing.assert_close(choice.log_probs[k], single[i].log_probs, atol=1e-6, rtol=1e-6)
                continue
            for name in ("mean", "log_std", "action"):
                if hasattr(choice, name):
                    found = getattr(choice, name).expand_as(choice.mode())[k]
                    torch.testing.assert_close(found, getattr(single[i], name).expand_as(found), atol=1e-6, rtol=1e-6)
    sets: tuple[Ensemble, ...] = model.policy._ensembles
    return sets


@pytest.mark.parametrize("algorithm", [HASAC, HAPPO, HATD3])
@pytest.mark.parametrize("share", [False, True])
def test_a_mixed_team_acts_as_its_agents_would_alone(algorithm: type[Estimator], share: bool) -> None:
    sets = check(model_of(algorithm, share_parameters=share))
    assert [some.members for some in sets] == [(0, 2, 5), (1, 4)]


@pytest.mark.parametrize("policy", [dict(layer_norm=True), dict(activation_fn="elu"), dict(net_arch=[9])])
def test_other_architectures(policy: dict[str, Any]) -> None:
    model = model_of(HAPPO, **policy)
    with torch.no_grad():
        for weight in model.policy.actors.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)  # LayerNorms and deviations that differ
    assert len(check(model)) == 2


def test_the_noise_of_agents_that_act_together_is_independent_and_reproducible() -> None:
    model = model_of(kinds=("box", "box"))
    model.policy.actors[1].load_state_dict(model.policy.actors[0].state_dict())
    obs = {name: np.zeros((1000, 2), np.float32) for name in model.team.names}

    def draw() -> np.ndarray:
        return np.asarray(model.policy.act(obs, generator=torch.Generator().manual_seed(3)))

    first = draw()
    np.testing.assert_array_equal(first, draw())
    assert np.abs(np.corrcoef(first.T) - np.eye(4)).max() < 0.15


def _step(model: Any) -> None:
    for optimizer in model.policy.actor_optimizers:
        for weight in optimizer.param_groups[0]["params"]:
            weight.grad = torch.randn_like(weight)
        optimizer.step()


def _set_parameters(model: Any) -> None:
    others = copy.deepcopy(model.get_parameters())
    for name, weight in others["policy"].items():
        if name.startswith("actors"):
            weight.add_(torch.randn_like(weight), alpha=0.1)
    model.set_parameters(others)


def _replace(model: Any) -> None:
    layer = model.policy.actors[2].head.linear
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


def _point_elsewhere(model: Any) -> None:
    model.policy.actors[0].head.linear.bias.data = torch.randn(4)


def _there_and_back(model: Any) -> None:
    model.policy.double()
    model.policy.float()
    _step(model)


@pytest.mark.parametrize("change", [_step, _set_parameters, _replace, _point_elsewhere, _there_and_back])
def test_no_change_of_weights_goes_unseen(change: Any) -> None:
    model = model_of(kinds=("box", "box", "box"))
    obs = seen_by(model)
    before = model.policy.act(obs, deterministic=True)
    change(model)
    assert np.abs(model.policy.act(obs, deterministic=True) - before).max() > 1e-4
    check(model)


def test_a_copy_has_weights_of_its_own_and_the_file_is_as_before(tmp_path: Any) -> None:
    model = model_of(kinds=("box", "box"))
    model.save(tmp_path / "before.zip")
    obs = seen_by(model)
    before = model.policy.act(obs, deterministic=True)
    twin = copy.deepcopy(model.policy)
    _step(model)
    np.testing.assert_array_equal(twin.act(obs, deterministic=True), before)
    loaded = HASAC.load(tmp_path / "before.zip", env=IdentityTeam(("box", "box")))
    np.testing.assert_array_equal(loaded.policy.act(obs, deterministic=True), before)
    assert [*loaded.policy.state_dict()] == [*model.policy.state_dict()]


def test_weights_still_learn_after_acting() -> None:
    model = model_of(kinds=("box", "box"))
    model.policy.act(seen_by(model))
    action = model.policy.distribution(0, torch.ones(3, 2)).sample_with_log_prob()[0]
    action.sum().backward()
    assert all(weight.is_leaf and weight.grad is not None for weight in model.policy.actors[0].parameters())


def test_a_policy_with_a_distribution_of_its_own_is_asked_agent_by_agent() -> None:
    class Reversed(TeamPolicy):
        def distribution(self, i: int, observation: torch.Tensor, masks: torch.Tensor | None = None) -> Any:
            return super().distribution(i, -observation, masks)

    model = HASAC(Reversed, IdentityTeam(("box", "box")), policy_kwargs={"net_arch": [16]}, seed=0)
    assert check(model) == ()


@pytest.mark.parametrize("n", [3, 5000])
def test_few_and_many_rows_give_the_same(n: int) -> None:
    model = model_of(HAPPO, ("box", "box"))
    obs = {name: np.random.default_rng(1).normal(size=(n, 1)).astype(np.float32) for name in model.team.names}
    obs = {agent.name: np.resize(obs[agent.name], (n, *agent.observation_shape)) for agent in model.team.agents}
    drawn = model.policy.act(obs, False, torch.Generator().manual_seed(3))
    (some,) = model.policy._ensembles
    assert (some._layers.of_few(some._seen(obs)) is None) == (n == 5000)
    with torch.inference_mode():
        expected = some.choice(obs, None).sample(torch.Generator().manual_seed(3))
    np.testing.assert_allclose(drawn, torch.cat([*expected], dim=-1), atol=1e-5)


class OnADevice(torch.Tensor):
    """Stands in for observations on a GPU: NumPy cannot read them."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize("algorithm", [HASAC, HAPPO])
def test_observations_of_a_simulator_on_a_gpu_stay_there(algorithm: type[Estimator]) -> None:
    model = model_of(algorithm)
    obs = seen_by(model)
    expected = model.policy.act(obs, deterministic=True) if algorithm is HASAC else None
    there = {name: torch.as_tensor(values).as_subclass(OnADevice) for name, values in obs.items()}
    masks = torch.as_tensor(obs[ACTION_MASK])
    check(model)
    for some in model.policy._ensembles:
        with torch.inference_mode():
            seen = some._seen(there)
        assert isinstance(seen, torch.Tensor)
        np.testing.assert_array_equal(seen.as_subclass(torch.Tensor).numpy(), some._seen(obs))
        assert len(some.act(there, masks, True, None)) == len(some.members)
    assert expected is None or expected.shape == (7, model.team.action_size)


def test_what_each_agent_remembers_is_asked_once_a_call_and_not_once_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HASAC(IdentityTeam(("discrete",) * 6), policy_kwargs={"net_arch": [4]}, seed=0)
    asked: list[int] = []
    sizes = type(model.policy).memory_sizes.fget
    monkeypatch.setattr(type(model.policy), "memory_sizes", property(lambda self: asked.append(1) or sizes(self)))
    model.predict({f"agent_{i}": np.zeros(4, np.float32) for i in range(6)}, deterministic=True)
    assert len(asked) <= 3
