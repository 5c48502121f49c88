"""Draw a picture of each two-handed task.

Run from the repository's root, with ``egl`` or ``osmesa``: ``MUJOCO_GL=egl python docs/scripts/_dexhands_gallery.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from masoft.envs.dexhands import AGENTS, TASKS, DexHands

OUT = Path(__file__).parents[1] / "assets" / "dexhands"


def rest(env: DexHands) -> dict[str, np.ndarray]:
    """Actions that leave the hands flat: targets of 0 for all joints, no push on the bases."""
    actions = {}
    for agent in AGENTS:
        side = agent.removesuffix("_hand")
        motors = [env.model.actuator(index) for index in range(env.model.nu)]
        ranges = np.array([motor.ctrlrange for motor in motors if motor.name.startswith(f"{side}/robot0:A_")])
        flat = -ranges.sum(1) / (ranges[:, 1] - ranges[:, 0])
        actions[agent] = np.concatenate([np.zeros(env.task.n_actions - len(flat)), flat])
    return actions


def main() -> None:
    """Write one PNG a task."""
    OUT.mkdir(exist_ok=True)
    for name in TASKS:
        env = DexHands(name, render_mode="rgb_array", width=480, height=360)
        env.reset(seed=1)
        for _ in range(3):
            env.step(rest(env))
        Image.fromarray(env.render()).quantize(200).save(OUT / f"{name}.png", optimize=True)
        env.close()


if __name__ == "__main__":
    main()
