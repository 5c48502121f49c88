"""Draw an environment of each family that is installed here, and the page that shows them.

Run from the repository's root, without a screen: ``MUJOCO_GL=egl python docs/scripts/_gallery.py``. Every picture is
of a few random steps. Families that are not installed, or that draw nothing, are listed without one; pictures that are
there already stay.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import numpy as np
from PIL import Image

from masoft.envs import registered
from masoft.errors import MasoftError
from masoft.studies.episodes import stage

DOCS = Path(__file__).parents[1]
PAGE, PICTURES = DOCS / "how-to" / "gallery.md", DOCS / "assets" / "gallery"
# One of a family, or several that look different; other families are shown by their first.
SHOWN = {
    "mpe": ["mpe/simple_spread_v3", "mpe/simple_reference_v3", "mpe/simple_speaker_listener_v4"],
    "vmas": ["vmas/balance", "vmas/navigation", "vmas/football", "vmas/flocking"],
    "mamujoco": ["mamujoco/HalfCheetah-2x3", "mamujoco/Ant-4x2", "mamujoco/Walker2d-2x3"],
    "butterfly": ["butterfly/cooperative_pong", "butterfly/pistonball", "butterfly/knights_archers_zombies"],
    "dexhands": ["dexhands/ShadowHandOver", "dexhands/ShadowHandLiftUnderarm"],
}
SIZE, COLOURS, STEPS = 240, 48, 6
HEAD = """# Gallery of environments

A few random steps of what `masoft envs` lists, drawn by `python docs/scripts/_gallery.py`. What each needs and is like
stands in [Use an environment](environments.md); `masoft enjoy RUN` shows a trained team in any of those that have a
picture here.
"""


def draw(name: str) -> str:
    """Write one picture; why there is none, where there is none."""
    try:
        with closing(stage(name)) as team:
            rng = np.random.default_rng(0)
            team.reset(seed=0)
            team.action_space.seed(0)
            for _ in range(STEPS):
                _, _, terminated, truncated, _ = team.step(team.action_space.sample())
                if terminated or truncated:
                    team.reset(seed=int(rng.integers(1000)))
            picture = team.render()
        if not isinstance(picture, np.ndarray) or picture.ndim != 3:
            return "draws nothing"
    except MasoftError as error:
        return "draws nothing" if "draws itself" in str(error) else str(error).partition(".")[0]
    except Exception as error:  # a simulator without a screen may fail in any way
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return "could not be drawn without a screen, or without its data, where the pictures were made"
    image = Image.fromarray(picture[..., :3].astype(np.uint8))
    image.thumbnail((SIZE, SIZE))
    image.quantize(COLOURS).save(PICTURES / f"{file_name(name)}.png", optimize=True)
    return ""


def file_name(name: str) -> str:
    """Of an environment's picture."""
    return name.replace("/", "-")


def page(drawn: dict[str, list[str]], missing: dict[str, str]) -> str:
    """The page's text."""
    parts = [HEAD]
    for family, names in drawn.items():
        figures = "\n".join(
            f"  <figure markdown>![{name}](../assets/gallery/{file_name(name)}.png)"
            f"<figcaption>`{name}`</figcaption></figure>"
            for name in names
        )
        parts.append(f'## {family}\n\n<div class="gallery" markdown>\n{figures}\n</div>\n')
    if missing:
        rows = "\n".join(f"| `{family}` | {why} |" for family, why in missing.items())
        parts.append(f"## Without a picture\n\n| family | why |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def main() -> None:
    """Draw all, write the page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    families: dict[str, list[str]] = defaultdict(list)
    installed = {}
    for entry in registered():
        families[entry.id.partition("/")[0]].append(entry.id)
        installed[entry.id] = entry.is_installed
    drawn: dict[str, list[str]] = defaultdict(list)
    missing: dict[str, str] = {}
    for family, names in families.items():
        for name in SHOWN.get(family, names[:1]):
            why = draw(name) if installed[name] else "its simulator was not installed where the pictures were made"
            if (PICTURES / f"{file_name(name)}.png").exists():  # of now, or of another machine
                drawn[family].append(name)
            print(name, why or "drawn", flush=True)
            if why and not drawn[family]:
                missing[family] = why
    drawn = {family: names for family, names in drawn.items() if names}
    PAGE.write_text(page(drawn, {family: why for family, why in missing.items() if family not in drawn}))


if __name__ == "__main__":
    main()
