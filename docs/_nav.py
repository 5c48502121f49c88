"""mkdocs hook: the navigation is the folders, so that a new page needs no line anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHELVES = {
    "tutorials": "Tutorials",
    "how-to": "How to",
    "explanation": "Explanation",
    "reference": "Reference",
    "benchmarks": "Benchmarks",
}
# Pages that come first on their shelf; the others follow by name.
FIRST = ["index.md", "first-team.md", "install.md", "command-line.md", "theory.md"]


def on_config(config: Any) -> Any:
    """Build the navigation from what lies in the docs folder."""
    docs = Path(config["docs_dir"])
    shelves = [
        {title: entries(docs / name, docs)} for name, title in SHELVES.items() if any((docs / name).rglob("*.md"))
    ]
    config["nav"] = [{"Home": "index.md"}, *shelves]
    return config


def entries(folder: Path, docs: Path) -> list[Any]:
    """Pages of a folder, then its subfolders as sections; titles are those of the pages."""
    rank = {name: place for place, name in enumerate(FIRST)}
    pages = sorted(folder.glob("*.md"), key=lambda page: (rank.get(page.name, len(rank)), page.name))
    found: list[Any] = [str(page.relative_to(docs)) for page in pages]
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if any(inner.rglob("*.md")):
            found.append({inner.name.replace("-", " ").capitalize(): entries(inner, docs)})
    return found
