"""HARL: ``harl/configs/algos_cfgs/*.yaml`` with ``envs_cfgs/*.yaml``, or the ``config.json`` of a run.

Compared with the files of HARL's repository at commits a6309b8, 690fb1d, 9eddb5d and 5e4f7cf.
"""

from __future__ import annotations

import re
from typing import Any

from masoft.runs.foreign.reading import UNKNOWN, Source, Translation, given
from masoft.runs.settings import RunSettings

NAME = "HARL"
ALGORITHMS = {
    "hasac": "HASAC", "hatd3": "HATD3", "haddpg": "HADDPG", "had3qn": "HAD3QN", "maddpg": "MADDPG", "matd3": "MATD3",
    "happo": "HAPPO", "hatrpo": "HATRPO", "haa2c": "HAA2C", "mappo": "MAPPO",
}  # fmt: skip
OFF_POLICY = ("HASAC", "HATD3", "HADDPG", "HAD3QN", "MADDPG", "MATD3")
FOOTBALL = {
    "academy_pass_and_shoot_with_keeper": "pass_and_shoot", "academy_run_pass_and_shoot_with_keeper": "rps",
    "academy_3_vs_1_with_keeper": "3_vs_1", "academy_counterattack_easy": "counterattack_easy",
    "academy_counterattack_hard": "counterattack_hard", "academy_corner": "corner",
    "academy_single_goal_versus_lazy": "single_goal_versus_lazy",
}  # fmt: skip
LAG = {"1/heading": "heading", "1v1/NoWeapon/vsBaseline": "1v1-noweapon", "2v2/NoWeapon/vsBaseline": "2v2-noweapon"}
# The versions of the particle environments that are there today.
MPE = {"simple_spread": "simple_spread_v3", "simple_reference": "simple_reference_v3",
       "simple_speaker_listener": "simple_speaker_listener_v4"}  # fmt: skip
PLUMBING = (
    "cuda_deterministic", "cuda", "log_interval", "model_dir", "render", "logger", "n_eval_rollout_threads",
    "seed_specify", "exp_name", "load_config", "main_args", "state_type", "env_args",
)  # fmt: skip


def is_one(values: dict[str, Any]) -> bool:
    """Whether settings look like HARL's."""
    return "algo_args" in values or {"train", "model", "algo"} <= set(values)


def translate(values: dict[str, Any], algorithm: str, env: str) -> Translation:
    """HARL's settings in masoft's words.

    Args:
        values: merged files.
        algorithm: masoft's class.
        env: environment id; empty: what the files say.
    """
    source = Source(values)
    found, env_kwargs = _environment(source)
    n_envs, steps = source.number("n_rollout_threads", 1), source.number("num_env_steps", 1_000_000)
    off_policy = algorithm in OFF_POLICY
    parameters = _off_policy(source, algorithm, n_envs) if off_policy else _on_policy(source, algorithm, n_envs)
    if off_policy and "warmup_steps" in source:
        steps += source.number("warmup_steps")
        source.note("num_env_steps", "HARL does not count its warm-up steps; --total-timesteps does")
    iteration = n_envs if off_policy else n_envs * source.number("episode_length", 200)
    every = source.number("eval_interval", 0) * iteration if source.take("use_eval", False) else 0
    settings = RunSettings(
        algorithm, env or found, env_kwargs, n_envs, source.number("seed"), steps, parameters,
        threads=source.number("torch_threads", 1), eval_every=every, eval_episodes=source.number("eval_episodes", 10),
    )  # fmt: skip
    _leave(source, off_policy)
    return Translation(NAME, settings, source.finish())


def _off_policy(source: Source, algorithm: str, n_envs: int) -> dict[str, Any]:
    every = source.number("train_interval", 50)
    rates = {"actor": source.number("lr"), "critic": source.number("critic_lr")}
    soft = algorithm == "HASAC"
    if soft:
        is_auto, alpha = source.take("auto_alpha", False), source.number("alpha", 0.2)
        rates["ent_coef"] = source.number("alpha_lr", 3e-4)
    epsilon = source.number("epsilon")
    return given(
        learning_rate=_decayed(source, rates),
        learning_starts=source.number("warmup_steps"),
        train_freq=every,
        gradient_steps=int(every * source.number("update_per_train", 1)),
        buffer_size=source.number("buffer_size"),
        batch_size=source.number("batch_size"),
        tau=source.number("polyak"),
        gamma=source.number("gamma"),
        n_steps=source.number("n_step"),
        ent_coef=("auto" if is_auto else alpha) if soft else None,
        exploration_noise=source.number("expl_noise"),
        target_policy_noise=source.number("policy_noise"),
        target_noise_clip=source.number("noise_clip"),
        policy_delay=source.number("policy_freq") if soft or algorithm in ("HATD3", "MATD3") else None,
        exploration_initial_eps=epsilon,
        exploration_final_eps=epsilon,
        order=_order(source, algorithm),
        policy_kwargs=_networks(source, off_policy=algorithm != "HAD3QN"),
    )


def _on_policy(source: Source, algorithm: str, n_envs: int) -> dict[str, Any]:
    steps = source.number("episode_length", 200)
    rates = {"actor": source.number("lr"), "critic": source.number("critic_lr")}
    if rates["actor"] == rates["critic"]:
        rate: Any = _decayed(source, {"": rates["actor"]})[""]
    else:
        rate = _decayed(source, {**rates, "ent_coef": 3e-4})
    by_epochs = algorithm in ("HAPPO", "MAPPO")
    is_recurrent = source.take("use_recurrent_policy", False) or source.take("use_naive_recurrent_policy", False)
    batch = steps * n_envs
    return given(
        policy="RnnPolicy" if is_recurrent else None,
        learning_rate=rate,
        n_steps=steps,
        n_epochs=source.number("ppo_epoch") if by_epochs else None,
        n_critic_epochs=source.number("critic_epoch"),
        batch_size=batch // source.number("actor_num_mini_batch", 1) if by_epochs else None,
        critic_batch_size=batch // source.number("critic_num_mini_batch", 1),
        clip_range=source.number("clip_param") if by_epochs else None,
        clip_range_vf=source.number("clip_param") if source.take("use_clipped_value_loss", False) else None,
        target_kl=source.number("kl_threshold") if algorithm == "HATRPO" else None,
        ent_coef=source.number("entropy_coef"),
        soft_advantage=False,
        vf_coef=source.number("value_loss_coef"),
        max_grad_norm=source.number("max_grad_norm") if source.take("use_max_grad_norm", True) else None,
        gamma=source.number("gamma"),
        gae_lambda=source.number("gae_lambda"),
        normalize_value=source.take("use_valuenorm"),
        order=_order(source, algorithm),
        policy_kwargs=_networks(source, off_policy=False, is_recurrent=bool(is_recurrent)),
    )


def _decayed(source: Source, rates: dict[str, Any]) -> dict[str, Any]:
    """Learning rates, falling to 0 over training where the file says so."""
    known = {name: rate for name, rate in rates.items() if rate is not None}
    if not source.take("use_linear_lr_decay", False):
        return known
    return {name: rate if name == "ent_coef" else f"Linear({rate}, 0.0)" for name, rate in known.items()}


def _order(source: Source, algorithm: str) -> str | None:
    return "FixedOrder()" if algorithm.startswith("HA") and source.take("fixed_order", False) else None


def _networks(source: Source, *, off_policy: bool, is_recurrent: bool = False) -> dict[str, Any]:
    found = given(
        net_arch=source.take("hidden_sizes", source.take("base_hidden_sizes")),
        activation_fn=source.take("activation_func", source.take("base_activation_func")),
        final_activation=source.take("final_activation_func") if off_policy else None,
        share_parameters=True if source.take("share_param", False) else None,
        sequence_length=source.number("data_chunk_length") if is_recurrent else None,
    )
    if off_policy:
        found["layer_norm"] = False
    return found


def _leave(source: Source, off_policy: bool) -> None:
    """What HARL has and masoft has not, or has in one form only."""
    source.leave("use_valuenorm", "off-policy values are not normalised", harmless=(False,))
    if not source.peek("use_huber_loss"):
        source.ignore(("huber_delta",))
    source.leave("use_huber_loss", "the squared loss is used", harmless=(False,))
    source.leave("huber_delta", "the squared loss is used")
    source.leave("use_policy_active_masks", "absent agents are always masked", harmless=(True,))
    source.leave("use_proper_time_limits", "values are always bootstrapped at a time limit", harmless=(True,))
    source.leave("use_feature_normalization", "policy_kwargs layer_norm is the nearest", harmless=(False,))
    source.leave("use_gae", "always", harmless=(True,))
    source.leave("action_aggregation", "always prod", harmless=("prod",))
    source.leave("dueling_v_activation_func", "hidden layers are shared in one form, see HAD3QN's page")
    source.leave("data_chunk_length", "only with a policy that remembers")
    source.leave("recurrent_n", "one layer", harmless=(1,))
    source.leave("weight_decay", "policy_kwargs optimizer_kwargs has it", harmless=(0,))
    source.leave("opti_eps", "policy_kwargs optimizer_kwargs has it")
    source.leave("clip_param", "without a clipped surrogate or value loss it does nothing")
    source.leave("episode_limit", "the environment's own", harmless=(1000,))
    source.leave("agent_obsk", "observations are an argument of the environment: -e observation=...", harmless=(0,))
    source.leave("fixed_order", "agents are updated at once", harmless=(False,))
    source.ignore(PLUMBING)


def _environment(source: Source) -> tuple[str, dict[str, Any]]:
    """Environment id and arguments, by what HARL calls the environment or by the settings that only one has."""
    scenario, task = source.take("scenario"), source.take("task")
    kind = source.take("env") or ""
    map_name, football = source.take("map_name"), source.take("env_name")
    if "agent_conf" in source:
        body = re.sub(r"-v\d+$", "", str(scenario)).replace("manyagent_swimmer", "ManySegmentSwimmer")
        return f"mamujoco/{body}-{source.take('agent_conf')}", {}
    if "continuous_actions" in source:
        name = re.sub(r"_v\d+$", "", str(scenario))
        return f"mpe/{MPE.get(name, name)}", {"continuous_actions": bool(source.take("continuous_actions"))}
    if football:
        return f"football/{FOOTBALL.get(football, football)}", {}
    if map_name:
        is_second = kind == "smacv2" or map_name.startswith(("protoss", "terran", "zerg"))
        return f"{'smacv2' if is_second else 'smac'}/{map_name}", {}
    if task in LAG:
        return f"lag/{LAG[task]}", {}
    if isinstance(task, str) and task.startswith("ShadowHand"):
        source.leave("hands_episode_length", "the environment's own")
        return f"dexhands/{task}", {}
    if task is not None:
        source.note("task", "no such environment: give --env")
    return UNKNOWN, {}
