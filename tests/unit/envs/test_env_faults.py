"""Environments that die, hang or raise in their processes: raised with the place, or replaced; nothing stays behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_teams import Breaking
from stable_baselines3.common.callbacks import BaseCallback
from toy_teams import Toy

from masoft import HAPPO, HASAC, make_vec
from masoft.envs.subproc import TeamSubprocVecEnv
from masoft.errors import ConfigurationError, EnvironmentFault, SpaceError
from masoft.saving.checkpoint_callback import CheckpointCallback

SMALL: dict[str, Any] = dict(seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
OFF_POLICY: dict[str, Any] = dict(learning_starts=8, batch_size=8, buffer_size=200, **SMALL)
TIMEOUTS = {"dies": None, "hangs": 1.0, "raises": None, "nan": None}
BREAKS = pytest.mark.parametrize("how", TIMEOUTS)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.envs.worker.CLOSE_SECONDS", 1.0)


def workers(make: Callable[[], Any], n_envs: int = 1, **options: Any) -> TeamSubprocVecEnv:
    env = make_vec(make, n_envs, seed=0, backend="subproc", **options)
    assert isinstance(env, TeamSubprocVecEnv)
    return env


def play(env: TeamSubprocVecEnv, n: int) -> list[tuple[Any, ...]]:
    """Some steps."""
    return [env.step(np.zeros((env.num_envs, 3))) for _ in range(n)]


def is_alive(number: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---------------------------------------------------------------- raise


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("dies", r"must be alive\. Got .*exit code 3"),
        ("hangs", r"must be answering within 1\.0 s"),
        ("raises", "lost a wheel"),
        ("nan", "agent 'b' at step 2 of episode 2"),
    ],
)
def test_a_fault_says_where_and_leaves_the_last_checkpoint(how: str, message: str, tmp_path: Path) -> None:
    env = workers(lambda: Breaking(how, 26), env_timeout=TIMEOUTS[how])
    numbers = [worker.process.pid for worker in env.remotes]
    callback = CheckpointCallback(tmp_path, every=10)
    message = message.replace("step 2 of episode 2", "step 2 of episode 7")
    with pytest.raises(EnvironmentFault, match=rf"Environment 0 \(toy\) at step 2 of its episode 7 .*{message}"):
        HASAC(env, **OFF_POLICY).learn(60, callback=callback)
    assert env.closed and not any(is_alive(number) for number in numbers)
    assert HASAC.resume(tmp_path, device="cpu").num_timesteps == 20


def test_the_workers_traceback_is_the_cause() -> None:
    env = workers(lambda: Breaking("raises", 1))
    env.reset()
    with pytest.raises(EnvironmentFault) as caught:
        play(env, 1)
    assert "in fail" in str(caught.value.__cause__) and "lost a wheel" in str(caught.value.__cause__)


def test_an_error_in_a_question_is_no_death(tmp_path: Path) -> None:
    env = workers(Toy, on_env_error="restart")
    with pytest.raises(EnvironmentFault, match="AttributeError"):
        env.get_attr("nonsense")
    assert env.get_attr("team")[0].names == ("a", "b") and env.n_restarts == [0]
    env.close()


# ---------------------------------------------------------------- restart


@BREAKS
def test_a_restart_truncates_the_broken_episode(how: str, tmp_path: Path) -> None:
    env = workers(
        lambda: Breaking(how, 6, tmp_path / "flag"), 2, on_env_error="restart", env_timeout=TIMEOUTS[how],
        monitor_dir=str(tmp_path / "logs"),
    )  # fmt: skip
    env.reset()
    play(env, 5)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        observation, rewards, dones, infos = play(env, 1)[0]
    broken = [k for k, n in enumerate(env.n_restarts) if n]
    assert broken and len(said) == len(broken) and "It is started again." in str(said[0].message)
    for k in broken:
        assert dones[k] and rewards[k] == 0 and infos[k]["rewards"] == {"a": 0.0, "b": 0.0}
        assert infos[k]["TimeLimit.truncated"] and "Environment" in infos[k]["env_restart"]
        assert infos[k]["terminal_observation"]["a"].tolist() == [1, 0]  # as after step 1, the last that was seen
        assert observation["a"][k].tolist() == [0, 0] and "episode" not in infos[k]
    later = play(env, 8)
    assert [sum(step[2][k] for step in later) for k in broken] == [2] * len(broken)
    env.close()
    # The Monitor's file goes on: one episode before, two after.
    rows = (tmp_path / "logs" / f"{broken[0]}.monitor.csv").read_text().splitlines()
    assert len(rows) == 2 + 3 and rows[0].startswith("#")


@BREAKS
@pytest.mark.parametrize(
    ("method", "settings"), [(HASAC, OFF_POLICY), (HAPPO, dict(n_steps=10, batch_size=None, **SMALL))]
)
def test_a_run_with_a_restart_takes_all_its_steps(
    how: str, method: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    env = workers(lambda: Breaking(how, 13, tmp_path / "flag"), on_env_error="restart", env_timeout=TIMEOUTS[how])
    with pytest.warns(UserWarning, match="It is started again"):
        model = method(env=env, **settings).learn(60)
    assert model.num_timesteps == 60 and env.n_restarts == [1]
    assert all(tensor.isfinite().all() for tensor in model.policy.state_dict().values())
    assert {info["l"] for info in model.ep_info_buffer} == {4}  # the broken episode is no return
    env.close()


@pytest.mark.parametrize("how", ["dies", "raises"])
def test_a_reset_that_breaks_is_repeated(how: str, tmp_path: Path) -> None:
    env = workers(lambda: Breaking(how, 2, tmp_path / "flag", when="reset"), on_env_error="restart")
    env.reset()
    play(env, 2)
    with pytest.warns(UserWarning, match=r"\(toy\) at 'reset'"):
        assert env.reset()["a"].tolist() == [[0, 0]]
    assert env.n_restarts == [1]
    env.close()


def test_death_between_two_steps_is_noticed_at_the_next_question(tmp_path: Path) -> None:
    env = workers(Toy, on_env_error="restart")
    env.reset()
    play(env, 1)
    env.remotes[0].process.kill()
    with pytest.warns(UserWarning, match="exit code -9"):
        assert env.get_attr("team_reward") == ["mean"]
    (observation, rewards, dones, infos), (_, next_rewards, next_dones, _) = play(env, 2)
    assert dones[0] and rewards[0] == 0 and observation["a"][0].tolist() == [0, 0]
    assert infos[0]["terminal_observation"]["a"].tolist() == [1, 0]
    assert next_rewards[0] == 1.5 and not next_dones[0]
    env.close()


def test_what_always_breaks_is_given_up() -> None:
    env = workers(lambda: Breaking("dies", 1), on_env_error="restart")
    env.reset()
    with pytest.warns(UserWarning), pytest.raises(EnvironmentFault, match="started again 3 times without one step"):
        play(env, 10)
    assert env.n_restarts == [3] and env.closed


def test_a_restarted_environment_has_a_seed_of_its_own(tmp_path: Path) -> None:
    def seeds(on_env_error: str) -> Any:
        env = workers(lambda: Toy(length=99), on_env_error=on_env_error)
        env.reset()
        first = env.env_method("get_wrapper_attr", "parallel_env")[0].seed
        env.remotes[0].process.kill()
        with pytest.warns(UserWarning):
            second = env.env_method("get_wrapper_attr", "parallel_env")[0].seed
        env.close()
        return first, second

    assert seeds("restart") == seeds("restart") and len(set(seeds("restart"))) == 2


# ---------------------------------------------------------------- nothing stays behind


def test_processes_and_handles_are_closed() -> None:
    def used(spoil: Callable[[TeamSubprocVecEnv], None]) -> tuple[list[int], int]:
        env = workers(Toy, 3)
        numbers = [worker.process.pid for worker in env.remotes]
        env.reset()
        spoil(env)
        env.close()
        return [number for number in numbers if is_alive(number)], len(os.listdir("/proc/self/fd"))

    def in_a_step(env: TeamSubprocVecEnv) -> None:
        env.step_async(np.zeros((3, 3)))

    def dead(env: TeamSubprocVecEnv) -> None:
        os.kill(env.remotes[1].process.pid, signal.SIGKILL)
        with pytest.raises(EnvironmentFault, match="Environment 1 .* exit code -9"):
            play(env, 1)

    def stopped(env: TeamSubprocVecEnv) -> None:
        os.kill(env.remotes[1].process.pid, signal.SIGSTOP)

    _, before = used(lambda env: None)  # the server that starts processes stays
    for spoil in (lambda env: None, in_a_step, dead, stopped):
        alive, handles = used(spoil)
        assert alive == [] and handles <= before


def test_an_environment_that_cannot_be_built_leaves_nothing(tmp_path: Path) -> None:
    def build() -> Toy:
        try:
            (tmp_path / "one").touch(exist_ok=False)  # the second of the two that start at once fails
        except FileExistsError:
            raise OSError("no display") from None
        return Toy()

    workers(Toy).close()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(EnvironmentFault, match="while it is built, must be free of errors. Got 'OSError: no display'"):
        workers(build, 2)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_workers_leave_ctrl_c_to_the_learner(tmp_path: Path) -> None:
    class CtrlC(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 20:  # what a terminal does: everybody gets it
                for number in (os.getpid(), self.model.env.remotes[0].process.pid):
                    os.kill(number, signal.SIGINT)
                time.sleep(0.2)
            return True

    env = workers(Toy)
    callback = CheckpointCallback(tmp_path, every=100)
    HASAC(env, **OFF_POLICY).learn(60, callback=[callback, CtrlC()])
    assert callback.stopped_by is signal.SIGINT
    assert play(env, 1) and HASAC.resume(tmp_path, device="cpu").num_timesteps == 20
    env.close()


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_env_error": "ignore"}, r"on_env_error must be one of \('raise', 'restart'\)"),
        ({"env_timeout": 0}, "env_timeout must be a number of seconds > 0"),
        ({"env_timeout": "1"}, "env_timeout must be a number of seconds > 0"),
        ({"backend": "dummy", "env_timeout": 1}, "backend must be 'subproc' or 'auto'"),
        ({"backend": "dummy", "on_env_error": "restart"}, "cannot be timed or replaced"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_vec(Toy, 1, **options)


def test_the_options_choose_processes() -> None:
    for options in ({"on_env_error": "restart"}, {"env_timeout": 30.0}):
        env = make_vec(Toy, 1, **options)
        assert isinstance(env, TeamSubprocVecEnv) and env.reset()["a"].shape == (1, 2)
        env.close()


# ---------------------------------------------------------------- a scheduler decides


@pytest.mark.parametrize("with_server", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_signal_to_the_whole_job_leaves_the_workers_at_work(with_server: bool, tmp_path: Path) -> None:
    class ToAll(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 20:
                processes = [worker.process for worker in self.model.env.remotes]
                server = int(Path(f"/proc/{processes[0].pid}/stat").read_text().rpartition(")")[2].split()[1])
                for number in (
                    *(process.pid for process in processes),
                    *([server] if with_server else ()),
                    os.getpid(),
                ):
                    os.kill(number, signal.SIGTERM)
                time.sleep(0.3)
            return True

    env = workers(Toy, 2)
    callback = CheckpointCallback(tmp_path, every=100)
    HASAC(env, **OFF_POLICY).learn(60, callback=[callback, ToAll()])
    assert callback.stopped_by is signal.SIGTERM and HASAC.resume(tmp_path, device="cpu").num_timesteps == 20
    assert play(env, 1)
    numbers = [worker.process.pid for worker in env.remotes]
    env.close()
    assert gone(numbers, 3)
    workers(Toy).close()  # with another server


LEARNER = """
import os, sys, time
sys.path.insert(0, {folder!r})
from toy_teams import Toy
from masoft.envs import make_vec

class Slow(Toy):
    def step(self, actions):
        time.sleep({seconds})
        return super().step(actions)

if __name__ == "__main__":
    env = make_vec(Slow, 2, seed=0, backend="subproc")
    print(*[worker.process.pid for worker in env.remotes], flush=True)
    env.reset()
    env.step_async([[0, 0, 0]] * 2)
    {ending}
"""


def gone(numbers: list[int], seconds: float) -> bool:
    """Whether processes end within so many seconds."""
    end = time.monotonic() + seconds
    while any(is_alive(number) for number in numbers) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(is_alive(number) for number in numbers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "seconds"),
    [("os._exit(0)", 0), ("os.kill(os.getpid(), 9)", 60), ("pass", 0), ("pass", 60), ("del env", 60)],
)
def test_no_worker_outlives_its_learner(ending: str, seconds: int, tmp_path: Path) -> None:
    """Killed, forgotten or not closed, between two steps or in the middle of a long one."""
    script = tmp_path / "learner.py"
    script.write_text(LEARNER.format(folder=str(Path(__file__).parent), ending=ending, seconds=seconds))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as learner:
        assert learner.stdout is not None
        numbers = [int(number) for number in learner.stdout.readline().split()]
        learner.wait(30)
    assert len(numbers) == 2 and gone(numbers, 8)


def test_a_forgotten_vector_leaves_no_process() -> None:
    env = workers(Toy, 2)
    numbers = [worker.process.pid for worker in env.remotes]
    del env
    gc.collect()
    assert gone(numbers, 3)


def test_programs_that_a_simulator_starts_can_be_stopped() -> None:
    class Starter(Toy):
        def start_and_stop(self) -> int:
            with subprocess.Popen(["sleep", "60"]) as program:
                program.terminate()
                return program.wait(10)

    env = workers(Starter)
    assert env.env_method("start_and_stop") == [-signal.SIGTERM]
    env.close()


@pytest.mark.parametrize(
    ("kind", "shown"), [(lambda: Toy({"a": Toy}), "SpaceError"), (lambda: 3, "ConfigurationError")]
)
def test_what_is_no_team_is_refused_as_it_is_here(kind: Callable[[], Any], shown: str) -> None:
    errors = []
    for backend in ("dummy", "subproc"):
        with pytest.raises((SpaceError, ConfigurationError)) as caught:
            make_vec(kind, 1, backend=backend)
        errors.append((type(caught.value).__name__, str(caught.value)))
    assert errors[0] == errors[1] and errors[0][0] == shown


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux' list of what a process has loaded")
def test_worker_processes_do_without_torch() -> None:
    code = """
import masoft
if __name__ == "__main__":
    env = masoft.make_vec("matrix/maxent", 2, seed=0, backend="subproc")
    env.reset()
    assert env.env_method("get_snapshot")[0] is not None and not any(env.env_is_wrapped(str))
    from stable_baselines3.common.monitor import Monitor
    assert all(env.env_is_wrapped(Monitor))
    loaded = [open(f"/proc/{worker.process.pid}/maps").read() for worker in env.remotes]
    print(["libtorch" in each for each in loaded], "libtorch" in open("/proc/self/maps").read())
    env.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[False, False] True\n"


def test_the_monitor_alone_is_the_one_of_the_package() -> None:
    code = """
from masoft.envs.worker_process import load_monitor_alone
import sys
load_monitor_alone()
assert "torch" not in sys.modules
from masoft.envs.recent import RecentMonitor
import stable_baselines3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common import monitor
assert issubclass(RecentMonitor, Monitor) and monitor.Monitor is Monitor
from stable_baselines3.common.env_util import Monitor as same
assert same is Monitor
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def pictures() -> Any:
    """Makes a team that sees large pictures, and numbers in double precision beside them."""
    from gymnasium import spaces
    from pettingzoo import ParallelEnv

    class Pictures(ParallelEnv):  # type: ignore[misc]
        metadata = {"name": "pictures", "has_deaths": False}
        possible_agents = ["eye", "hand"]
        trouble = False

        def observation_space(self, agent: str) -> Any:
            return spaces.Box(0, 255, (3, 128, 128), np.uint8) if agent == "eye" else spaces.Box(-1, 1, (3,))

        def action_space(self, agent: str) -> Any:
            return spaces.Discrete(3)

        def reset(self, seed: int | None = None, options: Any = None) -> Any:
            self.rng = (
                np.random.default_rng(seed) if seed is not None else getattr(self, "rng", np.random.default_rng())
            )
            self.agents, self.time = [*self.possible_agents], 0
            return self.seen(), {agent: {} for agent in self.agents}

        def step(self, actions: Any) -> Any:
            if self.trouble:
                os._exit(3)
            self.time += 1
            everyone = self.agents
            self.agents = [] if self.time == 4 else everyone
            ended = dict.fromkeys(everyone, self.time == 4)
            return self.seen(), dict.fromkeys(everyone, 1.0), ended, dict(ended), {agent: {} for agent in everyone}

        def seen(self) -> Any:
            picture = self.rng.integers(0, 256, (3, 128, 128), dtype=np.uint8)
            return {"eye": picture, "hand": np.full(3, self.time / 4, np.float32)}

        def set_trouble(self) -> None:
            self.trouble = True

    return Pictures()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs Linux' list of shared memory")
def test_large_observations_come_through_shared_memory() -> None:
    before = set(os.listdir("/dev/shm"))
    there = make_vec(pictures, 2, seed=3, backend="subproc", on_env_error="restart")
    assert len(set(os.listdir("/dev/shm")) - before) >= 2
    here = make_vec(pictures, 2, seed=3, backend="dummy")
    np.testing.assert_equal(there.reset(), here.reset())
    actions = np.stack([here.action_space.sample() for _ in range(2)])
    kept = []
    for _ in range(6):
        (seen, _, dones, infos), (expected, _, ends, others) = there.step(actions), here.step(actions)
        np.testing.assert_equal((seen, dones), (expected, ends))
        kept.append((seen, expected))
        for info, other in zip(infos, others, strict=True):
            np.testing.assert_equal(info.get("terminal_observation"), other.get("terminal_observation"))
    np.testing.assert_equal(*zip(*kept, strict=True))  # no view that changes later
    there.env_method("set_trouble", indices=0)
    with pytest.warns(UserWarning, match="It is started again"):
        _, _, dones, infos = there.step(actions)
    assert dones.tolist() == [True, False]
    np.testing.assert_equal(infos[0]["terminal_observation"]["eye"], kept[-1][0]["eye"][0])
    assert not there.step(actions)[2][0] and there.n_restarts == [1, 0]
    there.close()
    assert not {name for name in set(os.listdir("/dev/shm")) - before if name.startswith("psm_")}
