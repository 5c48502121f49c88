"""TeamEnv: one joint environment, with rewards, endings, deaths, masks and faults as promised."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_checker import check_env as check_with_sb3
from toy_teams import MaskedInInfo, MaskedInObservation, Toy, ToyWithState

from masoft.envs import TeamEnv, make
from masoft.errors import ConfigurationError, EnvironmentFault, SpaceError

DISCRETE = {"a": spaces.Discrete(3), "b": spaces.Discrete(2), "c": spaces.Discrete(2)}


def test_observation_has_one_key_an_agent_and_active_flags():
    env = TeamEnv(Toy())
    observation, info = env.reset(seed=3)
    assert sorted(observation) == ["a", "active", "b"] and info == {}
    assert observation["b"].tolist() == [0, 1] and observation["active"].tolist() == [1, 1]
    assert env.observation_space.contains(observation)
    assert env.parallel_env.seed == 3


def test_joint_action_reaches_each_agent_in_its_own_units():
    actions = {
        "box": spaces.Box(np.float32([-2, 0]), np.float32([1, 10]), dtype=np.float32),
        "discrete": spaces.Discrete(3, start=5),
        "many": spaces.MultiDiscrete([2, 4]),
        "bits": spaces.MultiBinary(3),
        "grid": spaces.Box(-1, 1, (2, 2), np.float64),
    }
    env = TeamEnv(Toy(actions))
    env.reset()
    joint = env.action_space.sample()
    assert env.action_space.shape == (2 + 1 + 2 + 3 + 4,)
    joint[:] = [-2, 10, 2, 1, 3, 0, 1, 1, 0.5, -0.5, 1, -1]
    env.step(joint)
    received = env.parallel_env.received[0]
    assert all(actions[agent].contains(received[agent]) for agent in actions)
    assert received["box"].tolist() == [-2, 10] and received["discrete"] == 7
    assert received["many"].tolist() == [1, 3] and received["bits"].tolist() == [0, 1, 1]
    assert received["grid"].tolist() == [[0.5, -0.5], [1, -1]]


def test_all_categorical_team_has_a_multidiscrete_action():
    env = TeamEnv(Toy(DISCRETE))
    env.reset()
    assert env.action_space == spaces.MultiDiscrete([3, 2, 2])
    env.step(np.array([2, 1, 0]))
    assert env.parallel_env.received[0] == {"a": 2, "b": 1, "c": 0}


@pytest.mark.parametrize(("how", "expected"), [("mean", 1.5), ("sum", 3.0), ("auto", 1.5)])
def test_team_reward(how, expected):
    env = TeamEnv(Toy(), team_reward=how)
    env.reset()
    _, reward, _, _, info = env.step([0, 0, 0])
    assert reward == expected and info["rewards"] == {"a": 1.0, "b": 2.0}


def test_declared_team_reward_is_used_by_auto_and_overruled_by_name():
    assert TeamEnv(Toy(team_reward="sum")).team_reward == "sum"
    assert TeamEnv(Toy(team_reward="sum"), team_reward="mean").team_reward == "mean"


def test_shared_reward_must_be_shared():
    env = TeamEnv(Toy(), team_reward="shared")
    env.reset()
    with pytest.raises(EnvironmentFault, match="must be the same for all agents"):
        env.step([0, 0, 0])


def test_unknown_team_reward():
    with pytest.raises(ConfigurationError, match="team_reward must be 'auto', 'mean', 'sum' or 'shared'. Got 'max'"):
        TeamEnv(Toy(), team_reward="max")


def test_truncation_keeps_the_last_observation():
    env = TeamEnv(Toy(length=2))
    env.reset()
    env.step([0, 0, 0])
    observation, _, terminated, truncated, _ = env.step([0, 0, 0])
    assert (terminated, truncated) == (False, True)
    assert observation["a"].tolist() == [2, 0] and observation["active"].tolist() == [1, 1]


def test_an_agent_that_dies_shows_zeros_and_its_action_is_ignored():
    env = TeamEnv(Toy(DISCRETE, leaves={"b": 1}))
    env.reset()
    observation, reward, terminated, truncated, _ = env.step([0, 0, 0])
    assert reward == 2.0 and not terminated and not truncated
    assert observation["active"].tolist() == [1, 0, 1] and observation["b"].tolist() == [0, 0]
    _, reward, _, _, info = env.step([0, 99, 0])
    assert env.parallel_env.received[1] == {"a": 0, "c": 0}
    assert info["rewards"] == {"a": 1.0, "b": 0.0, "c": 3.0} and reward == pytest.approx(4 / 3)


def test_team_is_terminated_when_the_last_agents_terminate():
    env = TeamEnv(Toy(DISCRETE, leaves={"a": 1, "b": 2, "c": 2}))
    env.reset()
    env.step([0, 0, 0])
    observation, _, terminated, truncated, _ = env.step([0, 0, 0])
    assert (terminated, truncated) == (True, False)
    assert observation["b"].tolist() == [2, 1] and observation["a"].tolist() == [0, 0]


def test_one_terminates_while_the_other_is_truncated_so_the_team_is_truncated():
    env = TeamEnv(Toy(DISCRETE, length=1, leaves={"a": 1}))
    env.reset()
    observation, _, terminated, truncated, _ = env.step([0, 0, 0])
    assert (terminated, truncated) == (False, True)
    assert observation["active"].tolist() == [0, 1, 1]
    assert observation["a"].tolist() == [0, 0] and observation["b"].tolist() == [1, 1]


def test_without_deaths_all_are_seen_where_one_terminates_and_the_others_are_cut():
    env = TeamEnv(Toy(DISCRETE, length=1, leaves={"a": 1}, has_deaths=False))
    env.reset()
    observation, _, terminated, truncated, _ = env.step([0, 0, 0])
    assert (terminated, truncated) == (False, True) and observation["active"].tolist() == [1, 1, 1]
    assert observation["a"].tolist() == [1, 0] and observation["b"].tolist() == [1, 1]


def test_stepping_after_the_end_is_refused():
    env = TeamEnv(Toy(length=1))
    with pytest.raises(EnvironmentFault, match="Call reset first"):
        env.step([0, 0, 0])
    env.reset()
    env.step([0, 0, 0])
    with pytest.raises(EnvironmentFault, match="at step 1 of episode 1 of toy must be running when step is called"):
        env.step([0, 0, 0])


@pytest.mark.parametrize("kind", [MaskedInInfo, MaskedInObservation])
def test_masks_by_both_conventions(kind):
    env = TeamEnv(kind())
    observation, _ = env.reset()
    assert env.team.has_masks and observation["action_mask"].tolist() == [0, 1, 1]
    observation, *_ = env.step([1, 0, 0])
    assert observation["action_mask"].tolist() == [1, 0, 1] and observation["a"].shape == (2,)
    with pytest.raises(EnvironmentFault, match=r"'a' at step 1 of episode 1 .* legal choices \[0, 2\]. Got 1"):
        env.step([1, 0, 0])


def test_a_dead_agents_mask_allows_everything():
    actions = {"a": spaces.Discrete(3), "b": spaces.Discrete(2)}
    env = TeamEnv(MaskedInInfo(actions, leaves={"a": 1}))
    env.reset()
    observation, *_ = env.step([1, 0])
    assert observation["action_mask"].tolist() == [1, 1, 1, 1, 1]


def test_declared_masks_need_no_reset_at_construction():
    env = Toy(has_masks=True, has_deaths=False, state_is_observations=True)
    team = TeamEnv(env).team
    assert team.has_masks and not hasattr(env, "seed")


def test_multidiscrete_masks_come_as_a_tuple():
    class Tuples(Toy):
        def info(self, agent):
            return {"action_mask": (np.array([0, 1], np.int8), np.array([1, 0, 0], np.int8))}

    env = TeamEnv(Tuples({"a": spaces.MultiDiscrete([2, 3])}))
    observation, _ = env.reset()
    assert observation["action_mask"].tolist() == [0, 1, 1, 0, 0]
    env.step([1, 0])
    with pytest.raises(EnvironmentFault, match="legal choices"):
        env.step([1, 2])


def test_mask_without_a_legal_choice_is_a_fault_but_not_after_the_last_move():
    class Shut(Toy):
        def info(self, agent):
            return {"action_mask": np.array([self.elapsed == 0] * 3, np.int8)} if agent == "a" else {}

    env = TeamEnv(Shut())
    env.reset()
    with pytest.raises(EnvironmentFault, match="'a' at step 1 .* nonzero for one choice or more"):
        env.step([0, 0, 0])
    env = TeamEnv(Shut(length=1))
    env.reset()
    assert env.step([0, 0, 0])[0]["action_mask"].tolist() == [1, 1, 1]


def test_mask_of_wrong_length():
    class Short(Toy):
        def info(self, agent):
            return {"action_mask": np.ones(2)} if agent == "a" else {}

    with pytest.raises(EnvironmentFault, match=r"The action mask of agent 'a' .* of 3 entries"):
        TeamEnv(Short()).reset()


def test_masks_that_come_late_are_refused():
    class Late(Toy):
        def info(self, agent):
            return {"action_mask": np.ones(3)} if self.elapsed else {}

    env = TeamEnv(Late())
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"metadata\['has_masks'\] = True"):
        env.step([0, 0, 0])


def test_state_is_cast_once_and_flat():
    env = TeamEnv(ToyWithState())
    observation, _ = env.reset()
    assert env.team.state_size == 3 and observation["state"].dtype == np.float32
    assert observation["state"].tolist() == [0, 1.5, 2.5]


def test_without_state_there_is_no_state_key():
    assert "state" not in TeamEnv(Toy()).reset()[0]


def test_float64_and_images_and_integers_keep_shape():
    observations = {
        "a": spaces.Box(-np.inf, np.inf, (2, 3), np.float64),
        "b": spaces.Box(0, 255, (8, 9, 10), np.uint8),
    }

    class Mixed(Toy):
        def observation(self, agent):
            return np.full((2, 3), 0.5) if agent == "a" else np.full((8, 9, 10), 7, np.uint8)

    env = TeamEnv(Mixed({"a": spaces.Discrete(2), "b": spaces.Discrete(2)}, observations))
    observation, _ = env.reset()
    assert observation["a"].dtype == np.float32 and observation["a"].shape == (2, 3)
    assert observation["b"].dtype == np.uint8 and observation["b"].shape == (8, 9, 10)
    assert env.observation_space.contains(observation)


def test_returned_arrays_are_fresh():
    class Reuses(ToyWithState):
        buffer = np.zeros(2, np.float32)

        def observation(self, agent):
            self.buffer[:] = self.elapsed
            return self.buffer

    env = TeamEnv(Reuses())
    first, _ = env.reset()
    env.step([0, 0, 0])
    assert first["a"].tolist() == [0, 0] and first["state"][0] == 0


def test_infos_shared_between_agents_are_not_written_to():
    shared = {"battle": 1}

    class Shares(Toy):
        def info(self, agent):
            return shared

    env = TeamEnv(Shares())
    env.reset()
    info = env.step([0, 0, 0])[4]
    info["episode"] = {"r": 1}
    assert shared == {"battle": 1} and info["agents"] == {"a": shared, "b": shared}


def test_success_is_promoted():
    class Wins(Toy):
        def info(self, agent):
            return {"is_success": self.elapsed == 2}

    env = TeamEnv(Wins())
    env.reset()
    assert env.step([0, 0, 0])[4]["is_success"] is False
    assert env.step([0, 0, 0])[4]["is_success"] is True


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([0, np.nan], np.float32), r"observation of agent 'b' at step 1 .* finite everywhere"),
        (np.array([np.inf, 0], np.float64), r"observation of agent 'b' at step 1 .* finite everywhere"),
        (np.zeros(3, np.float32), r"observation of agent 'b' at step 1 .* of shape \(2,\). Got \(3,\)"),
    ],
)
def test_bad_observations(value, message):
    class Bad(Toy):
        def observation(self, agent):
            return value if self.elapsed and agent == "b" else super().observation(agent)

    env = TeamEnv(Bad())
    env.reset()
    with pytest.raises(EnvironmentFault, match=message):
        env.step([0, 0, 0])


def test_large_finite_observations_pass():
    class Large(Toy):
        def observation(self, agent):
            return np.full(2, 3e38, np.float32)

    assert TeamEnv(Large()).reset()[0]["a"][0] == np.float32(3e38)


@pytest.mark.parametrize(
    ("state", "message"), [([np.nan, 0, 0], "The state .* finite"), ([1.0], "The state .* of 3 numbers")]
)
def test_bad_state(state, message):
    class Bad(ToyWithState):
        def state(self):
            return np.array(state) if self.elapsed else super().state()

    env = TeamEnv(Bad())
    env.reset()
    with pytest.raises(EnvironmentFault, match=message):
        env.step([0, 0, 0])


def test_missing_observation_reward_and_bad_reward():
    class Silent(Toy):
        def step(self, actions):
            observations, rewards, *rest = super().step(actions)
            {"observation": observations, "reward": rewards}[self.which].pop("b")
            return observations, rewards, *rest

    for which, message in [("observation", "observations .* for agent 'b'"), ("reward", "rewards .* for agent 'b'")]:
        env = TeamEnv(Silent())
        env.parallel_env.which = which
        env.reset()
        with pytest.raises(EnvironmentFault, match=message):
            env.step([0, 0, 0])

    class Infinite(Toy):
        def reward(self, agent):
            return float("nan")

    env = TeamEnv(Infinite())
    env.reset()
    with pytest.raises(EnvironmentFault, match="The rewards at step 1 .* must be finite"):
        env.step([0, 0, 0])


def test_agents_may_not_vanish_nor_appear_from_nowhere():
    class Vanishes(Toy):
        def step(self, actions):
            answer = super().step(actions)
            self.agents = ["a"]
            return answer

    env = TeamEnv(Vanishes())
    env.reset()
    with pytest.raises(EnvironmentFault, match="Agent 'b' .*absent from agents with neither flag"):
        env.step([0, 0, 0])

    class Stranger(Toy):
        def step(self, actions):
            answer = super().step(actions)
            self.agents = ["a", "b", "z"]
            return answer

    env = TeamEnv(Stranger())
    env.reset()
    with pytest.raises(EnvironmentFault, match="possible_agents has to name all"):
        env.step([0, 0, 0])


def test_undeclared_deaths_are_refused():
    env = TeamEnv(Toy(DISCRETE, leaves={"b": 1}, has_deaths=False))
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"'b' at step 1 .* present until the episode ends"):
        env.step([0, 0, 0])

    class Late(Toy):
        def reset(self, seed=None, options=None):
            answer = super().reset(seed, options)
            self.agents = ["a"]
            return answer

    with pytest.raises(EnvironmentFault, match=r"all present. Got \"without \['b'\]\""):
        TeamEnv(Late(has_deaths=False)).reset()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([3, 0, 0], "action of agent 'a' at step 0 of episode 1 of toy"),
        ([0, 1.5, 0], r"agent 'b' .* inside Box"),
        ([0, np.nan, 0], r"agent 'b' .* finite"),
        ([0, 0], r"joint action .* of shape \(3,\)"),
    ],
)
def test_illegal_actions(action, message):
    env = TeamEnv(Toy())
    env.reset()
    with pytest.raises(EnvironmentFault, match=message):
        env.step(action)


@pytest.mark.parametrize("action", [[-1, 0, 0], [0, 2, 0], [0, 0, 0.5]])
def test_illegal_choices_of_an_all_categorical_team(action):
    env = TeamEnv(Toy(DISCRETE))
    env.reset()
    with pytest.raises(EnvironmentFault, match="a whole number from 0 to"):
        env.step(action)


def test_rounding_at_the_bounds_is_clipped_silently():
    env = TeamEnv(Toy())
    env.reset()
    env.step([1.00001, 1.00001, -1.00001])
    received = env.parallel_env.received[0]
    assert received["a"] == 1 and received["b"].tolist() == [1, -1]


def test_choices_inside_a_mixed_teams_box_are_rounded():
    env = TeamEnv(Toy())
    env.reset()
    env.step([1.6, 0, 0])
    assert env.parallel_env.received[0]["a"] == 2


def test_errors_of_the_environment_name_the_step_and_keep_the_cause():
    class Breaks(Toy):
        def step(self, actions):
            raise KeyError("protocol")

    env = TeamEnv(Breaks())
    env.reset()
    with pytest.raises(EnvironmentFault, match="step at step 1 of episode 1 of toy") as caught:
        env.step([0, 0, 0])
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(EnvironmentFault, match="Call reset first"):
        env.step([0, 0, 0])

    class NoStart(Toy):
        def reset(self, seed=None, options=None):
            if options:
                raise OSError("no game")
            return super().reset(seed)

    with pytest.raises(EnvironmentFault, match="reset of toy must be free of errors"):
        TeamEnv(NoStart()).reset(options={"map": 1})


def test_state_that_fails_is_a_fault():
    class Fails(ToyWithState):
        def state(self):
            if self.elapsed:
                raise RuntimeError("gone")
            return super().state()

    env = TeamEnv(Fails())
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"state\(\) at step 1"):
        env.step([0, 0, 0])


@pytest.mark.parametrize(
    ("space", "cure"),
    [
        (spaces.Text(5), "Flatten"),
        (spaces.Dict({"x": spaces.Tuple([spaces.Text(5)])}), r"also at \['x'\]\[0\].*Flatten"),
        (spaces.Sequence(spaces.Discrete(2)), "Flatten"),
        (spaces.Dict({}), "one number or more"),
        (spaces.Box(0, 1, (0,)), "one number or more"),
    ],
)
def test_observation_spaces_that_are_refused(space, cure):
    with pytest.raises(SpaceError, match=cure):
        TeamEnv(Toy(observations={"a": space, "b": spaces.Box(0, 1)}))


def test_infinite_action_bounds_are_refused():
    with pytest.raises(SpaceError, match="finite bounds"):
        TeamEnv(Toy({"a": spaces.Box(-np.inf, np.inf, (1,))}))


def test_agents_must_be_named_and_distinct():
    env = Toy()
    env.possible_agents = []
    with pytest.raises(ConfigurationError, match="possible_agents of Toy"):
        TeamEnv(env)
    with pytest.raises(ConfigurationError, match="distinct as strings"):
        TeamEnv(Toy({1: spaces.Discrete(2), "1": spaces.Discrete(2)}))


def test_agent_ids_need_not_be_strings():
    env = TeamEnv(Toy({0: spaces.Discrete(2), 1: spaces.Discrete(2)}))
    env.reset()
    assert env.team.names == ("0", "1")
    env.step([1, 0])
    assert env.parallel_env.received[0] == {0: 1, 1: 0}


def test_render_close_and_metadata():
    env = TeamEnv(Toy())
    env.reset()
    assert env.render() == "step 0" and env.render_mode == "ansi" and env.metadata["render_modes"] == ["ansi"]
    env.close()
    assert env.parallel_env.closed


@pytest.mark.parametrize("make_env", [Toy, ToyWithState, lambda: make("mpe/simple_speaker_listener_v4")])
def test_sb3_accepts_it(make_env):
    check_with_sb3(TeamEnv(make_env()), warn=False)
