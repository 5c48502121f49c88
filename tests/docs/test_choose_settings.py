"""What the page on choosing an algorithm says about classes is so."""

from __future__ import annotations

from typing import Any

import pytest

import masoft
from masoft.errors import ConfigurationError, SpaceError
from masoft.testing.games import IdentityTeam

CATEGORICAL_ONLY = {"VDN", "QMIX", "HAD3QN"}
WITHOUT_MEMORY = {"HAD3QN", "FOP"}


def takes(name: str, policy: str, kinds: tuple[str, ...]) -> bool:
    cls: Any = getattr(masoft, name)
    one_step = dict(n_steps=1) if "buffer_size" in cls.parameter_names() else {}  # memories of QMIX ask for it
    try:
        cls(policy, IdentityTeam(kinds), policy_kwargs=dict(net_arch=[8]), **one_step)
    except (ConfigurationError, SpaceError):
        return False
    return True


@pytest.mark.parametrize("name", masoft.ALGORITHMS)
def test_who_takes_boxes_and_who_remembers(name: str) -> None:
    assert takes(name, "MlpPolicy", ("discrete", "multidiscrete"))
    assert takes(name, "MlpPolicy", ("box", "discrete")) == (name not in CATEGORICAL_ONLY)
    assert takes(name, "RnnPolicy", ("discrete", "discrete")) == (name not in WITHOUT_MEMORY)
