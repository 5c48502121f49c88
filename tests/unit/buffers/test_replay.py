"""The replay buffer against a plain list of transitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from masoft.buffers import TeamReplayBuffer, apply_view
from masoft.errors import ConfigurationError
from masoft.saving.replay_files import load_replay, save_replay
from masoft.spec import StateView, TeamSpec, make_team_spec

GAMMA = 0.9


def small_team(**kwargs: Any) -> TeamSpec:
    box = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    return make_team_spec({"a": box, "b": box}, {"a": spaces.Box(-1, 1, (1,)), "b": spaces.Discrete(3)}, **kwargs)


def observation(team: TeamSpec, numbers: list[float]) -> dict[str, np.ndarray]:
    """Every entry of every environment's observation holds that environment's serial number."""
    column = np.array(numbers, np.float32)[:, None]
    return {name: np.broadcast_to(column, (len(numbers), *space.shape)).astype(space.dtype) for name, space in
            team.observation_space.spaces.items()}  # fmt: skip


class PlainMemory:
    """What a transition is, written out as a list per environment."""

    def __init__(self, n_envs: int) -> None:
        self.streams: list[list[dict[str, Any]]] = [[] for _ in range(n_envs)]

    def n_step(self, env: int, index: int, n_steps: int) -> tuple[float, float, bool, float]:
        stream = self.streams[env]
        total, k = 0.0, 0
        while True:
            step = stream[index + k]
            total += GAMMA**k * step["reward"]
            k += 1
            if step["done"] or k == n_steps or index + k == len(stream):
                return total, GAMMA**k, step["terminated"], step["next"]


@settings(max_examples=60, deadline=None)
@given(
    n_envs=st.integers(1, 3),
    n_steps=st.integers(1, 5),
    n_steps_before=st.integers(1, 5),
    rows=st.integers(2, 12),
    ends=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40),
)
def test_gathered_transitions_equal_the_plain_memory(
    n_envs: int, n_steps: int, n_steps_before: int, rows: int, ends: list[tuple[bool, bool]]
) -> None:
    team = small_team()
    buffer = TeamReplayBuffer(rows * n_envs, team, n_envs=n_envs, n_steps=n_steps_before, gamma=GAMMA)
    memory = PlainMemory(n_envs)
    serial = 0.0
    current = [float(e) for e in range(n_envs)]
    for t, (is_end, is_truncated) in enumerate(ends):
        dones = np.array([is_end and (t + e) % 2 == 0 for e in range(n_envs)])
        following, infos, rewards = [], [], []
        for env in range(n_envs):
            serial += 10
            nxt = serial + env
            reward = float(np.sin(serial))
            info: dict[str, Any] = {}
            start = nxt
            if dones[env]:
                info = {"terminal_observation": {k: v[0] for k, v in observation(team, [nxt]).items()}}
                info["TimeLimit.truncated"] = is_truncated
                serial += 10
                start = serial + env
            memory.streams[env].append(
                {"obs": current[env], "reward": reward, "done": bool(dones[env]), "next": nxt,
                 "terminated": bool(dones[env]) and not is_truncated}
            )  # fmt: skip
            following.append(start)
            infos.append(info)
            rewards.append(reward)
        actions = np.column_stack([current, np.zeros(n_envs)]).astype(np.float32)
        buffer.add(observation(team, current), observation(team, following), actions, np.array(rewards), dones, infos)
        current = following
    kept = min(rows, len(ends))
    assert buffer.size() == kept * n_envs
    buffer.n_steps, buffer.gives_between = n_steps, True  # a schedule changes it while the buffer is in use
    batch = buffer.sample(256)
    for k in range(256):
        number = float(batch.observations[0][k])
        env = next(e for e in range(n_envs) if any(s["obs"] == number for s in memory.streams[e]))
        index = next(i for i, s in enumerate(memory.streams[env]) if s["obs"] == number)
        assert index >= len(ends) - kept, "an overwritten transition was drawn"
        total, discount, terminated, nxt = memory.n_step(env, index, n_steps)
        assert float(batch.rewards[k]) == pytest.approx(total, abs=1e-5)
        assert float(batch.discounts[k]) == pytest.approx(discount, rel=1e-5)
        assert bool(batch.terminated[k]) == terminated
        assert float(batch.next_observations[1][k]) == nxt
        assert float(batch.next_state[k, 0]) == nxt
        assert float(batch.actions[k, 0]) == number
        assert (batch.between is None) == (n_steps == 1)
        taken = memory.streams[env][index : index + 1]
        while not taken[-1]["done"] and len(taken) < min(n_steps, len(ends) - index):
            taken.append(memory.streams[env][index + len(taken)])
        for j, step in enumerate(taken[1:]):
            assert batch.between is not None
            row = 256 * j + k
            assert bool(batch.between.goes_on[j, k])
            assert float(batch.between.state[row, 0]) == float(batch.between.actions[row, 0]) == step["obs"]
            assert float(batch.between.observations[1][row]) == step["obs"]
            assert float(batch.between.rewards[j + 1, k]) == pytest.approx(step["reward"])
        if batch.between is not None:
            assert int(batch.between.goes_on[:, k].sum()) == len(taken) - 1


def test_every_transition_is_drawn_equally_often() -> None:
    team = small_team()
    buffer = TeamReplayBuffer(10, team, n_envs=1)
    for t in range(25):
        buffer.add(observation(team, [t]), observation(team, [t + 1]), np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    drawn = buffer.sample(20_000).observations[0].flatten().long()
    counts = torch.bincount(drawn, minlength=25)[15:]
    assert counts.sum() == 20_000
    assert counts.min() > 1_800 and counts.max() < 2_200


def test_cut_keeps_the_successor_of_an_unfinished_episode() -> None:
    team = small_team()
    buffer = TeamReplayBuffer(10, team)
    buffer.add(observation(team, [1]), observation(team, [2]), np.zeros((1, 2)), np.ones(1), np.zeros(1), [{}])
    buffer.cut()
    buffer.add(observation(team, [50]), observation(team, [51]), np.zeros((1, 2)), np.ones(1), np.zeros(1), [{}])
    batch = buffer.gather(torch.tensor([0]), torch.tensor([0]))
    assert float(batch.next_observations[0]) == 2
    assert float(batch.terminated) == 0


def test_views_are_derived_from_the_state_and_not_stored() -> None:
    box = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    views = {name: StateView(position=i, one_hot_size=2, standardise=True) for i, name in enumerate("ab")}
    viewed = spaces.Box(-np.inf, np.inf, (6,), np.float32)
    team = make_team_spec(
        {"a": viewed, "b": viewed},
        {"a": spaces.Box(-1, 1, (1,)), "b": spaces.Box(-1, 1, (1,))},
        state_size=4,
        views=views,
        state_view=StateView(standardise=True),
    )
    assert box.shape == (4,)
    buffer = TeamReplayBuffer(10, team)
    assert set(buffer.frames) == {"state"}
    state = np.array([[1.0, 2.0, 3.0, 10.0]], np.float32)
    obs = {"state": state, "a": np.zeros((1, 6)), "b": np.zeros((1, 6)), "active": np.ones((1, 2))}
    buffer.add(obs, obs, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    batch = buffer.sample(1)
    expected = np.array([1, 2, 3, 10, 0, 1.0])
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(batch.observations[1][0], expected, rtol=1e-5)
    np.testing.assert_allclose(batch.state[0], (state[0] - state.mean()) / state.std(), rtol=1e-5)


def test_apply_view_picks_entries_in_order() -> None:
    state = torch.arange(6.0).reshape(2, 3)
    assert apply_view(StateView(indices=(2, 0)), state).tolist() == [[2, 0], [5, 3]]
    assert apply_view(StateView(), state) is state


def test_bytes_a_transition_stay_small_for_shared_states() -> None:
    views = {f"agent_{i}": StateView(indices=tuple(range(12))) for i in range(2)}
    seen = spaces.Box(-np.inf, np.inf, (12,), np.float32)
    acts = spaces.Box(-1, 1, (3,))
    team = make_team_spec(dict.fromkeys(views, seen), dict.fromkeys(views, acts), state_size=17, views=views)
    assert TeamReplayBuffer(10_000, team).n_bytes_per_transition() <= 130


def test_a_file_restores_data_and_draws(tmp_path: Path) -> None:
    team = small_team()
    buffer = TeamReplayBuffer(8, team, seed=3)
    for t in range(12):
        info = {"terminal_observation": {k: v[0] for k, v in observation(team, [-t]).items()}}
        buffer.add(observation(team, [t]), observation(team, [t + 1]), np.zeros((1, 2)), np.ones(1), np.ones(1), [info])
    other = TeamReplayBuffer(8, team, seed=99)
    save_replay(buffer, tmp_path / "replay.zip")
    load_replay(other, tmp_path / "replay.zip")
    ours, theirs = buffer.sample(32), other.sample(32)
    assert torch.equal(ours.state, theirs.state)
    assert torch.equal(ours.next_state, theirs.next_state)


def test_sampling_an_empty_buffer_and_a_tiny_buffer_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        TeamReplayBuffer(10, small_team()).sample(1)
    with pytest.raises(ConfigurationError, match="buffer_size must be at least 2"):
        TeamReplayBuffer(3, small_team(), n_envs=2)
