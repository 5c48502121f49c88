"""Train the teams of `masoft zoo` and put them into the package: about five minutes of one core.

    python -m benchmarks.zoo            # all
    python -m benchmarks.zoo matrix/maxent

A team is what the command below leaves: settings, outcome, model. The same command gives the same team on the same
machine; ``tests/unit/runs/test_zoo.py`` holds that the files play as well as they say.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from masoft.cli import cli
from masoft.runs.settings import MODEL, OUTCOME, SETTINGS
from masoft.runs.zoo import HOME

# Everything that a default may change is written out.
SOFT = "--n-envs 8 --gradient-steps 2 --learning-rate 1e-3 --buffer-size 100000 --batch-size 256 --n-steps 3"
SMALL = """--policy-kwargs '{"net_arch": [48, 48]}'"""
SHARED = """--policy-kwargs '{"net_arch": [48, 48], "share_parameters": true}'"""
TEAMS = {
    "matrix/maxent": f"hasac matrix/maxent --total-timesteps 4000 {SOFT} --policy-kwargs '{{\"net_arch\": [16]}}'",
    "mpe/simple_speaker_listener_v4": f"hasac mpe/simple_speaker_listener_v4 --total-timesteps 24000 {SOFT} {SMALL}",
    "mpe/simple_spread_v3": "hasac mpe/simple_spread_v3 -e continuous_actions=true --total-timesteps 24000 "
    f"{SOFT} {SHARED}",
}
KEPT = (SETTINGS, OUTCOME, MODEL)


def make(name: str) -> None:
    """Train one team and put its files into the package."""
    place = HOME / name
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--seed", "0", "--eval-episodes", "100", "--out", folder, "--overwrite"]
        cli(["train", *shlex.split(TEAMS[name]), *flags], standalone_mode=False)
        place.mkdir(parents=True, exist_ok=True)
        for kept in KEPT:
            shutil.copyfile(Path(folder) / kept, place / kept)


def main() -> None:
    """Make what the command line names, or all."""
    for name in sys.argv[1:] or TEAMS:
        make(name)


if __name__ == "__main__":
    main()
