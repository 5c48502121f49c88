"""What a user asks for at `load`, by `set_params` or by assignment is what updates use, or it is refused by name."""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import masoft
from masoft.errors import ConfigurationError
from masoft.mirror import FixedOrder, KLBall, KLDrift, SequentialRatio
from masoft.mirror.improver import GradientSteps
from masoft.mirror.schedule import Linear
from masoft.testing.games import IdentityTeam

OFF_POLICY = dict(learning_starts=4, batch_size=8, buffer_size=30, gradient_steps=1, n_steps=2)
ON_POLICY = dict(n_steps=8, batch_size=4, n_epochs=2, ent_coef=0.01)
OF_CLASS: dict[str, dict[str, Any]] = {
    "MEHAML": dict(drift=KLDrift(0.5), neighborhood=KLBall(0.5), reference="every_3"),
    "HATRPO": dict(n_critic_epochs=2),
    "HAML": dict(neighborhood=KLBall(1e-6)),  # steps reach its border, so that its radius tells
    "HAA2C": dict(n_critic_epochs=2),
}

CHANGES: dict[str, Any] = dict(
    precision="bf16",
    order=FixedOrder((1, 0)), ent_coef=0.7, target_entropy=0.1, discrete_gradient="gumbel", mini_epochs=2,
    soft_critic=False, q_target="mean", return_rule="peng", replay_rule=masoft.mirror.RecentReplay(1.0, newest=0.01),
    learning_rate=1e-5, buffer_size=12, learning_starts=20, batch_size=3, tau=0.5, gamma=0.1,
    train_freq=2, gradient_steps=2, n_steps=4, team_reward="sum", drift=KLDrift(5.0), neighborhood=KLBall(1e-7),
    reference="polyak_0.5", exploration_noise=0.9, exploration_epsilon=0.9, policy_delay=3, target_policy_noise=1.0,
    target_noise_clip=0.01, correction=SequentialRatio(clip=0.01), improver=GradientSteps(steps=2),
    critic_input="agent", soft_advantage=False, n_epochs=1, n_critic_epochs=1, critic_batch_size=2, gae_lambda=0.1,
    clip_range_vf=1e-4, normalize_advantage=False, normalize_value=False, vf_coef=0.01, max_grad_norm=1e-3,
    clip_range=1e-3, target_kl=1e-6, budget=masoft.mirror.SlopeBudget(),
    exploration_initial_eps=0.1, exploration_final_eps=0.9, exploration_fraction=1.0, target_update_interval=4,
    policy_kwargs=dict(net_arch=[8], optimizer_kwargs=dict(weight_decay=0.5)), seed=1,
)  # fmt: skip
"""One other value for every argument that decides what is learned."""

REFUSED_AT_LOAD = {"critic_input", "normalize_value"}
REFUSED_LATER = {*REFUSED_AT_LOAD, "buffer_size", "team_reward", "policy_kwargs", "seed"}
BESIDE_LEARNING = {"policy", "env", "stats_window_size", "tensorboard_log", "verbose", "device", "record"}

SAME_CODE = {"MASAC", "HADDPG", "MADDPG", "MATD3", "VDN", "HAA2C", "IPPO", "A2PO", "CoPPO", "MAPPO"}
"""Classes that only choose parts of a template that another class here stands for: in the slow tests."""

CASES = [
    pytest.param(name, setting, marks=[pytest.mark.slow] if name in SAME_CODE else [], id=f"{name}-{setting}")
    for name in masoft.ALGORITHMS
    for setting in inspect.signature(getattr(masoft, name)).parameters
    if setting not in BESIDE_LEARNING
]


def base_of(name: str) -> dict[str, Any]:
    known = inspect.signature(getattr(masoft, name)).parameters
    small = OFF_POLICY if "buffer_size" in known else ON_POLICY
    settings = {k: v for k, v in small.items() if k in known}
    return dict(seed=0, device="cpu", policy_kwargs=dict(net_arch=[8])) | settings | OF_CLASS.get(name, {})


def team(name: str) -> IdentityTeam:
    is_categorical = name in {"VDN", "QMIX", "HAD3QN"}
    return IdentityTeam(("discrete", "multidiscrete") if is_categorical else ("box", "discrete"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


@cache
def saved(name: str, folder: Path, more: tuple[tuple[str, Any], ...] = ()) -> Path:
    path = folder / f"{name}{len(more)}.zip"
    getattr(masoft, name)(env=team(name), **{**base_of(name), **dict(more)}).learn(20).save(path)
    return path


def weights_after(model: Any) -> str:
    model.learn(28)
    digest = hashlib.sha256()
    for weight in model.policy.state_dict().values():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


@cache
def unchanged(name: str, path: Path) -> str:
    return weights_after(loaded(name, path))


def loaded(name: str, path: Path, **changes: Any) -> Any:
    return getattr(masoft, name).load(path, env=team(name), **changes)


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_a_changed_setting_is_used_or_refused(name: str, setting: str, folder: Path) -> None:
    value = CHANGES[setting]
    path = saved(name, folder, (("ent_coef", "auto"),) if setting == "target_entropy" else ())
    if setting in REFUSED_AT_LOAD:
        with pytest.raises(ConfigurationError, match=f"{setting} of a trained {name} must be what it was trained with"):
            loaded(name, path, **{setting: value})
    else:
        model = loaded(name, path, **{setting: value})
        assert model.get_params()[setting] == value
        used = weights_after(model)
        assert used != unchanged(name, path)

    assigned, told = loaded(name, path), loaded(name, path)
    if setting in REFUSED_LATER:
        for change in (lambda: setattr(assigned, setting, value), lambda: told.set_params(**{setting: value})):
            with pytest.raises(ConfigurationError, match=f"The '{setting}' parameter of a {name} that is built"):
                change()
        return
    setattr(assigned, setting, value)
    told.set_params(**{setting: value})
    assert assigned.get_params()[setting] == told.get_params()[setting] == value
    assert weights_after(assigned) == used


@pytest.mark.parametrize("name", ["HASAC", "HAPPO", "QMIX"])
def test_settings_beside_learning(name: str, folder: Path) -> None:
    model = loaded(name, saved(name, folder), stats_window_size=3, verbose=1, tensorboard_log="logs", device="cpu")
    assert (model._stats_window_size, model.verbose, model.tensorboard_log) == (3, 1, "logs")
    model.stats_window_size = 7
    model.verbose, model.tensorboard_log = 0, None
    model.learn(36)
    assert model.ep_info_buffer.maxlen == 7
    with pytest.raises(ConfigurationError, match=r"'device' parameter .* load\(path, device=\.\.\.\)"):
        model.device = "cpu"


@pytest.mark.parametrize(("before", "after"), [(0.2, 0.05), (0.2, "auto"), ("auto", 0.05), ("auto", "auto_0.05")])
def test_the_temperature_that_was_asked_for(before: Any, after: Any, tmp_path: Path) -> None:
    model = masoft.HASAC(team("HASAC"), **{**base_of("HASAC"), "ent_coef": before}).learn(24)
    model.save(tmp_path / "model.zip")
    expected = {0.05: 0.05, "auto": 1.0, "auto_0.05": 0.05}[after]
    changed = masoft.HASAC.load(tmp_path / "model.zip", ent_coef=after)
    torch.testing.assert_close(changed.temperature.current(), torch.full((3,), expected))
    model.ent_coef = after
    torch.testing.assert_close(model.temperature.current(), torch.full((3,), expected))
    if before == "auto":  # what was learned stays where nothing is asked
        kept = masoft.HASAC.load(tmp_path / "model.zip", target_entropy=0.3, ent_coef="auto")
        assert not torch.equal(kept.temperature.current(), torch.ones(3))


def test_a_resumed_run_takes_settings_and_refuses_what_its_state_decides(tmp_path: Path) -> None:
    model = masoft.HASAC(team("HASAC"), **base_of("HASAC")).learn(24)
    model.save_checkpoint(tmp_path)
    resumed = masoft.HASAC.resume(tmp_path, team("HASAC"), gamma=0.5, n_steps=2, ent_coef=0.3, learning_rate=2e-4)
    assert (resumed.replay_buffer.gamma, resumed.replay_buffer.n_steps) == (0.5, 2)
    torch.testing.assert_close(resumed.temperature.current(), torch.full((3,), 0.3))
    for setting, value in (("seed", 5), ("buffer_size", 60)):
        with pytest.raises(ConfigurationError, match=f"{setting} of a trained HASAC must be what it was trained with"):
            masoft.HASAC.resume(tmp_path, team("HASAC"), **{setting: value})


def test_optimisers_take_their_settings_and_keep_their_moments(tmp_path: Path) -> None:
    model = masoft.HASAC(team("HASAC"), **base_of("HASAC")).learn(24)
    model.save(tmp_path / "model.zip")
    kwargs = dict(net_arch=[8], optimizer_kwargs=dict(weight_decay=0.25, eps=1e-5))
    changed = masoft.HASAC.load(tmp_path / "model.zip", policy_kwargs=kwargs)
    for optimizer in (*changed.policy.actor_optimizers, changed.policy.critic_optimizer):
        assert (optimizer.param_groups[0]["weight_decay"], optimizer.param_groups[0]["eps"]) == (0.25, 1e-5)
        assert next(iter(optimizer.state.values()))["exp_avg"].any()
    other = dict(net_arch=[8], optimizer_class=torch.optim.SGD)
    fresh = masoft.HASAC.load(tmp_path / "model.zip", team("HASAC"), policy_kwargs=other).learn(12)
    assert isinstance(fresh.policy.critic_optimizer, torch.optim.SGD)
    for name, value in (("layer_norm", False), ("n_critics", 3), ("initial_action_probabilities", [0.5, 0.25, 0.25])):
        with pytest.raises(ConfigurationError, match=f"policy_kwargs\\['{name}'\\] of a trained HASAC"):
            masoft.HASAC.load(tmp_path / "model.zip", policy_kwargs=dict(net_arch=[8], **{name: value}))


def test_a_drift_that_comes_later_starts_from_the_policies_of_now(tmp_path: Path) -> None:
    model = masoft.MEHAML(team("MEHAML"), **OFF_POLICY, seed=0).learn(24)
    model.save(tmp_path / "model.zip")
    changed = masoft.MEHAML.load(tmp_path / "model.zip", drift=KLDrift(0.5))
    model.drift = KLDrift(0.5)
    for each in (changed, model):
        for old, now in zip(each._reference.actors.parameters(), each.policy.actors.parameters(), strict=True):
            assert torch.equal(old, now)


def test_a_change_that_fails_changes_nothing() -> None:
    model = masoft.HASAC(team("HASAC"), **base_of("HASAC"))
    for name, value in (("gamma", 2.0), ("batch_size", 31), ("n_steps", Linear(0, 5)), ("learning_rate", {"actor": 1})):
        before = model.get_params()[name]
        with pytest.raises(ConfigurationError, match=name):
            setattr(model, name, value)
        assert model.get_params()[name] == getattr(model, name) == before
    with pytest.raises(ConfigurationError, match="drift of a HASAC must be what makes a HASAC one"):
        model.drift = KLDrift()
    assert weights_after(model) == weights_after(masoft.HASAC(team("HASAC"), **base_of("HASAC")))
