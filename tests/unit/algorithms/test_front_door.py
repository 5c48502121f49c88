"""Every line of the public promise that the off-policy estimators cover, as a user would type it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import masoft
from masoft import HASAC, MASAC, MEHAML
from masoft.errors import ConfigurationError, SpaceError
from masoft.mirror import FixedOrder, KLBall, KLDrift
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = dict(learning_starts=20, batch_size=8, policy_kwargs=dict(net_arch=[8]), seed=0, device="cpu")


def test_import_does_not_load_torch() -> None:
    code = "import sys, masoft; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_policy_defaults_to_mlp_and_env_may_come_first() -> None:
    assert HASAC("matrix/maxent", **SMALL).get_params()["policy"] == "MlpPolicy"
    assert HASAC(IdentityTeam, **SMALL).team.n_agents == 3
    assert HASAC("MlpPolicy", "matrix/maxent", **SMALL).team.n_agents == 2


@pytest.mark.parametrize(
    "env",
    [
        "matrix/maxent",
        IdentityTeam(),
        IdentityTeam,
        masoft.make_vec("matrix/maxent", n_envs=2),
        masoft.envs.TeamEnv(IdentityTeam()),
    ],
    ids=["id", "parallel", "callable", "vec", "team"],
)
def test_learn_takes_every_form_of_environment(env: Any) -> None:
    assert HASAC(env, **SMALL).learn(total_timesteps=24).num_timesteps >= 24


def test_a_gymnasium_environment_is_a_team_of_one() -> None:
    import gymnasium

    model = HASAC(gymnasium.make("Pendulum-v1"), **SMALL).learn(24)
    assert model.team.names == ("agent_0",)


def test_predict_gives_each_agent_an_action_of_its_own_space() -> None:
    env = IdentityTeam()
    model = HASAC(env, **SMALL).learn(30)
    observations, infos = env.reset(seed=1)
    masks = {name: info["action_mask"] for name, info in infos.items() if "action_mask" in info}
    for deterministic in (True, False):
        actions = model.predict(observations, action_masks=masks, deterministic=deterministic)
        assert set(actions) == set(env.possible_agents)
        for name, action in actions.items():
            assert env.action_space(name).contains(action), (name, action)
    env.step(actions)


def test_predict_takes_batches_and_team_observations() -> None:
    vec = masoft.make_vec("matrix/maxent", n_envs=3, seed=0)
    model = HASAC(vec, **SMALL)
    joint, state = model.predict(vec.reset(), deterministic=True)
    assert joint.shape == (3, 2) and state is None
    actions = model.predict({"agent_0": np.ones((5, 1)), "agent_1": np.ones((5, 1))})
    assert actions["agent_0"].shape == (5,)


def test_predict_never_picks_a_masked_choice() -> None:
    model = HASAC(IdentityTeam, **SMALL)
    env = IdentityTeam()
    observations, infos = env.reset(seed=0)
    for _ in range(200):
        mask = infos["agent_1"]["action_mask"]
        action = model.predict({"agent_1": observations["agent_1"]}, action_masks={"agent_1": mask})["agent_1"]
        first = env.action_space("agent_1").start
        assert mask[action - first] == 1


def test_save_and_load_give_the_same_actions(tmp_path: Path) -> None:
    model = HASAC(IdentityTeam, **SMALL).learn(40)
    model.save(tmp_path / "team.zip")
    loaded = HASAC.load(tmp_path / "team.zip", env=IdentityTeam())
    observations, _ = IdentityTeam().reset(seed=3)
    ours, theirs = (m.predict(observations, deterministic=True) for m in (model, loaded))
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    loaded.learn(20)


def test_params_clone_and_repr() -> None:
    model = MEHAML("MlpPolicy", "matrix/maxent", drift=KLDrift(0.5), neighborhood=KLBall(0.01), **SMALL)
    params = model.get_params()
    assert params["drift"] == KLDrift(0.5) and params["gamma"] == 0.99
    twin = masoft.clone(model)
    assert twin is not model and twin.get_params() == params
    assert repr(twin) == repr(model)
    assert "drift=KLDrift(weight=0.5" in repr(model)
    assert model.set_params(gamma=0.9).gamma == 0.9
    assert "order" not in MASAC("matrix/maxent", **SMALL).get_params()


def test_set_params_on_a_model_that_has_learned_changes_all_or_nothing() -> None:
    model = HASAC("matrix/maxent", **SMALL).learn(22)
    with pytest.raises(ConfigurationError, match="'buffer_size' parameter of a HASAC that is built must be as it was"):
        model.set_params(gamma=0.9, buffer_size=50)
    assert model.gamma == model.replay_buffer.gamma == 0.99
    model.set_params(gamma=0.9)
    assert model.gamma == model.get_params()["gamma"] == model.replay_buffer.gamma == 0.9


def test_same_seed_same_run_and_global_generators_untouched() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()
    weights = []
    for _ in range(2):
        model = HASAC(IdentityTeam, **SMALL).learn(40)
        weights.append(torch.cat([weight.flatten() for weight in model.policy.parameters()]))
    assert torch.equal(*weights)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    other = HASAC(IdentityTeam, **{**SMALL, "seed": 1}).learn(40)
    assert not torch.equal(weights[0], torch.cat([weight.flatten() for weight in other.policy.parameters()]))


def test_parameter_sharing_is_off_by_default_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    team = dict(env="mpe/simple_spread_v3", verbose=1)
    apart = HASAC(**team, **SMALL)
    assert len({id(actor) for actor in apart.policy.actors}) == 3
    together = HASAC(**team, **{**SMALL, "policy_kwargs": dict(net_arch=[8], share_parameters=True)})
    assert len({id(actor) for actor in together.policy.actors}) == 1
    assert "agent_2: actor 0" in capsys.readouterr().out
    together.learn(30)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(gamma=1.5), "'gamma' parameter of HASAC must be a number in \\[0, 1\\]. Got 1.5"),
        (dict(batch_size=0), "'batch_size' parameter of HASAC must be an integer >= 1. Got 0"),
        (dict(ent_coef="automatic"), "'ent_coef' parameter of HASAC must be .*'auto' or 'auto_x'"),
        (dict(learning_rate={"actor": 1e-3}), "learning_rate must be given for"),
        (dict(batch_size=300, buffer_size=200), "batch_size must be at most buffer_size = 200. Got 300"),
        (dict(policy_kwargs=dict(net_arch=[])), "net_arch must be one width or more for the critic"),
        (dict(policy_kwargs=dict(activation_fn="rleu")), "Did you mean 'relu'"),
        (dict(target_entropy={"agent_0": 1.0}), "target_entropy must be a dict with the keys"),
        (dict(policy="MlpPolcy"), "Did you mean 'MlpPolicy'"),
        (dict(order=FixedOrder((0, 0))), "each of 0 to 1 once"),
    ],
)
def test_wrong_arguments_are_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        HASAC(**{"env": "matrix/maxent", **SMALL, **kwargs}).learn(30)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="HASAC has no parameter 'leaning_rate'. Did you mean 'learning_rate'"):
        HASAC("matrix/maxent", leaning_rate=1e-3)
    with pytest.raises(TypeError, match="HASAC has no parameter 'drift'"):
        HASAC("matrix/maxent", drift=KLDrift())
    with pytest.raises(ConfigurationError, match="matrix/maxent"):
        HASAC("matrix/maxnt")


def test_wrong_predictions_are_named() -> None:
    model = HASAC(IdentityTeam, **SMALL)
    with pytest.raises(ConfigurationError, match="agent's name must be one of the team's. Got 'agent_9'"):
        model.predict({"agent_9": np.zeros(2)})
    with pytest.raises(ConfigurationError, match="observation of agent 'agent_0' must be of shape \\(2,\\)"):
        model.predict({"agent_0": np.zeros(7)})
    with pytest.raises(ConfigurationError, match="with a legal choice in every part"):
        model.predict({"agent_1": np.zeros(4)}, action_masks={"agent_1": np.zeros(4)})
    with pytest.raises(ConfigurationError, match="team observation's entry 'agent_0' must be present"):
        model.predict({"agent_1": np.zeros(4), "active": np.ones(3)})
    with pytest.raises(ConfigurationError, match="observation must be a dict"):
        model.predict(np.zeros(3))  # type: ignore[arg-type]


def test_an_estimator_without_environment_says_so_and_can_get_one() -> None:
    model = HASAC(**SMALL)
    with pytest.raises(ConfigurationError, match="made without an environment"):
        model.learn(10)
    model.set_env(masoft.make_vec("matrix/maxent"))
    assert model.learn(25).num_timesteps == 25


def test_unusable_spaces_are_refused_before_any_work() -> None:
    from gymnasium import spaces

    class Endless(IdentityTeam):
        def action_space(self, agent: str) -> Any:
            return spaces.Box(-np.inf, np.inf, (1,))

    with pytest.raises(SpaceError, match="Box with finite bounds"):
        HASAC(Endless(), **SMALL)


def test_the_mixed_team_solves_its_identity_task() -> None:
    """One Box agent (asymmetric bounds), one masked Discrete agent, one MultiDiscrete agent, different sizes."""
    model = HASAC(
        masoft.make_vec(IdentityTeam, n_envs=4, seed=0),
        gamma=0.0,
        learning_rate=3e-3,
        learning_starts=200,
        batch_size=64,
        gradient_steps=1,
        ent_coef=0.01,
        policy_kwargs=dict(net_arch=[32, 32]),
        seed=0,
    )
    model.learn(6_000)
    assert model.score(masoft.make_vec(IdentityTeam, seed=9), n_eval_episodes=20) > 0.9 * IdentityTeam().best_return


def test_nan_from_an_environment_names_agent_and_step() -> None:
    from masoft.errors import EnvironmentFault

    class Broken(IdentityTeam):
        def step(self, actions: Any) -> Any:
            observations, *rest = super().step(actions)
            observations["agent_1"] = observations["agent_1"] * np.nan
            return (observations, *rest)

    with pytest.raises(EnvironmentFault, match="agent_1"):
        HASAC(Broken(), **SMALL).learn(20)


def test_a_schedule_by_part_is_followed() -> None:
    rates = {"actor": lambda left: 1e-3 * left, "critic": lambda left: 2e-3, "ent_coef": lambda left: 3e-4}
    model = HASAC("matrix/maxent", learning_rate=rates, **SMALL).learn(30)
    assert model.learning_rate_of("actor") < 1e-3
    assert model.learning_rate_of("critic") == pytest.approx(2e-3)


def test_from_preset_builds_the_published_experiment() -> None:
    model = HASAC.from_preset("mpe/simple_spread_v3-continuous", seed=0, buffer_size=10_000)
    assert model.n_envs == 20 and model.n_steps == 20 and model.batch_size == 1000
    assert model.preset_timesteps == 10_000_000
    assert model.get_params()["buffer_size"] == 10_000
    with pytest.raises(ConfigurationError, match="Did you mean 'mamujoco/Ant-4x2'"):
        HASAC.from_preset("mamujoco/Ant-4x3")


def test_learn_needs_a_number_without_a_preset() -> None:
    with pytest.raises(ConfigurationError, match="total_timesteps must be given"):
        HASAC("matrix/maxent", **SMALL).learn()
