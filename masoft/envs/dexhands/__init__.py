"""Two Shadow Hands at nine tasks, on MuJoCo: the paper's Bi-DexHands benchmark, rebuilt."""

from masoft.envs.dexhands.env import AGENTS, DexHands
from masoft.envs.dexhands.tasks import TASKS, Camera, Task

__all__ = ["AGENTS", "TASKS", "Camera", "DexHands", "Task"]
