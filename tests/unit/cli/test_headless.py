"""Drawing where there is no display."""

from __future__ import annotations

import os
import sys

import pytest

from masoft.cli import main


@pytest.mark.skipif(sys.platform != "linux", reason="other systems draw without a display")
@pytest.mark.parametrize(
    ("display", "chosen", "becomes"), [("", "", "egl"), ("", "osmesa", "osmesa"), (":0", "", None)]
)
def test_mujoco_draws_without_a_display(
    display: str, chosen: str, becomes: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DISPLAY": display, "WAYLAND_DISPLAY": "", "MUJOCO_GL": chosen}.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    main(["presets", "--help"])
    assert os.environ.get("MUJOCO_GL") == becomes
