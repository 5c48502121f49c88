"""Snapshots of other people's simulators: the particle environments, and anything on MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_PARTICLE_ENV = (
    "steps", "agents", "rewards", "_cumulative_rewards", "terminations", "truncations", "agent_selection",
    "current_actions",
)  # fmt: skip
_COLOURS = ("color", "_color")
_GOALS = ("goal_a", "goal_b", "_goal_a", "_goal_b")


def simulator_values(env: Any) -> Any:
    """The snapshot of a simulator that is known here, or None."""
    if type(env).__module__.startswith("mpe2."):
        return {"particles": _particle_values(env)}
    return None


def restore_simulator(env: Any, values: Mapping[str, Any]) -> None:
    """Continue a simulator from `simulator_values`."""
    _restore_particles(env, values["particles"])


def generator_values(generator: np.random.Generator) -> Any:
    """A numpy generator's state as plain values."""
    return generator.bit_generator.state


def _particle_values(env: Any) -> dict[str, Any]:
    entities = [*env.world.agents, *env.world.landmarks]
    number = {id(entity): index for index, entity in enumerate(entities)}
    return {
        "env": {name: getattr(env, name) for name in _PARTICLE_ENV},
        "generator": generator_values(env.np_random),
        "entities": [
            {
                "state": dict(vars(entity.state)),
                "action": dict(vars(entity.action)) if hasattr(entity, "action") else {},
                "colours": {name: vars(entity)[name] for name in _COLOURS if name in vars(entity)},
                # Who aims at whom, by number.
                "goals": {name: number.get(id(vars(entity)[name])) for name in _GOALS if name in vars(entity)},
            }
            for entity in entities
        ],
    }


def _restore_particles(env: Any, values: Mapping[str, Any]) -> None:
    for name, value in values["env"].items():
        setattr(env, name, value)
    env.np_random.bit_generator.state = values["generator"]
    entities = [*env.world.agents, *env.world.landmarks]
    for entity, known in zip(entities, values["entities"], strict=True):
        vars(entity.state).update(known["state"])
        if known["action"]:
            vars(entity.action).update(known["action"])
        vars(entity).update(known["colours"])
        goals = {name: None if index is None else entities[index] for name, index in known["goals"].items()}
        vars(entity).update(goals)


def mujoco_values(env: Any) -> dict[str, Any]:
    """All of a gymnasium MuJoCo environment: every array of the simulation's data, time, generator.

    The derived arrays belong to it: rewards and observations read positions that lag one integration step behind.

    Args:
        env: the unwrapped environment.
    """
    data = env.data
    arrays = {name: np.array(getattr(data, name)) for name in _mujoco_arrays(env.model)}
    return {"time": float(data.time), "arrays": arrays, "generator": generator_values(env.np_random)}


def restore_mujoco(env: Any, values: Mapping[str, Any]) -> None:
    """Continue a gymnasium MuJoCo environment from `mujoco_values`."""
    fixed = set(_mujoco_arrays(env.model))  # older files hold those of bodies in contact, too
    for name in fixed & values["arrays"].keys():
        getattr(env.data, name)[:] = values["arrays"][name]
    env.data.time = values["time"]
    env.np_random.bit_generator.state = values["generator"]


def _mujoco_arrays(model: Any) -> Sequence[str]:
    """Names of the arrays whose size the model fixes; those of contacts and constraints are made anew in each step.

    Data that nothing has happened to has no others: they are empty there, or cannot be written.
    """
    import mujoco

    fresh = mujoco.MjData(model)
    named = ((name, getattr(fresh, name)) for name in dir(fresh) if not name.startswith("_"))
    arrays = [(name, value) for name, value in named if isinstance(value, np.ndarray)]
    return [name for name, value in arrays if value.dtype.kind in "iufb" and value.size and value.flags.writeable]
