"""The pieces of the on-policy family against plain loops and other people's implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from masoft.buffers.rollout import RolloutLayout
from masoft.distributions import DiagonalGaussian
from masoft.errors import ConfigurationError
from masoft.functional.returns import explained_variance, generalised_advantages, td_errors
from masoft.functional.surrogate import approximate_kl, clipped_square, standardise
from masoft.mirror.change import PolicyChange
from masoft.mirror.correction import CoordinatedRatio, SequentialRatio
from masoft.mirror.joint_clip import JointClipDrift
from masoft.mirror.semi_greedy import SemiGreedy
from masoft.networks.recurrent import Memory, Sequences
from masoft.networks.value_scale import ValueScale


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("steps", [1, 2, 5, 16, 33])
@pytest.mark.parametrize("with_trace", [False, True])
def test_advantages_of_all_steps_at_once_equal_the_plain_recursion(steps: int, with_trace: bool) -> None:
    rng = generator(steps)
    rewards = torch.randn(steps, 3, generator=rng, dtype=torch.float64)
    values, after = (torch.randn(steps, 3, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    ended = torch.rand(steps, 3, generator=rng) < 0.3
    terminated = ended & (torch.rand(steps, 3, generator=rng) < 0.5)
    trace = torch.rand(steps, 3, generator=rng, dtype=torch.float64) if with_trace else None
    errors = td_errors(rewards, values, after, terminated, 0.9)
    found = generalised_advantages(errors, ended, 0.9 * 0.8, trace)
    for env in range(3):
        running = torch.zeros(2, dtype=torch.float64)
        for t in reversed(range(steps)):
            goes_on = 0.0 if terminated[t, env] else 1.0
            error = rewards[t, env] + 0.9 * goes_on * after[t, env] - values[t, env]
            weight = 1.0 if trace is None or t + 1 == steps else trace[t + 1, env]
            running = error + (0.0 if ended[t, env] else 0.72) * weight * running
            assert torch.allclose(found[t, env], running, atol=1e-12)


def test_diagonal_gaussian_agrees_with_torch() -> None:
    rng = generator()
    mean, log_std = torch.randn(5, 3, generator=rng), torch.randn(3, generator=rng)
    ours, theirs = DiagonalGaussian(mean, log_std), Normal(mean, log_std.exp())
    actions = ours.sample(rng)
    assert torch.allclose(ours.log_prob(actions), theirs.log_prob(actions).sum(-1), atol=1e-5)
    assert torch.allclose(ours.entropy(), theirs.entropy().sum(-1), atol=1e-5)
    other = DiagonalGaussian(mean + 0.3, log_std - 0.2)
    expected = kl_divergence(theirs, Normal(other.mean, other.log_std.exp())).sum(-1)
    assert torch.allclose(ours.kl(other), expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
def test_rows_go_to_sequences_and_back(length: int) -> None:
    layout = RolloutLayout(6, 2, length)
    values = torch.arange(12).view(6, 2)
    rows = layout.to_rows(values)
    assert torch.equal(layout.from_rows(rows), values)
    picked = torch.tensor([layout.n_sequences - 1])
    steps = rows[layout.rows_of(picked)].tolist()  # the last sequence is the end of the last environment
    assert steps == values[6 - length :, 1].tolist()
    parts = list(layout.minibatches(2 * length if length > 1 else 5, generator(), torch.device("cpu")))
    assert sorted(torch.cat(parts).tolist()) == list(range(layout.n_sequences))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert list(layout.minibatches(None, generator(), torch.device("cpu"))) == [None]


def test_memory_forgets_where_an_episode_starts() -> None:
    torch.manual_seed(0)
    memory = Memory(2, 4)
    features = torch.randn(6, 2, generator=generator())
    starts = torch.zeros(6, 1)
    starts[3] = 1
    whole, _ = memory(features, Sequences(starts, torch.ones(1, 4)))
    first, _ = memory(features[:3], Sequences(torch.zeros(3, 1), torch.ones(1, 4)))
    second, _ = memory(features[3:], Sequences(torch.zeros(3, 1), torch.zeros(1, 4)))
    assert torch.allclose(whole, torch.cat([first, second]), atol=1e-6)


def test_a_moving_scale_leaves_every_value_where_it_was() -> None:
    torch.manual_seed(0)
    scale, head = ValueScale(0.9), torch.nn.Linear(3, 1)
    inputs = torch.randn(7, 3, generator=generator())
    for mean in (5.0, -100.0, 3000.0):
        before = scale.from_units(head(inputs))
        scale.update(mean + 10 * torch.randn(50, generator=generator(1)), [head])
        assert torch.allclose(scale.from_units(head(inputs)), before, rtol=1e-3, atol=1e-3)
    fresh = ValueScale(0.9)
    returns = torch.randn(200, generator=generator(2)) * 4 + 7
    fresh.update(returns)
    assert float(fresh.mean) == pytest.approx(float(returns.mean()), abs=1e-4)
    assert float(fresh.to_units(returns).std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_corrections_multiply_clip_and_cut_traces() -> None:
    logs = [torch.log(torch.tensor([1.5, 0.5])), torch.log(torch.tensor([2.0, 0.9]))]
    assert SequentialRatio().joint_ratio([]) is None
    assert torch.allclose(SequentialRatio().joint_ratio(logs), torch.tensor([3.0, 0.45]))
    assert torch.allclose(SequentialRatio(clip=0.5).joint_ratio(logs, 0.2), torch.tensor([1.1, 0.9]))
    assert torch.allclose(SequentialRatio(traces=True).trace(logs), torch.tensor([1.0, 0.45]))
    assert SequentialRatio().trace(logs) is None
    with pytest.raises(ConfigurationError, match="clip range"):
        SequentialRatio(clip=0.5).joint_ratio(logs)
    with pytest.raises(ConfigurationError, match="traces"):
        CoordinatedRatio(traces=True)
    with pytest.raises(ConfigurationError, match="'clip' parameter of SequentialRatio"):
        SequentialRatio(clip=-1.0)


def test_joint_clip_leaves_the_double_clipped_minimum() -> None:
    rng = generator()
    old = DiagonalGaussian(torch.zeros(50, 1), torch.zeros(1))
    new = DiagonalGaussian(torch.full((50, 1), 0.2), torch.zeros(1))
    actions, advantage = old.sample(rng), torch.randn(50, generator=rng)
    joint = 1 + 0.1 * torch.randn(50, generator=rng).clamp(-1, 1)
    change = PolicyChange(old, new, actions=actions, advantage=advantage, joint_ratio=joint)
    both = joint * change.ratio()
    expected = torch.minimum(both * advantage, both.clamp(0.8, 1.2) * advantage)
    assert torch.allclose(both * advantage - JointClipDrift(0.2)(change), expected, atol=1e-6)
    assert (JointClipDrift(0.2)(PolicyChange(old, old, actions=actions, advantage=advantage)) == 0).all()
    assert JointClipDrift(0.2, first=0.5).in_turn(1, 4).clip_range == pytest.approx(0.2 * 0.625)
    assert JointClipDrift(0.2, first=0.5).in_turn(4, 4) == JointClipDrift(0.2)
    with pytest.raises(ConfigurationError, match="'first' parameter of JointClipDrift"):
        JointClipDrift(first=0.0)


def test_semi_greedy_takes_the_best_and_then_any() -> None:
    values = [0.1, 5.0, 2.0, 3.0]
    orders = {SemiGreedy().draw(4, generator(seed), values) for seed in range(40)}
    assert {order[0] for order in orders} == {1} and len({order[1] for order in orders}) == 3
    asked: list[tuple[int, ...]] = []

    def improvements(agents: tuple[int, ...]) -> list[float]:
        asked.append(agents)
        return [values[agent] for agent in agents]

    walked = tuple(SemiGreedy().walk(4, generator(), improvements))
    assert sorted(walked) == [0, 1, 2, 3] and walked[0] == 1 and [len(agents) for agents in asked] == [4, 2]


def test_standardise_ignores_dead_rows_and_single_ones() -> None:
    advantage, active = torch.tensor([1.0, 3.0, 100.0]), torch.tensor([1.0, 1.0, 0.0])
    standard, deviation = standardise(advantage, active)
    assert float(deviation) == pytest.approx(2**0.5)
    assert torch.allclose(standard[:2], torch.tensor([-1.0, 1.0]) / 2**0.5)
    alone, one = standardise(torch.tensor([4.0]))
    assert float(alone) == 4.0 and float(one) == 1.0


def test_small_formulas() -> None:
    ratio = torch.tensor([1.0, 2.0])
    assert torch.allclose(approximate_kl(ratio), torch.tensor([0.0, 1 - np.log(2)], dtype=torch.float32))
    clipped = clipped_square(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([1.0]), 0.5)
    assert float(clipped) == pytest.approx(2.25)
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert float(explained_variance(returns, returns)) == 1.0
    assert float(explained_variance(torch.zeros(3), torch.ones(3))) == 0.0
