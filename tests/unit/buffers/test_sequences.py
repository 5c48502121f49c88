"""Stretches for agents that remember: which rows they have, and that walking them is stepping through the episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masoft.buffers.replay import TeamReplayBuffer
from masoft.buffers.sequences import SequenceSampler, Stretch
from masoft.envs.team_env import TeamEnv
from masoft.errors import ConfigurationError
from masoft.networks import GruTorso, LstmTorso, MlpTorso, VectorEncoder
from masoft.spec import TeamSpec
from masoft.testing.games import CueTeam

TEAM: TeamSpec = TeamEnv(CueTeam()).team


def filled(steps: int, lengths: tuple[int, ...], n_steps: int, capacity: int) -> tuple[TeamReplayBuffer, Any]:
    """A buffer whose observations tell episode and step, and a list of the episodes as they were, by environment."""
    buffer = TeamReplayBuffer(capacity * len(lengths), TEAM, n_envs=len(lengths), n_steps=n_steps, gamma=0.9)
    serial = np.arange(len(lengths)) * 1000.0
    step = np.zeros(len(lengths))

    def seen() -> dict[str, np.ndarray]:
        values = np.stack([serial, step], axis=1).astype(np.float32)
        return {"scout": values, "guard": values + 0.25, "active": np.ones((len(lengths), 2), np.int8)}

    obs = seen()
    for _ in range(steps):
        step += 1
        dones = step == np.array(lengths)
        last = seen()
        infos: list[dict[str, Any]] = [
            {"terminal_observation": {name: value[env] for name, value in last.items()}, "TimeLimit.truncated": True}
            for env in range(len(lengths))
        ]
        serial[dones] += 1
        step[dones] = 0
        new = seen()
        buffer.add(obs, new, np.zeros((len(lengths), 2), np.float32), step.astype(np.float32), dones, infos)
        obs = new
    return buffer, None


@given(
    steps=st.integers(1, 40), lengths=st.lists(st.integers(1, 7), min_size=1, max_size=3), n_steps=st.integers(1, 4),
    capacity=st.integers(5, 30), length=st.integers(1, 6), burn_in=st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_rows_follow_each_other_and_memories_start_where_episodes_do(
    steps: int, lengths: list[int], n_steps: int, capacity: int, length: int, burn_in: int
) -> None:
    buffer, _ = filled(steps, tuple(lengths), n_steps, capacity)
    stored = buffer.size() // buffer.n_envs
    batch: Any = SequenceSampler(buffer, Stretch(length, burn_in, True)).sample(24)
    walk, on = batch.observations[0], batch.next_observations[0]
    learnt = min(length, stored)
    n = walk.starts.shape[1]
    assert n == max(24 // learnt, 1) and walk.starts.shape[0] == burn_in + learnt + n_steps - 1
    seen = walk.seen.view(-1, n, 2)
    rows = batch.state.rows.view(learnt, n, -1)
    np.testing.assert_array_equal(rows[..., :2], seen[burn_in : burn_in + learnt])
    for s in range(n):
        for t in range(burn_in, burn_in + learnt):
            serial, step = seen[t, s].tolist()
            # A memory is fresh exactly at the first step of an episode, or at the oldest row that is stored.
            begins = bool(walk.starts[t, s])
            assert begins or t == 0 or step == seen[t - 1, s, 1] + 1 and serial == seen[t - 1, s, 0]
            assert begins or t == 0 or step > 0
            # The observation after the return's last step belongs to the same episode, so many steps on.
            k = (t - burn_in) * n + s
            after, following = on.after[k].item(), on.rows[k].tolist()
            assert after % n == s and burn_in * n <= after < walk.seen.shape[0]
            before = walk.seen[after].tolist()
            assert following == [before[0], before[1] + 1] and before[0] == serial
            taken = round(np.log(batch.discounts[k].item()) / np.log(0.9))
            assert before[1] == step + taken - 1


@pytest.mark.parametrize("kind", [GruTorso, LstmTorso])
def test_a_walk_gives_what_stepping_through_the_episode_gives(kind: Any) -> None:
    torch.manual_seed(0)
    buffer, _ = filled(60, (5, 7), 3, 100)
    torso = kind(MlpTorso(VectorEncoder((2,)), torch.nn.Identity(), 2), 8)
    batch: Any = SequenceSampler(buffer, Stretch(4, 8, True)).sample(32)
    walk, on = batch.observations[0], batch.next_observations[0]

    def stepped(serial: float, step: float) -> torch.Tensor:
        """Features at a step, with everything before it in the episode."""
        memory = torso.initial_memory(1)
        for k in range(int(step) + 1):
            features, memory = torso.step(torch.tensor([[serial, float(k)]]), memory)
        return features[0]

    features, following = walk.features(torso), on.features(torso)
    for k, (serial, step) in enumerate(walk.rows.tolist()):
        torch.testing.assert_close(features[k], stepped(serial, step), atol=1e-5, rtol=1e-4)
    for k, (serial, step) in enumerate(on.rows.tolist()):
        torch.testing.assert_close(following[k], stepped(serial, step), atol=1e-5, rtol=1e-4)
    assert features.requires_grad and not following.requires_grad


def test_burn_in_has_no_gradient() -> None:
    buffer, _ = filled(60, (50,), 1, 100)
    torso = GruTorso(MlpTorso(VectorEncoder((2,)), torch.nn.Identity(), 2), 8)
    walk: Any = SequenceSampler(buffer, Stretch(4, 8, True)).sample(4).observations[0]
    seen = walk.seen.clone().requires_grad_()
    type(walk)(seen, walk.starts, walk.burn_in, walk.n_learnt).features(torso).sum().backward()
    assert (seen.grad[:8] == 0).all() and (seen.grad[8:12] != 0).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, None, True), "sequence_length must be an integer >= 1"),
        ((None, -1, True), "burn_in must be an integer >= 0"),
        ((True, None, True), "sequence_length must be an integer >= 1"),
        ((4, None, False), "sequence_length must be left out where no agent remembers"),
    ],
)
def test_impossible_stretches_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Stretch(*arguments)
