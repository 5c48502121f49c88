"""``state="both"``: critics see what all agents see behind the environment's state; nothing more is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from tensor_teams import TensorTeam
from toy_teams import Toy, ToyWithState

from masoft import HAPPO, HASAC, MAPPO, QMIX
from masoft.envs import TeamEnv, make_vec
from masoft.envs.registry import register
from masoft.errors import ConfigurationError
from masoft.files.team import team_from_values, team_to_values

STATE, OBSERVED = 3, 4
SMALL: dict[str, Any] = dict(policy_kwargs=dict(net_arch=[8]), seed=0, device="cpu")


class Choosers(ToyWithState):
    """Two agents with choices alone, for methods of values."""

    def __init__(self) -> None:
        super().__init__(actions=dict.fromkeys("ab", spaces.Discrete(3)))


def replayed(model: Any) -> Any:
    model.learn(40)
    buffer = model.replay_buffer
    return buffer.sample(16), buffer


def test_the_team_says_so_and_the_observation_is_as_it_was():
    plain, both = TeamEnv(ToyWithState()), TeamEnv(ToyWithState(), state="both")
    assert (plain.team.critic_state_size, both.team.critic_state_size) == (STATE, STATE + OBSERVED)
    assert both.observation_space == plain.observation_space
    assert both.team == replace(plain.team, state_and_observations=True)
    without = TeamEnv(Toy(), state="both").team
    assert without == TeamEnv(Toy()).team and without.critic_state_size == OBSERVED


@pytest.mark.parametrize("n_steps", [1, 3])
def test_replayed_states_are_the_environments_and_then_what_is_seen(n_steps):
    env = make_vec(ToyWithState, 2, seed=0, state="both")
    model = HASAC(env, learning_starts=8, n_steps=n_steps, batch_size=8, **SMALL)
    batch, buffer = replayed(model)
    assert set(buffer.frames) == {"a", "b", "state", "active"}  # stored as without it
    for state, seen in ((batch.state, batch.observations), (batch.next_state, batch.next_observations)):
        elapsed = state[:, :1]
        torch.testing.assert_close(state[:, 1:STATE], torch.tensor([[1.5, 2.5]]).expand(len(state), 2))
        torch.testing.assert_close(state[:, STATE:], torch.cat(seen, -1))
        torch.testing.assert_close(seen[0][:, :1], elapsed)


def test_scaled_and_stacked_environments_keep_it():
    env = make_vec(ToyWithState, 2, seed=0, state="both", normalize=True, frame_stack=2)
    model = HASAC(env, learning_starts=8, batch_size=8, **SMALL)
    batch, _ = replayed(model)
    assert model.team.state_and_observations
    torch.testing.assert_close(batch.state[:, -2 * OBSERVED :], torch.cat(batch.observations, -1))


@pytest.mark.parametrize("algorithm", [HAPPO, MAPPO])
def test_values_of_states_hang_on_observations(algorithm):
    def values(state: str) -> torch.Tensor:
        model = algorithm(make_vec(ToyWithState, 2, seed=0, state=state), n_steps=4, batch_size=None, **SMALL)
        model.learn(16)
        seen = {name: np.repeat(each, 2, 0) for name, each in model.get_env().reset().items()}
        seen["b"][1] += 3
        return model.policy.predict_values(seen)

    one, other = values("both")[:2]
    assert not torch.equal(one, other)
    if algorithm is HAPPO:  # MAPPO's critics see an agent's own observation in any case
        one, other = values("env")[:2]
        assert torch.equal(one, other)


def test_mixers_see_it():
    model = QMIX(make_vec(Choosers, 1, seed=0, state="both"), learning_starts=8, batch_size=8, **SMALL)
    assert replayed(model)[0].state.shape[1] == STATE + OBSERVED


def test_a_batch_has_it_without_being_stepped_one_by_one():
    def batched(*, n_envs, seed, team_reward, kind="choice"):
        return TensorTeam(n_envs, kind)

    register("mine/seeking", Toy, vector_entry_point=batched)
    vec_env = make_vec("mine/seeking", n_envs=4, state="both")
    assert isinstance(vec_env, TensorTeam) and vec_env.team.critic_state_size == 3 + 2 * 3
    model = MAPPO(vec_env, n_steps=4, batch_size=None, **SMALL).learn(32)
    assert model.team.state_and_observations
    assert not make_vec("mine/seeking", n_envs=4, state="both", kind="box").team.state_and_observations


def test_a_batch_of_another_kind_is_refused():
    def separate(*, n_envs, seed, team_reward):
        return make_vec(Toy, n_envs, seed=seed, team_reward=team_reward)

    register("mine/separate", Toy, vector_entry_point=separate)
    with pytest.raises(ConfigurationError, match="'mine/separate' must be a BatchedVecEnv .*backend='dummy'"):
        make_vec("mine/separate", 2, state="both")
    assert make_vec("mine/separate", 2, state="both", backend="dummy").num_envs == 2


def test_worker_processes_keep_it():
    vec_env = make_vec(Choosers, 2, state="both", backend="subproc")
    assert QMIX(vec_env, **SMALL).team.critic_state_size == STATE + OBSERVED
    vec_env.close()


def test_models_are_saved_with_it_and_older_files_are_without(tmp_path):
    env = make_vec(ToyWithState, 2, seed=0, state="both")
    model = HASAC(env, learning_starts=8, batch_size=8, **SMALL).learn(20)
    model.save(tmp_path / "model")
    again = HASAC.load(tmp_path / "model", env=env).learn(20)
    assert again.team == model.team
    older = team_to_values(model.team)
    del older["state_and_observations"]
    assert team_from_values(older) == replace(model.team, state_and_observations=False)
    elsewhere = HASAC.load(tmp_path / "model", env=make_vec(ToyWithState, 2, seed=0)).learn(20)
    assert elsewhere.team == model.team  # what it was made with goes on
    for one, other in zip(again.policy.parameters(), elsewhere.policy.parameters(), strict=True):
        assert torch.equal(one, other)
