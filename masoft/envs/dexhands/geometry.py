"""Rotations as unit quaternions (w, x, y, z), MuJoCo's order, in plain numbers: one at a time is faster so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Vector: TypeAlias = tuple[float, float, float]
Quaternion: TypeAlias = tuple[float, float, float, float]


def about(axis: str, angle: float) -> Quaternion:
    """The rotation by ``angle`` radians about ``"x"``, ``"y"`` or ``"z"``."""
    sine = math.sin(angle / 2)
    x, y, z = (sine if axis == name else 0.0 for name in "xyz")
    return math.cos(angle / 2), x, y, z


def product(first: Sequence[float], second: Sequence[float]) -> Quaternion:
    """``first`` after ``second``: the rotation matrix is the product of the two in this order."""
    a, b, c, d = first
    e, f, g, h = second
    return (
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    )


def inverse(rotation: Sequence[float]) -> Quaternion:
    """The conjugate, which undoes a unit quaternion."""
    w, x, y, z = rotation
    return w, -x, -y, -z


def from_euler(roll: float, pitch: float, yaw: float) -> Quaternion:
    """``Rz(yaw) Ry(pitch) Rx(roll)``, angles in radians."""
    return product(about("z", yaw), product(about("y", pitch), about("x", roll)))


def rotated(rotation: Sequence[float], vector: Sequence[float]) -> Vector:
    """The vector turned by a unit quaternion."""
    _, x, y, z = product(product(rotation, (0.0, *vector)), inverse(rotation))
    return x, y, z


def rotation_vector(rotation: Sequence[float]) -> Vector:
    """Axis times angle, the angle in [0, pi] radians; zeros for no rotation."""
    w, x, y, z = rotation
    sine = math.sqrt(x * x + y * y + z * z)
    if sine < 1e-12:
        return 0.0, 0.0, 0.0
    scale = 2 * math.atan2(sine, abs(w)) / sine
    if w < 0:  # the opposite quaternion is the same rotation
        scale = -scale
    return scale * x, scale * y, scale * z


def angle_between(first: Sequence[float], second: Sequence[float]) -> float:
    """``2 asin(min(|v|, 1))`` with v the vector part of ``first * inverse(second)``, in [0, pi] radians."""
    _, x, y, z = product(first, inverse(second))
    return 2 * math.asin(min(math.sqrt(x * x + y * y + z * z), 1.0))
