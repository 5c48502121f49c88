"""The moving picture of the first page: some steps of a trained team of HalfCheetah 2x3.

Run from the repository's root: ``MUJOCO_GL=egl python docs/scripts/_home.py RUN``, where RUN is the folder of a run,
for example of docs/benchmarks/studies/halfcheetah-million.toml.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from masoft import HASAC
from masoft.studies.episodes import play_episode, stage

PICTURE = Path(__file__).parents[1] / "assets" / "cheetah.gif"
FIRST, LAST, EVERY, SIZE = 40, 130, 2, 320

model = HASAC.load(Path(sys.argv[1]) / "model.zip")
steps = islice(play_episode(model, stage("mamujoco/HalfCheetah-2x3"), seed=0, size=SIZE), FIRST, LAST, EVERY)
frames = [Image.fromarray(np.ascontiguousarray(step.picture[100:])).quantize(64) for step in steps]
frames[0].save(PICTURE, save_all=True, append_images=frames[1:], duration=50, loop=0, optimize=True)
