"""EPyMARL: ``src/config/default.yaml``, ``algs/*.yaml`` and ``envs/*.yaml``, or the ``config.json`` that sacred leaves.

Compared with the files of EPyMARL's repository at commits 051c57e, 03b29b0, 0cc005c, 4bcbb1c and 5c49252.
"""

from __future__ import annotations

import re
from typing import Any

from masoft.runs.foreign.reading import UNKNOWN, Source, Translation, given
from masoft.runs.settings import RunSettings

NAME = "EPyMARL"
ALGORITHMS = {
    "mappo": "MAPPO", "mappo_ns": "MAPPO", "ippo": "IPPO", "ippo_ns": "IPPO", "maa2c": "HAA2C", "maa2c_ns": "HAA2C",
    "vdn": "VDN", "vdn_ns": "VDN", "qmix": "QMIX", "qmix_ns": "QMIX", "maddpg": "MADDPG", "maddpg_ns": "MADDPG",
}  # fmt: skip
ON_POLICY = ("MAPPO", "IPPO", "HAA2C")
MPE = {"SimpleSpread": "simple_spread_v3", "SimpleReference": "simple_reference_v3",
       "SimpleSpeakerListener": "simple_speaker_listener_v4"}  # fmt: skip
EPISODE = 25
"""Steps of an episode where the file gives no limit; buffers and batches are counted in episodes there."""
PLUMBING = (
    "action_selector", "mask_before_softmax", "runner", "mac", "agent", "agent_output_type", "learner", "critic_type",
    "name", "mixer", "log_interval", "runner_log_interval", "learner_log_interval", "buffer_cpu_only",
    "use_tensorboard", "use_wandb", "save_model", "save_model_interval", "checkpoint_path", "evaluate", "render",
    "load_step", "save_replay", "local_results_path", "repeat_id", "label", "hypergroup", "optim_alpha", "optim_eps",
    "wandb_team", "wandb_project", "wandb_mode", "wandb_save_model", "env", "test_greedy", "evaluation_epsilon",
    "use_cuda", "seed", "pretrained_wrapper", "common_reward", "reward_scalarisation",
)  # fmt: skip


def is_one(values: dict[str, Any]) -> bool:
    """Whether settings look like EPyMARL's."""
    return "t_max" in values or {"learner", "agent_output_type"} <= set(values) or "batch_size_run" in values


def translate(values: dict[str, Any], algorithm: str, env: str) -> Translation:
    """EPyMARL's settings in masoft's words.

    Args:
        values: merged files.
        algorithm: masoft's class.
        env: environment id; empty: what the files say.
    """
    source = Source(values)
    seed = source.number("seed") if "seed" in values else None
    episode = source.number("time_limit", EPISODE)
    n_envs, total = source.number("batch_size_run", 1), source.number("t_max", 2_050_000)
    if "time_limit" not in source:
        source.note("batch_size", f"counted in episodes; {EPISODE} steps each were assumed")
    is_recurrent = bool(source.take("use_rnn", True))
    if algorithm in ON_POLICY:
        parameters = _on_policy(source, algorithm, episode, n_envs)
    else:
        parameters = _off_policy(source, algorithm, episode, total, is_recurrent)
    parameters = {**({"policy": "RnnPolicy"} if is_recurrent else {}), **parameters}
    parameters["policy_kwargs"] = _networks(source, is_recurrent)
    found = _environment(source)
    settings = RunSettings(
        algorithm, env or found, {}, n_envs, seed, total, parameters,
        eval_every=source.number("test_interval", 0), eval_episodes=source.number("test_nepisode", 10),
    )  # fmt: skip
    _leave(source, is_recurrent)
    return Translation(NAME, settings, source.finish())


def _on_policy(source: Source, algorithm: str, episode: int, n_envs: int) -> dict[str, Any]:
    steps = max(source.number("batch_size", n_envs) * episode // n_envs, 1)
    source.take("buffer_size")  # as many episodes as the batch
    by_epochs = algorithm != "HAA2C"
    return given(
        order=None if by_epochs else "Simultaneous()",
        learning_rate=source.number("lr"),
        n_steps=steps,
        n_epochs=source.number("epochs") if by_epochs else None,
        batch_size=steps * n_envs if by_epochs else None,
        critic_batch_size=steps * n_envs,
        clip_range=source.number("eps_clip") if by_epochs else None,
        ent_coef=source.number("entropy_coef"),
        soft_advantage=False,
        gamma=source.number("gamma"),
        max_grad_norm=source.number("grad_norm_clip"),
        normalize_value=bool(source.take("standardise_returns", False)),
    )


def _off_policy(source: Source, algorithm: str, episode: int, total: int, is_recurrent: bool) -> dict[str, Any]:
    by_value = algorithm in ("VDN", "QMIX")
    batch, target = source.number("batch_size"), source.number("target_update_interval_or_tau")
    is_hard = target is not None and target > 1
    if is_hard and not by_value:
        source.note("target_update_interval_or_tau", "targets of this method follow softly; tau has its default")
    whole = is_recurrent and by_value  # replays whole episodes there, too
    anneal = source.number("epsilon_anneal_time")
    return given(
        learning_rate=source.number("lr"),
        batch_size=None if batch is None else batch if whole else batch * episode,
        buffer_size=(source.number("buffer_size") or 5_000) * episode,
        train_freq=episode,
        gradient_steps=1,
        gamma=source.number("gamma"),
        n_steps=1,
        tau=(1.0 if by_value else None) if is_hard else target,
        target_update_interval=target if is_hard and by_value else None,
        max_grad_norm=source.number("grad_norm_clip") if by_value else None,
        exploration_initial_eps=source.number("epsilon_start") if by_value else None,
        exploration_final_eps=source.number("epsilon_finish") if by_value else None,
        exploration_fraction=min(anneal / total, 1.0) if by_value and anneal else None,
    )


def _networks(source: Source, is_recurrent: bool) -> dict[str, Any]:
    width = source.number("hidden_dim", 64)
    name = str(source.take("name", ""))
    sizes = {"net_arch": [width], "hidden_size": width} if is_recurrent else {"net_arch": [width, width]}
    return {**sizes, "share_parameters": not name.endswith("_ns")}


def _leave(source: Source, is_recurrent: bool) -> None:
    """What EPyMARL has and masoft has not, or has in one form only."""
    source.leave("obs_agent_id", "agents with networks of their own need none; supersuit's agent_indicator_v0 adds it",
                 harmless=(False,))  # fmt: skip
    source.leave("obs_last_action", "a wrapper of your own can add it", harmless=(False,))
    source.leave("obs_individual_obs", "critic_input is the nearest", harmless=(False,))
    source.leave("standardise_rewards", "stable-baselines3's VecNormalize does it", harmless=(False,))
    source.leave("standardise_returns", "values are not normalised off-policy", harmless=(False,))
    source.leave("q_nstep", "advantages are GAE's; gae_lambda is their length")
    source.leave("add_value_last_step", "values are always bootstrapped at a time limit", harmless=(True,))
    source.leave("target_update_interval_or_tau", "on-policy methods have no target network")
    source.leave("use_critic_rnn", "the critic remembers where the policy does", harmless=(is_recurrent,))
    source.leave("double_q", "always", harmless=(True,))
    source.leave("mixing_embed_dim", "policy_kwargs mixing_width", harmless=(32,))
    source.leave("hypernet_embed", "policy_kwargs hypernet_width", harmless=(64,))
    source.leave("hypernet_layers", "one hidden layer", harmless=(2,))
    source.leave("reg", "no counterpart")
    source.leave("epsilon_start", "only methods that value their actions explore so")
    source.leave("epsilon_finish", "only methods that value their actions explore so")
    source.leave("epsilon_anneal_time", "only methods that value their actions explore so")
    source.leave("grad_norm_clip", "the gradients of this method are not bounded")
    source.ignore(PLUMBING)


def _environment(source: Source) -> str:
    """Environment id by ``env_args``."""
    map_name, key = source.take("map_name"), source.take("key")
    if map_name:
        return f"smac/{map_name}"
    name = re.sub(r"-v\d+$", "", str(key).rpartition(":")[2])
    if name.startswith("Foraging"):
        return f"lbf/{name}"
    if name.startswith("rware-"):
        return f"rware/{name.removeprefix('rware-')}"
    if name.startswith("pz-mpe-"):
        name = "".join(part.title() for part in name.removeprefix("pz-mpe-").split("-"))
    if name in MPE:
        return f"mpe/{MPE[name]}"
    if key is not None:
        source.note("key", "no such environment: give --env")
    return UNKNOWN
