"""From whatever a user has to a stable-baselines3 VecEnv of teams."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
from pettingzoo import AECEnv, ParallelEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from masoft.envs.gymnasium_team import GymnasiumTeam, is_team
from masoft.envs.local import LocalVecEnv
from masoft.envs.registry import Registration, find
from masoft.envs.single_agent import SingleAgentTeam
from masoft.envs.state import State
from masoft.envs.subproc import TeamSubprocVecEnv, launch_process
from masoft.envs.team_env import TeamEnv
from masoft.envs.turns import from_aec
from masoft.envs.worker import ON_ENV_ERROR, Launcher
from masoft.errors import ConfigurationError, explain
from masoft.spec import TeamSpec
from masoft.validation import Real

BACKENDS = ("auto", "dummy", "subproc", "ray")
"""Where copies of an environment run."""
IN_PROCESSES = ("subproc", "ray")

KINDS = "an environment id, a PettingZoo environment, a gymnasium.Env, a VecEnv of teams, or a callable that makes one"


def as_vec_env(env: Any, *, team_reward: str = "auto", seed: int | None = None, state: State = "env") -> VecEnv:
    """Adapt any environment to what the estimators train on.

    Args:
        env: an id, a PettingZoo parallel or AEC environment (supersuit-wrapped or not), a gymnasium environment (a
            team of one), a callable without arguments that gives one of these, or a VecEnv of teams, which passes
            through.
        team_reward, state: see `TeamEnv`; a VecEnv has made its choices already.
        seed: seeds the next reset and the action space's sampling.

    Raises:
        ConfigurationError, SpaceError: what was given cannot be a team; the message has the cure.
    """
    if isinstance(env, VecEnv):
        team_of(env)
        if seed is not None:
            env.seed(seed)
        return env
    return make_vec(env, 1, seed=seed, team_reward=team_reward, state=state)


def make_vec(
    env: Any,
    n_envs: int = 1,
    *,
    seed: int | None = None,
    backend: str = "auto",
    team_reward: str = "auto",
    state: State = "env",
    monitor_dir: str | None = None,
    on_env_error: str = "raise",
    env_timeout: float | None = None,
    **env_kwargs: Any,
) -> VecEnv:
    """Several copies of a team's environment as one VecEnv, each inside a Monitor, like SB3's ``make_vec_env``.

    Args:
        env: an id or a callable; a finished environment serves for one copy.
        n_envs: number of copies.
        seed: copy i is seeded with seed + i.
        backend: ``"dummy"`` steps them in turn in this process, ``"subproc"`` gives each a process of its own, in
            which it is built (so it need not be picklable), ``"ray"`` an actor of the Ray cluster that the program
            has joined, or of one started on this machine, ``"auto"`` takes processes where one of the two options
            on faults below asks for them, else the simulator's own batching where it has one, else ``"dummy"``.
        team_reward, state: see `TeamEnv`; with a state of your own, batched simulators are stepped one by one.
        monitor_dir: folder for the Monitors' files; None writes none.
        on_env_error: when an environment dies, hangs or raises: ``"raise"`` an `EnvironmentFault`, or ``"restart"``
            it in a new process; the broken episode then counts as truncated, see `TeamSubprocVecEnv`.
        env_timeout: seconds that an environment may take for a step or a reset before it counts as hanging; None: as
            long as it takes. Building one may take two minutes more.
        **env_kwargs: passed to the environment.

    Raises:
        ConfigurationError: an unknown backend or id, a finished environment asked for more than once, or
            ``backend="dummy"`` with an option that only a process can keep.
        EnvironmentFault: a worker process cannot build its environment.

    Example:
        >>> from masoft.envs import make_vec
        >>> make_vec("matrix/maxent", n_envs=2, seed=0).num_envs
        2
    """
    if backend not in BACKENDS:
        raise ConfigurationError(explain("backend", f"one of {BACKENDS}", backend))
    if not isinstance(n_envs, int) or n_envs < 1:
        raise ConfigurationError(explain("n_envs", "an integer >= 1", n_envs))
    backend = _backend_for_faults(backend, on_env_error, env_timeout)
    source = find(env) if isinstance(env, str) else env
    if (
        isinstance(source, Registration)
        and source.vector_entry_point is not None
        and backend == "auto"
        and state == "env"
    ):
        if monitor_dir is not None:
            env_kwargs["monitor_dir"] = monitor_dir
        vec_env: VecEnv = source.build_vector(n_envs=n_envs, seed=seed, team_reward=team_reward, **env_kwargs)
        return vec_env
    is_recipe = isinstance(source, Registration) or _is_callable_source(source)
    if not is_recipe and (n_envs > 1 or env_kwargs or backend in IN_PROCESSES):
        raise ConfigurationError(
            explain("env", "an id or a callable where copies, arguments or processes are asked for", env,
                    "Pass a function that makes the environment, for example make_vec(lambda: MyEnv(), n_envs=4).")
        )  # fmt: skip
    if isinstance(env, VecEnv):
        raise ConfigurationError(explain("env", "no VecEnv", env, "It is vectorised already: use it as it is."))
    builders = [
        TeamBuilder(
            source, team_reward, None if seed is None else seed + rank, rank, monitor_dir, env_kwargs, state=state
        )
        for rank in range(n_envs)
    ]
    vec: VecEnv
    if backend in IN_PROCESSES:
        launch = launch_process if backend == "subproc" else _ray_launcher()
        vec = TeamSubprocVecEnv(builders, on_env_error=on_env_error, env_timeout=env_timeout, launch=launch)
    else:
        vec = LocalVecEnv(builders)  # type: ignore[arg-type]
    if seed is not None:
        vec.seed(seed)
    return vec


def _backend_for_faults(backend: str, on_env_error: str, env_timeout: float | None) -> str:
    """The backend that can do what is asked for: only a process can be timed and replaced."""
    if on_env_error not in ON_ENV_ERROR:
        raise ConfigurationError(explain("on_env_error", f"one of {ON_ENV_ERROR}", on_env_error))
    if env_timeout is not None and not Real(0, open_low=True).accepts(env_timeout):
        raise ConfigurationError(explain("env_timeout", "a number of seconds > 0, or None", env_timeout))
    if backend == "ray" or (on_env_error == "raise" and env_timeout is None):
        return backend
    if backend == "dummy":
        cure = "An environment in this process cannot be timed or replaced."
        raise ConfigurationError(
            explain("backend", "'subproc' or 'auto' with on_env_error='restart' or env_timeout", backend, cure)
        )
    return "subproc"


def _ray_launcher() -> Launcher:
    from masoft.envs.ray_worker import RayLauncher

    return RayLauncher()


def team_of(vec_env: VecEnv) -> TeamSpec:
    """The specification of the team that a VecEnv trains.

    Raises:
        ConfigurationError: its environments are no teams.
    """
    team = getattr(vec_env, "team", None)
    if team is None and vec_env.has_attr("team"):
        team = vec_env.get_attr("team")[0]
    if not isinstance(team, TeamSpec):
        raise ConfigurationError(
            explain("A VecEnv", "one of TeamEnvs", f"{type(vec_env).__name__} of {vec_env.observation_space}",
                    "Make it with masoft.make_vec(env, n_envs=...), or wrap each environment in masoft.envs.TeamEnv.")
        )  # fmt: skip
    return team


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
        appends: whether it goes on with the Monitor's file that is there.
        state: see `TeamEnv`.
    """

    source: Any
    team_reward: str = "auto"
    seed: int | None = None
    rank: int = 0
    monitor_dir: str | None = None
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    appends: bool = False
    state: State = "env"

    def again(self) -> TeamBuilder:
        """What makes the copy that replaces a broken one."""
        return replace(self, appends=True)

    def __call__(self) -> gymnasium.Env[Any, Any]:
        made = self.source
        if isinstance(made, Registration):
            made = made.build(**self.env_kwargs)
        elif _is_callable_source(made):
            _check_call(made, self.env_kwargs)
            made = made(**self.env_kwargs)
        env = as_team(made, team_reward=self.team_reward, state=self.state)
        if self.seed is not None:
            env.action_space.seed(self.seed)
        if is_wrapped(env, Monitor):
            return env
        filename = None
        if self.monitor_dir is not None:
            os.makedirs(self.monitor_dir, exist_ok=True)
            filename = os.path.join(self.monitor_dir, str(self.rank))
        return Monitor(env, filename, override_existing=not self.appends)


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
    raise ConfigurationError(explain("env", KINDS, env))


def _looks_like_aec(env: Any) -> bool:
    return hasattr(env, "agent_iter") and hasattr(env, "possible_agents")


def _looks_parallel(env: Any) -> bool:
    return hasattr(env, "possible_agents") and hasattr(env, "observation_space") and hasattr(env, "step")


def _is_callable_source(source: Any) -> bool:
    """Whether it makes environments, and is not one."""
    if isinstance(source, type):
        return True
    is_env = isinstance(source, (gymnasium.Env, VecEnv, ParallelEnv, AECEnv)) or _looks_parallel(source)
    return callable(source) and not is_env


Maker = Callable[[], Any]
