"""Quaternions of the hands' scenes against rotation matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from masoft.envs.dexhands.geometry import about, angle_between, from_euler, inverse, product, rotated, rotation_vector


def matrix(axis, angle):
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.array(
        {
            "x": [[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]],
            "y": [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]],
            "z": [[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]],
        }[axis]
    )


def test_euler_angles_are_roll_then_pitch_then_yaw():
    roll, pitch, yaw = 0.4, -1.1, 2.3
    expected = matrix("z", yaw) @ matrix("y", pitch) @ matrix("x", roll)
    for axis in np.eye(3):
        np.testing.assert_allclose(rotated(from_euler(roll, pitch, yaw), axis), expected @ axis, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, math.pi / 2, 3.0, -2.0])
def test_rotation_vectors(angle):
    turn = about("y", angle)
    np.testing.assert_allclose(rotation_vector(turn), (0, angle, 0), atol=1e-9)
    np.testing.assert_allclose(rotation_vector([-number for number in turn]), (0, angle, 0), atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi])
def test_angle_between(angle):
    one = from_euler(0.2, 0.5, -1)
    other = product(about("z", angle), one)
    assert angle_between(other, one) == pytest.approx(angle, abs=1e-7)
    assert angle_between(one, one) == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(product(one, inverse(one)), (1, 0, 0, 0), atol=1e-12)
