"""Infos that are made when somebody looks: the same as plain ones, and nothing once an environment before that."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnvWrapper, VecMonitor

import masoft
from masoft.envs.batched import BatchedStep, BatchedVecEnv, BatchMonitor
from masoft.envs.team_env import TeamEnv
from masoft.infos import LazyInfos
from masoft.testing.games import CueTeam

TEAM = TeamEnv(CueTeam()).team


def infos() -> tuple[LazyInfos, list[dict[str, Any]]]:
    rewards = np.arange(8.0).reshape(4, 2)
    finals = {"scout": np.arange(8.0).reshape(4, 2), "guard": np.ones((4, 2))}
    terminated, truncated = np.array([0, 1, 0, 1], bool), np.array([0, 0, 1, 1], bool)
    lazy = LazyInfos(("scout", "guard"), rewards, finals, terminated, truncated, np.array([1, 0, 1, 1], bool))
    plain: list[dict[str, Any]] = [{"rewards": {"scout": row[0], "guard": row[1]}} for row in rewards.tolist()]
    for env, is_cut in ((1, False), (2, True), (3, False)):
        last = {name: values[env].copy() for name, values in finals.items()}
        plain[env].update({"terminal_observation": last, "TimeLimit.truncated": is_cut, "is_success": env != 1})
    for values in finals.values():
        values[:] = -1  # the simulator writes on
    return lazy, plain


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


def test_they_are_the_plain_list_however_one_looks() -> None:
    plain = infos()[1]
    ways: list[Any] = [
        lambda x: list(x), lambda x: x[:], lambda x: [x[-4], x[1], x[2], x[-1]], lambda x: [*reversed(x)][::-1],
        lambda x: x.copy(), copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x[0:2] + x[2:],
        lambda x: [each for _, each in enumerate(x)],
    ]  # fmt: skip
    for look in ways:
        assert same(look(infos()[0]), plain)
    assert len(infos()[0]) == 4 and same(infos()[0], plain)
    with pytest.raises(IndexError):
        infos()[0][4]


def test_what_is_written_into_one_stays() -> None:
    lazy = infos()[0]
    lazy[2]["seen"] = True
    assert lazy[2]["seen"] and [entry.get("seen") for entry in lazy] == [None, None, True, None]


class Counting(BatchedVecEnv):
    """Counts steps; episode i ends after i % 5 + 3 of them."""

    def __init__(self, n_envs: int) -> None:
        super().__init__(n_envs, TEAM, team_reward="mean", name="counting")
        self._left = np.arange(n_envs) % 5 + 3

    def _seen(self) -> dict[str, Any]:
        values = np.stack([self._left / 10, np.zeros(self.num_envs)], 1).astype(np.float32)
        return {"scout": values, "guard": values.copy(), "active": np.ones((self.num_envs, 2), np.int8)}

    def _start(self, seeds: Any) -> dict[str, Any]:
        return self._seen()

    def _advance(self, actions: Any) -> BatchedStep:
        self._left = self._left - 1
        finals, over = self._seen(), self._left == 0
        self._left = np.where(over, 5, self._left)
        rewards = np.stack([actions[:, 0], self._left], 1).astype(float)
        return BatchedStep(self._seen(), finals, rewards, over & (self._left % 2 == 0), over & (self._left % 2 == 1))


def test_the_monitor_tells_what_stable_baselines3s_tells() -> None:
    ours, theirs = BatchMonitor(Counting(7)), VecMonitor(Counting(7))
    ours.reset(), theirs.reset()
    for k in range(20):
        actions = np.full((7, 2), k % 2)
        one, other = ours.step(actions), theirs.step(actions)
        for mine, its in zip(one[3], other[3], strict=True):
            episodes = [{**each.pop("episode", {}), "t": 0} for each in (mine, its)]
            assert same(episodes[0], episodes[1]) and same(mine, its)
    assert ours.episode_count == theirs.episode_count > 0


def calls_of(n_envs: int, name: str) -> int:
    """Python calls of three vector steps of collecting, in which no episode ends."""
    settings: dict[str, Any] = {"n_steps": 4, "batch_size": None} if name == "HAPPO" else {"buffer_size": 20_000}
    if name == "HASAC":
        settings |= {"learning_starts": n_envs, "gradient_steps": 0}
    env = BatchMonitor(Counting(n_envs))
    env.venv._left = np.full(n_envs, 50)
    model = getattr(masoft, name)(env, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}, **settings)
    counted, counting = [0], [False]

    def count(frame: Any, event: str, argument: Any) -> None:
        counted[0] += counting[0] and event in ("call", "c_call")

    def between(scope: dict[str, Any], _: Any) -> bool:
        step = scope["self"].num_timesteps // n_envs
        counting[0] = 2 <= step < 4
        return step < 4

    sys.setprofile(count)
    try:
        model.learn(n_envs * 6, callback=between)
    finally:
        sys.setprofile(None)
    return counted[0]


@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_collecting_does_nothing_once_an_environment(name: str) -> None:
    few, many = calls_of(16, name), calls_of(1024, name)
    assert few > 50 and many < 1.1 * few, (few, many)  # large batches take another way, of as many calls


class Shifting(VecEnvWrapper):
    """Adds 7 to what the scout sees, at the ends of episodes too."""

    def reset(self) -> Any:
        return self._shifted(self.venv.reset())

    def step_wait(self) -> Any:
        seen, rewards, dones, infos = self.venv.step_wait()
        for env in np.flatnonzero(dones):
            infos[env]["terminal_observation"] = self._shifted(infos[env]["terminal_observation"])
        return self._shifted(seen), rewards, dones, infos

    @staticmethod
    def _shifted(seen: dict[str, Any]) -> dict[str, Any]:
        return {**seen, "scout": seen["scout"] + 7}


def test_what_a_wrapper_makes_of_last_observations_is_stored() -> None:
    env = Shifting(BatchMonitor(Counting(7)))
    settings = dict(learning_starts=1000, batch_size=8, buffer_size=140, seed=0, device="cpu")
    model = masoft.HASAC(env, **settings).learn(7 * 15)
    batch = model.replay_buffer.sample(200)
    assert len(model.ep_info_buffer) > 0
    assert float(batch.observations[0][:, 0].min()) >= 7 and float(batch.next_observations[0][:, 0].min()) >= 7


def test_transitions_are_those_of_plain_infos() -> None:
    def filled(is_lazy: bool) -> Any:
        env = (BatchMonitor if is_lazy else VecMonitor)(Counting(7))
        model = masoft.HASAC(env, learning_starts=1000, batch_size=8, seed=0, buffer_size=140, device="cpu").learn(
            7 * 60
        )
        return model.replay_buffer, model.ep_info_buffer

    lazy, plain = filled(True), filled(False)
    assert [(e["r"], e["l"]) for e in lazy[1]] == [(e["r"], e["l"]) for e in plain[1]]
    one, other = lazy[0].sample(64), plain[0].sample(64)
    for name in ("state", "next_state", "actions", "rewards", "discounts", "terminated"):
        assert (getattr(one, name) == getattr(other, name)).all()
