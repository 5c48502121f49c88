"""Configurations of HARL, BenchMARL and EPyMARL become masoft's; what has no counterpart is named."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import masoft
from masoft.cli import cli
from masoft.errors import ConfigurationError
from masoft.mirror import FixedOrder
from masoft.presets import read_preset
from masoft.runs.driver import parameters_of
from masoft.runs.foreign import Translation, benchmarl, epymarl, harl, import_config

yaml = pytest.importorskip("yaml")

HARL_SEED = {"seed_specify": True, "seed": 3}
HARL_OFF: dict[str, Any] = {
    "seed": HARL_SEED,
    "device": {"cuda": True, "cuda_deterministic": True, "torch_threads": 4},
    "train": {"n_rollout_threads": 20, "num_env_steps": 1_000_000, "warmup_steps": 10_000, "train_interval": 50,
              "update_per_train": 0.5, "log_interval": None, "eval_interval": 1_000, "use_valuenorm": True,
              "use_linear_lr_decay": True, "use_proper_time_limits": True, "model_dir": None},
    "eval": {"use_eval": True, "n_eval_rollout_threads": 10, "eval_episodes": 40},
    "render": {"use_render": False, "render_episodes": 10},
    "model": {"hidden_sizes": [64, 32], "activation_func": "relu", "use_feature_normalization": True,
              "final_activation_func": "tanh", "initialization_method": "orthogonal_", "gain": 0.01, "lr": "5e-4",
              "critic_lr": 0.001},
    "algo": {"auto_alpha": False, "alpha": 0.2, "alpha_lr": 3e-4, "gamma": 0.95, "buffer_size": 5_000,
             "batch_size": 500, "polyak": 0.01, "n_step": 10, "use_huber_loss": True, "huber_delta": 10.0,
             "use_policy_active_masks": True,
             "share_param": True, "fixed_order": True},
    "logger": {"log_dir": "./results"},
}  # fmt: skip
HARL_ON: dict[str, Any] = {
    "seed": HARL_SEED,
    "train": {"n_rollout_threads": 10, "num_env_steps": 1_000_000, "episode_length": 200, "eval_interval": 25,
              "use_valuenorm": True, "use_linear_lr_decay": False, "use_proper_time_limits": True},
    "eval": {"use_eval": True, "eval_episodes": 20},
    "model": {"hidden_sizes": [128, 128], "activation_func": "relu", "use_recurrent_policy": False,
              "data_chunk_length": 10, "lr": 5e-4, "critic_lr": 5e-4, "std_x_coef": 1},
    "algo": {"ppo_epoch": 5, "critic_epoch": 6, "use_clipped_value_loss": True, "clip_param": 0.1,
             "actor_num_mini_batch": 2, "critic_num_mini_batch": 1, "entropy_coef": 0.01, "value_loss_coef": 1,
             "use_max_grad_norm": True, "max_grad_norm": 10.0, "use_gae": True, "gamma": 0.99, "gae_lambda": 0.9,
             "action_aggregation": "prod", "share_param": False, "fixed_order": False},
}  # fmt: skip
BENCHMARL: dict[str, Any] = {
    "sampling_device": "cpu", "share_policy_params": True, "prefer_continuous_actions": True, "gamma": 0.9, "lr": 5e-5,
    "adam_eps": 1e-6, "clip_grad_norm": True, "clip_grad_val": 5, "soft_target_update": True, "polyak_tau": 0.005,
    "hard_target_update_frequency": 5, "exploration_eps_init": 0.8, "exploration_eps_end": 0.01,
    "exploration_anneal_frames": None, "max_n_iters": None, "max_n_frames": 3_000_000,
    "on_policy_collected_frames_per_batch": 6_000, "on_policy_n_envs_per_worker": 10,
    "on_policy_n_minibatch_iters": 45, "on_policy_minibatch_size": 400, "off_policy_collected_frames_per_batch": 6_000,
    "off_policy_n_envs_per_worker": 20, "off_policy_n_optimizer_steps": 1_000, "off_policy_train_batch_size": 128,
    "off_policy_memory_size": 1_000_000, "off_policy_init_random_frames": 0, "evaluation": True,
    "evaluation_interval": 120_000, "evaluation_episodes": 10, "evaluation_static": False, "loggers": ["csv"],
}  # fmt: skip
EPYMARL: dict[str, Any] = {
    "runner": "parallel", "env": "gymma", "env_args": {"key": "lbforaging:Foraging-8x8-2p-3f-v3", "time_limit": 50},
    "batch_size_run": 10, "test_nepisode": 100, "test_interval": 50_000, "t_max": 2_050_000, "gamma": 0.99,
    "batch_size": 10, "buffer_size": 10, "lr": 3e-4, "grad_norm_clip": 10, "hidden_dim": 128, "use_rnn": False,
    "obs_agent_id": True, "obs_last_action": False, "learner": "ppo_learner", "agent_output_type": "pi_logits",
    "entropy_coef": 0.001, "standardise_returns": False, "standardise_rewards": True, "q_nstep": 5, "epochs": 4,
    "eps_clip": 0.2, "name": "mappo", "seed": 0, "target_update_interval_or_tau": 0.01,
}  # fmt: skip
QMIX: dict[str, Any] = {
    **EPYMARL, "name": "qmix", "learner": "q_learner", "batch_size": 32, "buffer_size": 5_000, "batch_size_run": 1,
    "target_update_interval_or_tau": 200, "epsilon_start": 1.0, "epsilon_finish": 0.05, "epsilon_anneal_time": 205_000,
    "double_q": True, "mixing_embed_dim": 32, "use_rnn": True,
}  # fmt: skip


def read(folder: Path, *contents: tuple[str, Any], **how: str) -> Translation:
    paths = []
    for name, values in contents:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values))
        paths.append(path)
    return import_config(paths, **how)


def built(found: Translation) -> Any:
    """The estimator; its constructor checks every argument."""
    return getattr(masoft, found.settings.algorithm)(**parameters_of(found.settings))


def left(found: Translation) -> set[str]:
    return {each.name.rpartition(".")[2] for each in found.left}


def test_harl_off_policy(tmp_path: Path) -> None:
    env = {"scenario": "Ant-v2", "agent_conf": "4x2", "agent_obsk": 0, "episode_limit": 1000}
    found = read(tmp_path, ("algos_cfgs/hasac.yaml", HARL_OFF), ("envs_cfgs/mamujoco.yaml", env))
    settings, model = found.settings, built(found)
    assert (settings.algorithm, settings.env, settings.n_envs, settings.seed) == ("HASAC", "mamujoco/Ant-4x2", 20, 3)
    assert settings.total_timesteps == 1_010_000 and settings.eval_every == 20_000 and settings.threads == 4
    assert (model.learning_starts, model.train_freq, model.gradient_steps) == (10_000, 50, 25)
    assert (model.ent_coef, model.tau, model.n_steps, model.gamma) == (0.2, 0.01, 10, 0.95)
    assert settings.parameters["learning_rate"] == {
        "actor": "Linear(0.0005, 0.0)", "critic": "Linear(0.001, 0.0)", "ent_coef": 3e-4}  # fmt: skip
    assert settings.parameters["policy_kwargs"] == {
        "net_arch": [64, 32], "activation_fn": "relu", "final_activation": "tanh", "share_parameters": True,
        "layer_norm": False}  # fmt: skip
    assert model.order == FixedOrder()
    assert {"use_valuenorm", "use_huber_loss", "gain", "initialization_method"} <= left(found)
    assert not left(found) & {"use_policy_active_masks", "log_dir", "cuda", "agent_obsk", "scenario", "seed"}


def test_harl_on_policy_as_its_runs_leave_it(tmp_path: Path) -> None:
    whole = {"algo_args": HARL_ON, "main_args": {"algo": "happo", "env": "pettingzoo_mpe", "exp_name": "x"},
             "env_args": {"scenario": "simple_speaker_listener_v3", "continuous_actions": False}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(whole))
    found = import_config([tmp_path / "config.json"])
    settings, model = found.settings, built(found)
    assert (settings.algorithm, settings.env) == ("HAPPO", "mpe/simple_speaker_listener_v4")
    assert settings.env_kwargs == {"continuous_actions": False} and settings.eval_every == 25 * 200 * 10
    assert (model.n_steps, model.batch_size, model.critic_batch_size) == (200, 1_000, 2_000)
    assert (model.n_epochs, model.n_critic_epochs, model.vf_coef, model.max_grad_norm) == (5, 6, 1, 10)
    assert settings.parameters["clip_range"] == settings.parameters["clip_range_vf"] == 0.1
    assert settings.parameters["soft_advantage"] is False and settings.parameters["learning_rate"] == 5e-4
    assert left(found) == {"std_x_coef", "data_chunk_length"}


@pytest.mark.parametrize(
    ("env", "name"),
    [({"map_name": "3s5z", "state_type": "EP"}, "smac/3s5z"), ({"map_name": "zerg_5_vs_5"}, "smacv2/zerg_5_vs_5"),
     ({"env_name": "academy_run_pass_and_shoot_with_keeper"}, "football/rps"), ({}, "ENV"),
     ({"scenario": "MultipleCombat", "task": "2v2/NoWeapon/vsBaseline"}, "lag/2v2-noweapon"),
     ({"task": "ShadowHandOver", "hands_episode_length": 75}, "dexhands/ShadowHandOver"),
     ({"scenario": "manyagent_swimmer", "agent_conf": "10x2"}, "mamujoco/ManySegmentSwimmer-10x2")],
)  # fmt: skip
def test_harls_environments(env: dict[str, Any], name: str, tmp_path: Path) -> None:
    assert read(tmp_path, ("happo.yaml", HARL_ON), ("env.yaml", env)).settings.env == name


@pytest.mark.parametrize("algorithm", harl.ALGORITHMS)
def test_every_algorithm_of_harl(algorithm: str, tmp_path: Path) -> None:
    is_off = harl.ALGORITHMS[algorithm] in harl.OFF_POLICY
    td3 = {"expl_noise": 0.2, "policy_noise": 0.3, "noise_clip": 0.4, "policy_freq": 2}
    values = {**HARL_OFF, "algo": {**HARL_OFF["algo"], **td3}} if is_off and algorithm.endswith("td3") else HARL_OFF
    found = read(tmp_path, (f"{algorithm}.yaml", values if is_off else HARL_ON))
    model = built(found)
    if algorithm.endswith("td3"):
        assert (model.exploration_noise, model.target_policy_noise, model.target_noise_clip) == (0.2, 0.3, 0.4)


@pytest.mark.parametrize("algorithm", ["hasac", "hatd3", "matd3"])
def test_harls_pace_of_the_actors(algorithm: str, tmp_path: Path) -> None:
    values = {**HARL_OFF, "algo": {**HARL_OFF["algo"], "policy_freq": 3}}
    assert built(read(tmp_path, (f"{algorithm}.yaml", values))).policy_delay == 3


def test_benchmarl(tmp_path: Path) -> None:
    algorithm = {"share_param_critic": True, "clip_epsilon": 0.3, "entropy_coef": 0.1, "critic_coef": 1.0,
                 "loss_critic_type": "l2", "lmbda": 0.8}  # fmt: skip
    found = read(
        tmp_path,
        ("experiment/base_experiment.yaml", BENCHMARL),
        ("algorithm/mappo.yaml", algorithm),
        ("task/vmas/balance.yaml", {"max_steps": 50, "n_agents": 4}),
        ("model/layers/mlp.yaml", {"num_cells": [64], "activation_class": "torch.nn.Tanh", "norm_class": None}),
    )
    settings, model = found.settings, built(found)
    assert (settings.algorithm, settings.env, settings.env_kwargs) == ("MAPPO", "vmas/balance", {"max_steps": 50})
    assert (settings.n_envs, settings.total_timesteps, settings.eval_every) == (10, 3_000_000, 120_000)
    assert (model.n_steps, model.n_epochs, model.batch_size, model.gae_lambda) == (600, 45, 400, 0.8)
    assert settings.parameters["policy_kwargs"] == {"net_arch": [64], "activation_fn": "tanh", "share_parameters": True}
    assert left(found) == {"share_param_critic", "adam_eps", "evaluation_static", "n_agents"}


def test_benchmarl_as_hydra_leaves_it(tmp_path: Path) -> None:
    whole = {"experiment": BENCHMARL, "seed": 2, "algorithm": {"num_qvalue_nets": 2, "alpha_init": 0.5,
             "fixed_alpha": False, "target_entropy": "auto", "min_alpha": None}}  # fmt: skip
    found = read(tmp_path, ("config.yaml", whole), algorithm="masac", env="mpe/simple_spread_v3")
    model = built(found)
    assert found.settings.env_kwargs == {"continuous_actions": True} and found.settings.seed == 2
    assert (model.ent_coef, model.n_steps, model.train_freq, model.gradient_steps) == (
        "auto_0.5",
        1,
        300,
        1_000,
    )
    whole["experiment"] = {**BENCHMARL, "soft_target_update": False}
    model = built(read(tmp_path, ("config.yaml", whole), algorithm="qmix", env="smacv2/zerg_5_vs_5"))
    assert (model.tau, model.target_update_interval, model.max_grad_norm) == (1.0, 5, 5)
    assert model.exploration_fraction == pytest.approx(1 / 3) and model.exploration_initial_eps == 0.8


@pytest.mark.parametrize("algorithm", benchmarl.ALGORITHMS)
def test_every_algorithm_of_benchmarl(algorithm: str, tmp_path: Path) -> None:
    built(read(tmp_path, ("e.yaml", BENCHMARL), (f"{algorithm}.yaml", {})))


def test_epymarl(tmp_path: Path) -> None:
    found = read(tmp_path, ("default.yaml", EPYMARL))
    settings, model = found.settings, built(found)
    assert (settings.algorithm, settings.env, settings.n_envs) == ("MAPPO", "lbf/Foraging-8x8-2p-3f", 10)
    assert (model.n_steps, model.batch_size, model.n_epochs) == (50, 500, 4)
    assert settings.parameters["policy_kwargs"] == {"net_arch": [128, 128], "share_parameters": True}
    assert {"obs_agent_id", "standardise_rewards", "q_nstep"} <= left(found) and "runner" not in left(found)


def test_epymarls_episodes_and_hard_targets(tmp_path: Path) -> None:
    found = read(tmp_path, ("qmix.yaml", QMIX))
    model = built(found)
    assert found.settings.parameters["policy"] == "RnnPolicy" and model.batch_size == 32
    assert (model.tau, model.target_update_interval, model.buffer_size) == (1.0, 200, 250_000)
    assert model.exploration_fraction == pytest.approx(0.1)
    plain = built(read(tmp_path, ("qmix.yaml", {**QMIX, "use_rnn": False, "name": "qmix_ns"})))
    assert plain.batch_size == 32 * 50 and plain.policy_kwargs["share_parameters"] is False


@pytest.mark.parametrize("algorithm", epymarl.ALGORITHMS)
def test_every_algorithm_of_epymarl(algorithm: str, tmp_path: Path) -> None:
    built(
        read(
            tmp_path, ("c.yaml", {**(EPYMARL if "pp" in algorithm or "a2c" in algorithm else QMIX), "name": algorithm})
        )
    )


@pytest.mark.parametrize(
    ("key", "name"),
    [("rware:rware-tiny-2ag-v2", "rware/tiny-2ag"), ("pz-mpe-simple-spread-v3", "mpe/simple_spread_v3"),
     ("mpe:SimpleSpeakerListener-v0", "mpe/simple_speaker_listener_v4"), ("matrixgames:penalty-100-nostate-v0", "ENV")],
)  # fmt: skip
def test_epymarls_environments(key: str, name: str, tmp_path: Path) -> None:
    assert read(tmp_path, ("c.yaml", {**EPYMARL, "env_args": {"key": key, "time_limit": 25}})).settings.env == name


def test_the_command_and_the_preset_train(tmp_path: Path) -> None:
    small = {**EPYMARL, "hidden_dim": 4, "t_max": 60, "batch_size_run": 1, "batch_size": 1, "test_interval": 0}
    small["env_args"] = {"time_limit": 10}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(small))
    arguments = ["import-config", str(tmp_path / "c.yaml"), "--env", "matrix/maxent", "--out", str(tmp_path / "p.toml")]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0 and "Not taken over from EPyMARL" in shown.output and "q_nstep" in shown.output
    command = shlex.split(shown.output.splitlines()[0])[1:]
    flags = ["--json", "--eval-episodes", "0", "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(cli, [*command, *flags]).exit_code == 0
    assert read_preset(tmp_path / "p.toml", "MAPPO").parameters["n_steps"] == 10
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)
    assert found["origin"] == "EPyMARL" and found["settings"]["parameters"]["clip_range"] == 0.2


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [("iql.yaml", BENCHMARL, "algorithm"), ("c.yaml", {"a": 1}, "--from"), ("c.yaml", [1], "names with values"),
     ("qtran.yaml", {**QMIX, "name": "qtran"}, "qtran"),
     ("happo.yaml", {**HARL_ON, "train": {"episode_length": "long"}}, "a number")],
)  # fmt: skip
def test_refusals(name: str, values: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, (name, values))


@pytest.mark.parametrize("text", ["a: [", "!!python/object/apply:os.system ['true']", "\x00"])
def test_files_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"x\.yaml"):
        import_config([tmp_path / "x.yaml"])
    with pytest.raises(ConfigurationError, match="existing"):
        import_config([tmp_path / "absent.yaml"])
