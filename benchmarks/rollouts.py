"""What workers gain over stepping in this process, and where the learner limits them.

``python -m benchmarks.rollouts [BACKEND ...]`` steps copies of a team of two agents whose step takes 0.1 or 1 ms of a
processor, or 10 ms of waiting, as for a simulator that runs elsewhere: a machine of few cores can show for these only
what the workers themselves cost. Each row is a process of its own: seconds to the first observation, environment steps
a second (the better of two windows of three seconds), and the private memory of a worker. ``ray8`` puts eight
environments into an actor.

``python -m benchmarks.rollouts learner`` trains HASAC on the waiting ones, one update every sixteen transitions, beside
what a model of three numbers says: time of an environment's step, of an update, and of all else (workers, acting, loop)
that a training without updates and with steps that take no time is made of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

BACKENDS = ("dummy", "subproc", "ray", "ray8")
WORKERS = (1, 4, 16, 64)
STEPS = {"0.1 ms": (1e-4, False), "1 ms": (1e-3, False), "10 ms, waiting": (1e-2, True)}
WINDOW = 3.0
RATIO = 16
"""Transitions an update."""


class Paced(ParallelEnv):
    """Two agents with eight numbers each; a step takes a given time.

    Args:
        seconds: of a step.
        waits: whether it waits; otherwise it computes.
    """

    metadata = {"name": "paced"}
    possible_agents = ["a", "b"]

    def __init__(self, seconds: float, waits: bool) -> None:
        self.seconds, self.waits = seconds, waits

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Box(-1, 1, (8,))

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Box(-1, 1, (2,))

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.time = [*self.possible_agents], 0
        return self._everyone(np.zeros(8, np.float32)), self._everyone({})

    def step(self, actions: Any) -> Any:
        if self.waits:
            time.sleep(self.seconds)
        else:
            until = time.perf_counter() + self.seconds
            while time.perf_counter() < until:
                pass
        self.time += 1
        is_over, everyone = self.time == 100, self._everyone
        self.agents = [] if is_over else self.agents
        seen = everyone(np.full(8, self.time / 100, np.float32))
        return seen, everyone(0.0), everyone(False), everyone(is_over), everyone({})

    def _everyone(self, value: Any) -> dict[str, Any]:
        return dict.fromkeys(self.possible_agents, value)


def measure(backend: str, n: int, seconds: float, waits: bool, window: float = WINDOW) -> dict[str, float]:
    """One row, in this process."""
    import masoft

    how: dict[str, Any] = {"backend": backend.rstrip("8")}
    if backend == "ray8":
        how["backend_kwargs"] = {"envs_per_worker": 8}
    if how["backend"] == "ray":
        import ray

        ray.init(num_cpus=n, include_dashboard=False, log_to_driver=False)
    masoft.make_vec("matrix/maxent").close()  # imports are not the workers'
    began = time.perf_counter()
    env = masoft.make_vec(lambda: Paced(seconds, waits), n, seed=0, **how)
    env.reset()
    start = time.perf_counter() - began
    actions = np.stack([env.action_space.sample() for _ in range(n)])
    env.step(actions)
    best = 0.0
    for _ in range(2):
        done, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < window:
            env.step(actions)
            done += n
        best = max(best, done / passed)
    memory = _private_mib()
    env.close()
    return {"start": start, "rate": best, "memory": memory}


def _private_mib() -> float:
    """Private memory of a worker; NaN where there is none, or where psutil is not installed."""
    try:
        import psutil
    except ImportError:
        return float("nan")
    processes = [each for each in psutil.Process().children(recursive=True) if _is_worker(" ".join(each.cmdline()))]
    return float(np.mean([each.memory_full_info().uss for each in processes]) / 2**20) if processes else float("nan")


def _is_worker(command: str) -> bool:
    return "ray::Hosted" in command or "forkserver" in command


def _of_process(command: list[str]) -> dict[str, float]:
    """What a process of its own has measured; Ray prints other lines around it."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return found


def main() -> None:
    """Print the table, each row from a process of its own."""
    print("| a step | backend | environments | start-up | steps a second | a worker |\n|---|---|---|---|---|---|")
    for name, (seconds, waits) in STEPS.items():
        for backend in sys.argv[1:] or BACKENDS:
            for n in WORKERS:
                if backend == "ray8" and n < 8:
                    continue
                command = [sys.executable, "-m", "benchmarks.rollouts", backend, str(n), str(seconds), str(int(waits))]
                row = _of_process(command)
                memory = "-" if row["memory"] != row["memory"] else f"{row['memory']:.0f} MiB"
                took = f"{row['start']:.1f} s | {row['rate']:,.0f} | {memory}"
                print(f"| {name} | {backend} | {n} | {took} |", flush=True)


def train(n: int, seconds: float) -> dict[str, float]:
    """Steps a second of HASAC with workers, and those that the model says."""
    env, model = _learner(n, seconds)
    rate = _rate(model, max(2_048, 64 * n))
    update = float(np.median([_seconds(lambda: model.train(1, 256)) for _ in range(40)]))
    env.close()
    free, idle = _learner(n, 0.0)
    idle.train = lambda *args, **kwargs: None
    around = 1 / _rate(idle, max(4_096, 128 * n))
    free.close()
    return {"rate": rate, "model": 1 / (seconds / n + around + update / RATIO), "update": update, "around": around}


def _learner(n: int, seconds: float) -> tuple[Any, Any]:
    """HASAC with an update every so many transitions, past its first ones."""
    import masoft

    env = masoft.make_vec(lambda: Paced(seconds, seconds > 0), n, seed=0, backend="subproc")
    model = masoft.HASAC(
        env, train_freq=max(RATIO // n, 1), gradient_steps=max(n // RATIO, 1), learning_starts=RATIO * 4,
        batch_size=256, policy_kwargs={"net_arch": [64, 64]}, seed=0, device="cpu",
    )  # fmt: skip
    return env, model.learn(RATIO * 16)


def _rate(model: Any, steps: int) -> float:
    return steps / _seconds(lambda: model.learn(steps, reset_num_timesteps=False))


def _seconds(what: Callable[[], Any]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def learner() -> None:
    """Print the table of training, each row from a process of its own."""
    print("| environments | steps a second | the model | an update | all else, a step |\n|---|---|---|---|---|")
    for n in WORKERS:
        row = _of_process([sys.executable, "-m", "benchmarks.rollouts", "train", str(n), "0.01"])
        costs = f"{1e3 * row['update']:.1f} ms | {1e3 * row['around']:.2f} ms"
        print(f"| {n} | {row['rate']:,.0f} | {row['model']:,.0f} | {costs} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["learner"]:
        learner()
    elif sys.argv[1:2] == ["train"]:
        print(json.dumps(train(int(sys.argv[2]), float(sys.argv[3]))))
    elif len(sys.argv) > 4:
        warnings.simplefilter("ignore")
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), bool(int(sys.argv[4])))))
    else:
        main()
