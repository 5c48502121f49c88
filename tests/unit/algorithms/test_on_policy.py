"""The on-policy family: what it refuses, what it warns of, what it saves, and how its parts act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

import masoft
from masoft.errors import ConfigurationError, NumericalFault
from masoft.mirror import ClipDrift, Greedy, KLBall, KLDrift, NaturalGradient, ParameterBall
from masoft.testing import IdentityTeam

SMALL: dict[str, Any] = {"n_steps": 16, "seed": 0, "device": "cpu", "policy_kwargs": {"net_arch": [16]}}
NAMES = ["HAPPO", "HATRPO", "HAA2C", "MAPPO", "IPPO", "A2PO", "CoPPO", "HAML"]


def build(name: str, policy: str = "MlpPolicy", env: Any = None, **changes: Any) -> Any:
    """A small model; its minibatches, where it has any, are half a rollout."""
    algorithm = getattr(masoft, name)
    settings = {**SMALL, **({"batch_size": 8} if "batch_size" in algorithm.parameter_names() else {}), **changes}
    if policy == "RnnPolicy":
        settings["policy_kwargs"] = {**settings["policy_kwargs"], "hidden_size": 8, "sequence_length": 4}
    return algorithm(policy, IdentityTeam() if env is None else env, **settings)


@pytest.mark.parametrize("policy", ["MlpPolicy", "RnnPolicy"])
@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_with_and_without_memory(name: str, policy: str) -> None:
    model = build(name, policy)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(32)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in model.policy.parameters())


@pytest.mark.parametrize("critic_input", ["state", "agent", "observation"])
@pytest.mark.parametrize("policy", ["MlpPolicy", "RnnPolicy"])
def test_a_shared_actor_steps_once_for_all_its_agents(policy: str, critic_input: str) -> None:
    kwargs = {"net_arch": [16], "share_parameters": True}
    env = IdentityTeam(["discrete", "discrete"])
    model = build("MAPPO", policy, env, policy_kwargs=kwargs, critic_input=critic_input, ent_coef="auto", n_epochs=2)
    assert model.policy.actors[0] is model.policy.actors[1]
    model.learn(16)
    steps = {float(state["step"]) for state in model.policy.actor_optimizers[0].state.values()}
    assert steps == {4.0}  # two minibatches, two epochs


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 17}, "batch_size must be at most n_steps"),
        ({"critic_batch_size": 99}, "critic_batch_size must be at most"),
        ({"policy": "RnnPolicy", "batch_size": 2}, "at least the policy's sequence_length = 4"),
        ({"policy": "RnnPolicy", "n_steps": 18}, "n_steps must be a multiple of the policy's sequence_length"),
        ({"policy": "LstmPolicy"}, '"RnnPolicy"'),
        ({"critic_input": "everything"}, "'critic_input' parameter of HAPPO"),
    ],
)
def test_settings_that_leave_minibatches_empty_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build("HAPPO", **changes)


@pytest.mark.parametrize(("name", "value"), [("hidden_size", 0), ("sequence_length", 1.5)])
def test_a_memory_of_impossible_size_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be an integer >= 1"):
        masoft.HAPPO("RnnPolicy", IdentityTeam(), policy_kwargs={name: value})


def test_methods_without_memory_and_foreign_policies_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="policy must be a known alias"):
        masoft.FOP("RnnPolicy", IdentityTeam())
    with pytest.raises(ConfigurationError, match="subclass of TeamPolicy"):
        masoft.HASAC(masoft.HAPPO.policy_aliases["RnnPolicy"], IdentityTeam())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"neighborhood": KLBall(0.0), "improver": NaturalGradient()}, "a radius of 0 lets nobody move"),
        ({"neighborhood": KLBall(1e-12), "improver": NaturalGradient(step_kl=10.0)}, "lowered the loss by 0.5"),
        ({"neighborhood": ParameterBall(0.0)}, "a radius of 0 lets nobody move"),
    ],
)
def test_a_search_that_never_accepts_keeps_the_old_policy_and_says_so_once(
    changes: dict[str, Any], reason: str
) -> None:
    model = build("HAML", **changes)
    before = [parameter.detach().clone() for parameter in model.policy.actors.parameters()]
    with pytest.warns(UserWarning, match=reason) as caught:
        model.learn(48)
    assert len([each for each in caught if "No agent's step was accepted" in str(each.message)]) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.policy.actors.parameters(), strict=True))


def test_a_growing_drift_holds_the_policy_back() -> None:
    moved = []
    for weight in (0.0, 1.0, 100.0):
        model = build("HAML", drift=KLDrift(weight), n_epochs=10)
        start = model.policy.actors[0].head.log_std.detach().clone(), flat(model)
        model.learn(16)
        moved.append(float((flat(model) - start[1]).norm()))
    assert moved[0] > moved[1] > moved[2]


def flat(model: Any) -> torch.Tensor:
    """All actors' parameters in one vector."""
    return torch.cat([parameter.detach().reshape(-1).clone() for parameter in model.policy.actors.parameters()])


@pytest.mark.parametrize("policy", ["MlpPolicy", "RnnPolicy"])
def test_a_saved_model_predicts_and_learns_as_before(policy: str, tmp_path: Path) -> None:
    model = build("HAPPO", policy, ent_coef="auto_0.1").learn(32)
    model.save(tmp_path / "team.zip")
    copy = masoft.HAPPO.load(tmp_path / "team.zip", env=IdentityTeam())
    mine, theirs = model.policy.state_dict(), copy.policy.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert torch.equal(copy.temperature.current(), model.temperature.current())
    assert "critic.scale.mean" in theirs
    copy.learn(16)


class StopAt(BaseCallback):
    """Stops learning in the middle of a rollout."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def _on_step(self) -> bool:
        return self.num_timesteps < self.step


def test_an_interrupted_rollout_goes_on_where_it_was() -> None:
    whole, halved = build("HAPPO"), build("HAPPO")
    whole.learn(32)
    halved.learn(32, callback=StopAt(5))
    halved.learn(27, reset_num_timesteps=False)
    assert halved.num_timesteps == whole.num_timesteps
    assert torch.equal(flat(whole), flat(halved))


def test_memory_is_one_pass_whether_step_by_step_or_in_chunks() -> None:
    """What agents remembered while acting is what the update assumes before each sequence."""
    model = build("HAPPO", "RnnPolicy", IdentityTeam(episode_length=5))
    model._setup_learn(16)
    seen = []
    explore = model.policy.explore
    model.policy.explore = lambda *args: seen.append(args[1]) or explore(*args)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 16)
    chunks = model.experience.memories[0]
    assert torch.allclose(chunks[1:], torch.cat([seen[t][0] for t in (4, 8, 12)]), atol=1e-6)
    assert model.experience.starts.flatten().sum() == 4  # episodes of five steps in sixteen


def test_predict_with_memory_takes_and_gives_the_state() -> None:
    model = build("HAPPO", "RnnPolicy")
    joint = model.env.reset()
    first, state = model.predict(joint, deterministic=True)
    second, later = model.predict(joint, state, np.array([False]), deterministic=True)
    again, fresh = model.predict(joint, state, np.array([True]), deterministic=True)
    assert not np.array_equal(later[0], state[0]) and np.allclose(fresh[0], state[0], atol=1e-6)
    assert np.allclose(first, again, atol=1e-6)
    observations, _ = IdentityTeam().reset(seed=0)
    actions, memory = model.predict(observations, deterministic=True)
    assert set(actions) == set(memory) == set(observations)
    with pytest.raises(ConfigurationError, match="tuple of 3 arrays"):
        model.predict(joint, state[:1])
    with pytest.raises(ConfigurationError, match="of shape"):
        model.predict(joint, tuple(part[:, :2] for part in state))


def test_dead_agents_do_not_learn_from_their_ignored_actions() -> None:
    model = build("HAPPO", env=IdentityTeam(["box", "box"]), n_epochs=1)
    model._setup_learn(16)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 16)
    active = torch.ones(16, 2)
    active[:, 1] = 0
    object.__setattr__(model.experience, "active", active)
    before = flat(model)
    optimizer_steps = model.policy.actor_optimizers[1].state
    model.train()
    assert not torch.equal(before, flat(model))
    assert all(float(state["exp_avg"].abs().max()) == 0 for state in optimizer_steps.values())
    with torch.no_grad():  # whatever becomes of its weights
        for parameter in model.policy.actors[1].parameters():
            parameter.add_(0.1)
    assert float(model._step.log_ratio(model.experience, 1).abs().max()) == 0


def test_normalised_environments_train() -> None:
    env = VecNormalize(masoft.make_vec(lambda: IdentityTeam(["box", "discrete"], masks=False), n_envs=2, seed=0),
                       norm_obs_keys=["agent_0", "agent_1"])  # fmt: skip
    model = build("MAPPO", env=env, gamma=0.9)
    model.learn(64)
    assert model.experience.inputs.observations[0].abs().max() <= 10


def test_schedules_reach_the_drift_and_the_optimisers() -> None:
    model = build("HAPPO", clip_range=lambda left: 0.1 + 0.1 * left, learning_rate=lambda left: 1e-3 * left + 1e-5)
    model.learn(64)
    assert model.policy.actor_optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-5)
    assert model.drift.at(0.0) == ClipDrift(0.1)


def test_a_greedy_order_and_per_part_learning_rates_run() -> None:
    model = build("HAPPO", order=Greedy(), learning_rate={"actor": 1e-3, "critic": 2e-3})
    model.learn(16)
    assert model.policy.critic_optimizer.param_groups[0]["lr"] == pytest.approx(2e-3)


def test_rewards_that_explode_are_named_before_a_weight_is_touched() -> None:
    model = build("HAPPO", normalize_value=False)
    model._setup_learn(16)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 16)
    model.experience.returns[0] = float("inf")
    before = flat(model)
    with pytest.raises(NumericalFault, match="must be finite"):
        model.train()
    assert torch.equal(before, flat(model))


def test_a_checkpoint_in_the_middle_of_a_rollout_goes_on_bit_by_bit(tmp_path: Path) -> None:
    env = IdentityTeam(["box", "box"], episode_length=5)
    whole = build("HAPPO", "RnnPolicy", env).learn(32, callback=StopAt(21))
    assert 0 < whole.rollout_buffer.pos < 16
    state = whole.run_parts()["rollout"].state_dict()
    copy = build("HAPPO", "RnnPolicy", env)
    copy.run_parts()["rollout"].load_state_dict(state)
    assert copy.rollout_buffer.pos == whole.rollout_buffer.pos
    assert all(torch.equal(a, b) for a, b in zip(copy._memories, whole._memories, strict=True))
    assert torch.equal(copy._recall.critic, whole._recall.critic)
    assert torch.equal(copy.rollout_buffer.rewards, whole.rollout_buffer.rewards)
