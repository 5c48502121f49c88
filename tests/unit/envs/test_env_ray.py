"""Environments in Ray actors; most are skipped where Ray is not installed."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback

import masoft
from masoft.errors import ConfigurationError, EnvironmentFault, MissingDependencyError

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)


def recipe(folder: Path) -> Callable[[], Any]:
    """Makes a team that leaves its process's number in a file; sent to the actor by value, as a user's function is."""

    def make() -> Any:
        import os
        import tempfile

        from masoft.testing.games import IdentityTeam

        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".pid", delete=False) as file:
            file.write(str(os.getpid()))
        return IdentityTeam(("box", "box"), episode_length=5)

    return make


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"env_per_worker": 2}, "backend_kwargs of 'ray' must be known.*envs_per_worker"),
        ({"envs_per_worker": 0}, "envs_per_worker must be an integer >= 1"),
        ({"cpus_per_worker": 0}, "cpus_per_worker must be a number > 0"),
        ({"placement": "spread"}, "placement must be None or one of .*SPREAD"),
    ],
)
def test_a_wrong_layout_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        masoft.make_vec("matrix/maxent", 2, backend="ray", backend_kwargs=given)
    with pytest.raises(ConfigurationError, match="backend_kwargs must be given with backend='ray'"):
        masoft.make_vec("matrix/maxent", 2, backend_kwargs=given)


def test_without_ray_the_message_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "masoft\[ray\]"'):
        masoft.make_vec("matrix/maxent", 2, backend="ray")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'masoft[ray]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield ray
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves its daemons' handles to the collector
        ray.shutdown()
        gc.collect()


def workers(folder: Path) -> list[int]:
    """Numbers of the processes that have built an environment, oldest first."""
    files = sorted(folder.glob("*.pid"), key=lambda path: path.stat().st_mtime_ns)
    return [int(path.read_text()) for path in files]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [{}, {"envs_per_worker": 2, "placement": "PACK"}])
def test_actors_give_the_numbers_that_local_environments_give(ray: Any, tmp_path: Path, layout: Any) -> None:
    there = masoft.make_vec(recipe(tmp_path), 3, seed=3, backend="ray", backend_kwargs=layout)
    here = masoft.make_vec(recipe(tmp_path), 3, seed=3, backend="dummy")
    assert len(set(workers(tmp_path))) == (3 if not layout else 2) + 1
    np.testing.assert_equal(there.reset(), here.reset())
    rng = np.random.default_rng(0)
    actions = np.stack([here.action_space.sample() for _ in range(3)])
    for _ in range(12):
        actions = np.where(rng.random() < 0.5, actions, actions[::-1])
        (seen, rewards, dones, _), (expected, others, ends, _) = there.step(actions), here.step(actions)
        np.testing.assert_equal((seen, dones), (expected, ends))
        np.testing.assert_allclose(
            rewards, others, rtol=1e-6
        )  # one keeps them in double, the other in single precision
    there.close()
    here.close()


class Kill(BaseCallback):
    """kill -9 for the process of the first environment, once, in the middle of the run."""

    def __init__(self, folder: Path, at: int) -> None:
        super().__init__()
        self.folder, self.at, self.is_done = folder, at, False

    def _on_step(self) -> bool:
        if not self.is_done and self.num_timesteps >= self.at:
            os.kill(workers(self.folder)[0], signal.SIGKILL)
            self.is_done = True
        return True


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_the_run_goes_on(ray: Any, tmp_path: Path) -> None:
    env = masoft.make_vec(recipe(tmp_path), 2, seed=0, backend="ray", on_env_error="restart")
    with pytest.warns(UserWarning, match="It is started again"):
        model = masoft.HASAC(env, **SMALL).learn(60, callback=Kill(tmp_path, 24))
    assert model.num_timesteps == 60
    assert env.n_restarts in ([1, 0], [0, 1]) and len(workers(tmp_path)) == 3
    env.close()


@pytest.mark.slow
def test_a_lost_actor_is_replaced_with_all_its_environments(ray: Any, tmp_path: Path) -> None:
    layout = {"envs_per_worker": 2, "placement": "SPREAD"}
    env = masoft.make_vec(recipe(tmp_path), 3, seed=0, backend="ray", on_env_error="restart", backend_kwargs=layout)
    with pytest.warns(UserWarning, match="It is started again"):
        model = masoft.HASAC(env, **SMALL).learn(60, callback=Kill(tmp_path, 24))
    assert model.num_timesteps == 60 and sorted(env.n_restarts) in ([0, 1, 1], [0, 0, 1])
    env.close()
    for _ in range(50):  # the places are given back
        if ray.available_resources().get("CPU") == 4:
            break
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 4


def troubled() -> Callable[[], Any]:
    """Makes a team that raises, or sleeps, when it is told to; sent to the actor by value."""

    def make() -> Any:
        import time

        from masoft.testing.games import IdentityTeam

        class Troubled(IdentityTeam):
            trouble = ""

            def set_trouble(self, trouble: str) -> None:
                self.trouble = trouble

            def step(self, actions: Any) -> Any:
                if self.trouble == "raises":
                    raise RuntimeError("broken")
                if self.trouble == "hangs":
                    time.sleep(1_000)
                return super().step(actions)

        return Troubled(("box", "box"), episode_length=5)

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("trouble", "restarts"), [("raises", [0, 1, 0]), ("hangs", [1, 1, 0])])
def test_the_neighbours_of_a_broken_environment(ray: Any, trouble: str, restarts: list[int]) -> None:
    layout = {"envs_per_worker": 2}
    env = masoft.make_vec(
        troubled(), 3, seed=0, backend="ray", on_env_error="restart", env_timeout=3.0, backend_kwargs=layout
    )
    env.reset()
    actions = np.stack([env.action_space.sample() for _ in range(3)])
    env.env_method("set_trouble", trouble, indices=1)
    with pytest.warns(UserWarning, match="It is started again"):
        _, _, dones, infos = env.step(actions)
    assert env.n_restarts == restarts and dones.tolist() == [n > 0 for n in restarts]
    assert "env_restart" in infos[1]
    for _ in range(3):
        assert not env.step(actions)[2].any()
    env.close()


@pytest.mark.slow
def test_a_lost_worker_is_an_error_where_that_is_asked_for(ray: Any, tmp_path: Path) -> None:
    env = masoft.make_vec(recipe(tmp_path), 1, seed=0, backend="ray")
    env.reset()
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    with pytest.raises(EnvironmentFault, match="Environment 0 .* must be alive"):
        for _ in range(3):
            env.step(np.stack([env.action_space.sample()]))
    assert env.closed


def levels() -> Callable[[], Any]:
    """Makes a team with a level that a curriculum raises; sent to the actor by value."""

    def make() -> Any:
        from masoft.testing.games import IdentityTeam

        class Levels(IdentityTeam):
            level = 0

            def set_level(self, level: int) -> int:
                self.level = level
                return level

            def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
                self.options = options
                return super().reset(seed, options)

        return Levels(("box", "box"), episode_length=5)

    return make


@pytest.mark.slow
def test_a_curriculum_reaches_the_actors_and_errors_leave_no_answer_behind(ray: Any) -> None:
    env = masoft.make_vec(levels(), 2, seed=0, backend="ray")
    env.set_options({"map": "a"})
    env.reset()
    assert env.get_attr("options") == [{"map": "a"}] * 2
    assert env.env_method("set_level", 2) == [2, 2]
    env.set_attr("level", 3, indices=1)
    with pytest.raises(EnvironmentFault, match="Environment 0 .*'set_levle'.*set_level"):
        env.env_method("set_levle", 2)
    assert env.get_attr("level") == [2, 3]
    env.close()


@pytest.mark.slow
def test_one_object_for_all_actors_is_refused(ray: Any) -> None:
    team = levels()()
    with pytest.raises(ConfigurationError, match="a new environment at every call"):
        masoft.make_vec(lambda: team, 2, backend="ray")


@pytest.mark.slow
def test_more_environments_than_cpus_are_said_to_wait(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    others = masoft.make_vec(levels(), 4, backend="ray")
    monkeypatch.setattr("masoft.envs.ray_worker.NOTICE_SECONDS", 2.0)
    monkeypatch.setattr("masoft.envs.worker.BUILD_SECONDS", 4.0)
    message = "waits for a CPU of Ray: .* all 4 of the cluster are taken.* Lower n_envs"
    with pytest.warns(UserWarning, match=message) as said, pytest.raises(EnvironmentFault, match="must be answering"):
        masoft.make_vec(levels(), 1, backend="ray", env_timeout=1.0)
    assert len([each for each in said if "waits for a CPU" in str(each.message)]) == 1
    others.close()
