"""From whatever a user has to a stable-baselines3 VecEnv of teams."""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv
from pettingzoo import AECEnv, ParallelEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from masoft.envs.alike import one_object
from masoft.envs.gymnasium_team import GymnasiumTeam, is_team
from masoft.envs.local import LocalVecEnv
from masoft.envs.recent import RecentMonitor
from masoft.envs.registry import Registration, find
from masoft.envs.single_agent import SingleAgentTeam
from masoft.envs.state import State
from masoft.envs.subproc import TeamSubprocVecEnv, launch_process
from masoft.envs.team_env import TeamEnv
from masoft.envs.through import team_inside
from masoft.envs.turns import from_aec
from masoft.envs.vector_team import KINDS, PER_AGENT, team_of
from masoft.envs.worker import ON_ENV_ERROR, Launcher
from masoft.envs.wrapping import wrapped
from masoft.errors import ConfigurationError, explain
from masoft.validation import Real

BACKENDS = ("auto", "dummy", "subproc", "ray")
"""Where copies of an environment run."""
IN_PROCESSES = ("subproc", "ray")


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
    normalize: bool | Mapping[str, Any] = False,
    frame_stack: int | Mapping[str, Any] | None = None,
    monitor_dir: str | None = None,
    monitor_kwargs: Mapping[str, Any] | None = None,
    wrapper_class: Callable[..., gymnasium.Env[Any, Any]] | None = None,
    wrapper_kwargs: Mapping[str, Any] | None = None,
    vec_env_cls: Callable[..., VecEnv] | None = None,
    vec_env_kwargs: Mapping[str, Any] | None = None,
    on_env_error: str = "raise",
    env_timeout: float | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    **more_env_kwargs: Any,
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
        normalize: whether stable-baselines3's VecNormalize goes around all; or its arguments. It scales rewards, the
            state and what agents see, but for pictures; masks and active flags are left alone.
        frame_stack: number of the newest frames that agents see, or arguments of VecFrameStack.
        monitor_dir: folder for the Monitors' files; None writes none.
        monitor_kwargs: further arguments of the Monitor.
        wrapper_class: put around each copy, outside of the Monitor; it must leave the entries of observations.
        wrapper_kwargs: its arguments.
        vec_env_cls: a VecEnv class to use instead of a backend's; DummyVecEnv and SubprocVecEnv mean these backends.
        vec_env_kwargs: its arguments.
        on_env_error: when an environment dies, hangs or raises: ``"raise"`` an `EnvironmentFault`, or ``"restart"``
            it in a new process; the broken episode then counts as truncated, see `TeamSubprocVecEnv`.
        env_timeout: seconds that an environment may take for a step or a reset before it counts as hanging; None: as
            long as it takes. Building one may take two minutes more.
        env_kwargs: passed to the environment.
        **more_env_kwargs: the same, for those whose names are not among these.

    Raises:
        ConfigurationError: an unknown backend or id, a finished environment asked for more than once, or
            ``backend="dummy"`` with an option that only a process can keep.
        SpaceError: the environments are no teams, or a wrapper makes them none.
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
    if isinstance(env, VecEnv):
        raise ConfigurationError(explain("env", "no VecEnv", env, "It is vectorised already: use it as it is."))
    backend, vec_env_cls = _backend_of_class(backend, vec_env_cls, vec_env_kwargs)
    backend = _backend_for_faults(backend, on_env_error, env_timeout)
    source = find(env) if isinstance(env, str) else env
    kwargs = {**(env_kwargs or {}), **more_env_kwargs}
    is_plain = wrapper_class is None and not monitor_kwargs and vec_env_cls is None and state == "env"
    vec: VecEnv
    if isinstance(source, Registration) and source.vector_entry_point and backend == "auto" and is_plain:
        if monitor_dir is not None:
            kwargs["monitor_dir"] = monitor_dir
        vec = source.build_vector(n_envs=n_envs, seed=seed, team_reward=team_reward, **kwargs)
        return wrapped(vec, normalize, frame_stack)
    _check_recipe(source, n_envs, kwargs, is_elsewhere=backend in IN_PROCESSES or vec_env_cls is not None)
    builder = TeamBuilder(
        source, team_reward, monitor_dir=monitor_dir, env_kwargs=kwargs, monitor_kwargs=dict(monitor_kwargs or {}),
        wrapper_class=wrapper_class, wrapper_kwargs=dict(wrapper_kwargs or {}),
        must_be_new=n_envs > 1 and backend in IN_PROCESSES, state=state,
    )  # fmt: skip
    builders = [replace(builder, rank=k, seed=None if seed is None else seed + k) for k in range(n_envs)]
    if vec_env_cls is not None:
        vec = vec_env_cls(builders, **(vec_env_kwargs or {}))
        team_of(vec)
    elif backend in IN_PROCESSES:
        launch = launch_process if backend == "subproc" else _ray_launcher()
        vec = TeamSubprocVecEnv(builders, on_env_error=on_env_error, env_timeout=env_timeout, launch=launch)
    else:
        vec = LocalVecEnv(builders)
    if seed is not None:
        vec.seed(seed)
    return wrapped(vec, normalize, frame_stack)


def _check_recipe(source: Any, n_envs: int, kwargs: Mapping[str, Any], *, is_elsewhere: bool) -> None:
    """Refuse a finished environment where one has to be made."""
    is_recipe = isinstance(source, Registration) or _is_callable_source(source)
    if not is_recipe and (n_envs > 1 or kwargs or is_elsewhere):
        raise ConfigurationError(
            explain("env", "an id or a callable where copies, arguments or processes are asked for", source,
                    "Pass a function that makes the environment, for example make_vec(lambda: MyEnv(), n_envs=4).")
        )  # fmt: skip


def _backend_of_class(backend: str, cls: Any, kwargs: Mapping[str, Any] | None) -> tuple[str, Any]:
    """stable-baselines3's own two classes without arguments are backends; others are called."""
    if cls is None:
        if kwargs:
            raise ConfigurationError(explain("vec_env_kwargs", "given with a vec_env_cls", dict(kwargs)))
        return backend, None
    if not callable(cls):
        raise ConfigurationError(explain("vec_env_cls", "a VecEnv class", cls))
    if backend != "auto":
        raise ConfigurationError(explain("backend", "left out where vec_env_cls is given", backend))
    own = {DummyVecEnv: "dummy", LocalVecEnv: "dummy", SubprocVecEnv: "subproc", TeamSubprocVecEnv: "subproc"}
    if cls in own and not kwargs:
        return own[cls], None
    return backend, cls


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
        if not _is_callable_source(made):
            return made
        _check_call(made, self.env_kwargs)
        there = gc.get_objects() if self.must_be_new else []
        new = made(**self.env_kwargs)
        if any(new is one for one in there):
            raise one_object(new)
        return new

    def _watched(self, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        """An environment inside a Monitor."""
        if is_wrapped(env, Monitor):
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


def _is_callable_source(source: Any) -> bool:
    """Whether it makes environments, and is not one."""
    if isinstance(source, type):
        return True
    is_env = isinstance(source, (gymnasium.Env, VecEnv, ParallelEnv, AECEnv)) or _looks_parallel(source)
    return callable(source) and not is_env


Maker = Callable[[], Any]
