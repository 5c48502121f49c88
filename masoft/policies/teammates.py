"""Teammates that do not learn: whoever plays an agent's part in place of its own actor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from masoft.distributions import Categoricals, FixedAction
from masoft.distributions.categoricals import MASKED_LOGIT
from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import box_to_unit
from masoft.functional.choices import one_hot_parts
from masoft.networks.actor import shown
from masoft.networks.torso import Sequences
from masoft.policies.observations import seen_by
from masoft.spec import AgentSpec, TeamSpec

Script = Callable[[np.ndarray, np.ndarray | None], Any]
"""From observations (n, *shape) and action masks (n, mask_size) or None to actions (n, *shape) in the agent's space."""


class Teammate(nn.Module):
    """In the place of an actor: a script's actions in the form of a distribution with all probability on them.

    It shares the tables of the actor that it stands for: files, devices and optimisers find the same weights as before.

    Args:
        agent: the agent whose part is played.
        script: says what it does.
        actor: the actor that it stands for, unchanged.
    """

    def __init__(self, agent: AgentSpec, script: Script, actor: nn.Module) -> None:
        super().__init__()
        self.agent, self._script = agent, script
        vars(self).update(actor=actor, _modules=actor._modules, _parameters=actor._parameters, _buffers=actor._buffers)

    def forward(self, observation: Any, mask: Tensor | None = None) -> FixedAction | Categoricals:
        """What the teammate does at observations (batch, *shape) under masks (batch, sum(nvec)) or None."""
        flags = None if mask is None or self.agent.action.is_box else mask.bool()
        observation = shown(observation)
        seen = observation.detach().cpu().numpy()
        chosen = self._script(seen, None if flags is None else flags.cpu().numpy())
        action = torch.as_tensor(self._checked(chosen, len(seen)), device=observation.device)
        if self.agent.action.is_box:
            return FixedAction(action)
        nvec = self.agent.action.nvec
        taken = one_hot_parts(action, nvec)
        if flags is not None and bool((taken & ~flags).any()):
            raise ConfigurationError(explain(f"What the teammate {self.agent.name!r} does", "legal", chosen))
        return Categoricals(torch.where(taken, 0.0, MASKED_LOGIT), nvec)

    @property
    def memory_size(self) -> int:
        """Of the actor that it stands for, whose place in files it keeps."""
        size: int = vars(self)["actor"].memory_size
        return size

    def along(
        self, observation: Tensor, mask: Tensor | None, sequences: Sequences | None
    ) -> tuple[FixedAction | Categoricals, Tensor | None]:
        """The same along sequences; what is remembered stays as it was."""
        if sequences is None:
            return self.forward(observation, mask), None
        return self.forward(observation, mask), sequences.hidden.expand(len(sequences.starts), -1, -1)

    def _checked(self, chosen: Any, n: int) -> np.ndarray:
        """Actions (n, size) as actors give them: a Box's in [-1, 1], else choice numbers."""
        action, space = self.agent.action, self.agent.action_space
        which, must = f"What the teammate {self.agent.name!r} does", f"{n} actions in {space}"
        try:
            values = np.asarray(chosen, np.float32).reshape(n, action.size)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(explain(which, must, chosen, str(error))) from None
        if action.is_box:
            fits = np.isfinite(values).all()
            values = np.clip(box_to_unit(action, values), -1, 1)
        else:
            values = values - action.start.astype(np.float32)
            fits = ((values >= 0) & (values < np.array(action.nvec)) & (values == np.rint(values))).all()
        if not fits:
            raise ConfigurationError(explain(which, must, chosen))
        return values if action.is_box else values.astype(np.int64)


def script_of(teammate: Any, agent: AgentSpec, unscaled: Callable[[np.ndarray], np.ndarray]) -> Script:
    """What a caller gives as a teammate, as a script.

    Args:
        teammate: a trained model, exported actors (`masoft.deploy.load`), or a `Script`.
        agent: whose part it plays.
        unscaled: from what the agent's actor sees to what its environment gives.

    Raises:
        ConfigurationError: it is none of these, has a memory, or knows no agent of that name and these spaces.
    """
    predict = getattr(teammate, "predict", None)
    if predict is None:
        if not callable(teammate):
            must = "a model, exported actors, or a function of observations and action masks"
            raise ConfigurationError(explain(f"The teammate {agent.name!r}", must, teammate))
        found: Script = teammate
        return found
    team: TeamSpec = teammate.team
    same = [each for each in team.agents if each.name == agent.name]
    own = agent.observation_space, agent.action_space
    if [(each.observation_space, each.action_space) for each in same] != [own]:
        must = f"of a team whose {agent.name!r} has {own[0]} and {own[1]}"
        got = [(each.name, each.observation_space, each.action_space) for each in team.agents]
        cure = "A function of observations and action masks can ask any agent of it."
        raise ConfigurationError(explain(f"The teammate {agent.name!r}", must, got, cure))
    home = getattr(teammate, "contract", None) or teammate.policy
    if any(getattr(home, "memory_sizes", ())):
        cure = "A function can keep what it remembers, where it is asked once a step."
        raise ConfigurationError(explain(f"The teammate {agent.name!r}", "one without memory", teammate, cure))

    def script(observations: np.ndarray, masks: np.ndarray | None) -> Any:
        known: Mapping[str, np.ndarray] = {agent.name: masks} if masks is not None and team.has_masks else {}
        seen = seen_by(teammate, {agent.name: unscaled(observations)})
        return predict(seen, deterministic=True, action_masks=known)[agent.name]

    return script
