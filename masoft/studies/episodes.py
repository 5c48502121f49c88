"""An episode as moving pictures, without a screen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import masoft
from masoft.envs import TeamEnv
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
) -> float:
    """Play one episode and write it as GIF or MP4.

    Args:
        model: a built estimator.
        env: id, or a ready PettingZoo environment made with ``render_mode="rgb_array"``.
        path: file to write, ``.gif`` or ``.mp4``.
        env_kwargs: arguments of the environment, where an id is given.
        seed: of the environment.
        deterministic: take each policy's mode.
        size: longest side of the pictures, in pixels.
        fps: pictures a second; None: what the environment says, or 10.

    Returns:
        the episode's team return.

    Raises:
        ConfigurationError: another ending, or an environment that draws nothing.
        MissingDependencyError: imageio (or for MP4 imageio-ffmpeg) is not installed.

    Example:
        ``record_episode(model, "mpe/simple_spread_v3", "team.gif")``
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ConfigurationError(explain("path", "a .gif or .mp4", str(path)))
    write = _writer(path.suffix)
    world = masoft.make(env, render_mode="rgb_array", **(env_kwargs or {})) if isinstance(env, str) else env
    frames, total = [], 0.0
    with closing(TeamEnv(world)) as team:
        observation, _ = team.reset(seed=seed)
        frames.append(_picture(team, size))
        state, is_over = None, False
        while not is_over and len(frames) < MAX_STEPS:
            action, state = model.predict(observation, state, deterministic=deterministic)
            observation, reward, terminated, truncated, _ = team.step(action)
            total, is_over = total + float(reward), terminated or truncated
            frames.append(_picture(team, size))
        write(path, np.stack(frames), fps or float(team.metadata.get("render_fps", 10)))
    return total


def _picture(team: TeamEnv, size: int) -> np.ndarray:
    """One picture, (height, width, 3) bytes with even sides, as video formats want them."""
    from PIL import Image

    values = team.render()
    if not isinstance(values, np.ndarray) or values.ndim != 3:
        cure = 'Make it with render_mode="rgb_array"; some environments cannot be drawn at all.'
        raise ConfigurationError(explain("The environment", "one that draws pictures", type(values).__name__, cure))
    image = Image.fromarray(values[..., :3].astype(np.uint8))
    scale = min(1.0, size / max(image.size))
    return np.asarray(image.resize((int(image.width * scale) // 2 * 2, int(image.height * scale) // 2 * 2)))


def _writer(ending: str) -> Any:
    """A function of path, frames and pictures a second."""
    try:
        from imageio import v3
    except ImportError:
        raise MissingDependencyError('Recording needs imageio. pip install "masoft[studies]"') from None
    if ending == ".gif":
        return lambda path, frames, fps: v3.imwrite(path, frames, duration=1000 / fps, loop=0)
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise MissingDependencyError("MP4 needs imageio-ffmpeg. pip install imageio-ffmpeg, or write a .gif") from None
    return lambda path, frames, fps: v3.imwrite(path, frames, plugin="FFMPEG", fps=fps, macro_block_size=2)
