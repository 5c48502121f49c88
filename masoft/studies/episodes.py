"""An episode as moving pictures, without a screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from masoft.envs import TeamEnv
from masoft.envs.vector import make_alone
from masoft.errors import ConfigurationError, MissingDependencyError, explain

ENDINGS = (".gif", ".mp4")
MAX_STEPS = 2_000


def record_episode(
    model: Any,
    env: Any,
    path: str | Path,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    seed: int = 0,
    deterministic: bool = True,
    size: int = 360,
    fps: float | None = None,
    panel: bool = False,
) -> float:
    """Play one episode and write it as GIF or MP4.

    Args:
        model: a built estimator.
        env: id, or a ready PettingZoo environment made with ``render_mode="rgb_array"``.
        path: file to write, ``.gif`` or ``.mp4``.
        env_kwargs: arguments of `masoft.make_vec`, where an id is given.
        seed: of the environment.
        deterministic: take each policy's mode.
        size: longest side of the pictures, in pixels.
        fps: pictures a second; None: what the environment says, or 10.
        panel: whether each agent's action, value and temperature stand beside the pictures.

    Returns:
        the episode's team return.

    Raises:
        ConfigurationError: another ending, or an environment that draws nothing.
        MissingDependencyError: imageio or imageio-ffmpeg, which MP4 needs, is not installed.

    Example:
        ``record_episode(model, "mpe/simple_spread_v3", "team.gif")``
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ConfigurationError(explain("path", "a .gif or .mp4", str(path)))
    write = _writer(path.suffix)
    with closing(stage(env, env_kwargs)) as team:
        steps = list(play_episode(model, team, seed=seed, deterministic=deterministic, size=size, panel=panel))
        write(path, np.stack([step.picture for step in steps]), fps or frames_a_second(team))
    return steps[-1].total


@dataclass(frozen=True)
class Step:
    """A moment of an episode that is watched.

    Args:
        picture: (height, width, 3) bytes, even sides.
        total: team return so far.
    """

    picture: np.ndarray
    total: float


def stage(env: Any, env_kwargs: Mapping[str, Any] | None = None) -> gymnasium.Env[Any, Any]:
    """An environment that draws itself.

    Args:
        env: id, or a ready PettingZoo environment made with ``render_mode="rgb_array"``.
        env_kwargs: arguments of `masoft.make_vec`, where an id is given; frames are stacked as there, and
            `play_episode` scales what agents see as in training.

    Raises:
        ConfigurationError: it takes no ``render_mode``, so that it draws nothing.
    """
    if not isinstance(env, str):
        return TeamEnv(env)
    try:
        return make_alone(env, **{"render_mode": "rgb_array", **(env_kwargs or {})})
    except ConfigurationError as error:
        if not isinstance(error.__cause__, TypeError) or "render_mode" not in str(error.__cause__):
            raise
        cure = 'An environment of your own takes render_mode="rgb_array" and gives pictures from render().'
        raise ConfigurationError(explain("The environment", "one that draws itself", env, cure)) from error


def frames_a_second(team: gymnasium.Env[Any, Any]) -> float:
    """How quickly the environment says that it is to be watched; 10 where it says nothing."""
    return float(team.metadata.get("render_fps", 10))


def play_episode(
    model: Any,
    team: gymnasium.Env[Any, Any],
    *,
    seed: int | None,
    deterministic: bool = True,
    size: int = 360,
    panel: bool = False,
) -> Iterator[Step]:
    """One episode, a picture a step.

    Args:
        model: a built estimator.
        team: of `stage`.
        seed: of the environment; None goes on with its random numbers.
        deterministic: take each policy's mode.
        size: longest side of the pictures, in pixels.
        panel: whether each agent's action, value and temperature stand beside the picture.
    """
    from masoft.studies.panel import beside, figures, written

    observation = model.normalize_obs(team.reset(seed=seed)[0])
    total, state, is_over, n = 0.0, None, False, 0
    while True:
        picture = _picture(team, size)
        if is_over or n >= MAX_STEPS:
            yield Step(beside(picture, [f"return {total:.2f}"]) if panel else picture, total)
            return
        action, state = model.predict(observation, state, deterministic=deterministic)
        if panel:
            picture = beside(picture, written(figures(model, observation, np.asarray(action)), total))
        yield Step(picture, total)
        raw, reward, terminated, truncated, _ = team.step(action)
        observation = model.normalize_obs(raw)
        total, is_over, n = total + float(reward), terminated or truncated, n + 1


def _picture(team: gymnasium.Env[Any, Any], size: int) -> np.ndarray:
    """One picture, (height, width, 3) bytes with even sides, as video formats want them."""
    from PIL import Image

    try:
        values = team.render()
    except Exception as error:  # each simulator has its own
        got, cure = f"{type(error).__name__}: {error}", "Without a display, MuJoCo draws with MUJOCO_GL=egl."
        raise ConfigurationError(explain("The environment", "one that can be drawn here", got, cure)) from error
    if not isinstance(values, np.ndarray) or values.ndim != 3:
        cure = 'Make it with render_mode="rgb_array"; some environments cannot be drawn at all.'
        raise ConfigurationError(explain("The environment", "one that draws pictures", type(values).__name__, cure))
    image = Image.fromarray(values[..., :3].astype(np.uint8))
    scale = min(1.0, size / max(image.size))
    return np.asarray(image.resize((int(image.width * scale) // 2 * 2, int(image.height * scale) // 2 * 2)))


def _writer(ending: str) -> Any:
    """A function of path, frames and pictures a second."""
    if ending == ".gif":
        return _write_gif
    try:
        from imageio import v3
    except ImportError:
        raise MissingDependencyError('MP4 needs imageio. pip install "masoft[studies]", or write a .gif') from None
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise MissingDependencyError("MP4 needs imageio-ffmpeg. pip install imageio-ffmpeg, or write a .gif") from None
    return lambda path, frames, fps: v3.imwrite(path, frames, plugin="FFMPEG", fps=fps, macro_block_size=2)


def _write_gif(path: Path, frames: np.ndarray, fps: float) -> None:
    from PIL import Image

    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)
