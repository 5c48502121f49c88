"""The wheel in fresh virtual environments of several Pythons: what it installs, what `masoft doctor` and the README do.

    python tests/packaging/pythons.py python3.10 python3.12 python3.13
    python tests/packaging/pythons.py --oldest python3.10   # every dependency at the least version that is allowed

Each environment takes a few gigabytes (PyTorch's wheel of the registry brings CUDA) and is removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SHOWN = ("torch", "numpy", "gymnasium", "pettingzoo", "stable-baselines3", "supersuit")


def main() -> int:
    """Try each interpreter; the code is 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oldest", action="store_true", help="pin dependencies to their lower bounds")
    parser.add_argument("pythons", nargs="+", help="interpreters")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        (wheel,) = Path(folder).glob("*.whl")
        pins = Path(folder) / "pins.txt"
        pins.write_text("\n".join(lower_bounds()) if options.oldest else "")
        for python in options.pythons:
            started = time.perf_counter()
            fault, versions = tried(python, wheel, pins)
            print(f"{python}: {fault or 'all right'}, {time.perf_counter() - started:.0f} s; {versions}", flush=True)
            failed += bool(fault)
    return int(failed > 0)


def lower_bounds() -> list[str]:
    """Pins of the core's dependencies at the least version that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = []
    for requirement in map(Requirement, project["dependencies"]):
        lower = [each.version for each in requirement.specifier if each.operator == ">="]
        marker = f"; {requirement.marker}" if requirement.marker else ""
        found += [f"{requirement.name}=={version}{marker}" for version in lower]
    return found


def tried(python: str, wheel: Path, pins: Path) -> tuple[str, str]:
    """What failed, empty where nothing did, and which versions were installed."""
    readme = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    with tempfile.TemporaryDirectory() as place:
        here = Path(place) / "venv" / "bin"
        steps: list[tuple[str, list[str]]] = [
            ("venv", [python, "-m", "venv", f"{place}/venv"]),
            ("install", [str(here / "pip"), "install", "--no-cache-dir", "-q", "-c", str(pins), str(wheel)]),
            ("doctor", [str(here / "masoft"), "doctor"]),
            ("README", [str(here / "python"), "-c", readme[0]]),
            ("train", [str(here / "masoft"), "train", "happo", "matrix/climbing", "--total-timesteps", "500"]),
            ("evaluate", [str(here / "masoft"), "evaluate", "runs/happo-matrix-climbing"]),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONPATH": ""}
        fault = ""
        for name, command in steps:
            done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().splitlines()[-1:]
                fault = f"{name} failed: {last}"
                break
        listed = subprocess.run([str(here / "pip"), "list", "--format=freeze"], capture_output=True, text=True)
        lines = listed.stdout.lower().replace("_", "-").split()
        found = dict(line.split("==") for line in lines if "==" in line)
        return fault, ", ".join(f"{name} {found.get(name, 'absent')}" for name in SHOWN)


if __name__ == "__main__":
    sys.exit(main())
