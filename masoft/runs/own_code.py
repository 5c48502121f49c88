"""Environments of the user's own, ``module:Class``: where they are, and who vouches for them."""

from __future__ import annotations

import os
import sys
from typing import Any

from masoft.envs import imports_own_code
from masoft.errors import ConfigurationError, explain


def find_here(env: str) -> None:
    """Let Python find the module of an environment of the user's own in this folder, after its own path."""
    if imports_own_code(env) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def ask_trust(env: str, named_by: Any, *, trusted: bool) -> None:
    """Import nothing of somebody's own that a file names, unless the user vouches for it.

    Args:
        env: environment id that the file names.
        named_by: that file or folder.
        trusted: whether the user has said so.

    Raises:
        ConfigurationError: not trusted.
    """

    if imports_own_code(env) and not trusted:
        cure = f"Making it would import and run the module {env.partition(':')[0]!r}; if you know it, pass --trusted."
        raise ConfigurationError(explain(f"The environment of {named_by}", "one that masoft knows", env, cure))
    find_here(env)
