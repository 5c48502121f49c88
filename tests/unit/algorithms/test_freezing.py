"""Agents that act but do not learn: bit by bit the same afterwards, while the others learn beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import masoft
from masoft import HAML, HAPPO, HASAC, QMIX
from masoft.errors import ConfigurationError
from masoft.learners.soft import SoftUpdate
from masoft.mirror import FixedOrder, Greedy, KLBall, NaturalGradient
from masoft.testing.algorithm_checks import Kit
from masoft.testing.games import IdentityTeam

AUTO = {"HASAC", "MASAC", "MEHAML", "FOP"}


def build(name: str, **settings: Any) -> Any:
    kit = Kit(getattr(masoft, name), settings)
    return kit.build(masoft.make_vec(lambda: kit.team(), 2, seed=3))


def weights_of(model: Any, i: int) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.policy.actors[i].state_dict().items()}


def moments_of(model: Any, i: int) -> dict[str, Any]:
    optimizer = getattr(model.policy, "actor_optimizers", None)
    return {} if optimizer is None else {
        f"{k}.{key}": value.clone()
        for k, state in optimizer[i].state_dict()["state"].items()
        for key, value in state.items()
    }  # fmt: skip


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("by_hand", [False, True], ids=["freeze", "requires_grad_"])
@pytest.mark.parametrize("name", masoft.ALGORITHMS)
def test_the_frozen_stay_bit_by_bit_and_the_others_learn(name: str, by_hand: bool) -> None:
    model = build(name)
    model.learn(48)
    agent = model.team.names[1]
    if by_hand:
        model.policy.actors[1].requires_grad_(False)
    else:
        model.freeze(agent)
    assert agent not in model.train_agents and len(model.train_agents) == model.team.n_agents - 1
    frozen, moments, learner = weights_of(model, 1), moments_of(model, 1), weights_of(model, 0)
    temperature = model.temperature.current().clone() if hasattr(model, "temperature") else None
    model.learn(48, reset_num_timesteps=False)
    assert same(weights_of(model, 1), frozen) and same(moments_of(model, 1), moments)
    assert not same(weights_of(model, 0), learner)
    if temperature is not None:
        now = model.temperature.current()
        assert now[1] == temperature[1]
        if name in AUTO:
            assert now[0] != temperature[0] and now[-1] != temperature[-1]
    model.unfreeze()
    model.learn(48, reset_num_timesteps=False)
    assert not same(weights_of(model, 1), frozen)


@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_learned_temperatures_of_the_frozen_stay_with_their_moments(name: str) -> None:
    model = build(name, ent_coef="auto_0.2")
    model.learn(48)
    before = model.temperature.optimizer.state_dict()["state"][0]
    values, moments = model.temperature.log_values.clone(), {k: v.clone() for k, v in before.items()}
    model.freeze("agent_0").learn(48, reset_num_timesteps=False)
    after = model.temperature.optimizer.state_dict()["state"][0]
    assert model.temperature.log_values[0] == values[0] and model.temperature.log_values[1] != values[1]
    for key in ("exp_avg", "exp_avg_sq"):
        assert after[key][0] == moments[key][0] and after[key][1] != moments[key][1]


def test_the_joint_temperature_follows_those_who_learn() -> None:
    model = build("HASAC", ent_coef="auto", target_entropy=50.0)  # out of reach: every temperature grows
    model.freeze(model.team.names[:-1]).learn(60)
    own = model.temperature.log_values
    assert own[:-2].eq(0).all() and torch.allclose(own[-1], own[-2], atol=1e-6)


@pytest.mark.parametrize("settings", [dict(order=Greedy()), dict(order=FixedOrder((2, 1, 0)))], ids=["greedy", "fixed"])
@pytest.mark.parametrize("name", ["MEHAML", "HAML"])
def test_the_order_goes_over_those_who_learn(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(name, **settings)
    improved: list[int] = []
    owner, piece = (SoftUpdate, "improve") if name == "MEHAML" else (type(model), "_improve")
    inner = getattr(owner, piece)

    def note(self: Any, first: Any, *rest: Any) -> None:
        improved.extend([first] if isinstance(first, int) else first.agents)
        inner(self, first, *rest)

    monkeypatch.setattr(owner, piece, note)
    model.freeze("agent_1").learn(40)
    assert set(improved) == {0, 2}
    if "fixed" in str(settings).lower():
        assert improved[:2] == [2, 0]


def test_a_natural_gradient_moves_the_layers_that_are_left() -> None:
    model = HAML(IdentityTeam(), improver=NaturalGradient(), neighborhood=KLBall(0.1), n_steps=16, batch_size=None)
    model.policy.actors[0].body.requires_grad_(False)
    body, head = weights_of(model, 0), model.policy.actors[0].head.linear.weight.clone()
    model.learn(16)
    assert model.train_agents == model.team.names
    assert all(torch.equal(value, body[key]) for key, value in weights_of(model, 0).items() if "body" in key)
    assert not torch.equal(model.policy.actors[0].head.linear.weight, head)


@pytest.mark.parametrize("name", ["HASAC", "HATD3", "QMIX", "HAPPO", "MAPPO", "FOP"])
def test_nobody_learns_but_the_critic(name: str) -> None:
    model = build(name)
    model.freeze(model.team.names)
    critic = {key: value.clone() for key, value in model.policy.state_dict().items() if not key.startswith("actors")}
    model.learn(48)
    after = model.policy.state_dict()
    assert any(not torch.equal(after[key], value) for key, value in critic.items())


@pytest.mark.parametrize("name", ["HASAC", "HATD3", "HAPPO"])
def test_a_frozen_critic_stays(name: str) -> None:
    model = build(name)
    model.policy.critic.requires_grad_(False)
    before = {key: value.clone() for key, value in model.policy.critic.state_dict().items()}
    actor = weights_of(model, 0)
    model.learn(48)
    assert same(dict(model.policy.critic.state_dict()), before) and not same(weights_of(model, 0), actor)


def first_choice(observations: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """The first legal choice of a Discrete agent that counts from 1."""
    flags = np.ones((len(observations), 4), bool) if masks is None else masks
    return flags.argmax(-1) + IdentityTeam().action_space("agent_1").start


class Played:
    """Notes what agent_1 does in the environment."""

    def __init__(self) -> None:
        self.actions: list[int] = []
        self.masks: list[np.ndarray] = []

    def __call__(self) -> IdentityTeam:
        team, inner = IdentityTeam(), IdentityTeam.step

        def step(actions: dict[str, Any]) -> Any:
            self.actions.append(int(actions["agent_1"]))
            self.masks.append(team._masks["agent_1"])
            return inner(team, actions)

        team.step = step
        return team


@pytest.mark.parametrize(
    "name", ["HASAC", "MASAC", "MEHAML", "HATD3", "MADDPG", "FOP", "HAPPO", "HATRPO", "CoPPO", "A2PO"]
)
def test_a_script_plays_an_agents_part(name: str) -> None:
    played = Played()
    kit = Kit(getattr(masoft, name), {})
    model = kit.build(masoft.make_vec(played, 1, seed=3))
    model.freeze({"agent_1": first_choice})
    own, learner = weights_of(model, 1), weights_of(model, 0)
    model.learn(60)
    first = [mask.argmax() + IdentityTeam().action_space("agent_1").start for mask in played.masks]
    assert played.actions == first
    assert same(weights_of(model, 1), own) and not same(weights_of(model, 0), learner)
    assert model.train_agents == ("agent_0", "agent_2")
    seen = {"agent_1": np.eye(4, dtype=np.float32)[2]}
    assert model.predict(seen)["agent_1"] == IdentityTeam().action_space("agent_1").start
    model.unfreeze("agent_1").learn(60, reset_num_timesteps=False)
    assert not same(weights_of(model, 1), own)


def test_a_joint_critic_sees_what_the_script_does() -> None:
    model = build("HASAC")
    model.freeze({"agent_1": first_choice}).learn(40)
    batch = model.sample_batch(16)
    draw = model._begin_update().draw(1, batch)
    masks = batch.masks[:, model.team.mask_slices[1]]
    assert torch.equal(draw.encoded.argmax(-1), masks.float().argmax(-1))
    assert torch.equal(draw.log_prob, torch.zeros(16))


def test_models_of_other_classes_and_exported_actors_are_teammates(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    import masoft.deploy

    other = HAPPO(IdentityTeam(), n_steps=16, batch_size=8, seed=5)
    exported = masoft.deploy.load(other.export(tmp_path))
    model = build("HASAC").freeze({"agent_0": other, "agent_1": exported})
    model.learn(40)
    env = masoft.make_vec(IdentityTeam, 3, seed=1)
    seen = env.reset()
    mine, _ = model.predict(seen, deterministic=True)
    theirs, _ = other.predict(seen, deterministic=True)
    np.testing.assert_allclose(mine[:, :3], theirs[:, :3], rtol=1e-5, atol=1e-6)
    assert model.train_agents == ("agent_2",)
    with pytest.raises(ConfigurationError, match="unfreeze"):
        model.export(tmp_path / "again")


@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_files_keep_who_is_frozen(name: str, tmp_path: Path) -> None:
    model = build(name).freeze("agent_2")
    model.save(tmp_path / "own")
    assert type(model).load(tmp_path / "own").train_agents == ("agent_0", "agent_1")
    model.freeze({"agent_1": first_choice})
    model.save(tmp_path / "played")
    with pytest.warns(UserWarning, match="freeze\\(\\{'agent_1': ...\\}\\)"):
        again = type(model).load(tmp_path / "played")
    assert again.train_agents == ("agent_0", "agent_1")


def test_train_agents_is_the_other_way_round() -> None:
    model = build("HASAC")
    model.train_agents = ["agent_2"]
    assert model.train_agents == ("agent_2",)
    model.train_agents = "agent_0"
    assert model.train_agents == ("agent_0",)


def test_a_recurrent_team_has_teammates() -> None:
    settings = dict(
        policy="RnnPolicy", policy_kwargs=dict(net_arch=[16], sequence_length=4), batch_size=None, n_steps=16
    )
    model = build("HAPPO", **settings).freeze({"agent_1": first_choice})
    learner = weights_of(model, 0)
    model.learn(32)
    assert not same(weights_of(model, 0), learner)


@pytest.mark.parametrize(
    ("teammate", "says"),
    [
        (lambda seen, masks: np.full(len(seen), 99), "agent_1.*must be .* actions in Discrete"),
        (lambda seen, masks: np.zeros(7), "agent_1.*must be"),
        (lambda seen, masks: (~masks.astype(bool)).argmax(-1) + 1, "agent_1.*must be"),
        (3, "agent_1.*must be a model, exported actors, or a function"),
    ],
    ids=["range", "number", "illegal", "kind"],
)
def test_a_teammate_that_cannot_play_is_named(teammate: Any, says: str) -> None:
    model = build("HASAC")
    with pytest.raises(ConfigurationError, match=says):
        model.freeze({"agent_1": teammate}).learn(40)


def test_what_cannot_be_frozen_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'agent_0'"):
        build("HASAC").freeze("agent-0")
    shared = HASAC(IdentityTeam(("box", "box")), policy_kwargs=dict(net_arch=[8], share_parameters=True))
    with pytest.raises(ConfigurationError, match=r"same actor, \['agent_1'\]"):
        shared.freeze("agent_0")
    assert shared.freeze(["agent_0", "agent_1"]).train_agents == ()
    other = HASAC(IdentityTeam(("discrete", "box")), policy_kwargs=dict(net_arch=[8]))
    with pytest.raises(ConfigurationError, match="The teammate 'agent_0' must be of a team"):
        build("HASAC").freeze({"agent_0": other})
    with pytest.raises(ConfigurationError, match="without memory"):
        build("HASAC").freeze({"agent_0": HAPPO("RnnPolicy", IdentityTeam())})
    with pytest.raises(ConfigurationError, match="its own network in QMIX"):
        QMIX(IdentityTeam(("discrete", "discrete"))).freeze({"agent_0": first_choice})
