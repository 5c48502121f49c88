"""What users of stable-baselines3 write: every line of the table in the documentation works, or says what to write."""

# ruff: noqa: B023  what a loop makes is called before it goes on
from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EveryNTimesteps
from stable_baselines3.common.logger import configure
from stable_baselines3.common.noise import NormalActionNoise

import masoft
from masoft import HAPPO, HASAC, HATD3, QMIX
from masoft.errors import ConfigurationError, ForeignNameError, MasoftError, ModelFileError
from masoft.testing.games import IdentityTeam

PAGE = Path(__file__).parents[3] / "docs" / "tutorials" / "from-sb3.md"


def hasac(env: Any = None, **settings: Any) -> HASAC:
    small: dict[str, Any] = dict(learning_starts=8, batch_size=8, policy_kwargs=dict(net_arch=[8]), seed=0)
    return HASAC(env or IdentityTeam(), **{**small, **settings})


def happo(**settings: Any) -> HAPPO:
    small: dict[str, Any] = dict(n_steps=16, batch_size=8, n_epochs=1, policy_kwargs=dict(net_arch=[8]), seed=0)
    return HAPPO(IdentityTeam(), **{**small, **settings})


def seen(model: Any, n: int = 3) -> Any:
    return masoft.make_vec(IdentityTeam, n, seed=1).reset()


def says(text: str, call: Callable[[], Any], kind: type[Exception] | tuple[type[Exception], ...] = MasoftError) -> None:
    with pytest.raises(kind, match=re.escape(text)) as caught:
        call()
    assert "\n" not in str(caught.value)


class Notes(BaseCallback):
    """Keeps what it is shown at each step, under the names given."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names, self.steps = names, []

    def _on_step(self) -> bool:
        self.steps.append({name: self.locals[name] for name in self.names})
        return True


def shape_of(value: Any) -> Any:
    return tuple(value.shape) if hasattr(value, "shape") else type(value)


# One function a line of the table; its docstring is the line's first column.
def parameters_in_place(tmp_path: Path) -> None:
    """`model.get_parameters()`, `model.set_parameters(parameters_or_path, exact_match=True)`"""
    for make in (hasac, happo):
        model, other = make().learn(32), make(seed=1)
        model.save(tmp_path / "m")
        for source in (model.get_parameters(), tmp_path / "m", str(tmp_path / "m.zip")):
            other = make(seed=1)
            other.set_parameters(source)
            one, two = model.get_parameters(), other.get_parameters()
            assert one.keys() == two.keys() and {"policy", "critic_optimizer", "actor_optimizer.0"} < one.keys()
            assert all(torch.equal(one["policy"][key], two["policy"][key]) for key in one["policy"])
            assert str(one["critic_optimizer"]["state"]) == str(two["critic_optimizer"]["state"])
        part = {"policy": {key: value for key, value in one["policy"].items() if key.startswith("actors.0")}}
        other = make(seed=1)
        says("exact_match=False", lambda: other.set_parameters(part))
        before = other.policy.actors[1].head.linear.weight.clone()
        other.set_parameters(part, exact_match=False)
        assert torch.equal(other.policy.actors[0].head.linear.weight, one["policy"]["actors.0.head.linear.weight"])
        assert torch.equal(other.policy.actors[1].head.linear.weight, before)
        says("Did you mean 'critic_optimizer'", lambda: other.set_parameters({"critic.optimizer": {}}, False))
        says("'policy' do not fit", lambda: other.set_parameters({**one, "policy": {}}))
        says("an existing file", lambda: other.set_parameters(tmp_path / "nothing"), ModelFileError)


def policy_files(tmp_path: Path) -> None:
    """`model.policy.save(path)`, `MlpPolicy.load(path)`"""
    model = hasac()
    says("model.save(", lambda: model.policy.save(str(tmp_path / "p")))
    says("HASAC.load(", lambda: type(model.policy).load(str(tmp_path / "p")))


def load_custom_objects(tmp_path: Path) -> None:
    """`load(path, custom_objects=dict(learning_rate=1e-4))`"""
    hasac().save(tmp_path / "m")
    assert HASAC.load(tmp_path / "m", custom_objects=dict(learning_rate=1e-4)).learning_rate_of("actor") == 1e-4


def callbacks_off_policy(tmp_path: Path) -> None:
    """`callback.locals` off-policy: `infos`, `rewards`, `dones`, `new_obs`, `actions`, `buffer_actions`"""
    notes = Notes("infos", "rewards", "dones", "new_obs", "actions", "buffer_actions")
    hasac().learn(12, callback=notes)
    first = notes.steps[0]
    assert first["rewards"].shape == first["dones"].shape == (1,) and len(first["infos"]) == 1
    assert first["actions"].shape == first["buffer_actions"].shape and "agent_0" in first["new_obs"]


def callbacks_on_policy(tmp_path: Path) -> None:
    """`callback.locals` on-policy: the same, and `clipped_actions`, `values`, `log_probs`, `obs_tensor`, `n_steps`"""
    names = ("infos", "rewards", "dones", "new_obs", "actions", "clipped_actions", "obs_tensor", "n_steps")
    notes, inner = Notes(*names, "values", "log_probs"), Notes("values")
    model = happo(n_epochs=1, normalize_advantage=False)
    played: list[np.ndarray] = []
    step = model.env.step
    model.env.step = lambda actions: played.append(actions) or step(actions)
    model.learn(16, callback=CallbackList([notes, EveryNTimesteps(4, inner)]))
    assert (
        len(notes.steps) == 16 and [each["n_steps"] for each in notes.steps] == [*range(16)] and len(inner.steps) == 4
    )
    np.testing.assert_array_equal(np.stack(played), np.stack([each["clipped_actions"] for each in notes.steps]))
    values = torch.stack([each["values"] for each in notes.steps])
    assert values.shape == (16, 1, 1) and notes.steps[0]["log_probs"].shape == (1,)
    assert torch.equal(notes.steps[3]["values"], inner.steps[0]["values"])
    stored = np.stack([each["actions"] for each in notes.steps])
    np.testing.assert_array_equal(stored, model.rollout_buffer.actions.numpy())
    assert torch.allclose(values[:, 0], model.experience.values, atol=1e-6)
    log_probs = torch.stack([each["log_probs"] for each in notes.steps])[:, 0]
    assert torch.allclose(log_probs, model.experience.log_probs.sum(-1), atol=1e-5)
    recurrent = HAPPO("RnnPolicy", IdentityTeam(), n_steps=16, batch_size=None)
    says("model.experience", lambda: recurrent.learn(16, callback=Notes("values")))
    assert notes.locals.get("nothing") is None


def predict_values(tmp_path: Path) -> None:
    """`model.policy.predict_values(obs)`"""
    model = happo()
    obs = seen(model)
    values = model.policy.predict_values(model.policy.obs_to_tensor(obs)[0])
    assert values.shape == (3, 1) and torch.equal(values, model.policy.predict_values(obs))
    says("policy.critic(state, encoded_actions)", lambda: hasac().policy.predict_values, ForeignNameError)


def obs_to_tensor(tmp_path: Path) -> None:
    """`model.policy.obs_to_tensor(obs)`"""
    for model in (hasac(), happo()):
        tensors, is_batch = model.policy.obs_to_tensor(seen(model))
        assert is_batch and tensors["agent_0"].shape == (3, 2) and isinstance(tensors["agent_0"], torch.Tensor)
        one = {name: values[0] for name, values in seen(model).items()}
        assert model.policy.obs_to_tensor(one)[1] is False
        says("'agent_2'", lambda: model.policy.obs_to_tensor({"agent_0": one["agent_0"], "agent_1": one["agent_1"]}))


def get_distribution(tmp_path: Path) -> None:
    """`model.policy.get_distribution(obs)`"""
    for model in (hasac(), happo()):
        found = model.policy.get_distribution(seen(model))
        assert [*found] == [*model.team.names] and found["agent_0"].mode().shape == (3, 2)
    recurrent = HAPPO("RnnPolicy", IdentityTeam())
    says("policy.along(", lambda: recurrent.policy.get_distribution(seen(recurrent)))


def evaluate_actions(tmp_path: Path) -> None:
    """`model.policy.evaluate_actions(obs, actions)`"""
    model, obs = happo(), seen(None)
    actions, _ = model.predict(obs, deterministic=True)
    values, log_prob, entropy = model.policy.evaluate_actions(model.policy.obs_to_tensor(obs)[0], torch.tensor(actions))
    assert values.shape == (3, 1) and log_prob.shape == entropy.shape == (3,) and log_prob.requires_grad
    own = {n: {"observation": obs[n], "action_mask": obs["action_mask"][:, model.team.mask_slices[i]]} for i, n in
           enumerate(model.team.names)}  # fmt: skip
    by_agent = model.predict(own, deterministic=True)
    expected = model.policy.log_prob(own, by_agent)
    box = model.team.agents[0].action
    expected["agent_0"] += np.log((box.high - box.low) / 2).sum()
    np.testing.assert_allclose(log_prob.detach().numpy(), sum(expected.values()), rtol=1e-4)
    says("policy.log_prob(", lambda: hasac().policy.evaluate_actions, ForeignNameError)


def critics(tmp_path: Path) -> None:
    """`model.critic`, `model.critic_target`"""
    model = hasac()
    assert model.critic is model.policy.critic and model.critic_target is model.policy.critic_target
    assert happo().critic is not None and not hasattr(happo(), "critic_target")
    says("model.policy.critic_target", lambda: happo().critic_target, ForeignNameError)
    categorical = QMIX(IdentityTeam(("discrete", "discrete")))
    says("model.policy.mixer", lambda: categorical.critic, ForeignNameError)


def actors(tmp_path: Path) -> None:
    """`model.actor`, `model.policy.actor`"""
    says("model.policy.actors[i]", lambda: hasac().actor, ForeignNameError)
    says("policy.actors[i]", lambda: happo().policy.actor, ForeignNameError)
    says("model.policy.actors_target[i]", lambda: hasac().actor_target, ForeignNameError)
    assert getattr(hasac(), "actor", None) is None


def optimizers(tmp_path: Path) -> None:
    """`model.policy.optimizer`"""
    says("policy.actor_optimizers[i], policy.critic_optimizer", lambda: happo().policy.optimizer, ForeignNameError)


def layers(tmp_path: Path) -> None:
    """`model.policy.mlp_extractor`, `action_net`, `value_net`, `log_std`"""
    policy = happo().policy
    says("policy.actors[i].torso", lambda: policy.mlp_extractor, ForeignNameError)
    says("policy.actors[i].head", lambda: policy.action_net, ForeignNameError)
    says("policy.critic", lambda: policy.value_net, ForeignNameError)
    says("policy.actors[i].head.log_std", lambda: policy.log_std, ForeignNameError)


def temperatures(tmp_path: Path) -> None:
    """`model.log_ent_coef`, `model.ent_coef_optimizer`"""
    model = hasac()
    assert model.log_ent_coef.shape == (4,) and isinstance(model.ent_coef_optimizer, torch.optim.Optimizer)
    assert torch.equal(model.ent_coef_tensor, model.log_ent_coef.exp())
    fixed = hasac(ent_coef=0.1)
    assert fixed.log_ent_coef is None and fixed.ent_coef_optimizer is None
    says("model.temperature", lambda: HATD3(IdentityTeam()).log_ent_coef, ForeignNameError)


def noise(tmp_path: Path) -> None:
    """`action_noise=NormalActionNoise(...)`"""
    given = NormalActionNoise(np.zeros(5), np.ones(5))
    says("exploration_noise", lambda: HATD3(IdentityTeam(), action_noise=given), TypeError)
    model = hasac()
    assert model.action_noise is None
    says("exploration_noise", lambda: setattr(model, "action_noise", given), ConfigurationError)


def arguments(tmp_path: Path) -> None:
    """`use_sde=True`, `replay_buffer_class=`, `optimize_memory_usage=`, `target_update_interval=`"""
    says("state-dependent exploration is not there", lambda: hasac(use_sde=True), TypeError)
    says("buffer_size is its size", lambda: hasac(replay_buffer_class=object), TypeError)
    says("stored once", lambda: hasac(optimize_memory_usage=True), TypeError)
    says("by tau", lambda: hasac(target_update_interval=1), TypeError)


def logger(tmp_path: Path) -> None:
    """`model.logger` before `learn`"""
    model = hasac()
    says("model.set_logger(configure(", lambda: model.logger, ForeignNameError)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.logger.record("mine", 1.0)
    model.logger.close()


def linear(tmp_path: Path) -> None:
    """`policy_kwargs=dict(net_arch=[])`"""
    model = happo(policy_kwargs=dict(net_arch=[])).learn(16)
    linears = [layer for layer in model.policy.actors[0].modules() if isinstance(layer, torch.nn.Linear)]
    assert len(linears) == 1
    recurrent = HAPPO("RnnPolicy", IdentityTeam(), n_steps=16, batch_size=None, policy_kwargs=dict(net_arch=[]))
    recurrent.learn(16)
    for kind in (HASAC, HATD3):
        says("dict(pi=[], qf=[64])", lambda kind=kind: kind(IdentityTeam(), policy_kwargs=dict(net_arch=[])))
        arch = dict(policy_kwargs=dict(net_arch=dict(pi=[], qf=[8])), learning_starts=8, batch_size=8)
        kind(IdentityTeam(), **arch).learn(12).predict(seen(None))
    settings = dict(policy_kwargs=dict(net_arch=[]), learning_starts=8, batch_size=8)
    QMIX(IdentityTeam(("discrete", "multidiscrete")), **settings).learn(12)


def extractors(tmp_path: Path) -> None:
    """`policy_kwargs=dict(features_extractor_class=...)`"""
    for make in (hasac, happo):
        says("convolutions", lambda make=make: make(policy_kwargs=dict(features_extractor_class=torch.nn.Module)))


def deviation(tmp_path: Path) -> None:
    """`policy_kwargs=dict(log_std_init=-1)`"""
    assert happo(policy_kwargs=dict(log_std_init=-1.0)).policy.actors[0].head.log_std[0] == -1
    says("only HAPPO and its relatives", lambda: hasac(policy_kwargs=dict(log_std_init=-1.0)))


def adam(tmp_path: Path) -> None:
    """`policy_kwargs=dict(optimizer_kwargs=dict(amsgrad=True))`"""
    wanted = dict(net_arch=[8], optimizer_kwargs=dict(amsgrad=True, eps=1e-4))
    for make in (hasac, happo):
        model = make(policy_kwargs=wanted).learn(32)
        for optimizer in (model.policy.critic_optimizer, model.policy.actor_optimizers[0]):
            assert optimizer.param_groups[0]["amsgrad"] and optimizer.param_groups[0]["eps"] == 1e-4
            assert all("max_exp_avg_sq" in state for state in optimizer.state.values())
        model.save(tmp_path / "m")
        assert type(model).load(tmp_path / "m").policy.critic_optimizer.param_groups[0]["amsgrad"]
        says("Did you mean 'betas'", lambda make=make: make(policy_kwargs=dict(optimizer_kwargs=dict(beta=0.5))))


def unknown_key(tmp_path: Path) -> None:
    """`policy_kwargs=dict(unknown=1)`"""
    says("Did you mean 'net_arch'", lambda: hasac(policy_kwargs=dict(net_archs=[8])))
    says("Known: activation_fn", lambda: happo(policy_kwargs=dict(zzzz=1)))
    says("'sequence_length'", lambda: HAPPO("RnnPolicy", IdentityTeam(), policy_kwargs=dict(sequence_len=4)))


def recurrent(tmp_path: Path) -> None:
    """`"MlpLstmPolicy"`"""
    for kind in (HASAC, HAPPO):
        assert kind("MlpLstmPolicy", IdentityTeam()).policy.remembers
    says('"MlpLstmPolicy"', lambda: HASAC("CnnLstmPolicy", IdentityTeam()))


def rollouts(tmp_path: Path) -> None:
    """`model.rollout_buffer.returns`, `advantages`, `values`, `log_probs`, `observations`"""
    model = happo().learn(16)
    for name in ("returns", "advantages", "values", "log_probs"):
        says(f"model.experience.{name}", lambda name=name: getattr(model.rollout_buffer, name), ForeignNameError)
        assert len(getattr(model.experience, name)) == 16
    says("buffer.frames['agent_0']", lambda: model.rollout_buffer.observations, ForeignNameError)
    assert model.rollout_buffer.frames["agent_0"].shape == (17, 1, 2)
    says("model.replay_buffer", lambda: hasac().rollout_buffer, ForeignNameError)


def replays(tmp_path: Path) -> None:
    """`model.replay_buffer.observations`, `next_observations`, `dones`, `timeouts`"""
    model = hasac().learn(12)
    says("buffer.frames['agent_0']", lambda: model.replay_buffer.observations, ForeignNameError)
    says("buffer.finals", lambda: model.replay_buffer.next_observations, ForeignNameError)
    says("buffer.terminated", lambda: model.replay_buffer.dones, ForeignNameError)
    says("buffer.terminated", lambda: model.replay_buffer.timeouts, ForeignNameError)
    assert model.replay_buffer.frames["agent_0"].shape[1:] == (1, 2)
    says("model.experience", lambda: happo().replay_buffer, ForeignNameError)


LINES = [
    parameters_in_place, policy_files, load_custom_objects, callbacks_off_policy, callbacks_on_policy, predict_values,
    obs_to_tensor, get_distribution, evaluate_actions, critics, actors, optimizers, layers, temperatures, noise,
    arguments, logger, linear, extractors, deviation, adam, unknown_key, recurrent, rollouts, replays,
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
def test_line_of_the_table(line: Callable[[Path], None], tmp_path: Path) -> None:
    line(tmp_path)


def test_every_line_of_the_table_has_its_test() -> None:
    text = PAGE.read_text().split("## Habits, one by one")[1]
    shown = [row.split(" | ")[0].removeprefix("| ") for row in text.splitlines() if row.startswith("| `")]
    assert shown == [line.__doc__ for line in LINES]


def test_what_nobody_has_stays_an_ordinary_attribute_error() -> None:
    for thing in (hasac(), hasac().policy, hasac().replay_buffer, happo().rollout_buffer):
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'") as caught:
            thing.nonsense  # noqa: B018
        assert not isinstance(caught.value, ForeignNameError)
