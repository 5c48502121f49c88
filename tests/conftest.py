"""Shared by all tests: one torch thread, so that results repeat and parallel workers do not fight for cores."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import settings

torch.set_num_threads(1)
# The same examples in every run, and no example that fails because the machine had something else to do.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
