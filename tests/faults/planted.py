"""Faults of one line each, as people make them: `mutants.py` plants them and sees whether the tests notice."""

from __future__ import annotations

from typing import NamedTuple

UNIT = "tests/unit"
PARTS, ORACLE = f"{UNIT}/algorithms/test_on_policy_parts.py", f"{UNIT}/algorithms/test_oracle.py"
PRESENCE = f"{UNIT}/algorithms/test_presence.py::test_steps_of_one_optimiser_are_weighed_agent_by_agent"
LEARNERS, DEAD = (
    f"{UNIT}/learners",
    f"{UNIT}/algorithms/test_on_policy.py::test_dead_agents_do_not_learn_from_their_ignored_actions",
)
DETERMINISTIC, DUELING = f"{UNIT}/algorithms/test_deterministic.py", f"{UNIT}/algorithms/test_had3qn.py"
DECOMPOSED = f"{UNIT}/algorithms/test_decomposition.py"
IDENTITIES = "tests/exact/test_on_policy_identities.py"
SOFT, STRATEGIES = f"{UNIT}/functional/test_soft.py", f"{UNIT}/mirror/test_strategies.py"
DRAWS, BASE = f"{UNIT}/distributions/test_distributions.py", f"{UNIT}/distributions/test_base.py"
REPLAY, SEQUENCES = f"{UNIT}/buffers/test_replay.py", f"{UNIT}/buffers/test_sequences.py"
EPISODES, TARGETS = f"{UNIT}/buffers/test_episodes.py", f"{UNIT}/mirror/test_target_entropy.py"
TAPE, COMPILED = f"{UNIT}/fast/test_tape.py", f"{UNIT}/fast/test_compiled.py"
FORMS, MIXERS = f"{UNIT}/mirror/test_short_forms.py", f"{UNIT}/networks/test_mixers.py"


class Fault(NamedTuple):
    """In ``masoft/<file>`` the text ``old``, which stands there once, becomes ``new``; ``tests`` should notice."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = [
    # The soft update: signs, the dead, targets, whose temperature, who sees whom.
    Fault("learners/descent.py", "optimizer.zero_grad()", "pass", (ORACLE,)),
    Fault("learners/soft.py", "entropy = -log_prob", "entropy = log_prob", (ORACLE,)),
    Fault("learners/soft.py", "share * at.active[:, i]", "share", (ORACLE,)),
    Fault("learners/soft.py", "critic = self.policy.critic_target", "critic = self.policy.critic", (ORACLE,)),
    Fault("learners/soft.py", "self.choices[i], self.ent_coefs[i]", "self.choices[i], self.ent_coefs[-1]", (ORACLE,)),
    Fault("learners/soft.py", "opened.critic.replace(self.policy.team.encoded_slices[i], action)", "pass", (ORACLE,)),
    Fault("learners/soft.py", "(log_probs.detach().exp() * q_values)", "(log_probs.detach() * q_values)", (LEARNERS,)),
    # The deterministic and the dueling update.
    Fault("learners/deterministic.py", ".clamp(-limit, limit)).clamp(-1, 1)", ".clamp(-limit, limit))",
          (LEARNERS,)),
    Fault("learners/deterministic.py", "active_mean(-q_values, None if batch.active is None else batch.active[:, i])",
          "active_mean(-q_values, None)", (LEARNERS,)),
    Fault("learners/deterministic.py", "self.policy.target_distribution(i", "self.policy.distribution(i",
          (DETERMINISTIC,)),
    Fault("learners/dueling.py", "errors = errors * own.legal", "errors = errors * 1.0", (LEARNERS,)),
    Fault("learners/dueling.py", "critic = self.policy.critic_target", "critic = self.policy.critic", (DUELING,)),
    # The decomposed and the factored update.
    Fault("learners/decomposed.py", "valued.value_of(following.mode())", "valued.value_of(valued.mode())",
          (DECOMPOSED,)),
    Fault("learners/decomposed.py", "else joint * active", "else joint", (DECOMPOSED,)),
    Fault("learners/decomposed.py", "active_mean((value - target).square(), valid)",
          "active_mean((value - target).square(), None)", (LEARNERS,)),
    Fault("learners/factored.py", "self.ent_coefs[-1] / self.ent_coefs[:-1]",
          "self.ent_coefs[:-1] / self.ent_coefs[-1]", (LEARNERS,)),
    Fault("learners/factored.py", "of_target=True).amin(dim=0)", "of_target=True).amax(dim=0)", (LEARNERS,)),
    # On-policy: the mirror step, rollouts, those who are seldom there.
    Fault("learners/mirror_step.py", "value - now.bonus", "value + now.bonus", (IDENTITIES,)),
    Fault("learners/on_policy.py", "turn.ent_coefs[i] / deviation if", "turn.ent_coefs[i] * deviation if",
          (LEARNERS,)),
    Fault("learners/on_policy.py", "else log_ratio * batch.active", "else log_ratio", (DEAD,)),
    Fault("learners/presence.py", "torch._foreach_lerp_(old, parameters, share)",
          "torch._foreach_lerp_(old, parameters, 1 - share)", (PRESENCE,)),
    Fault("learners/rollout.py", "after = remembered[-2]", "after = remembered[-1]",
          (LEARNERS,)),
    Fault("learners/rollout.py", "next_values[buffer.final_places()] = last_values", "pass", (IDENTITIES,)),
    Fault("learners/rollout.py", "else entropies * active", "else entropies", (LEARNERS,)),
    # The equations.
    Fault("functional/returns.py", "factors[:-1] *= trace[1:]", "factors[:-1] *= trace[:-1]", (PARTS,)),
    Fault("functional/soft.py", "(1 - terminated) * (next_q + next_entropy_bonus)",
          "(1 - terminated) * next_q + discounts * next_entropy_bonus", (SOFT,)),
    Fault("functional/soft.py", "(active * per_state).sum() / active.sum().clamp_min(1)", "(active * per_state).mean()",
          (SOFT,)),
    Fault("functional/surrogate.py", "advantage if active is None else advantage[active.bool()]", "advantage",
          (PARTS,)),
    # Distributions.
    Fault("distributions/squashed_gaussian.py", "addcmul_(of_log_prob, action, value=2)",
          "addcmul_(of_log_prob, action, value=-2)", (DRAWS, ORACLE)),
    Fault("distributions/categoricals.py", "(gap + torch.expm1(-gap)), other.probs)", "(gap + torch.expm1(-gap)), 0.0)",
          (DRAWS,)),
    Fault("distributions/diagonal_gaussian.py", "log_ratio = other.log_std - self.log_std",
          "log_ratio = self.log_std - other.log_std", (PARTS,)),
    Fault("distributions/base.py", "value.detach().clone()", "value.detach()", (BASE,)),
    # Buffers: rings, ends, beginnings.
    Fault("buffers/replay.py", "(self.pos + 1) * self.n_envs) %", "self.pos * self.n_envs) %", (REPLAY,)),
    Fault("buffers/replay.py", "(self.pos - 1 - places // self.n_envs)", "(self.pos - places // self.n_envs)",
          (REPLAY,)),
    Fault("buffers/horizon.py", "Chain(places, before_last + 1", "Chain(places, before_last", (REPLAY,)),
    Fault("buffers/replay.py", 'not info.get("TimeLimit.truncated", False)', "True", (REPLAY,)),
    Fault("buffers/sequences.py", "((times <= 0) | ended).float()", "(times <= 0).float()", (SEQUENCES,)),
    Fault("buffers/sequences.py", "(buffer.pos + 1) % buffer.rows if", "buffer.pos % buffer.rows if", (SEQUENCES,)),
    Fault("buffers/episodes.py", "(time < lengths)", "(time <= lengths)", (EPISODES,)),
    Fault("buffers/rollout.py", "(steps * self.n_sequences + sequences)", "(steps + sequences * self.length)",
          (PARTS,)),
    # Mirror learning.
    Fault("mirror/change.py", 'object.__setattr__(self, "old", self.old.detach())',
          'object.__setattr__(self, "old", self.old)', (STRATEGIES,)),
    Fault("mirror/change.py", "= self.old.kl(self.new)", "= self.new.kl(self.old)", (STRATEGIES,)),
    Fault("mirror/correction.py", ".clamp_max(0).exp()", ".exp()", (PARTS,)),
    Fault("mirror/reference.py", "n_updates % self.k == 0", "(n_updates + 1) % self.k == 0", (FORMS,)),
    Fault("mirror/temperature.py", "self.log_values.grad = -gaps", "self.log_values.grad = gaps", (ORACLE, TARGETS)),
    Fault("mirror/improver.py", "torch.sqrt(2 * step_kl / length)", "torch.sqrt(step_kl / length)", (STRATEGIES,)),
    # Networks.
    Fault("networks/walk.py", "hidden = remembered[-1]", "hidden = remembered[-2]", (SEQUENCES,)),
    Fault("networks/walk.py", "with torch.no_grad():", "with torch.enable_grad():", (SEQUENCES,)),
    Fault("networks/joint_critic.py", "torch._foreach_lerp_(self._weights, critic._weights, share)",
          "torch._foreach_lerp_(self._weights, critic._weights, 1 - share)", (f"{UNIT}/networks/test_critics.py",)),
    Fault("networks/mixers.py", "gains = (utilities - soft_values).detach()", "gains = utilities - soft_values",
          (MIXERS,)),
    # Recordings: who still reads a tensor, and what is compiled.
    Fault("fast/arena.py", "<= len(held[storage]) + beside", "<= len(held[storage]) + beside + 1", (TAPE,)),
    Fault("fast/arena.py", "if last[storage] == k:", "if True:", (TAPE,)),
    Fault("fast/tape.py", "_is_mask(index) for index in args[1]", "False for index in args[1]", (TAPE,)),
    Fault("fast/segments.py", "or storage in reads for", "for", (COMPILED,)),
    Fault("fast/segments.py", "made - (tape.unread - later)", "made - tape.unread", (COMPILED,)),
    Fault("fast/compiled.py", "        state.restore(*start)", "        pass", (COMPILED,)),
    Fault("fast/views.py", "int(base.storage_offset()) + place.offset - around.offset", "place.offset",
          (f"{UNIT}/fast/test_views.py",)),
]  # fmt: skip
