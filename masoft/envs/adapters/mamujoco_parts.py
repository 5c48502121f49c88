"""Which joints each agent of a multi-agent MuJoCo team moves, and which entries of the state it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from masoft.errors import ConfigurationError, explain

LIBRARY_FACTORISATIONS = {
    "Ant": ("2x4", "2x4d", "4x2"),
    "HalfCheetah": ("2x3", "6x1"),
    "Hopper": ("3x1",),
    "Humanoid": ("9|8",),
    "HumanoidStandup": ("9|8",),
    "Swimmer": ("2x1",),
    "Walker2d": ("2x3",),
}
"""Groupings that gymnasium-robotics names itself; a long swimmer's it makes for any number of agents."""


@dataclass(frozen=True)
class Factorisation:
    """One robot's joints and state, shared out.

    Args:
        joints: for each agent the motors that it drives, as indices into the gymnasium action.
        seen: for each agent the entries of the gymnasium observation that it sees.
    """

    joints: tuple[tuple[int, ...], ...]
    seen: tuple[tuple[int, ...], ...]

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.joints)

    def in_slices(self) -> Factorisation:
        """As many joints for each agent, but dealt out in consecutive slices of the gymnasium action."""
        ends = np.cumsum([0] + [len(joints) for joints in self.joints]).tolist()
        slices = [tuple(range(start, stop)) for start, stop in zip(ends[:-1], ends[1:], strict=True)]
        return Factorisation(tuple(slices), self.seen)


def factorise(env: gymnasium.Env[Any, Any], scenario: str, factorisation: str, agent_obsk: int) -> Factorisation:
    """Work out a factorisation with the graph of joints that gymnasium-robotics has for each robot.

    Args:
        env: the single-agent environment.
        scenario: the robot's name.
        factorisation: ``"AxJ"``, or a name that the library knows.
        agent_obsk: how many joints away an agent sees.

    Raises:
        ConfigurationError: the robot has no such factorisation.
    """
    from gymnasium_robotics import mamujoco_v1

    partition, edges, torso = _partition(scenario, factorisation)
    structure: dict[str, int] = env.unwrapped.observation_structure  # type: ignore[attr-defined]
    own = [name for name, size in structure.items() if size and name != "skipped_qpos"]
    library = mamujoco_v1.parallel_env(
        scenario,
        factorisation,
        agent_obsk=agent_obsk,
        agent_factorization={"partition": partition, "edges": edges, "globals": torso},
        local_categories=[own] + [["qpos"]] * agent_obsk,
        gym_env=env,
    )
    seen = [library.observation_factorization[agent] for agent in library.possible_agents]
    return Factorisation(
        joints=tuple(tuple(int(node.act_ids) for node in part) for part in partition),
        seen=tuple(tuple(int(index) for index in indices) for indices in seen),
    )


def _partition(scenario: str, factorisation: str) -> tuple[list[tuple[Any, ...]], list[Any], list[Any]]:
    """Groups of joints, edges between joints, and the torso, in the library's own terms."""
    from gymnasium_robotics.envs.multiagent_mujoco.obsk import get_parts_and_edges

    named = LIBRARY_FACTORISATIONS.get(scenario, ())
    if factorisation in named or scenario == "ManySegmentSwimmer":
        partition, edges, torso = get_parts_and_edges(scenario, factorisation)
        return partition, edges, torso
    together, edges, torso = get_parts_and_edges(scenario, None)
    nodes = sorted((node for part in together for node in part), key=lambda node: int(node.act_ids))
    each = _joints_each(factorisation, len(nodes))
    if each is None:
        divisors = [n for n in range(1, len(nodes) + 1) if len(nodes) % n == 0]
        known = sorted({*named, *(f"{n}x{len(nodes) // n}" for n in divisors)})
        must = f"'AxJ' with A agents of J joints each, {len(nodes)} in all"
        raise ConfigurationError(
            explain(f"The factorisation of {scenario!r}", must, factorisation, "Known: " + ", ".join(known) + ".")
        )
    return [tuple(nodes[start : start + each]) for start in range(0, len(nodes), each)], edges, torso


def _joints_each(factorisation: str, n_joints: int) -> int | None:
    """J of ``"AxJ"``, where A * J is the number of joints; else None."""
    numbers = factorisation.split("x")
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        return None
    return int(numbers[1]) if math.prod(map(int, numbers)) == n_joints else None
