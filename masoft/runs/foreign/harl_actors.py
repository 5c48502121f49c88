"""Actors that HARL has saved, as the actors of a masoft team."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from masoft.errors import ConfigurationError, ModelFileError, explain

M = TypeVar("M")
Layer = tuple[Tensor, Tensor]

HEADS = {"net": ("mu_layer", "log_std_layer"), "pi": ()}
"""By the name of HARL's hidden layers, those whose outputs masoft's head has side by side: HASAC's, HATD3's."""


def load_harl_actors(model: M, folder: str | Path) -> M:
    """Copy HARL's actors into a model, agent by agent; the critic and temperatures stay as they are.

    Actors of HASAC with Box actions, and of HATD3, HADDPG, MATD3 and MADDPG have a counterpart: the same layers without
    normalisation. HARL's other actors normalise what they see and each hidden layer.

    Args:
        model: HASAC or MASAC with ``policy_kwargs=dict(net_arch=dict(pi=hidden_sizes), activation_fn=activation_func,
            final_activation=final_activation_func)``, or one of the deterministic four; its environment gives the
            observations that HARL's gave.
        folder: where HARL's run left ``actor_agent0.pt`` and so on (its ``models``). The files are read as tensors; no
            code of theirs is run.

    Returns:
        the model.

    Raises:
        ModelFileError: a file is missing or damaged, or holds another kind of actor.
        ConfigurationError: layers of other sizes than the model's.
    """
    policy: Any = model.policy  # type: ignore[attr-defined]
    found = []
    for i, (agent, actor) in enumerate(zip(policy.team.agents, policy.actors, strict=True)):
        layers = _layers(_read(Path(folder) / f"actor_agent{i}.pt"), i)
        own = [module for module in actor.modules() if isinstance(module, nn.Linear)]
        wanted, given = ([tuple(weight.shape) for weight, _ in each] for each in (_weights(own), layers))
        if wanted != given:
            hidden = [shape[0] for shape in given[:-1]]
            cure = f"Make the model with policy_kwargs=dict(net_arch=dict(pi={hidden})), and compare the observations."
            raise ConfigurationError(explain(f"HARL's actor of {agent.name!r}", f"of layers {wanted}", given, cure))
        found += [*zip(own, layers, strict=True)]
    with torch.no_grad():
        for module, (weight, bias) in found:
            module.weight.copy_(weight)
            module.bias.copy_(bias)
        if hasattr(policy, "actors_target"):
            policy.actors_target.load_state_dict(policy.actors.state_dict())
    return model


def _weights(modules: list[nn.Linear]) -> list[Layer]:
    return [(module.weight, module.bias) for module in modules]


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name."""
    if not path.is_file():
        raise ModelFileError(explain("HARL's folder of models", f"one with {path.name}", str(path.parent)))
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes the reader raise
        why = str(error).partition("\n")[0]
        raise ModelFileError(f"{path} is damaged, or holds more than tensors: {why}") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(each, Tensor) for each in tensors.values()):
        raise ModelFileError(explain(str(path), "the state_dict of an actor", type(tensors).__name__))
    return tensors


def _layers(tensors: Mapping[str, Tensor], i: int) -> list[Layer]:
    """Weights and biases of the linear layers, first to last."""
    numbers = {name: re.fullmatch(r"(net|pi)\.mlp\.(\d+)\.weight", name) for name in tensors}
    hidden = sorted((int(match[2]), match[1]) for match in numbers.values() if match)
    kinds = {kind for _, kind in hidden}
    heads = HEADS[next(iter(kinds))] if len(kinds) == 1 else ()
    stems = [f"{kind}.mlp.{number}" for number, kind in hidden]
    known = {f"{stem}.{part}" for stem in (*stems, *heads) for part in ("weight", "bias")}
    if len(kinds) != 1 or known != {*tensors}:
        must = "that of HASAC with Box actions or of a deterministic method, on vectors"
        raise ModelFileError(explain(f"HARL's actor {i}", must, f"one with {sorted({*tensors} - known)[:3]}"))
    layers = [(tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]) for stem in stems]
    if heads:
        side = [[tensors[f"{head}.{part}"] for head in heads] for part in ("weight", "bias")]
        layers.append((torch.cat(side[0]), torch.cat(side[1])))
    return layers
