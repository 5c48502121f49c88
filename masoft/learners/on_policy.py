"""The on-policy mirror step: the surrogate, the drift and the entropy of some agents' minibatches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from masoft.fast.recording import DIRECT, Runner
from masoft.functional.surrogate import approximate_kl, standardise, surrogate
from masoft.learners.experience import AgentBatch, Experience, batch_of
from masoft.learners.metrics import Metrics
from masoft.learners.mirror_step import Look, mirror_step
from masoft.learners.presence import weighed
from masoft.mirror.change import PolicyChange
from masoft.mirror.drift import Drift, NoDrift
from masoft.mirror.improver import Improvement, Improver, NaturalGradient
from masoft.mirror.neighborhood import Neighborhood
from masoft.mirror.schedule import number
from masoft.policies.on_policy_team import OnPolicyTeamPolicy


@dataclass(frozen=True)
class Turn:
    """What holds while some agents improve.

    Args:
        agents: those whose turn it is.
        updated: those updated before in this sweep, in order.
        drift, neighborhood: with their schedules filled in, and the drift's share for this turn.
        ent_coefs: (n_agents,), temperatures; None: the objective has no entropy.
        advantages: (n_rows, n_values).
        joint_ratio: (n_rows,) or None, see `Correction`.
        shares: by agent, what its radius is multiplied by; empty: nobody's is.
    """

    agents: tuple[int, ...]
    updated: tuple[int, ...]
    drift: Drift
    neighborhood: Neighborhood
    ent_coefs: Tensor | None
    advantages: Tensor
    joint_ratio: Tensor | None
    shares: Mapping[int, float] = field(default_factory=dict)

    def neighborhood_of(self, group: Sequence[int]) -> Neighborhood:
        """That of agents who step together, with the share that the team's budget leaves them."""
        if not self.shares:
            return self.neighborhood
        share = sum(self.shares[i] for i in group) / len(group)
        return replace(self.neighborhood, radius=number(self.neighborhood.radius, "The radius") * share)

    @property
    def clip_range(self) -> float | None:
        """The drift's clip range, if it has one."""
        return getattr(self.drift, "clip_range", None)


@dataclass(frozen=True)
class OnPolicyStep:
    """Moves actors and notes what happened.

    Args:
        policy: whose actors move.
        improver: how the argmax is sought.
        metrics: where figures go.
        generator: of seeds for entropies without a closed form, on the CPU.
        normalize_advantage: standardise each minibatch's advantages.
        soft_advantage: whether the temperature belongs to the advantages' own scale.
        before: actors' parameters before this iteration, one flat vector an agent; empty where nobody looks at them.
        whole: each agent's advantages over the rollout where it is there; empty where nobody ever leaves.
        runner: of the steps.
    """

    policy: OnPolicyTeamPolicy
    improver: Improver
    metrics: Metrics
    generator: torch.Generator
    normalize_advantage: bool
    soft_advantage: bool
    before: Mapping[int, Tensor]
    whole: Mapping[int, Tensor] = field(default_factory=dict)
    runner: Runner = DIRECT

    def __call__(self, group: Sequence[int], batch: AgentBatch, turn: Turn) -> Improvement:
        """One call of the improver for agents with one actor, whose batches stand one after the other."""
        i = group[0]
        presence = 1.0 if batch.active is None else float(batch.active.mean())
        if presence == 0:
            return Improvement(0, 0, batch.advantage.new_zeros(()), batch.advantage.new_zeros(()))
        deviation = torch.ones((), device=batch.advantage.device)
        if self.normalize_advantage:
            advantage, deviation = standardise(batch.advantage, batch.active, self.whole.get(i))
            batch = replace(batch, advantage=advantage)
        ent_coef = None
        if turn.ent_coefs is not None:
            # Advantages now count in units of their deviation; so must a temperature of the same objective.
            ent_coef = turn.ent_coefs[i] / deviation if self.soft_advantage else turn.ent_coefs[i]
        draws = torch.Generator(batch.advantage.device)
        seed = 0 if ent_coef is None else int(torch.randint(2**31 - 1, (), generator=self.generator))
        turn = replace(turn, neighborhood=turn.neighborhood_of(group), shares={})
        numbers = group[0], len(group), turn.drift, turn.neighborhood, self.improver
        batch, ent_coef, before = self.runner.begin((batch, ent_coef, self.before.get(i)), numbers)
        with weighed(self.policy.actor_optimizers[i], presence):
            move = partial(self._move, group, batch, turn, ent_coef, before, lambda: draws.manual_seed(seed))
            return self.runner.run(("step", i), move)

    def _move(
        self,
        group: Sequence[int],
        batch: AgentBatch,
        turn: Turn,
        ent_coef: Tensor | None,
        before: Tensor | None,
        seeded: Callable[[], torch.Generator],
    ) -> Improvement:
        """The step itself, with advantages, temperature and earlier weights as it takes them."""
        i = group[0]
        tried: list[tuple[PolicyChange, Tensor | None]] = []

        def change() -> PolicyChange:
            new, _ = self.policy.along(i, batch.observation, batch.mask, batch.sequences)
            moved = None if before is None else flat_parameters(self.policy, i) - before
            return batch.change_to(new, turn.updated, moved)

        def look() -> Look:
            now, entropy, bonus = change(), None, None
            gain = now.mean(surrogate(now.ratio(), batch.advantage, batch.joint_ratio))
            if ent_coef is not None:
                # The same draws at each look, so that a line search compares like with like.
                entropy = now.mean(now.new.entropy(seeded()))
                bonus = ent_coef * entropy
            tried[:] = [(now, entropy)]
            return Look(-gain, now, bonus)

        optimizer = self.policy.actor_optimizers[i]
        drift = None if isinstance(turn.drift, NoDrift) else turn.drift
        result = mirror_step(look, change, self.improver, optimizer, drift, turn.neighborhood)
        self.metrics.add("policy_loss", result.loss_before)
        for j in group:
            self._note(self.policy.team.names[j], result, *tried[0], turn)
        return result

    def log_ratio(self, experience: Experience, i: int, picked: Tensor | None = None) -> Tensor:
        """Log of agent i's present over its old probability of what it did, (rows,); 0 where it is dead.

        Args:
            experience: the rollout.
            i: the agent.
            picked: numbers of sequences; None takes all.
        """
        batch = batch_of(experience, self.policy, i, picked, experience.values, None)
        with torch.no_grad():
            now, _ = self.policy.along(i, batch.observation, batch.mask, batch.sequences)
            log_ratio: Tensor = now.log_prob(batch.actions) - batch.old_log_prob
        return log_ratio if batch.active is None else log_ratio * batch.active

    def squared_slope(self, experience: Experience, i: int, turn: Turn) -> float:
        """Squared natural slope of agent i's surrogate over the whole rollout: what a `Budget` asks for."""
        batch = batch_of(experience, self.policy, i, None, turn.advantages, turn.joint_ratio)
        if self.normalize_advantage:
            batch = replace(batch, advantage=standardise(batch.advantage, batch.active, self.whole.get(i))[0])

        def change() -> PolicyChange:
            return batch.change_to(self.policy.along(i, batch.observation, batch.mask, batch.sequences)[0])

        def loss() -> Tensor:
            now = change()
            return -now.mean(surrogate(now.ratio(), batch.advantage, batch.joint_ratio))

        natural = self.improver if isinstance(self.improver, NaturalGradient) else NaturalGradient()
        weights = [weight for weight in self.policy.actors[i].parameters() if weight.requires_grad]
        return natural.squared_slope(weights, loss, change)

    def steepness(self, experience: Experience, i: int, turn: Turn) -> float:
        """Squared length of the slope of agent i's surrogate over the whole rollout: what greedy orders compare."""
        batch = batch_of(experience, self.policy, i, None, turn.advantages, turn.joint_ratio)
        new, _ = self.policy.along(i, batch.observation, batch.mask, batch.sequences)
        now = batch.change_to(new)
        gain = now.mean(surrogate(now.ratio(), batch.advantage, batch.joint_ratio))
        weights = [weight for weight in self.policy.actors[i].parameters() if weight.requires_grad]
        slopes = torch.autograd.grad(gain, weights, allow_unused=True)
        return sum(float(slope.square().sum()) for slope in slopes if slope is not None)

    @torch.no_grad()
    def _note(self, name: str, result: Improvement, last: PolicyChange, entropy: Tensor | None, turn: Turn) -> None:
        """Figures of one step, from the last policy that was looked at."""
        metrics, ratio = self.metrics, last.ratio()
        metrics.add(f"kl/{name}", last.mean(approximate_kl(ratio)))
        metrics.add(f"accepted/{name}", result.accepted_share)
        if turn.clip_range is not None:
            metrics.add(f"clip_fraction/{name}", last.mean(((ratio - 1).abs() > turn.clip_range).float()))
        if entropy is not None:
            metrics.add(f"entropy/{name}", entropy)


def flat_parameters(policy: OnPolicyTeamPolicy, i: int) -> Tensor:
    """All parameters of agent i's actor in one vector, in the graph."""
    return torch.cat([parameter.reshape(-1) for parameter in policy.actors[i].parameters()])
