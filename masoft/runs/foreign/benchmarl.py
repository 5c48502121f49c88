"""BenchMARL: ``conf/experiment/*.yaml``, ``conf/algorithm/*.yaml`` and so on, or the ``config.yaml`` that hydra leaves.

Compared with the files of BenchMARL's repository at commits 019add9, 0b3afdb, 116ce09, 5981415 and 801a268.
"""

from __future__ import annotations

from typing import Any

from masoft.runs.foreign.reading import UNKNOWN, Source, Translation, given
from masoft.runs.settings import RunSettings

NAME = "BenchMARL"
ALGORITHMS = {"mappo": "MAPPO", "ippo": "IPPO", "maddpg": "MADDPG", "masac": "MASAC", "vdn": "VDN", "qmix": "QMIX"}
ON_POLICY = ("MAPPO", "IPPO")
FAMILIES = {
    "vmas": "vmas/{}", "smacv2": "smacv2/{}", "magent": "magent2/{}", "pettingzoo": "{}",
}  # fmt: skip
PETTINGZOO = {
    "simple_spread": "mpe/simple_spread_v3", "simple_reference": "mpe/simple_reference_v3",
    "simple_speaker_listener": "mpe/simple_speaker_listener_v4", "multiwalker": "sisl/multiwalker",
    "waterworld": "sisl/waterworld", "pursuit": "sisl/pursuit",
}  # fmt: skip
PLUMBING = (
    "defaults", "sampling_device", "train_device", "buffer_device", "collect_with_grad", "parallel_collection",
    "loggers", "project_name", "wandb_extra_kwargs", "create_json", "save_folder", "restore_file",
    "restore_map_location", "checkpoint_interval", "checkpoint_at_end", "keep_checkpoints_num", "render", "hydra",
    "layer_class", "name", "off_policy_prb_alpha", "off_policy_prb_beta", "exclude_buffer_from_checkpoint",
)  # fmt: skip


def is_one(values: dict[str, Any]) -> bool:
    """Whether settings look like BenchMARL's."""
    inner = values.get("experiment")
    return "max_n_frames" in values or (isinstance(inner, dict) and "max_n_frames" in inner)


def environment(path_parts: tuple[str, ...]) -> str:
    """The id for a task's file, ``task/vmas/balance.yaml``; empty where it is none of masoft's."""
    *_, family, name = ("", *path_parts)
    if family == "pettingzoo":
        return PETTINGZOO.get(name, "")
    return FAMILIES[family].format(name) if family in FAMILIES else ""


def translate(values: dict[str, Any], algorithm: str, env: str) -> Translation:
    """BenchMARL's settings in masoft's words.

    Args:
        values: merged files.
        algorithm: masoft's class.
        env: environment id; empty: unknown.
    """
    source = Source(values)
    on_policy = algorithm in ON_POLICY
    kind = "on_policy" if on_policy else "off_policy"
    n_envs = source.number(f"{kind}_n_envs_per_worker", 10)
    frames = source.number(f"{kind}_collected_frames_per_batch", 6_000)
    iterations, steps = source.number("max_n_iters"), source.number("max_n_frames")
    total = steps if steps is not None else (iterations or 500) * frames
    rounds = frames // n_envs
    parameters = _on_policy(source, rounds) if on_policy else _off_policy(source, algorithm, rounds, total)
    every = source.number("evaluation_interval", 0) if source.take("evaluation", False) else 0
    env_kwargs: dict[str, Any] = {}
    if env.startswith(("vmas/", "mpe/")):
        env_kwargs = given(max_steps=source.number("max_steps")) if env.startswith("vmas/") else env_kwargs
        if env.startswith("mpe/"):
            env_kwargs["continuous_actions"] = bool(source.take("prefer_continuous_actions", True))
    settings = RunSettings(
        algorithm, env or UNKNOWN, env_kwargs, n_envs, source.number("seed"), total, parameters,
        eval_every=every, eval_episodes=source.number("evaluation_episodes", 10),
    )  # fmt: skip
    _leave(source, on_policy)
    return Translation(NAME, settings, source.finish())


def _on_policy(source: Source, rounds: int) -> dict[str, Any]:
    batch = source.number("on_policy_minibatch_size")
    return given(
        learning_rate=source.number("lr"),
        n_steps=rounds,
        n_epochs=source.number("on_policy_n_minibatch_iters"),
        batch_size=batch,
        critic_batch_size=batch,
        gamma=source.number("gamma"),
        gae_lambda=source.number("lmbda"),
        clip_range=source.number("clip_epsilon"),
        ent_coef=source.number("entropy_coef"),
        soft_advantage=False,
        vf_coef=source.number("critic_coef"),
        max_grad_norm=_norm(source),
        policy_kwargs=_networks(source),
    )


def _off_policy(source: Source, algorithm: str, rounds: int, total: int) -> dict[str, Any]:
    is_soft = source.take("soft_target_update", True)
    by_value = algorithm in ("VDN", "QMIX")
    found = given(
        learning_rate=source.number("lr"),
        learning_starts=source.number("off_policy_init_random_frames"),
        train_freq=rounds,
        gradient_steps=source.number("off_policy_n_optimizer_steps"),
        batch_size=source.number("off_policy_train_batch_size"),
        buffer_size=source.number("off_policy_memory_size"),
        gamma=source.number("gamma"),
        tau=source.number("polyak_tau") if is_soft else 1.0 if by_value else None,
        target_update_interval=source.number("hard_target_update_frequency") if by_value and not is_soft else None,
        n_steps=1,
        max_grad_norm=_norm(source) if by_value else None,
        policy_kwargs=_networks(source),
    )
    if by_value:
        frames = source.number("exploration_anneal_frames")
        found |= given(
            exploration_initial_eps=source.number("exploration_eps_init"),
            exploration_final_eps=source.number("exploration_eps_end"),
            exploration_fraction=1 / 3 if frames is None else min(frames / total, 1.0),
        )
    if algorithm == "MASAC":
        start, is_fixed = source.number("alpha_init", 1.0), source.take("fixed_alpha", False)
        target = source.take("target_entropy", "auto")
        found |= {"ent_coef": start if is_fixed else f"auto_{start:g}", "target_entropy": target}
    return found


def _norm(source: Source) -> Any:
    """The bound on the gradient's norm; BenchMARL can bound its entries instead."""
    if source.take("clip_grad_norm", True):
        return source.number("clip_grad_val")
    source.leave("clip_grad_val", "bounds entries of the gradient; masoft bounds its norm")
    return None


def _networks(source: Source) -> dict[str, Any]:
    activation = str(source.take("activation_class", "")).rpartition(".")[2].lower()
    return given(
        net_arch=source.take("num_cells"),
        activation_fn=activation or None,
        share_parameters=bool(source.take("share_policy_params", True)),
    )


def _leave(source: Source, on_policy: bool) -> None:
    """What BenchMARL has and masoft has not, or has in one form only."""
    for name in ("share_param_critic", "share_param_actor", "share_params"):
        source.leave(name, "agents share by policy_kwargs share_parameters; the critic is a joint one")
    source.leave("loss_critic_type", "the squared loss is used", harmless=("l2",))
    source.leave("loss_function", "the squared loss is used", harmless=("l2",))
    source.leave("adam_eps", "policy_kwargs optimizer_kwargs has it")
    source.leave("num_qvalue_nets", "policy_kwargs n_critics", harmless=(2,))
    source.leave("discrete_target_entropy_weight", "target_entropy takes a number")
    source.leave("delay_qvalue", "targets are always delayed", harmless=(True,))
    source.leave("delay_value", "targets are always delayed", harmless=(True,))
    source.leave("mixing_embed_dim", "policy_kwargs mixing_width", harmless=(32,))
    source.leave("off_policy_use_prioritized_replay_buffer", "no priorities", harmless=(False,))
    source.leave("evaluation_static", "evaluations always play the same episodes", harmless=(True,))
    source.leave("evaluation_deterministic_actions", "evaluations are always deterministic", harmless=(True,))
    source.leave("prefer_continuous_actions", "an argument of the environment", harmless=(True,))
    source.leave("clip_grad_val", "the gradients of this method are not bounded")
    source.leave("clip_grad_norm", "the gradients of this method are not bounded", harmless=(True,))
    for name in ("min_alpha", "max_alpha", "norm_class", "norm_kwargs", "activation_kwargs"):
        source.leave(name, "no counterpart", harmless=(None,))
    other = ("off_policy_", "exploration_", "hard_", "soft_", "polyak") if on_policy else ("on_policy_",)
    source.ignore_starting(other)
    if not on_policy:
        for name in ("exploration_eps_init", "exploration_eps_end", "exploration_anneal_frames"):
            source.leave(name, "exploration of this method has its own settings")
        source.leave("hard_target_update_frequency", "targets follow softly")
    source.ignore(PLUMBING)
