"""Flights as ACMI files and as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from flights import HOLD, everybody, state_at

from masoft.envs.lag.acmi import acmi_lines, write_acmi
from masoft.envs.lag.plot import draw, draw_to_array
from masoft.envs.lag.recording import Recording


@pytest.fixture
def recording():
    """Red crashes after the second of four steps."""
    made = Recording({"A0100": "Red", "B0100": "Blue"})
    for step in range(4):
        red = state_at((100.0 * min(step, 2), 0.0, 6000.0), longitude=120.5, roll=np.pi / 2)
        blue = state_at((9000.0 - 100.0 * step, 50.0, 6100.0), latitude=60.25, heading=np.pi)
        made.add([red, blue], [step < 3, True])
    return made


def test_acmi_lines(recording):
    lines = list(acmi_lines(recording))
    assert lines[:3] == ["FileType=text/acmi/tacview", "FileVersion=2.1", "0,ReferenceTime=2000-01-01T00:00:00Z"]
    first = "A0100,T=120.5000000|60.0000000|6000.00|90.00|0.00|0.00,Type=Air+FixedWing,Name=F-16,Color=Red"
    assert lines[3:5] == ["#0.00", first]
    assert [line for line in lines if line.startswith("#")] == ["#0.00", "#0.20", "#0.40", "#0.60"]
    assert lines[-4:] == [
        "#0.60",
        "0,Event=Destroyed|A0100|",
        "-A0100",
        "B0100,T=120.0000000|60.2500000|6100.00|0.00|0.00|180.00",
    ]
    assert sum(line.startswith("A0100,") for line in lines) == 3


def test_acmi_file_begins_with_the_byte_mark(recording, tmp_path):
    path = write_acmi(recording, tmp_path / "flight.acmi")
    assert path.read_bytes().startswith(b"\xef\xbb\xbfFileType=")
    assert path.read_text(encoding="utf-8-sig").splitlines() == list(acmi_lines(recording))


def test_the_picture_shows_all_aircraft_and_the_crash(recording):
    above, beside = draw(recording).axes
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["A0100", "B0100"]
    crosses = [line for line in above.lines if line.get_marker() == "x"]
    assert len(crosses) == 1 and crosses[0].get_xydata().tolist() == [[0.0, 0.2]]
    tracks = [line for line in above.lines if line.get_linestyle() == "-"]
    assert tracks[1].get_xydata()[-1].tolist() == pytest.approx([0.05, 8.7])
    assert beside.get_ylabel() == "up, km"
    pixels = draw_to_array(recording)
    assert pixels.shape == (500, 1000, 3) and pixels.dtype == np.uint8 and pixels.std() > 10


def test_an_environment_saves_its_flight(tmp_path):
    pytest.importorskip("jsbsim", reason='needs the extra: pip install "masoft[lag]"')
    from masoft.envs.lag.combat import AirCombat

    env = AirCombat("1v1", render_mode="rgb_array")
    env.reset()
    env.step(everybody(env, HOLD))
    text = env.save_acmi(tmp_path / "x.acmi").read_text(encoding="utf-8-sig")
    assert text.count("#") == 2 and "B0100,T=120.0000000|60.1" in text
    env.plot(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert env.render().shape == (500, 1000, 3) and AirCombat("1v1").render() is None
