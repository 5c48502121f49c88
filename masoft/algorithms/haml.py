"""HAML: the on-policy mirror-learning template with all its parts open."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy


class HAML(MirrorOnPolicy):
    """Heterogeneous-Agent Mirror Learning, on-policy; with ``ent_coef`` > 0 its maximum entropy version.

    Each agent in turn seeks the best policy of its neighborhood for ``E[r M] + alpha H - drift``, with ``r`` its new
    probability over its old one at the actions taken, and ``M`` the joint advantage times the ratios of the agents
    that have already moved.

    Args:
        policy: ``"MlpPolicy"``, ``"RnnPolicy"``, or a subclass of `OnPolicyTeamPolicy`.
        env: an environment id, a PettingZoo parallel or AEC environment, a callable that makes one, a VecEnv of
            teams, or a gymnasium environment (a team of one).
        drift: the price of moving away from the old policy.
        neighborhood: how far a policy may move from the old one. A step that leaves it is shortened, then undone.
        order: in which order agents improve; `Simultaneous` updates all at once.
        correction: how the other agents' changes enter an advantage.
        improver: `GradientSteps`, or `NaturalGradient` with a line search.
        budget: how the neighborhood's radius is dealt among agents, `EqualBudget` or `SlopeBudget`.
        critic_input: what the critic sees: ``"state"`` (one value for the team), ``"agent"`` (the state with each
            agent's own observation and number: one value an agent) or ``"observation"`` (each agent's own alone).
        ent_coef: temperature alpha: a number >= 0, or ``"auto"`` (``"auto_0.2"``: from 0.2).
        target_entropy: entropy that ``"auto"`` holds, see `HASAC`.
        soft_advantage: entropy is part of the objective: rewards, values and advantages count it. False: it is only
            added to the actors' loss, as in stable-baselines3's PPO.
        learning_rate: step size or schedule; or ``dict(actor=, critic=)``.
        n_steps: steps of each environment between two updates.
        batch_size: environment steps a minibatch, at most; None: the whole rollout at once.
        n_epochs: passes over the rollout in an agent's turn.
        n_critic_epochs: the critic's passes; None: ``n_epochs``.
        critic_batch_size: the critic's minibatch; None: ``batch_size``.
        gamma: discount factor, in [0, 1].
        gae_lambda: bias against variance of the advantages, in [0, 1].
        clip_range_vf: how far a value may move in an update, in units of the critic's scale; None: any distance.
        normalize_advantage: standardise the advantages of each minibatch.
        normalize_value: let the critic's outputs count in units of recent returns (Pop-Art).
        vf_coef: weight of the critic's loss.
        max_grad_norm: longest gradient of an actor, and of the critic; None: any.
        team_reward: ``"sum" | "mean" | "shared"``; ``"auto"``: what the environment declares, else the mean.
        policy_kwargs: arguments of the policy class, for example ``dict(net_arch=[128, 128], share_parameters=True)``.
        record: record the pieces of updates once and replay them; ``"compile"``: compile them, too (an experiment).
            See the page on recorded updates.
        precision: of the networks' products in updates, ``"float32"``, ``"tf32"`` or ``"bf16"``.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import HAML
        >>> from masoft.mirror import KLDrift
        >>> model = HAML("matrix/maxent", drift=KLDrift(0.5), n_steps=16, batch_size=8, seed=0)
        >>> model = model.learn(total_timesteps=16)
        >>> sorted(model.predict({"agent_0": [1.0], "agent_1": [1.0]}, deterministic=True))
        ['agent_0', 'agent_1']

    Reference:
        Kuba et al., Heterogeneous-Agent Mirror Learning, 2022; Liu et al., Maximum Entropy Heterogeneous-Agent
        Reinforcement Learning, ICLR 2024, Section 4.3.
    """

    parts: ClassVar[dict[str, Any]] = {"clip_range": None, "target_kl": None}
