"""stable-baselines3's VecNormalize and VecFrameStack around teams: masks and active flags are left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecNormalize, unwrap_vec_normalize
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from masoft.envs.normalization import SETTINGS
from masoft.envs.vector_team import team_of
from masoft.errors import ConfigurationError, explain
from masoft.spec import STATE, TeamSpec
from masoft.validation import Integer

OBSERVATIONS = "observations"
Normalize: TypeAlias = bool | str | Mapping[str, Any]


def norm_obs_keys(team: TeamSpec) -> list[str]:
    """What VecNormalize can scale: the state and the agents' observations, but for pictures, which networks scale."""
    names = [agent.name for agent in team.agents if not agent.observes_bytes]
    return [*names, STATE] if team.state_size else names


class TeamFrameStack(VecFrameStack):
    """stable-baselines3's `VecFrameStack` of what agents see; the state, masks and active flags stay the newest.

    Args:
        venv: environments of teams.
        n_stack: frames, the newest last; an episode starts with zeros before its first one.
        channels_order: ``"first"``, ``"last"``, or by agent, as in stable-baselines3; None: found out.
    """

    def __init__(self, venv: VecEnv, n_stack: int, channels_order: str | Mapping[str, str] | None = None) -> None:

        if not Integer(1).accepts(n_stack):
            raise ConfigurationError(explain("frame_stack", "a number of frames, 1 or more", n_stack))
        self.n_stack, self.channels_order = n_stack, channels_order
        self._names = team_of(venv).names
        assert isinstance(venv.observation_space, spaces.Dict)
        inside = venv.observation_space.spaces
        own = spaces.Dict({name: inside[name] for name in self._names})
        self.stacked_obs: Any = StackedObservations(venv.num_envs, n_stack, own, channels_order)
        stacked = self.stacked_obs.stacked_observation_space
        assert isinstance(stacked, spaces.Dict)
        VecEnvWrapper.__init__(self, venv, spaces.Dict({**inside, **stacked.spaces}))

    def reset(self) -> dict[str, np.ndarray]:
        """Start episodes."""
        seen: Any = self.venv.reset()
        return {**seen, **_copied(self.stacked_obs.reset({name: seen[name] for name in self._names}))}

    def step_wait(self) -> Any:
        """Step, and put what agents see behind what they have seen."""
        seen, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(seen, dict)
        own = {name: seen[name] for name in self._names}
        stacked, infos = self.stacked_obs.update(own, dones, infos)
        return {**seen, **_copied(stacked)}, rewards, dones, infos


class TeamFrames(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What `TeamFrameStack` does, around one environment that is no VecEnv.

    Args:
        env: a TeamEnv.
        n_stack, channels_order: see `TeamFrameStack`.
    """

    def __init__(self, env: Any, n_stack: int, channels_order: str | Mapping[str, str] | None = None) -> None:
        super().__init__(env)
        self._names = env.unwrapped.team.names
        own = spaces.Dict({name: env.observation_space[name] for name in self._names})
        self._frames: Any = StackedObservations(1, n_stack, own, channels_order)
        stacked: Any = self._frames.stacked_observation_space
        self.observation_space = spaces.Dict({**env.observation_space.spaces, **stacked.spaces})

    def reset(self, **kwargs: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode."""
        seen, info = self.env.reset(**kwargs)
        return self._behind(seen, self._frames.reset(self._own(seen))), info

    def step(self, action: Any) -> Any:
        """Step, and put what agents see behind what they have seen."""
        seen, *rest = self.env.step(action)
        stacked, _ = self._frames.update(self._own(seen), np.array([False]), [{}])
        return self._behind(seen, stacked), *rest

    def _own(self, seen: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {name: seen[name][None] for name in self._names}

    @staticmethod
    def _behind(seen: Mapping[str, Any], stacked: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**seen, **{name: values[0] for name, values in _copied(stacked).items()}}


def _copied(observations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    # stable-baselines3 hands out its own arrays and writes to them at the next reset.
    return {name: values.copy() for name, values in observations.items()}


def wrapped(vec_env: VecEnv, normalize: Normalize, frame_stack: int | Mapping[str, Any] | None) -> VecEnv:
    """Environments inside the wrappers that were asked for, the normalising one outside.

    Args:
        vec_env: environments of teams.
        normalize: see `make_vec`.
        frame_stack: number of frames, or arguments of VecFrameStack; None stacks none.

    Raises:
        ConfigurationError: an argument that the wrapper does not have.
    """

    if frame_stack is not None:
        vec_env = _build("frame_stack", TeamFrameStack, vec_env, frames_of(frame_stack))
    if isinstance(normalize, Mapping) or normalize:
        settings = {"norm_obs_keys": norm_obs_keys(team_of(vec_env)), **_scaling(normalize)}
        vec_env = _build("normalize", normalizer_of(vec_env), vec_env, settings)
    return vec_env


def _scaling(normalize: Normalize) -> dict[str, Any]:
    """Arguments of VecNormalize, from what `make_vec` takes.

    Raises:
        ConfigurationError: another word.
    """
    if isinstance(normalize, str):
        if normalize != OBSERVATIONS:
            must = f"True, {OBSERVATIONS!r} or arguments of VecNormalize"
            raise ConfigurationError(explain("normalize", must, normalize))
        return {"norm_reward": False}
    return dict(normalize) if isinstance(normalize, Mapping) else {}


def frames_of(frame_stack: int | Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `TeamFrameStack`, from what `make_vec` takes."""
    return dict(frame_stack) if isinstance(frame_stack, Mapping) else {"n_stack": frame_stack}


def normalizer_of(vec_env: VecEnv) -> type[VecNormalize]:
    """The VecNormalize for environments that give arrays, or tensors."""
    if getattr(vec_env.unwrapped, "device", None) is None:
        return VecNormalize
    from masoft.envs.device_normalize import DeviceNormalize  # here, since it imports torch

    return DeviceNormalize


def _build(which: str, wrapper: type[VecEnvWrapper], vec_env: VecEnv, settings: dict[str, Any]) -> VecEnv:
    try:
        return wrapper(vec_env, **settings)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, ConfigurationError):
            raise
        must = f"arguments of {wrapper.__name__}"
        raise ConfigurationError(explain(which, must, settings, f"It says: {error}")) from error


def wrapped_alike(vec_env: VecEnv, trained: VecEnv | None) -> VecEnv:
    """Environments seen as others are: frames stacked as there, and normalised with the statistics from there.

    Args:
        vec_env: with wrappers of its own, which are then left as they are, or without.
        trained: the others; None: nothing is known of them.
    """
    if trained is None or vec_env is trained:
        return vec_env
    stack, normalizer = _layer(trained, TeamFrameStack), unwrap_vec_normalize(trained)
    if stack is not None and _layer(vec_env, VecFrameStack) is None:
        vec_env = TeamFrameStack(vec_env, stack.n_stack, stack.channels_order)
    if normalizer is not None and unwrap_vec_normalize(vec_env) is None:
        settings = {name: getattr(normalizer, name) for name in SETTINGS}
        copy = normalizer_of(vec_env)(vec_env, **{**settings, "training": False, "norm_reward": False})
        if normalizer.norm_obs:
            copy.obs_rms = normalizer.obs_rms
        return copy
    return vec_env


@contextmanager
def statistics_at_rest(vec_env: VecEnv) -> Iterator[None]:
    """Play without moving a VecNormalize's statistics, for rewards as the environments give them."""
    wrapper = unwrap_vec_normalize(vec_env)
    if wrapper is None:
        yield
        return
    before = wrapper.training, wrapper.norm_reward
    wrapper.training = wrapper.norm_reward = False
    try:
        yield
    finally:
        wrapper.training, wrapper.norm_reward = before


def _layer(vec_env: VecEnv, kind: type[VecEnvWrapper]) -> Any:
    """The outermost wrapper of a kind, or None."""
    while isinstance(vec_env, VecEnvWrapper):
        if isinstance(vec_env, kind):
            return vec_env
        vec_env = vec_env.venv
    return None
