"""HASAC, MASAC and MEHAML: the off-policy maximum entropy template with its parts chosen."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.soft_actor_critic import SoftActorCritic
from masoft.mirror.drift import NoDrift
from masoft.mirror.neighborhood import Everywhere
from masoft.mirror.order import Simultaneous


class HASAC(SoftActorCritic):
    """Heterogeneous-Agent Soft Actor-Critic (Algorithm 2): agents improve in turn on a joint soft Q-function.

    The template with the trivial drift and the whole policy space as neighborhood. The joint policy climbs the
    objective ``J = E[sum_t r + alpha sum_i H(pi_i)]`` (Eq. 2) towards a quantal response equilibrium.

    Args:
        policy: ``"MlpPolicy"``, or a subclass of `TeamPolicy`.
        env: an environment id, a PettingZoo parallel or AEC environment, a callable that makes one, a VecEnv of
            teams, or a gymnasium environment (a team of one). ``HASAC(env)`` is short for ``HASAC("MlpPolicy", env)``.
        ent_coef: temperature alpha, a number >= 0; ``"auto"`` learns one for each agent and one for the joint soft
            value, from 1 (``"auto_0.2"``: from 0.2).
        target_entropy: entropy that ``"auto"`` holds: ``"auto"`` (-dim(A) for a Box, 0.3 log|A| for categorical
            parts), a number for every agent, or a dict by agent.
        discrete_gradient: ``"exact"`` takes the expectation over an agent's own actions, ``"gumbel"`` follows the
            critic's slopes as the paper does, ``"auto"`` is exact up to 64 own actions; or a `DiscreteGradient`, such
            as ``StraightThrough(temperature=0.5)``.
        order: in which order agents improve; a fresh random permutation by default.
        mini_epochs: gradient steps an agent takes in its turn.
        policy_delay: updates of the critics for each of the actors, temperatures and targets.
        learning_rate: step size or schedule; or ``dict(actor=, critic=, ent_coef=)``.
        buffer_size: transitions kept.
        learning_starts: environment steps of legal random actions before the first update.
        batch_size: transitions a gradient step.
        tau: Polyak coefficient of the target critic, in (0, 1].
        gamma: discount factor, in [0, 1].
        train_freq: vector steps between trainings, or ``(n, "step" | "episode")``.
        gradient_steps: updates a training; -1: one for each environment step since the last. The paper trains 50
            times every 50 vector steps, with 10 to 20 environments: ``train_freq=50, gradient_steps=50``.
        n_steps: rewards summed before bootstrapping, 1 to 100 (the paper: 5 to 20); or a schedule, rounded, for
            example ``Linear(20, 1)`` over training. By default five that shorten to one over 50,000 environment steps:
            long returns learn faster at first, and their bias stops learning later.
        return_rule: what a return of several steps makes of them: ``"plain"`` sums their rewards, ``"soft"`` adds the
            entropies of the steps between, ``"peng"`` mixes all lengths, ``"retrace"`` corrects for who acted, with
            log-probabilities stored beside actions; or a `ReturnRule`, such as ``RetraceReturn(trace=0.9)``. All but
            the first look at every state between and need policies without memory.
        soft_critic: entropy is part of the objective (Eq. 2), and the critic's target counts it. False: only the
            actors' loss does. That is no maximum entropy method any more; some report it as better in battles with
            categorical actions, and it was not measured here. Or a `SoftValue`: what it counts instead, such as
            `BoundedRelativeEntropy`, for `MEHAML`.
        q_target: how the target critics' values become one: their ``"min"``, or their ``"mean"``, which is less
            cautious; or a `QTarget`, such as ``Subset(2)``.
        replay_rule: which stored transitions are drawn: `UniformReplay`, `RecentReplay`, or a `ReplayRule` of your own.
        team_reward: ``"sum" | "mean" | "shared"``; ``"auto"``: what the environment declares, else the mean.
        policy_kwargs: arguments of `TeamPolicy`, for example ``dict(net_arch=[128, 128], share_parameters=True)``.
        record: record the pieces of updates once and replay them; ``"compile"``: compile them, too (an experiment).
            See the page on recorded updates.
        precision: of the networks' products in updates, ``"float32"``, ``"tf32"`` or ``"bf16"``.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import HASAC
        >>> model = HASAC("matrix/maxent", ent_coef=10.0, learning_starts=8, batch_size=8, seed=0)
        >>> model = model.learn(total_timesteps=10)
        >>> sorted(model.predict({"agent_0": [1.0], "agent_1": [1.0]}, deterministic=True))
        ['agent_0', 'agent_1']

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, ICLR 2024.
    """

    parts: ClassVar[dict[str, Any]] = {"drift": NoDrift(), "neighborhood": Everywhere(), "reference": "update"}


class MASAC(SoftActorCritic):
    """HASAC without sequential updates (Appendix I): every agent improves against the others' old policies.

    Its arguments are those of `HASAC`, but for ``order``. Improvement of the joint objective is not guaranteed.

    Example:
        >>> from masoft import MASAC
        >>> MASAC("matrix/maxent", seed=0)
        MASAC(env='matrix/maxent', seed=0)
    """

    parts: ClassVar[dict[str, Any]] = {**HASAC.parts, "order": Simultaneous()}


class MEHAML(SoftActorCritic):
    """Maximum Entropy Heterogeneous-Agent Mirror Learning, off-policy (Algorithm 1 with a learned soft Q-function).

    Each agent in turn seeks the best policy of its neighborhood for ``E[Q - alpha log pi] - drift`` (Definition 2).
    With `NoDrift` and `Everywhere` it is HASAC, bit by bit. Its arguments are those of `HASAC`, and:

    Args:
        drift: a `Drift`: the price of moving away from the old policy.
        neighborhood: a `Neighborhood`: how far a policy may move from the old one. A step that leaves it is halved up
            to five times, then undone.
        reference: which policy is "old". At the old policy a drift has zero value and slope, so it must last over
            several gradient steps: ``"every_k"`` keeps it for k updates (default 10), ``"polyak_x"`` lets it follow
            by the share x at each update, ``"update"`` takes the policy before each update (useful with several
            ``mini_epochs``); or a `Pace`, such as ``EveryK(10)`` and ``Polyak(0.01)``.

    Example:
        >>> from masoft import MEHAML
        >>> from masoft.mirror import KLBall, KLDrift
        >>> MEHAML("matrix/maxent", drift=KLDrift(0.5), neighborhood=KLBall(0.01), seed=0)
        MEHAML(env='matrix/maxent', drift=KLDrift(weight=0.5, direction='reverse'),
               neighborhood=KLBall(radius=0.01, over='mean', direction='forward'), seed=0)

    Reference:
        Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, ICLR 2024, Section 4.3.
    """
