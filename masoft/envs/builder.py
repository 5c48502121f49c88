"""What makes one team, here or in a process of its own; nothing here imports torch."""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv
from pettingzoo import AECEnv, ParallelEnv

from masoft.envs.alike import one_object
from masoft.envs.gymnasium_team import GymnasiumTeam, is_team
from masoft.envs.reach import class_name, wraps
from masoft.envs.registry import Registration
from masoft.envs.single_agent import SingleAgentTeam
from masoft.envs.state import State
from masoft.envs.team_env import TeamEnv
from masoft.envs.through import team_inside
from masoft.envs.turns import from_aec
from masoft.errors import ConfigurationError, explain

PER_AGENT = (
    "supersuit's conversion counts each agent as an environment of its own. Pass the PettingZoo environment that it "
    "was made from, or masoft.make_vec(lambda: MyEnv(), n_envs=4)."
)
KINDS = "an environment id, a PettingZoo environment, a gymnasium.Env, a VecEnv of teams, or a callable that makes one"


@dataclass(frozen=True)
class TeamBuilder:
    """Makes one monitored TeamEnv, here or in a worker process. Called without arguments, as VecEnvs do.

    Args:
        source: a Registration, a callable, or a finished environment.
        team_reward: see `TeamEnv`.
        seed: of the action space's sampling.
        rank: this copy's number.
        monitor_dir: folder for the Monitor's file, or None.
        env_kwargs: passed to the environment.
        monitor_kwargs: passed to the Monitor.
        wrapper_class: put around the Monitor, or None.
        wrapper_kwargs: passed to it.
        must_be_new: whether an environment that was there before this call is refused.
        appends: whether it goes on with the Monitor's file that is there.
        state: see `TeamEnv`.
    """

    source: Any
    team_reward: str = "auto"
    seed: int | None = None
    rank: int = 0
    monitor_dir: str | None = None
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    monitor_kwargs: dict[str, Any] = field(default_factory=dict)
    wrapper_class: Callable[..., gymnasium.Env[Any, Any]] | None = None
    wrapper_kwargs: dict[str, Any] = field(default_factory=dict)
    must_be_new: bool = False
    appends: bool = False
    state: State = "env"

    def again(self) -> TeamBuilder:
        """What makes the copy that replaces a broken one."""
        return replace(self, appends=True)

    def __call__(self) -> gymnasium.Env[Any, Any]:
        env = self._watched(as_team(self._make(), team_reward=self.team_reward, state=self.state))
        if self.wrapper_class is not None:
            env = self.wrapper_class(env, **self.wrapper_kwargs)
        team_inside(env)
        if self.seed is not None:
            env.action_space.seed(self.seed)
        return env

    def _make(self) -> Any:
        """What the source makes."""
        made = self.source
        if isinstance(made, Registration):
            return made.build(**self.env_kwargs)
        if not makes_environments(made):
            return made
        _check_call(made, self.env_kwargs)
        there = gc.get_objects() if self.must_be_new else []
        new = made(**self.env_kwargs)
        if any(new is one for one in there):
            raise one_object(new)
        return new

    def _watched(self, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        """An environment inside a Monitor."""
        from stable_baselines3.common.monitor import Monitor

        from masoft.envs.recent import RecentMonitor

        if wraps(env, class_name(Monitor)):
            return env
        filename = None
        if self.monitor_dir is not None:
            os.makedirs(self.monitor_dir, exist_ok=True)
            filename = os.path.join(self.monitor_dir, str(self.rank))
        return RecentMonitor(env, filename, **{"override_existing": not self.appends, **self.monitor_kwargs})


def _check_call(maker: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    """Refuse a callable that cannot be called so, before what it raises looks like the environment's own fault."""
    try:
        inspect.signature(maker).bind(**kwargs)
    except TypeError as error:
        must = f"callable with {sorted(kwargs)}" if kwargs else "callable without arguments"
        raise ConfigurationError(explain("env", must, maker, f"It says: {error}.")) from error
    except ValueError:
        pass  # a few built-in callables do not tell their arguments


def as_team(env: Any, *, team_reward: str = "auto", state: State = "env") -> gymnasium.Env[Any, Any]:
    """One environment as a TeamEnv; a TeamEnv, wrapped or not, passes through.

    Raises:
        ConfigurationError, SpaceError: it cannot be a team.
    """
    if isinstance(env, gymnasium.Env):
        if isinstance(env.unwrapped, TeamEnv):
            return env
        team = GymnasiumTeam(env) if is_team(env) else SingleAgentTeam(env)
        return TeamEnv(team, team_reward=team_reward, state=state)
    if isinstance(env, AECEnv) or _looks_like_aec(env):
        env = from_aec(env)
    if isinstance(env, ParallelEnv) or _looks_parallel(env):
        return TeamEnv(env, team_reward=team_reward, state=state)
    if isinstance(env, VectorEnv):
        raise ConfigurationError(explain("env", KINDS, env, _way_of(env)))
    raise ConfigurationError(explain("env", KINDS, env))


def _way_of(vector: VectorEnv[Any, Any, Any]) -> str:
    """How to train on what one of gymnasium's vectors was made of."""
    if hasattr(vector, "par_env") or type(vector).__module__.startswith("supersuit."):
        return PER_AGENT
    example = repr(vector.spec.id) if vector.spec is not None else "lambda: MyEnv()"
    return f"gymnasium's vectors start episodes in another way: masoft.make_vec({example}, n_envs={vector.num_envs})."


def _looks_like_aec(env: Any) -> bool:
    return hasattr(env, "agent_iter") and hasattr(env, "possible_agents")


def _looks_parallel(env: Any) -> bool:
    return hasattr(env, "possible_agents") and hasattr(env, "observation_space") and hasattr(env, "step")


def makes_environments(source: Any) -> bool:
    """Whether it makes environments, and is not one."""
    if isinstance(source, type):
        return True
    is_env = isinstance(source, (gymnasium.Env, ParallelEnv, AECEnv)) or _looks_parallel(source)
    return callable(source) and not is_env
