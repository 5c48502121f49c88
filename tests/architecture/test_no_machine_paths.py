"""Nothing in the repository names a folder of somebody's own machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = re.compile(r"(?<![\w.~])/(?:root|home|Users|work)/[\w.]|\.\./shared\b")


def tracked_text_files() -> list[Path]:
    """Files of the repository that are text; the folder itself where there is no git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    suffixes = {".py", ".md", ".toml", ".txt", ".yml", ".json", ".csv", ""}
    return [ROOT / name for name in listed.splitlines() if Path(name).suffix in suffixes and (ROOT / name).is_file()]


def test_no_machine_paths() -> None:
    found = []
    for path in tracked_text_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PATHS.search(line) and path != Path(__file__):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_the_pattern_matches_a_home_folder() -> None:
    assert PATHS.search("see /home/someone/x") and PATHS.search('open("/root/.cache")')
    assert not PATHS.search("https://example.org/home/page") and not PATHS.search("~/work/x")
