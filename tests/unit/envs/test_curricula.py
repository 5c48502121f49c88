"""Methods, attributes and options of the environment inside, from the VecEnv; and questions that fail."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import supersuit
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.vec_env import VecEnv
from toy_teams import Toy, TurnByTurn

from masoft import HASAC
from masoft.envs import TeamEnv, make_vec
from masoft.envs.batched import SEPARATE
from masoft.errors import ConfigurationError, EnvironmentFault


class Levels(Toy):
    """A toy with levels, which a curriculum raises: agents see theirs, and the episode's length depends on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.level, self._hidden, self.options = 0, 0, None

    def observation(self, agent):
        return np.array([self.level, self._hidden], np.float32)

    def set_level(self, level: int, *, length: int | None = None) -> int:
        before, self.level = self.level, level
        self.length = self.length if length is None else length
        return before

    def reset(self, seed=None, options=None):
        self.options = options
        return super().reset(seed, options)

    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    def fail(self, rank: int) -> int:
        if self.level == rank:
            raise ValueError("no such level")
        return self.level

    def die(self) -> None:
        os._exit(3)


def build(kind: str) -> Any:
    return {
        "plain": Levels,
        "supersuit": lambda: supersuit.dtype_v0(supersuit.clip_reward_v0(Levels()), np.float32),
        "limited": lambda: TimeLimit(TeamEnv(Levels()), 50),
    }[kind]


@pytest.fixture(params=[(b, k) for b in ("dummy", "subproc") for k in ("plain", "supersuit", "limited")])
def env(request: pytest.FixtureRequest) -> Iterator[VecEnv]:
    backend, kind = request.param
    env = make_vec(build(kind), 2, seed=0, backend=backend)
    env.reset()
    yield env
    env.close()


def act(env: VecEnv, n: int = 1) -> tuple[Any, ...]:
    for _ in range(n):
        answer = env.step(np.zeros((env.num_envs, *env.action_space.shape)))
    return answer


def test_methods_reach_the_environment(env: VecEnv) -> None:
    assert env.env_method("set_level", 3) == [0, 0]
    assert env.env_method("set_level", 4, indices=1, length=1) == [3]
    seen, _, dones, infos = act(env)
    assert dones.tolist() == [False, True]
    assert seen["a"][:, 0].tolist() == [3, 4] and infos[1]["terminal_observation"]["b"].tolist() == [4, 0]


def test_attributes_are_set_where_they_are(env: VecEnv) -> None:
    env.set_attr("level", 5)
    env.set_attr("length", 2, indices=[0])
    env.set_attr("_hidden", 6)
    assert env.get_attr("level") == [5, 5] and env.get_attr("length") == [2, 3]
    seen = act(env)[0]
    assert seen["a"].tolist() == [[5, 6], [5, 6]]
    assert act(env)[2].tolist() == [True, False]
    assert env.has_attr("level") and not env.has_attr("nonsense")
    env.set_attr("brand_new", 1)
    assert env.get_attr("brand_new") == [1, 1]


def test_options_reach_the_next_reset(env: VecEnv) -> None:
    env.set_options({"map": "a"})
    env.reset()
    assert env.get_attr("options") == [{"map": "a"}] * 2
    env.reset()
    assert env.get_attr("options") == [None, None]
    env.set_options([{"map": "b"}, {"map": "c"}])
    env.reset()
    assert env.get_attr("options") == [{"map": "b"}, {"map": "c"}]


def test_options_and_attributes_of_one_team() -> None:
    team = TeamEnv(Levels())
    team.reset(seed=1, options={"map": "z"})
    assert team.parallel_env.options == {"map": "z"}
    assert team.get_wrapper_attr("level") == 0 and team.has_wrapper_attr("set_level")
    assert team.set_wrapper_attr("level", 2, force=False) and team.parallel_env.level == 2
    assert not team.set_wrapper_attr("absent", 2, force=False) and not hasattr(team.parallel_env, "absent")
    with pytest.raises(
        AttributeError, match="None of TeamEnv, Levels has an attribute 'set_lvel'. Did you mean 'set_level'"
    ):
        team.get_wrapper_attr("set_lvel")


@pytest.mark.parametrize(("backend", "error"), [("dummy", AttributeError), ("subproc", EnvironmentFault)])
def test_a_name_that_nobody_has_is_answered_with_the_nearest(backend: str, error: type[Exception]) -> None:
    env = make_vec(Levels, 2, backend=backend)
    for ask in (env.env_method, env.get_attr):
        with pytest.raises(error, match="Levels has an attribute 'set_lvel'. Did you mean 'set_level'"):
            ask("set_lvel")
    env.close()


def test_an_environment_of_turns_is_reached_through_its_conversion() -> None:
    env = make_vec(TurnByTurn, 1)
    env.set_attr("bonus", 3)
    assert env.envs[0].unwrapped.parallel_env.unwrapped.bonus == 3


def test_a_team_of_one_is_reached_too() -> None:
    env = make_vec("CartPole-v1", 1)
    env.set_attr("gravity", 1.5)
    assert env.envs[0].unwrapped.parallel_env.env.unwrapped.gravity == 1.5


class Shrinks(Levels):
    """Plays with fewer agents at higher levels, or sees more numbers."""

    def reset(self, seed=None, options=None):
        seen, infos = super().reset(seed, options)
        if self.level == 1:
            self.agents = ["a"]
        if self.level == 2:
            self.possible_agents = self.agents = ["a", "b", "c"]
        if self.level == 3:
            return {agent: np.zeros(3, np.float32) for agent in self.agents}, infos
        return {agent: seen.get(agent, np.zeros(2)) for agent in self.agents}, infos


@pytest.mark.parametrize("backend", ["dummy", "subproc"])
def test_other_agents_and_spaces_are_seen(backend: str) -> None:
    def at(level: int) -> Any:
        env = make_vec(Shrinks, 1, backend=backend)
        env.env_method("set_level", level)
        try:
            return env.reset()
        finally:
            env.close()

    assert at(1)["active"].tolist() == [[1, 0]]
    with pytest.raises(EnvironmentFault, match=r"Every agent .* must be one of \('a', 'b'\). Got 'c'"):
        at(2)
    with pytest.raises(EnvironmentFault, match="agent 'a' .*shape"):
        at(3)


def test_a_curriculum_in_a_run_is_learned_from() -> None:
    env = make_vec(Levels, 2, seed=0, length=50)
    model = HASAC(env, learning_starts=99, buffer_size=99, batch_size=9, seed=0, device="cpu").learn(10)
    env.env_method("set_level", 9)
    model.learn(10, reset_num_timesteps=False)
    assert model.replay_buffer.frames["a"][:11, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9]


def test_a_batch_says_that_it_has_no_separate_environments() -> None:
    env = make_vec("vmas/balance", 2)
    for ask in (
        lambda: env.env_method("set_level", 3),
        lambda: env.set_attr("level", 3, indices=[0]),
        lambda: env.set_options({"map": 1}),
    ):
        with pytest.raises(ConfigurationError, match=SEPARATE):
            ask()


# ---------------------------------------------------------------- after an error


def workers(n: int = 3, **options: Any) -> Any:
    env = make_vec(Levels, n, seed=0, backend="subproc", **options)
    env.reset()
    for rank in range(n):
        env.set_attr("level", rank, indices=rank)
    return env


@pytest.mark.parametrize("on_env_error", ["raise", "restart"])
def test_an_error_of_one_leaves_no_answer_behind(on_env_error: str) -> None:
    env = workers(on_env_error=on_env_error)
    for culprit in (0, 1, 2):
        with pytest.raises(EnvironmentFault, match=rf"Environment {culprit} .*no such level"):
            env.env_method("fail", culprit)
        assert env.get_attr("level") == [0, 1, 2]
        with pytest.raises(EnvironmentFault, match="nonsense"):
            env.get_attr("nonsense")
        assert act(env)[0]["a"][:, 0].tolist() == [0, 1, 2]
        assert env.env_method("fail", 9) == [0, 1, 2] and not env.has_attr("nonsense")
    env.close()


def test_what_cannot_be_sent_is_refused_before_anybody_is_asked() -> None:
    env = workers(2)
    with pytest.raises(ConfigurationError, match="The arguments of 'set_level' must be such that pickle can send them"):
        env.env_method("set_level", lambda: 3)
    with pytest.raises(ConfigurationError, match="The value of 'level'"):
        env.set_attr("level", lambda: 3)
    assert env.get_attr("level") == [0, 1]
    env.close()


class Interrupt(Exception):
    """Stands for Ctrl-C."""


def test_an_interrupted_step_or_question_is_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    env = workers()
    receive = type(env.remotes[1])._receive

    def interrupted(self: Any) -> Any:
        if self.rank == 1:
            monkeypatch.undo()
            raise Interrupt
        return receive(self)

    for ask in (lambda: env.get_attr("length"), lambda: act(env)):
        monkeypatch.setattr(type(env.remotes[1]), "_receive", interrupted)
        with pytest.raises(Interrupt):
            ask()
        assert env.get_attr("level") == [0, 1, 2]
        assert act(env)[0]["a"][:, 0].tolist() == [0, 1, 2]
    env.close()


def test_a_question_without_an_answer_does_not_shift_later_ones() -> None:
    env = workers(2, env_timeout=0.5)
    with pytest.raises(EnvironmentFault, match=r"answering within 0\.5 s"):
        env.env_method("sleep", 0.8, indices=0)
    assert env.get_attr("level") == [0, 1]  # it came later, and was taken in
    with pytest.raises(EnvironmentFault, match=r"answering within 0\.5 s"):
        env.env_method("sleep", 60, indices=1)
    with pytest.raises(EnvironmentFault, match="Environment 1 .*must be alive"):
        env.get_attr("level")
    env.close()


def test_a_question_that_kills_is_a_fault_and_not_an_answer_to_the_next_one() -> None:
    env = workers(2)
    with pytest.raises(EnvironmentFault, match="Environment 0 .* exit code 3"):
        env.env_method("die", indices=0)
    assert env.get_attr("level", indices=1) == [1]
    with pytest.raises(EnvironmentFault, match="Environment 0 .* must be alive"):
        act(env)
    assert env.closed
