"""Steps per CPU-second of each environment: the bare simulator, masoft's adapter, and TeamEnv on top.

Run: ``python benchmarks/envs.py [prefix ...]``, for example ``python benchmarks/envs.py mpe mamujoco/HalfCheetah``.
The three are stepped in turn in short windows and the best window of each counts, so that other work on the machine
disturbs all alike. Ratios are what to look at; nothing here is asserted.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from masoft.envs import TeamEnv, make, registered
from masoft.envs.adapters import football
from masoft.envs.adapters.football_engine import FootballEngine
from masoft.envs.adapters.mamujoco import SCENARIOS

WINDOWS, STEPS, ACTIONS = 40, 40, 32
Step = Callable[[int], None]


def bare_gymnasium(env: gymnasium.Env[Any, Any]) -> Step:
    """Steps a single-agent gymnasium environment."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(ACTIONS)]
    env.reset(seed=0)

    def step(k: int) -> None:
        _, _, terminated, truncated, _ = env.step(actions[k % ACTIONS])
        if terminated or truncated:
            env.reset()

    return step


def bare_parallel(env: Any) -> Step:
    """Steps a PettingZoo environment."""
    env.reset(seed=0)
    agents = env.possible_agents
    for agent in agents:
        env.action_space(agent).seed(0)
    actions = [{agent: env.action_space(agent).sample() for agent in agents} for _ in range(ACTIONS)]

    def step(k: int) -> None:
        env.step(actions[k % ACTIONS])
        if not env.agents:
            env.reset()

    return step


def bare_hands(env: Any) -> Step:
    """Steps the model of two hands: two MuJoCo steps a control step, nothing observed."""
    import mujoco

    model, data = env.model, mujoco.MjData(env.model)
    low, high = model.actuator_ctrlrange.T
    commands = np.random.default_rng(0).uniform(low, high, (ACTIONS, model.nu))

    def step(k: int) -> None:
        if k % env.max_episode_steps == 0:
            mujoco.mj_resetData(model, data)
        data.ctrl[:] = commands[k % ACTIONS]
        mujoco.mj_step(model, data, 2)

    return step


def bare_flights(env: Any) -> Step:
    """Runs JSBSim for as long as a step lasts, for each aircraft of an environment, and reads nothing."""
    from masoft.envs.lag.aircraft import FRAMES_PER_STEP

    fleet = env.aircraft if isinstance(env.aircraft, list) else [env.aircraft]

    def step(k: int) -> None:
        for aircraft in fleet:
            if k % 300 == 0:  # before it reaches the ground
                aircraft.reset()
            for _ in range(FRAMES_PER_STEP):
                aircraft.simulator.run()

    return step


def bare_football(level: str, n_agents: int) -> Step:
    """Steps the football engine, whose answer is one dict of raw numbers."""
    engine = FootballEngine(level, n_agents)
    generator = np.random.default_rng(0)
    actions = generator.integers(0, engine.n_actions, (ACTIONS, n_agents)).tolist()
    engine.reset(0)

    def step(k: int) -> None:
        if engine.step(actions[k % ACTIONS])[2]:
            engine.reset(int(generator.integers(2**31)))

    return step


def simulator(id: str) -> Step | None:
    """The simulator without masoft, or None where masoft is the simulator."""
    family, _, task = id.partition("/")
    if family == "mpe":
        return bare_parallel(importlib.import_module(f"mpe2.{task}").parallel_env())
    if family == "mamujoco":
        scenario = task.rsplit("-", 1)[0]
        if scenario == "ManySegmentSwimmer":  # has no id of its own; its robot, made by the adapter, without masoft
            return bare_gymnasium(make(id).env)
        return bare_gymnasium(gymnasium.make(SCENARIOS[scenario]))
    if family == "dexhands":
        return bare_hands(make(id))
    if family == "lag":
        return bare_flights(make(id))
    if family == "football":
        return bare_football(*football.SCENARIOS[task])
    return None


def cpu_microseconds(steps: dict[str, Step]) -> dict[str, float]:
    """Best CPU time of one step over all windows, for each contender."""
    best = dict.fromkeys(steps, float("inf"))
    for window in range(WINDOWS):
        for name, step in steps.items():
            start = time.process_time()
            for k in range(STEPS):
                step(window * STEPS + k)
            best[name] = min(best[name], (time.process_time() - start) / STEPS * 1e6)
    return best


def row(id: str, variant: str, options: dict[str, Any]) -> str:
    """One line of the table."""
    bare = simulator(id)
    steps = {"bare": bare} if bare else {}
    steps["adapter"] = bare_parallel(make(id, **options))
    steps["team"] = bare_gymnasium(TeamEnv(make(id, **options)))
    times = cpu_microseconds(steps)
    base = times.get("bare", times["adapter"])
    cells = [f"{1e6 / times[name]:>9,.0f}" if name in times else f"{'-':>9}" for name in ("bare", "adapter", "team")]
    ratios = [f"{times['adapter'] / base:>7.2f}", f"{times['team'] / base:>7.2f}"]
    return f"{id + variant:<44}" + "".join(cells + ratios) + f"{times['team'] - times['adapter']:>9.1f}"


def main(prefixes: list[str]) -> None:
    """Print the table."""
    np.set_printoptions(precision=3)
    print(f"{'environment':<44}{'bare/s':>9}{'adapter/s':>9}{'team/s':>9}{'adapter':>7}{'team':>7}{'team us':>9}")
    print("(steps per CPU-second; time of a step relative to the bare simulator's; TeamEnv's own microseconds)")
    for entry in registered():
        if prefixes and not any(entry.id.startswith(prefix) for prefix in prefixes):
            continue
        if not entry.is_installed:
            print(f"{entry.id:<44} skipped: {entry.install_command}")
            continue
        modes = ("partial", "paper") if entry.id.startswith("mamujoco/") else ("",)
        for mode in modes:
            options = {"observation": mode} if mode else {}
            print(row(entry.id, f" {mode}", options), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
