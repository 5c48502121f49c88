"""Writing actors as ONNX files: observation in, deterministic action in the environment's own units out."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib.util
import io
import re
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from masoft.deploy.contract import CONTRACT, MASK, MEMORY, Contract
from masoft.envs.normalization import Normalization, Scale
from masoft.errors import ConfigurationError, MissingDependencyError, explain
from masoft.files import replace_file
from masoft.files.finite import check_module
from masoft.networks.torso import Sequences
from masoft.policies.base import JointPolicy
from masoft.policies.teammates import Teammate
from masoft.spec import AgentSpec

OPSET = 17
TOLERANCE = 1e-3
"""Of `verify`, relative to the largest action: a graph that is wrong is far off; rounding stays below 1e-5."""


class ExportedActor(nn.Module):
    """One agent's actor with everything that ``predict`` does around it.

    Args:
        actor: the agent's network.
        agent: its specification.
        takes_mask: whether the second input is a mask.
        has_memory: whether the last input is a memory, and the second output the next one.
        scale: mean, standard deviation and bound of what the network sees; None: it sees the observation as it is.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, actor: nn.Module, agent: AgentSpec, takes_mask: bool, has_memory: bool, scale: Scale | None = None
    ) -> None:
        super().__init__()
        self.actor = copy.deepcopy(actor).cpu().eval()
        self.agent, self.takes_mask, self.has_memory = agent, takes_mask, has_memory
        self.dtype = getattr(torch, str(np.dtype(agent.action_space.dtype)))
        self.bound = None if scale is None else scale[2]
        if scale is not None:
            self.register_buffer("mean", torch.from_numpy(scale[0]))
            self.register_buffer("deviation", torch.from_numpy(scale[1]))

    def forward(self, observation: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Actions (batch, *shape) for observations (batch, *shape) and, where there are, masks and memories."""
        if self.bound is not None:
            scaled = (observation.double() - self.mean) / self.deviation
            observation = scaled.clamp(-self.bound, self.bound).float()
        mask = others[0] if self.takes_mask else None
        if not self.has_memory:
            return (self._native(self.actor(observation, mask).mode()),)
        memory = others[-1]
        goes_on = torch.zeros_like(memory[:, 0]).unsqueeze(0)
        actor: Any = self.actor
        choice, remembered = actor.along(observation, mask, Sequences(goes_on, memory))
        return self._native(choice.mode()), remembered[-1]

    def _native(self, chosen: Tensor) -> Tensor:
        """What the agent's own action space expects; the arithmetic of `masoft.functional.actions.unit_to_box`."""
        action = self.agent.action
        if action.is_box:
            low, high = torch.from_numpy(action.low), torch.from_numpy(action.high)
            chosen = torch.minimum(torch.maximum(low + 0.5 * (chosen + 1) * (high - low), low), high)
            chosen = chosen if self.dtype.is_floating_point else chosen.round()
        else:
            chosen = chosen.long() + torch.from_numpy(action.start)
        return chosen.reshape(-1, *(action.space.shape or ())).to(self.dtype)


def export_policy(
    policy: JointPolicy, folder: str | Path, *, algorithm: str = "", normalization: Normalization | None = None
) -> Contract:
    """Write one ONNX file an agent, and ``team.json``, which says what each takes and gives.

    Where onnxruntime is installed, each file is played on random observations beside its network before the contract
    is written.

    Args:
        policy: of a trained team.
        folder: where to; made if absent. Files of the same names are replaced.
        algorithm: name for the contract.
        normalization: how observations were scaled in training, which the files then do.

    Returns:
        the contract.

    Raises:
        ConfigurationError: an actor does something that depends on the data in Python, so that its file plays
            differently; nothing of the kind is in masoft's own policies. Or a teammate plays an agent's part.
        NumericalFault: a weight is NaN or infinite.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingDependencyError('Exporting actors needs onnx. pip install "masoft[deploy]"')
    played = [name for name, actor in zip(policy.team.names, policy.actors, strict=True) if isinstance(actor, Teammate)]
    if played:
        cure = f"Give their own actors back with model.unfreeze({played})."
        raise ConfigurationError(explain("The agents to export", "those of the model itself", played, cure))
    folder = Path(folder)
    for agent, actor in zip(policy.team.agents, policy.actors, strict=True):
        check_module(actor, f"The actor of {agent.name!r}", "NaN or infinity in an actor to be exported")
    contract = Contract(
        policy.team, file_names(policy.team.names), policy.memory_sizes if policy.remembers else (), algorithm
    )
    contents = []
    for i, agent in enumerate(policy.team.agents):
        inputs = contract.inputs(agent)
        scale = None if normalization is None else normalization.scale_of(agent.name)
        actor = ExportedActor(policy.actors[i], agent, MASK in inputs, MEMORY in inputs, scale)
        contents.append(to_onnx(actor, contract, agent))
        if importlib.util.find_spec("onnxruntime") is not None:
            verify(actor, contents[-1], contract, agent)
    contract = dataclasses.replace(contract, sha256=tuple(hashlib.sha256(each).hexdigest() for each in contents))
    # Nothing is replaced before everything is ready; what is cut off in between is told from the checksums.
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in zip(contract.files, contents, strict=True):
        write(folder / file, content)
    write(folder / CONTRACT, contract.to_json().encode())
    return contract


def write(path: Path, content: bytes) -> None:
    """Write a file wholly or not at all."""

    def fill(file: BinaryIO) -> None:
        file.write(content)

    replace_file(path, fill)


def to_onnx(actor: ExportedActor, contract: Contract, agent: AgentSpec) -> bytes:
    """One actor as the bytes of an ONNX file with a free batch size."""
    names, outputs = list(contract.inputs(agent)), list(contract.outputs(agent))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # This exporter needs no further package and works from torch 2.4 on. Its warnings are about control flow that
        # the shapes decide, which is the same for every batch; `verify` looks at the result.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            actor,
            examples(contract, agent, 2),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in [*names, *outputs]},
        )
    return buffer.getvalue()


def examples(contract: Contract, agent: AgentSpec, n: int) -> tuple[Tensor, ...]:
    """Inputs of every kind, the same on each call: noise, and masks with one legal choice in every part or more."""
    rng = np.random.default_rng(0)
    made = []
    for name, (dtype, shape) in contract.inputs(agent).items():
        if name == MASK:
            mask = rng.random((n, *shape)) < 0.5
            firsts = np.cumsum([0, *agent.action.nvec[:-1]])
            mask[:, firsts] = True
            made.append(torch.from_numpy(mask))
        elif dtype == "uint8":
            made.append(torch.from_numpy(rng.integers(0, 256, (n, *shape), np.uint8)))
        else:
            made.append(torch.from_numpy(rng.standard_normal((n, *shape), np.float32)))
    return tuple(made)


def verify(actor: ExportedActor, content: bytes, contract: Contract, agent: AgentSpec) -> None:
    """Play the file and the network on the same inputs, in batches of one and of five.

    Raises:
        ConfigurationError: they differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n in (1, 5):
        inputs = examples(contract, agent, n)
        with torch.no_grad():
            expected = [each.numpy() for each in actor(*inputs)]
        feed = {name: each.numpy() for name, each in zip(contract.inputs(agent), inputs, strict=True)}
        for mine, theirs in zip(expected, session.run(None, feed), strict=True):
            scale = 1 + np.abs(mine).max()
            if mine.shape != theirs.shape or np.abs(mine.astype(float) - theirs).max() > TOLERANCE * scale:
                which, got = f"The exported actor of {agent.name!r}", f"{theirs.tolist()} instead of {mine.tolist()}"
                cure = "Write the actor without Python branches on the data, or with torch.where."
                raise ConfigurationError(explain(which, "the network's equal", got, cure))


def file_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """A file name for each agent: its own name where that is a plain one, else its number."""
    plain = [name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f"agent-number-{i}" for i, name in enumerate(names)]
    unique = len({name.lower() for name in plain}) == len(plain)
    return tuple(f"{name if unique else f'agent-number-{i}'}.onnx" for i, name in enumerate(plain))
