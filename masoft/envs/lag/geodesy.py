"""From longitude, latitude and altitude to metres north, east and up of an origin, on the WGS84 ellipsoid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

EQUATOR = 6378137.0
"""WGS84's semi-major axis, m."""

FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)

Vector = tuple[float, float, float]


def to_earth(longitude: float, latitude: float, altitude: float) -> Vector:
    """Earth-centred, earth-fixed coordinates of a geodetic position.

    Args:
        longitude: degrees east.
        latitude: geodetic, degrees north.
        altitude: m above the ellipsoid.

    Returns:
        x (towards longitude 0), y (towards 90 degrees east) and z (towards the north pole), m.
    """
    lon, lat = math.radians(longitude), math.radians(latitude)
    normal = EQUATOR / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(lat) ** 2)
    from_axis = (normal + altitude) * math.cos(lat)
    z = (normal * (1 - ECCENTRICITY_SQUARED) + altitude) * math.sin(lat)
    return from_axis * math.cos(lon), from_axis * math.sin(lon), z


@dataclass(frozen=True)
class LocalFrame:
    """A flat frame that touches the ellipsoid at its origin.

    Args:
        longitude: of the origin, degrees east.
        latitude: of the origin, geodetic, degrees north.
        altitude: of the origin, m.

    Example:
        >>> north, east, up = LocalFrame(120.0, 60.0).to_local(120.0, 60.1, 0.0)
        >>> round(north), round(east), round(up)
        (11141, 0, -10)
    """

    longitude: float
    latitude: float
    altitude: float = 0.0

    def to_local(self, longitude: float, latitude: float, altitude: float) -> Vector:
        """North, east and up of the origin, m; arguments as in `to_earth`."""
        (x0, y0, z0), north, east, up = self._axes
        x, y, z = to_earth(longitude, latitude, altitude)
        x, y, z = x - x0, y - y0, z - z0
        return (
            north[0] * x + north[1] * y + north[2] * z,
            east[0] * x + east[1] * y,
            up[0] * x + up[1] * y + up[2] * z,
        )

    @cached_property
    def _axes(self) -> tuple[Vector, Vector, Vector, Vector]:
        """The origin, and the directions north, east and up there, in earth coordinates."""
        lon, lat = math.radians(self.longitude), math.radians(self.latitude)
        sin_lon, cos_lon, sin_lat, cos_lat = math.sin(lon), math.cos(lon), math.sin(lat), math.cos(lat)
        north = (-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat)
        up = (cos_lat * cos_lon, cos_lat * sin_lon, sin_lat)
        return to_earth(self.longitude, self.latitude, self.altitude), north, (-sin_lon, cos_lon, 0.0), up
