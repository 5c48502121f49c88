"""Pictures and films of the hands, without a screen.

MuJoCo draws with OpenGL. On a machine without a display set the environment variable ``MUJOCO_GL`` to ``egl`` (GPU
driver or Mesa) or ``osmesa`` (software) before Python starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from masoft.envs.dexhands.tasks import Camera
from masoft.errors import MissingDependencyError

_NO_OPENGL = (
    "MuJoCo cannot draw here: {error}. Without a display, set MUJOCO_GL=egl (needs libegl1) or MUJOCO_GL=osmesa "
    "(needs libosmesa6) before Python starts."
)


class Renderer:
    """Draws a running simulation.

    Args:
        model: the ``mujoco.MjModel``.
        camera: where from.
        width, height: pixels.

    Raises:
        MissingDependencyError: there is no OpenGL to draw with; the message has the cure.
    """

    def __init__(self, model: Any, camera: Camera, width: int, height: int) -> None:
        import mujoco

        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:  # each platform has errors of its own
            raise MissingDependencyError(_NO_OPENGL.format(error=error)) from error
        self._camera = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(model, self._camera)
        self._camera.lookat[:] = camera.lookat
        self._camera.distance = camera.distance
        self._camera.azimuth, self._camera.elevation = camera.azimuth, camera.elevation

    def draw(self, data: Any) -> NDArray[np.uint8]:
        """(height, width, 3), fresh."""
        self._renderer.update_scene(data, self._camera)
        picture: NDArray[np.uint8] = self._renderer.render()
        return picture

    def close(self) -> None:
        """Release OpenGL's context."""
        self._renderer.close()
