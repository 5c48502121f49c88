from __future__ import annotations

import subprocess
import sys

import pytest

import masoft


@pytest.mark.parametrize("name", masoft.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(masoft, name) is not None


@pytest.mark.parametrize("name", masoft.ALGORITHMS)
def test_algorithms_are_classes_of_that_name(name: str) -> None:
    assert getattr(masoft, name).__name__ == name


def test_dir_lists_names_and_submodules() -> None:
    assert {"HASAC", "make", "mirror", "errors"} <= set(dir(masoft))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'HASACC'. Did you mean 'HASAC'"):
        masoft.HASACC  # noqa: B018


def test_submodules_load_as_attributes() -> None:
    code = "import masoft; print(masoft.errors.nearest('a', ['ab']), masoft.presets.PAPER)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "Did you mean 'ab'? paper"
