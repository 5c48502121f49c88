"""Whole episodes out of a replay buffer: which ones, in what order, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from masoft.buffers.episodes import EpisodeSampler
from masoft.buffers.replay import TeamReplayBuffer
from masoft.errors import ConfigurationError
from masoft.spec import make_team_spec
from masoft.testing.games import IdentityTeam

GAME = IdentityTeam(("discrete",), masks=False)
TEAM = make_team_spec({"a": GAME.observation_space("agent_0")}, {"a": GAME.action_space("agent_0")})


def buffer(rows: int, n_envs: int = 1, n_steps: int = 1) -> TeamReplayBuffer:
    return TeamReplayBuffer(rows * n_envs, TEAM, n_envs=n_envs, n_steps=n_steps, seed=0)


def play(store: TeamReplayBuffer, first: int, ends: list[list[bool]]) -> None:
    """Add steps whose action is the number of the step; ``ends`` has one row a step, one entry an environment."""
    for k, over in enumerate(ends):
        step = first + k
        seen = {"a": np.full((store.n_envs, 4), float(step), np.float32)}
        then = {"a": np.full((store.n_envs, 4), float(step + 1), np.float32)}
        infos: list[dict[str, Any]] = [{"terminal_observation": {"a": np.full(4, -1.0, np.float32)}} for _ in over]
        actions = np.full((store.n_envs, 1), float(step), np.float32)
        store.add(seen, then, actions, np.full(store.n_envs, float(step)), np.array(over), infos)


def episodes(sampler: EpisodeSampler, n: int = 200) -> set[tuple[float, ...]]:
    """The different episodes of a large draw, as the rewards of their steps."""
    drawn = sampler.sample(n)
    rewards, valid = drawn.steps.rewards.view(-1, n), drawn.valid.view(-1, n)
    return {tuple(rewards[valid[:, s] > 0, s].tolist()) for s in range(n)}


def test_complete_episodes_are_drawn_whole_and_the_running_one_is_not() -> None:
    store = buffer(50)
    sampler = EpisodeSampler(store)
    play(store, 0, [[False], [True], [False], [False], [True], [False]])
    assert sampler.n_episodes() == 2
    assert episodes(sampler) == {(0.0, 1.0), (2.0, 3.0, 4.0)}
    play(store, 6, [[True]])
    assert episodes(sampler) == {(0.0, 1.0), (2.0, 3.0, 4.0), (5.0, 6.0)}


def test_padding_is_marked_and_the_last_step_has_its_final_observation() -> None:
    store = buffer(50)
    sampler = EpisodeSampler(store)
    play(store, 0, [[True], [False], [False], [True]])
    drawn = sampler.sample(64)
    valid = drawn.valid.view(-1, 64)
    lengths = valid.sum(0)
    assert set(lengths.tolist()) == {1.0, 3.0}
    assert bool((valid[0] == 1).all()) and valid.shape[0] == 3
    following = drawn.steps.next_observations[0].view(3, 64, 4)
    for s in range(64):
        assert bool((following[int(lengths[s]) - 1, s] == -1).all())


def test_environments_have_episodes_of_their_own() -> None:
    store = buffer(50, n_envs=2)
    sampler = EpisodeSampler(store)
    play(store, 0, [[False, True], [True, False], [False, True]])
    assert episodes(sampler) == {(0.0, 1.0), (0.0,), (1.0, 2.0)}


def test_overwritten_episodes_are_forgotten() -> None:
    store = buffer(6)
    sampler = EpisodeSampler(store)
    play(store, 0, [[False], [True], [False], [True]])
    assert sampler.n_episodes() == 2
    play(store, 4, [[False], [False], [True]])  # row 0 is gone, so the first episode is no longer whole
    assert episodes(sampler) == {(2.0, 3.0), (4.0, 5.0, 6.0)}


def test_a_cut_ends_an_episode_even_where_its_last_row_was_seen_before() -> None:
    store = buffer(50)
    sampler = EpisodeSampler(store)
    play(store, 0, [[False], [False]])
    assert sampler.n_episodes() == 0
    store.cut()
    assert episodes(sampler) == {(0.0, 1.0)}


def test_a_sampler_made_later_finds_the_same_episodes() -> None:
    store = buffer(6)
    early = EpisodeSampler(store)
    play(store, 0, [[False], [True], [False], [False], [True], [True], [False], [True]])
    early.n_episodes()
    assert episodes(EpisodeSampler(store)) <= episodes(early)
    fresh = buffer(50)
    play(fresh, 0, [[False], [True], [True]])
    assert episodes(EpisodeSampler(fresh)) == {(0.0, 1.0), (2.0,)}


def test_nothing_to_draw_and_summed_rewards_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="holds no complete episode"):
        EpisodeSampler(buffer(10)).sample(1)
    with pytest.raises(ConfigurationError, match="n_steps must be 1 where agents have a memory"):
        EpisodeSampler(buffer(10, n_steps=3))


def test_draws_follow_the_buffers_generator() -> None:
    store = buffer(50)
    sampler = EpisodeSampler(store)
    play(store, 0, [[True]] * 20)
    state = store.generator.get_state()
    first = sampler.sample(5).steps.rewards
    store.generator.set_state(state)
    assert torch.equal(sampler.sample(5).steps.rewards, first)
