"""The reward's terms as pure functions of angles, distances and heights.

Reference:
    The paper's Section H.2.6 says what is rewarded: to fly to the opponents' tails and keep a suitable distance. The
    formulas are those of the Light Aircraft Game's task that the paper's repository configures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from masoft.envs.lag.geometry import Relations

SPEED_OF_SOUND = 340.0
"""The game's round number, m/s."""

SAFE_HEIGHT, DANGER_HEIGHT = 4.0, 3.5
"""km."""

SAFE_SINKING = 0.2
"""Of the speed of sound."""

POSTURE_SCALE = 15.0
CRASH_REWARD = -200.0
EDGE = 1e-4
"""How near to 1 and -1 the argument of atanh may come."""


def orientation(angle_off: float, aspect: float) -> float:
    """How well an aircraft aims at another from behind.

    ``1 / (50 AO / pi + 2) + 1/2 + min(atanh(1 - max(2 TA / pi, EDGE)) / (2 pi), 0) + 1/2``

    Args:
        angle_off: AO, from 0 to pi.
        aspect: TA, from 0 to pi. The original's atanh is minus infinity at TA = pi; here its argument stays at
            ``EDGE - 1`` or above, in both variants.

    Returns:
        from about 0.23 to 1.5.
    """
    behind = max(1 - max(2 * aspect / math.pi, EDGE), EDGE - 1)
    return 1 / (50 * angle_off / math.pi + 2) + min(math.atanh(behind) / (2 * math.pi), 0.0) + 1.0


def nearness(distance: float) -> float:
    """How suitable a distance is: flat up to 5 km, then falling.

    ``[R < 5] + [R >= 5] clip(-0.032 R^2 + 0.284 R + 0.38, 0, 1) + clip(exp(-0.16 R), 0, 0.2)``

    Args:
        distance: R, km.

    Returns:
        from 0 to 1.2.
    """
    far = min(max(-0.032 * distance * distance + 0.284 * distance + 0.38, 0.0), 1.0)
    return (1.0 if distance < 5 else far) + min(math.exp(-0.16 * distance), 0.2)


def posture_potential(seen: Relations, ego: int, enemies: Sequence[int]) -> float:
    """The sum of orientation times nearness over all enemies, those that have crashed included.

    Args:
        seen: how all aircraft stand to each other.
        ego, enemies: numbers of aircraft.
    """
    angle_off, aspect, distance = seen.angle_off[ego], seen.aspect[ego], seen.distance[ego]
    total = 0.0
    for enemy in enemies:
        total += orientation(angle_off[enemy], aspect[enemy]) * nearness(distance[enemy] / 1000)
    return total


def posture(before: float, after: float) -> float:
    """What a step pays for a change of the potential: over an episode its sum is the whole change."""
    return POSTURE_SCALE * (after - before)


def height(up: float, sinking: float) -> float:
    """The punishment for flying low, and for sinking there.

    Args:
        up: m above the local frame's origin.
        sinking: m/s, positive down.

    Returns:
        from -3 to 0; 0 above 4 km.
    """
    z = up / 1000
    if z > SAFE_HEIGHT:
        return 0.0
    total = 0.0
    push = sinking / SPEED_OF_SOUND / SAFE_SINKING * (SAFE_HEIGHT - z) / SAFE_HEIGHT
    total -= min(max(push, 0.0), 1.0)
    if z <= DANGER_HEIGHT:
        total += min(max(z / DANGER_HEIGHT, 0.0), 1.0) - 2.0
    return total
