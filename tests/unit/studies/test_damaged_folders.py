"""Every reader of a study's or a run's folder meets every file cut off at every byte: read, left out, or named."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from masoft.errors import ConfigurationError, MasoftError
from masoft.runs.curves import read_curve
from masoft.runs.logs import make_logger
from masoft.runs.settings import RunSettings
from masoft.studies import Study, Task, Variant, read_results, run, write_report
from masoft.studies.folder import CURVE, DONE, INDEX, SETTINGS, is_finished, is_pending, read_index
from masoft.studies.traces import read_traces

SMALL = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 4, "learning_starts": 8, "buffer_size": 64}
STUDY = Study([Variant("HASAC", "soft", SMALL)], [Task("matrix/maxent")], [0], 16, eval_every=4, eval_episodes=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    run(STUDY, folder, progress_bar=False)
    return folder


def cuts(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[:n] for n in range(len(data))]


@pytest.mark.parametrize("name", [DONE, SETTINGS, CURVE])
def test_a_run_cut_anywhere_is_done_again(name: str, whole: Path) -> None:
    folder = whole / STUDY.runs[0].key
    original = (folder / name).read_bytes()
    assert is_finished(folder)
    try:
        for data in cuts(folder / name):
            (folder / name).write_bytes(data)
            if data.strip() == original.strip():  # only the last line's end is lost, or not even that
                continue
            assert is_pending(folder) and not is_finished(folder), data
            with pytest.warns(UserWarning, match="Left out"):
                assert read_results(whole).empty
    finally:
        (folder / name).write_bytes(original)
    assert len(read_results(whole)) == 4


def test_an_index_cut_anywhere_is_named_and_mended(whole: Path) -> None:
    original = (whole / INDEX).read_bytes()
    for data in cuts(whole / INDEX)[:-1]:
        (whole / INDEX).write_bytes(data)
        with pytest.raises(ConfigurationError, match=r"study\.json"):
            read_results(whole)
    run(STUDY, whole, progress_bar=False)
    assert (whole / INDEX).read_bytes() == original


@pytest.mark.parametrize("key", ["../../x", "..", "a/b", "", "x\0"])
def test_an_index_leads_nowhere_else(key: str, tmp_path: Path) -> None:
    entry = {"algorithm": "a", "environment": "b", "scale": None}
    (tmp_path / INDEX).write_text(json.dumps({"runs": {key: entry}}))
    with pytest.raises(ConfigurationError, match="keys of folders"):
        read_index(tmp_path)


def test_a_damaged_run_is_trained_again(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    before = read_results(tmp_path / "copy")
    (tmp_path / "copy" / STUDY.runs[0].key / DONE).write_text("")
    assert len(run(STUDY, tmp_path / "copy", progress_bar=False)["done"]) == 1
    assert read_results(tmp_path / "copy").equals(before)
    write_report(tmp_path / "copy")


def test_the_log_of_a_run_cut_anywhere(whole: Path, tmp_path: Path) -> None:
    source = whole / STUDY.runs[0].key / "progress.csv"
    settings = RunSettings("HASAC", "matrix/maxent", {}, 1, 0, 16, {})
    for n, data in enumerate(cuts(source)):
        (tmp_path / "progress.csv").write_bytes(data)
        read_curve(tmp_path)
        read_traces(tmp_path)
        if n % 23 == 0:
            make_logger(tmp_path, settings, 8).close()


@pytest.mark.parametrize("text", ['{"env": 5}', "[]", "[" * 100_000, "\xff", '{"algorithm": "HASAC"}', "1" * 5000])
def test_settings_of_a_run_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"run\.json"):
        RunSettings.load(tmp_path)


def test_settings_of_a_run_cut_anywhere(tmp_path: Path) -> None:
    RunSettings("HASAC", "matrix/maxent", {"a": 1}, 1, 0, 16, {"gamma": 0.9}).save(tmp_path)
    for data in cuts(tmp_path / "run.json")[:-1]:
        (tmp_path / "run.json").write_bytes(data)
        with pytest.raises(MasoftError, match=r"run\.json"):
            RunSettings.load(tmp_path)


def test_labels_with_escapes_and_dots_stay_in_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from masoft.cli.output import report_error, show_table
    from masoft.files import folder_name, shown

    study = Study([Variant("HASAC", "../../\x1b[31mred", SMALL)], [Task("matrix/maxent")], [0], 8)
    key = study.runs[0].key
    assert not key.startswith(".") and "/" not in key and "\x1b" not in key
    show_table("\x1b]0;title\x07", ("a",), [("\x1b[2J\u202e",)])
    report_error("\x1b[31m no", as_json=False)
    printed: Any = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "\\x1b[2J\\u202e" in printed.out
    assert folder_name("..") == "unnamed" and shown("\ud800") == "\\ud800"
    assert len(folder_name("\u4e2d" * 300).encode()) <= 200
    with warnings.catch_warnings():
        assert folder_name("plain label=1") == "plain-label-1"
