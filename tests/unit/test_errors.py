from __future__ import annotations

import pytest

from masoft import errors
from masoft.errors import MasoftError, explain, nearest


def test_explain_says_which_must_got_and_cure() -> None:
    message = explain("batch_size", "an integer >= 1", 0, "Use 256.")
    assert message == "batch_size must be an integer >= 1. Got 0. Use 256."


def test_explain_without_cure_ends_with_what_it_got() -> None:
    assert explain("x", "a number", "a") == "x must be a number. Got 'a'."


def test_explain_cuts_what_is_too_long_to_read() -> None:
    message = explain("x", "short", "a" * 1000)
    assert len(message) < 250 and "..." in message


def test_nearest_names_what_was_probably_meant() -> None:
    assert nearest("batchsize", ["batch_size", "gamma", "tau"]) == "Did you mean 'batch_size'?"


def test_nearest_offers_several_best_first() -> None:
    assert nearest("Ant-4x3", ["Ant-4x2", "Ant-2x4", "Walker"]).startswith("Did you mean 'Ant-4x2' or 'Ant-")


def test_nearest_lists_everything_where_nothing_is_alike() -> None:
    assert nearest("zzz", ["tau", "gamma"]) == "Known: gamma, tau."


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigurationError", ValueError),
        ("SpaceError", ValueError),
        ("EnvironmentFault", RuntimeError),
        ("NumericalFault", ArithmeticError),
        ("ModelFileError", ValueError),
        ("MissingDependencyError", ImportError),
    ],
)
def test_each_error_is_ours_and_a_builtin_one(name: str, builtin: type[Exception]) -> None:
    error = getattr(errors, name)
    assert issubclass(error, MasoftError) and issubclass(error, builtin)
