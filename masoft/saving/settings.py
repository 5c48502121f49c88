"""Which settings may be changed on a model that is trained, and what of its saved state a change sets aside."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from masoft.errors import ConfigurationError, explain
from masoft.policies.architecture import ALIASES
from masoft.settings import settings_of

NEW = "The networks are made of it: make a new model."

LOADABLE_POLICY_KWARGS = frozenset(
    {"activation_fn", "final_activation", "optimizer_class", "optimizer_kwargs", "sequence_length", "burn_in"}
)
"""Arguments of policies that may differ from those that a model was trained with; the others shape its weights."""

_OPTIMIZERS = ("actor_optimizer", "critic_optimizer")


def check_changes(owner: type, stored: Mapping[str, Any], changes: Mapping[str, Any], is_resumed: bool) -> None:
    """Refuse changes of settings that trained weights cannot follow.

    Args:
        owner: the model's class.
        stored: constructor arguments in the file.
        changes: constructor arguments that replace them.
        is_resumed: whether a run goes on, with its random states and its stored experience.

    Raises:
        ConfigurationError: names the setting, what it was, and what to do.
    """
    for name, setting in settings_of(owner).items():
        if setting.instead == NEW and name in changes and name in stored and changes[name] != stored[name]:
            raise _refusal(owner, name, stored[name], changes[name], NEW)
    if "policy" in changes and _policy_of(owner, changes["policy"]) != _policy_of(owner, stored.get("policy")):
        raise _refusal(owner, "policy", stored.get("policy"), changes["policy"], NEW)
    for name in _changed_policy_kwargs(stored, changes) - LOADABLE_POLICY_KWARGS:
        before, now = (dict(each.get("policy_kwargs") or {}).get(name, "its default") for each in (stored, changes))
        raise _refusal(owner, f"policy_kwargs[{name!r}]", before, now, NEW)
    if is_resumed:
        for name, cure in (
            ("seed", "A resumed run draws on: load(path, seed=...) starts anew."),
            ("buffer_size", "Its rows are in the checkpoint: load(path, buffer_size=...) fills anew."),
        ):
            if name in changes and changes[name] != stored.get(name):
                raise _refusal(owner, name, stored.get(name), changes[name], cure)  # fmt: skip


def set_aside(
    stored: Mapping[str, Any], changes: Mapping[str, Any], saved: Container[str], parts: Container[str]
) -> tuple[str, ...]:
    """Beginnings of the names of parts that changed settings make void; they start anew.

    A temperature that is to start elsewhere does, and moments of one optimiser mean nothing to another.

    Args:
        stored, changes: see `check_changes`.
        saved: names of the parts in the file.
        parts: names of the model's parts.
    """
    void: tuple[str, ...] = ()
    if "ent_coef" in changes and changes["ent_coef"] != stored.get("ent_coef"):
        void += ("temperature",)
    if "optimizer_class" in _changed_policy_kwargs(stored, changes):
        void += _OPTIMIZERS
    is_other = "reference" in changes and changes["reference"] != stored.get("reference")
    is_new = ("drift" in changes or "neighborhood" in changes) and ("reference" in saved) != ("reference" in parts)
    if is_other or is_new:
        void += ("reference",)
    return void


def _changed_policy_kwargs(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> set[str]:
    if "policy_kwargs" not in changes:
        return set()
    before, now = (dict(each.get("policy_kwargs") or {}) for each in (stored, changes))
    return {name for name in {*before, *now} if before.get(name) != now.get(name) or (name in before) != (name in now)}


def _policy_of(owner: Any, policy: Any) -> Any:
    return (owner.policy_aliases.get(policy), ALIASES.get(policy)) if isinstance(policy, str) else policy


def _refusal(owner: type, name: str, before: object, now: object, cure: str) -> ConfigurationError:
    which = f"{name} of a trained {owner.__name__}"
    return ConfigurationError(explain(which, f"what it was trained with, {before!r}", now, cure))
