from __future__ import annotations

import pytest

import masoft.mirror
from masoft.errors import ConfigurationError
from masoft.mirror import KLBall, KLDrift, Linear, SumDrift
from masoft.notation import looks_like_part, parse_part

KNOWN = {name: getattr(masoft.mirror, name) for name in masoft.mirror.__all__}


@pytest.mark.parametrize("text", ["KLDrift(0.5)", "2 * KLDrift(0.5)", "KLBall(0.1) & KLBall(0.2)", "Linear(1e-3, 0)"])
def test_parts_are_told_from_plain_text(text: str) -> None:
    assert looks_like_part(text)


@pytest.mark.parametrize(
    "text", ["auto", "MlpPolicy", "mpe/simple_spread_v3", "cuda:0", '{"net_arch": [8]}', "1e-3", ""]
)
def test_plain_text_is_no_part(text: str) -> None:
    assert not looks_like_part(text)


def test_parts_are_rebuilt_from_their_repr() -> None:
    for part in (KLDrift(0.5), KLBall(0.1), Linear(0.1, 0.0), KLDrift(Linear(1.0, 0.0))):
        assert parse_part(repr(part), KNOWN) == part


def test_parts_add_scale_and_intersect() -> None:
    assert isinstance(parse_part("KLDrift(0.5) + 2 * KLDrift(weight=0.1)", KNOWN), SumDrift)
    assert parse_part("KLBall(0.1) & KLBall(radius=0.2)", KNOWN) == KLBall(0.1) & KLBall(0.2)


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "KLDrift(open('x'))", "KLDrift(().__class__)", "KLDrift(0.5", "f(1)", "KLDrift", "a.b(1)"],
)
def test_no_code_runs(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_part(text, KNOWN)


def test_messages_name_the_text_and_the_cure() -> None:
    with pytest.raises(ConfigurationError, match=r"In 'KLDrift\(foo=1\)'.*foo"):
        parse_part("KLDrift(foo=1)", KNOWN)
    with pytest.raises(
        ConfigurationError, match=r"In 'KLDrft\(1\)': the name must be a known one.*Did you mean 'KLDrift'"
    ):
        parse_part("KLDrft(1)", KNOWN)
    with pytest.raises(ConfigurationError, match="plain arguments. Got 'KLDrift' *"):
        parse_part("KLDrift", KNOWN)
