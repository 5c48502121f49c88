"""From whatever a user has to a stable-baselines3 VecEnv of teams."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from masoft.envs.batched import BatchedVecEnv
from masoft.envs.builder import TeamBuilder, as_team, makes_environments
from masoft.envs.local import LocalVecEnv
from masoft.envs.registry import Registration, find
from masoft.envs.registry import make as registered_make
from masoft.envs.state import State
from masoft.envs.subproc import TeamSubprocVecEnv, launch_process
from masoft.envs.vector_team import team_of
from masoft.envs.worker import ON_ENV_ERROR, Launcher
from masoft.envs.wrapping import Normalize, TeamFrames, frames_of, wrapped
from masoft.errors import ConfigurationError, explain, nearest
from masoft.validation import Real

BACKENDS = ("auto", "dummy", "subproc", "ray")
"""Where copies of an environment run."""
IN_PROCESSES = ("subproc", "ray")
OF_A_BATCH = ("tensors", "device", "seeding")
"""Arguments that simulators have for many games at once and not for one."""


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
    normalize: Normalize = False,
    frame_stack: int | Mapping[str, Any] | None = None,
    monitor_dir: str | None = None,
    monitor_kwargs: Mapping[str, Any] | None = None,
    wrapper_class: Callable[..., gymnasium.Env[Any, Any]] | None = None,
    wrapper_kwargs: Mapping[str, Any] | None = None,
    vec_env_cls: Callable[..., VecEnv] | None = None,
    vec_env_kwargs: Mapping[str, Any] | None = None,
    backend_kwargs: Mapping[str, Any] | None = None,
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
        team_reward, state: see `TeamEnv`; batched simulators are stepped one by one unless the state is ``"env"`` or
            ``"both"``.
        normalize: whether stable-baselines3's VecNormalize goes around all; or its arguments. It scales rewards, the
            state and what agents see, but for pictures; masks and active flags are left alone.
            ``"observations"``: it leaves rewards alone, too.
        frame_stack: number of the newest frames that agents see, or arguments of VecFrameStack.
        monitor_dir: folder for the Monitors' files; None writes none.
        monitor_kwargs: further arguments of the Monitor.
        wrapper_class: put around each copy, outside of the Monitor; it must leave the entries of observations.
        wrapper_kwargs: its arguments.
        vec_env_cls: a VecEnv class to use instead of a backend's; DummyVecEnv and SubprocVecEnv mean these backends.
        vec_env_kwargs: its arguments.
        backend_kwargs: with ``backend="ray"``: fields of `masoft.envs.ray_worker.RayPlacement`, like
            ``dict(envs_per_worker=8, placement="SPREAD")``.
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
    if backend_kwargs and backend != "ray":
        raise ConfigurationError(explain("backend_kwargs", "given with backend='ray'", dict(backend_kwargs)))
    source = find(env) if isinstance(env, str) else env
    kwargs = {**(env_kwargs or {}), **more_env_kwargs}
    is_plain = wrapper_class is None and not monitor_kwargs and vec_env_cls is None and state in ("env", "both")
    vec: VecEnv
    if isinstance(source, Registration) and source.vector_entry_point and backend == "auto" and is_plain:
        if monitor_dir is not None:
            kwargs["monitor_dir"] = monitor_dir
        vec = source.build_vector(n_envs=n_envs, seed=seed, team_reward=team_reward, **kwargs)
        return wrapped(_with_state(vec, state, source.id), normalize, frame_stack)
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
        launch = launch_process if backend == "subproc" else _ray_launcher(n_envs, backend_kwargs or {})
        vec = TeamSubprocVecEnv(builders, on_env_error=on_env_error, env_timeout=env_timeout, launch=launch)
    else:
        vec = LocalVecEnv(builders)
    if seed is not None:
        vec.seed(seed)
    return wrapped(vec, normalize, frame_stack)


def make_alone(id: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """One environment by the arguments of `make_vec`: rewards and frames as there, nothing scaled.

    What a model saw scaled in training, its ``normalize_obs`` scales again.

    Args:
        id: registered.
        kwargs: of `make_vec`; what only copies of an environment have is passed over.

    Raises:
        ConfigurationError: as `masoft.make`.
    """
    of_all = {*inspect.signature(make_vec).parameters, *OF_A_BATCH} - {"state"}
    own = {**(kwargs.get("env_kwargs") or {}), **{name: each for name, each in kwargs.items() if name not in of_all}}
    team = as_team(registered_make(id, **own), team_reward=kwargs.get("team_reward", "auto"))
    stack = kwargs.get("frame_stack")
    return team if stack is None else TeamFrames(team, **frames_of(stack))


def _with_state(vec: VecEnv, state: State, id: str) -> VecEnv:
    """A batch whose critics see its state, or, with ``"both"``, the observations behind it.

    Raises:
        ConfigurationError: it is no `BatchedVecEnv`, whose team could be told so.
    """
    base = vec.unwrapped
    if state == "env":
        return vec
    if not isinstance(base, BatchedVecEnv):
        must, cure = "a BatchedVecEnv where state='both'", "backend='dummy' makes separate environments."
        raise ConfigurationError(explain(f"The batch of {id!r}", must, base, cure))
    if base.team.state_size:
        base.team = replace(base.team, state_and_observations=True)
    return vec


def _check_recipe(source: Any, n_envs: int, kwargs: Mapping[str, Any], *, is_elsewhere: bool) -> None:
    """Refuse a finished environment where one has to be made."""
    is_recipe = isinstance(source, Registration) or makes_environments(source)
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


def _ray_launcher(n_envs: int, given: Mapping[str, Any]) -> Launcher:
    from masoft.envs.ray_worker import RayLauncher, RayPlacement

    known = [each.name for each in fields(RayPlacement)]
    for name in given:
        if name not in known:
            raise ConfigurationError(explain("backend_kwargs of 'ray'", "known", name, nearest(name, known)))
    return RayLauncher(n_envs, RayPlacement(**given))
