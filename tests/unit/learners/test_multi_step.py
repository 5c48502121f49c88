"""Targets that look at the steps between: what a method is asked, what is stored when actions are taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import masoft
from masoft.buffers import TeamBatch
from masoft.errors import ConfigurationError
from masoft.learners.multi_step import States, joint_log_prob, uniform_log_prob
from masoft.mirror import PengReturn, RetraceReturn, ReturnRule
from masoft.mirror.returns import StepsBetween
from masoft.testing import check_recordable
from masoft.testing.games import IdentityTeam

N_STEPS, GAMMA = 3, 0.9
SMALL = dict(learning_starts=12, batch_size=8, buffer_size=60, n_steps=N_STEPS, gamma=GAMMA, seed=0, device="cpu")
METHODS = {"HASAC": "retrace", "MASAC": "soft", "FOP": "retrace", "HATD3": "peng", "HAD3QN": "peng", "QMIX": "peng"}


def model_of(name: str, env: Any = None, **settings: Any) -> Any:
    has_box = name not in {"HAD3QN", "QMIX", "VDN", "FOP"}
    team = IdentityTeam(("box", "discrete") if has_box else ("discrete", "multidiscrete"))
    model = getattr(masoft, name)("MlpPolicy", env or team, policy_kwargs=dict(net_arch=[8]), **{**SMALL, **settings})
    return model.learn(20)


def target_of(name: str) -> Callable[[Any, TeamBatch], Tensor]:
    """The target of one update of a method."""
    if name == "QMIX":
        return lambda update, batch: update.value_and_target(batch, len(batch.rewards))[1]
    return lambda update, batch: update.critic_target(batch)


@pytest.mark.parametrize("env", [None, "matrix/two_step"])
@pytest.mark.parametrize("name", METHODS)
def test_targets_are_the_sums_along_each_stretch(name: str, env: str | None) -> None:
    model = model_of(name, env, return_rule=METHODS[name])
    batch, update = model.sample_batch(16), model._begin_update()
    assert batch.terminated.any() == (env is not None)
    steps = batch.between
    before = None if getattr(update, "generator", None) is None else update.generator.get_state()
    found = target_of(name)(update, batch)
    if before is not None:
        update.generator.set_state(before)
    with torch.no_grad():
        after = States(batch.next_state, batch.next_observations, batch.next_masks, batch.next_active)
        if name == "QMIX":  # looks at the next state by its own way, which draws nothing
            next_value = update.judged(after, update.fresh(after)[0])
        else:
            actions, bonus = update.fresh(after)
            next_value = update.judged(after, actions) + bonus
        between = States(steps.state, steps.observations, steps.masks, steps.active)
        actions, bonus = update.fresh(between)
        values = update.judged(between, actions)
        taken = update.judged(between, update.as_judged(steps.actions))
        ratios = torch.zeros_like(bonus)
        if name in {"HASAC", "FOP"}:
            ratios = update.log_prob(between, steps.actions) - steps.log_probs
    for row in range(16):
        n_more = int(steps.goes_on[:, row].sum())
        total = steps.rewards[n_more, row] + GAMMA * (1 - batch.terminated[row]) * next_value[row]
        for k in reversed(range(n_more)):
            at = 16 * k + row
            value, entropy = values[at] + bonus[at], bonus[at]
            following = {
                "retrace": value + min(1.0, math.exp(ratios[at])) * (total - taken[at]),
                "soft": entropy + total,
                "peng": 0.3 * value + 0.7 * (entropy + total),
            }[METHODS[name]]
            total = steps.rewards[k, row] + GAMMA * following
        assert float(found[row]) == pytest.approx(float(total), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["HASAC", "FOP"])
def test_who_acted_is_stored_with_the_action(name: str) -> None:
    model = model_of(name, return_rule="retrace", gradient_steps=0)
    buffer, policy = model.replay_buffer, model.policy
    places = torch.arange(20)  # one environment: places are steps
    seen, masks = buffer.seen_at(places)[1], buffer.frames["action_mask"][:20, 0]
    drawn, uniform = torch.zeros(20), torch.zeros(20)
    for i, (agent, where) in enumerate(zip(model.team.agents, model.team.action_slices, strict=True)):
        drawn += policy.distribution(i, seen[i], masks).log_prob(buffer.actions[:20, 0, where]).detach()
        parts = masks[:, model.team.mask_slices[i]].split(agent.action.nvec, dim=-1) if agent.action.nvec else ()
        legal = sum((part.sum(-1).log() for part in parts), torch.zeros(20))
        uniform -= agent.action.size * math.log(2) if agent.action.is_box else legal
    torch.testing.assert_close(buffer.log_probs[:12, 0], uniform[:12])
    torch.testing.assert_close(buffer.log_probs[12:20, 0], drawn[12:])
    assert not torch.allclose(drawn[12:], uniform[12:])


def test_absent_agents_and_illegal_choices_count_nothing() -> None:
    model = masoft.HASAC("MlpPolicy", "matrix/climbing", **SMALL, return_rule="retrace")
    policy, n = model.policy, 4
    obs = [torch.zeros(n, *agent.observation_shape) for agent in model.team.agents]
    actions = torch.zeros(n, model.team.action_size)
    active = torch.tensor([[1.0, 0.0]] * n)
    states = States(None, tuple(obs), None, active)
    alone = policy.distribution(0, obs[0]).log_prob(actions[:, :1])
    torch.testing.assert_close(joint_log_prob(policy, states, actions), alone.detach())
    mask = torch.tensor([[True, True, False]] * n)
    drawn = uniform_log_prob(model.team.agents[0].action, mask, torch.zeros(n))
    torch.testing.assert_close(drawn, torch.full((n,), -math.log(2)))


@pytest.mark.parametrize("name", ["HATD3", "HAD3QN", "QMIX", "VDN"])
def test_methods_without_probabilities_refuse_to_correct(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no log-probabilities"):
        model_of(name, return_rule="retrace")
    model = model_of(name)
    with pytest.raises(ConfigurationError, match="no log-probabilities"):
        model.return_rule = RetraceReturn()
    assert model.return_rule == "plain"


def test_log_probabilities_cannot_be_asked_for_later(tmp_path: Any) -> None:
    model = model_of("HASAC")
    with pytest.raises(ConfigurationError, match="before the first step"):
        model.return_rule = "retrace"
    assert model.return_rule == "plain" and not model.replay_buffer.gives_between
    model.return_rule = "peng"
    assert model.learn(10, reset_num_timesteps=False).sample_batch(4).between is not None
    model.save(tmp_path / "team.zip")
    again = masoft.HASAC.load(tmp_path / "team.zip", env=IdentityTeam(("box", "discrete")), return_rule="retrace")
    assert again.learn(20).replay_buffer.log_probs is not None


def test_a_replay_buffer_file_keeps_them(tmp_path: Any) -> None:
    model, other = model_of("HASAC", return_rule="retrace"), model_of("HASAC", return_rule="retrace", seed=1)
    model.save_replay_buffer(tmp_path / "replay.zip")
    other.load_replay_buffer(tmp_path / "replay.zip")
    assert torch.equal(other.replay_buffer.log_probs[:20], model.replay_buffer.log_probs[:20])
    with pytest.raises(masoft.errors.ModelFileError, match="log_probs"):
        model_of("HASAC").load_replay_buffer(tmp_path / "replay.zip")


def test_a_resumed_run_corrects_as_one_that_never_stopped(tmp_path: Any) -> None:
    settings: dict[str, Any] = dict(SMALL, return_rule="retrace", policy_kwargs=dict(net_arch=[8]))
    whole = masoft.HASAC("matrix/two_step", **settings).learn(40)
    model = masoft.HASAC("matrix/two_step", **settings).learn(25)
    model.save_checkpoint(tmp_path)
    model = masoft.HASAC.resume(tmp_path, env="matrix/two_step", device="cpu")
    assert model.num_timesteps == 25 and model.return_rule == "retrace"
    model.learn(15, reset_num_timesteps=False)
    ours, theirs = model.policy.state_dict(), whole.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_memories_take_plain_returns_only() -> None:
    with pytest.raises(ConfigurationError, match="'plain' where agents have a memory"):
        masoft.HASAC("RnnPolicy", "matrix/climbing", return_rule="soft")


@pytest.mark.parametrize(("name", "rule"), [("HASAC", "retrace"), ("HATD3", "peng"), ("QMIX", PengReturn(0.5))])
def test_targets_that_look_between_are_recorded(name: str, rule: str | ReturnRule) -> None:
    check_recordable(model_of(name, return_rule=rule), n=6)


@dataclass(frozen=True)
class Halfway(ReturnRule):
    """A rule of one's own."""

    def following(self, between: StepsBetween, k: int, later: Tensor) -> Tensor:
        return (between.value[k] + between.entropy_bonus[k] + later) / 2


def test_a_rule_of_ones_own_is_half_of_pengs() -> None:
    own, peng = model_of("HASAC", return_rule=Halfway()), model_of("HASAC", return_rule=PengReturn(0.5))
    shared = [model.policy.state_dict() for model in (own, peng)]
    assert all(np.isfinite(values.numpy()).all() for values in shared[0].values())
    # (V + H + G) / 2 and V / 2 + (H + G) / 2 differ in the last bits only.
    for name, values in shared[0].items():
        torch.testing.assert_close(values, shared[1][name], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("rule", ["plain", "soft", "retrace"])
def test_a_critic_that_is_not_soft_counts_no_entropies(rule: str) -> None:
    model = model_of("HASAC", return_rule=rule, soft_critic=False)
    batch, update = model.sample_batch(16), model._begin_update()
    after = States(batch.next_state, batch.next_observations, batch.next_masks, batch.next_active)
    assert not update.fresh(after)[1].any()
    if rule == "soft":  # then it is the sum of the rewards, and a value without entropy
        state = update.generator.get_state()
        found = update.critic_target(batch)
        update.generator.set_state(state)
        next_q = update.judged(after, update.fresh(after)[0])
        plain = batch.rewards + batch.discounts * (1 - batch.terminated) * next_q
        torch.testing.assert_close(found, plain)
