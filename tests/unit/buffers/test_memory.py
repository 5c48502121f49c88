"""Memory that is asked for: said before it is taken, and refused where there is not so much."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

import masoft
from masoft import HAPPO, HASAC
from masoft.buffers import memory
from masoft.buffers.replay import TeamReplayBuffer
from masoft.buffers.rollout import TeamRolloutBuffer
from masoft.errors import ConfigurationError
from masoft.testing.games import IdentityTeam

TEAM = masoft.envs.team_of(masoft.make_vec(IdentityTeam))


def taken(buffer: Any) -> int:
    """Bytes of all tensors that grow with the buffer."""
    names = {name: value for name, value in vars(buffer).items() if isinstance(value, torch.Tensor)}
    kept = [value for name, value in names.items() if not name.startswith("_")]
    return sum(each.numel() * each.element_size() for each in [*kept, *buffer.frames.values()])


def test_what_is_said_is_what_is_taken() -> None:
    replay = TeamReplayBuffer(300, TEAM, n_envs=3)
    assert replay.n_bytes == taken(replay)
    rollout = TeamRolloutBuffer(50, TEAM, 3)
    assert taken(rollout) * 50 / 51 <= rollout.n_bytes <= taken(rollout)


@pytest.mark.parametrize(("make", "name"), [(HASAC, "buffer_size"), (HAPPO, "n_steps")])
def test_more_than_the_machine_has_is_refused_with_what_fits(make: Any, name: str) -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with pytest.raises(
        ConfigurationError, match=f"{name} must be small enough for memory: at most [0-9,]+ fill"
    ) as caught:
        make(IdentityTeam(), **{name: physical // 40})  # each takes more than 40 bytes
    fits = int(str(caught.value).split("at most ")[1].split(" ")[0].replace(",", ""))
    assert 0 < fits < physical // 40


def test_what_fits_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    each = TeamReplayBuffer(2, TEAM).bytes_per_transition
    monkeypatch.setattr(memory, "memory_of", lambda device: 100 * each)
    HASAC(IdentityTeam(), buffer_size=100, batch_size=8)
    with pytest.raises(ConfigurationError, match="at most 100 fill the .* of cpu. Got 101. It would take"):
        HASAC(IdentityTeam(), buffer_size=101, batch_size=8)
    model = HASAC(buffer_size=101, batch_size=8)
    with pytest.raises(ConfigurationError, match="at most 100"):
        model.set_env(IdentityTeam())


def test_a_containers_limit_counts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some").write_text("123456\n")
    (tmp_path / "none").write_text("max\n")
    whole = memory.memory_of(torch.device("cpu"))
    monkeypatch.setattr(memory, "LIMITS", (str(tmp_path / "none"), str(tmp_path / "absent")))
    assert memory.memory_of(torch.device("cpu")) >= whole  # type: ignore[operator]
    monkeypatch.setattr(memory, "LIMITS", (str(tmp_path / "none"), str(tmp_path / "some")))
    assert memory.memory_of(torch.device("cpu")) == 123456


def test_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    model = HASAC(IdentityTeam(), buffer_size=5000, verbose=1)
    assert (
        f"Replay buffer: 5,000 transitions, {memory.readable(model.replay_buffer.n_bytes)}" in capsys.readouterr().out
    )
    HAPPO(IdentityTeam(), n_steps=64, verbose=1)
    assert "Rollout buffer: 64 environment steps, " in capsys.readouterr().out
    assert [memory.readable(n) for n in (0, 999, 1000, 1.234e9)] == ["0 B", "999 B", "1 kB", "1.23 GB"]


def test_pages_are_taken_as_the_buffer_fills() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("only Linux tells")
    before = resident()
    buffer = TeamReplayBuffer(2_000_000, TEAM)
    assert buffer.n_bytes > 1.5e8
    assert resident() - before < 0.3 * buffer.n_bytes
    assert np.isfinite(buffer.n_bytes)
