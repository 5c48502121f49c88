"""Names that stable-baselines3 has and a team does not: what to write instead, in one line each."""

from __future__ import annotations

from collections.abc import Mapping

from masoft.errors import ForeignNameError

MODEL: Mapping[str, str] = {
    "actor": "a team has one actor an agent: model.policy.actors[i], in the order of model.team.names",
    "actor_target": "only HATD3 and its relatives have them, one an agent: model.policy.actors_target[i]",
    "critic": "its values are the agents' own and a mixer: model.policy.actors, model.policy.mixer",
    "critic_target": "only off-policy methods with a joint critic have one: model.policy.critic_target",
    "q_net": "each agent values its own actions: model.policy.actors[i]",
    "q_net_target": "VDN and QMIX have one an agent: model.policy.actors_target[i]",
    "log_ent_coef": "only methods with ent_coef have temperatures, one an agent and the joint one: model.temperature",
    "ent_coef_optimizer": "only methods with ent_coef have temperatures: model.temperature",
    "ent_coef_tensor": "only methods with ent_coef have temperatures: model.temperature.current()",
    "exploration_rate": "only VDN, QMIX and HAD3QN have one; HATD3 has exploration_noise and exploration_epsilon",
    "exploration_schedule": "set exploration_initial_eps, exploration_final_eps and exploration_fraction",
    "logger": "it is made by learn(); for one before: model.set_logger(configure(folder, ['stdout', 'csv']))",
    "_logger": "it is made by learn(); for one before: model.set_logger(configure(folder, ['stdout', 'csv']))",
    "replay_buffer": "only off-policy methods with an environment have one; the last rollout is model.experience",
    "rollout_buffer": "only on-policy methods with an environment have one; transitions are in model.replay_buffer",
    "experience": "only on-policy methods have one, after their first rollout",
    "clip_range": "it is the drift's: model.drift.clip_range",
    "temperature": "only methods with ent_coef have temperatures",
}
"""Attributes of a model."""

PAST = "policy.along(i, observation, mask, sequences)"
"""How policies that remember are asked."""

POLICY: Mapping[str, str] = {
    "optimizer": "each actor and the critic has its own: policy.actor_optimizers[i], policy.critic_optimizer",
    "actor": "a team has one actor an agent: policy.actors[i], in the order of policy.team.names",
    "actor_target": "HATD3 and its relatives have one an agent: policy.actors_target[i]",
    "q_net": "each agent values its own actions: policy.actors[i]",
    "q_net_target": "VDN and QMIX have one an agent: policy.actors_target[i]",
    "mlp_extractor": "each actor has its own layers: policy.actors[i].torso; the critic's are in policy.critic",
    "pi_features_extractor": "each actor has its own encoder: policy.actors[i].torso.encoder",
    "vf_features_extractor": "the critic's encoders are in policy.critic",
    "action_net": "each actor's last layer is policy.actors[i].head",
    "value_net": "it is called policy.critic",
    "action_dist": "each agent has its own distribution: policy.distribution(i, observation, masks)",
    "log_std": "each actor has its own: policy.actors[i].head.log_std where actions are not squashed",
    "predict_values": "off-policy critics value state and joint action: policy.critic(state, encoded_actions)",
    "evaluate_actions": "off-policy: policy.log_prob(observations, actions) of dicts by agent",
    "critic": "its values are the agents' own and a mixer: policy.actors, policy.mixer or policy.mixers",
    "critic_target": "only off-policy methods with a joint critic have one",
}
"""Attributes of a policy."""

REPLAY: Mapping[str, str] = {
    "observations": "they lie apart by name, (rows, n_envs, *shape): buffer.frames['agent_0']; sample() gives batches",
    "next_observations": "each is the next row's observation, or at an episode's end in buffer.finals; use sample()",
    "dones": "an episode's real end is in buffer.terminated, any end where buffer.final_slots >= 0",
    "timeouts": "those are ends (buffer.final_slots >= 0) without buffer.terminated",
    "buffer_size": "it holds buffer.rows - 1 steps of buffer.n_envs environments",
    "reset": "make a new one with model.set_env(env), or end the running episodes with buffer.cut()",
    "extend": "add() takes one step of every environment",
}
"""Attributes of a replay buffer."""

ROLLOUT: Mapping[str, str] = {
    "observations": "they lie apart by name, (n_steps + 1, n_envs, *shape): buffer.frames['agent_0']",
    "returns": "they are in rows, after the rollout: model.experience.returns",
    "values": "they are in rows, after the rollout: model.experience.values",
    "advantages": "they are in rows, after the rollout: model.experience.advantages",
    "log_probs": "they are in rows by agent, after the rollout: model.experience.log_probs",
    "episode_starts": "they are called buffer.starts, (n_steps + 1, n_envs)",
    "full": "it is called buffer.is_full",
    "buffer_size": "it is called buffer.n_steps",
    "get": "minibatches of rows: model.experience.layout.minibatches(batch_size, generator, device)",
    "compute_returns_and_advantage": "the model does it when a rollout is full: model.experience.returns",
}
"""Attributes of a rollout buffer."""

ARGUMENTS: Mapping[str, str] = {
    "action_noise": "HATD3 and its relatives have exploration_noise and exploration_epsilon; others explore anyway",
    "use_sde": "state-dependent exploration is not there; HATD3 has exploration_noise",
    "sde_sample_freq": "state-dependent exploration is not there",
    "use_sde_at_warmup": "state-dependent exploration is not there",
    "replay_buffer_class": "the team's replay buffer is fixed; buffer_size is its size",
    "replay_buffer_kwargs": "the team's replay buffer is fixed; buffer_size is its size",
    "rollout_buffer_class": "the team's rollout buffer is fixed; n_steps is its length",
    "rollout_buffer_kwargs": "the team's rollout buffer is fixed; n_steps is its length",
    "optimize_memory_usage": "always so: every observation is stored once",
    "_init_setup_model": "leave env out to build nothing yet, and call model.set_env(env)",
    "target_update_interval": "the targets follow at each update by tau; QMIX and VDN have target_update_interval",
    "create_eval_env": "use EvalCallback(masoft.make_vec(...))",
    "use_rms_prop": "policy_kwargs=dict(optimizer_class=torch.optim.RMSprop)",
    "rms_prop_eps": "policy_kwargs=dict(optimizer_kwargs=dict(eps=...))",
    "monitor_wrapper": "masoft.make_vec puts every environment into a Monitor",
}
"""Constructor arguments."""

POLICY_KWARGS: Mapping[str, str] = {
    "features_extractor_class": "images go through convolutions, others are policy_kwargs=dict(torso=MyTorso)",
    "features_extractor_kwargs": "images go through convolutions, others are policy_kwargs=dict(torso=MyTorso)",
    "share_features_extractor": "actors and critic never share layers; see share_parameters",
    "normalize_images": "bytes are divided by 255, floats are taken as they are",
    "log_std_init": "only HAPPO and its relatives have a deviation of its own; here the actor gives it in each state",
    "full_std": "every action has a deviation of its own",
    "use_expln": "state-dependent exploration is not there",
    "use_sde": "state-dependent exploration is not there",
    "clip_mean": "means are squashed by tanh, not clipped",
    "squash_output": "off-policy methods always squash",
    "ortho_init": "only HAPPO and its relatives start orthogonal",
    "lstm_hidden_size": 'hidden_size, in "MlpLstmPolicy" and "RnnPolicy"',
    "n_lstm_layers": 'the memory of "MlpLstmPolicy" is one layer, and that of "RnnPolicy" is a GRU',
    "shared_lstm": "actors and critics have memories of their own",
    "enable_critic_lstm": "the critic has a memory where an agent has one",
    "lstm_kwargs": 'policy_kwargs of "MlpLstmPolicy" are hidden_size, sequence_length and, off-policy, burn_in',
}
"""Keys of ``policy_kwargs``."""

POLICIES: Mapping[str, str] = dict.fromkeys(
    ("LstmPolicy", "CnnLstmPolicy", "MultiInputLstmPolicy"),
    'Agents with a memory are "RnnPolicy" (a GRU) and "MlpLstmPolicy"; pictures go through convolutions first.',
)
"""Aliases of policies."""


def absent(owner: str, name: str, ways: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that ``owner`` has not: with the way where it is one of stable-baselines3's.

    Args:
        owner: name of its class.
        name: of the attribute.
        ways: what to write instead, by name.
    """
    if name in ways:
        return ForeignNameError(f"{owner} has no {name!r} as stable-baselines3 has: {ways[name]}.")
    return AttributeError(f"{owner!r} object has no attribute {name!r}")
