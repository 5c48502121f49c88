"""Air combat on JSBSim, after the Light Aircraft Game: two F-16 against two that pursue them, without weapons.

Reference:
    The paper's Section H.2.6; Liu et al., Light Aircraft Game, 2022. All code here is masoft's own; the flight model
    and its data come with the package ``jsbsim``.
"""

from masoft.envs.lag.combat import AirCombat
from masoft.envs.lag.heading import HeadingTask

__all__ = ["AirCombat", "HeadingTask"]
