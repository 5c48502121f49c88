"""What would be uploaded: a wheel and an archive of sources that build, pass twine and hold all data files."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
needed = [name for name in ("build", "twine", "hatchling") if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(needed), reason=f"not installed: {', '.join(needed)}")
def test_wheel_and_sources_are_sound(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,), (sources,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sources)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    tracked = subprocess.run(["git", "ls-files", "masoft"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = set(tracked.stdout.split())
    assert "masoft/py.typed" in files and files <= set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sources) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert files | {"README.md", "LICENSE", "CITATION.cff"} <= inside
