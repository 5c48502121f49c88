"""What masoft's own metadata asks for, and what of it is not here."""

from __future__ import annotations

import importlib.metadata


def missing_of(extra: str) -> list[str]:
    """The packages of an extra that are absent or too old, as pip would be told: ``"onnx>=1.16"``.

    Where masoft runs from a source tree that is not installed, nothing is known, and nothing is missing.
    """
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("masoft") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name}{requirement.specifier}")
    return sorted(found)
