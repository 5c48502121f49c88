"""What each agent does and expects, beside a picture of the team: action, value and temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from masoft.buffers.views import critic_state, viewed_state
from masoft.functional.action_values import ActionValues
from masoft.functional.actions import box_to_unit, encode_joint_action
from masoft.networks.critic import Critic
from masoft.networks.value import CriticInputs, ValueNet
from masoft.spec import ACTION_MASK

LINE = 13
WIDTH = 230


@dataclass(frozen=True)
class AgentFigures:
    """One agent at one step.

    Args:
        name: of the agent.
        action: in the environment's units.
        value: what its critic expects from here on; the joint critic's is one for all; None where there is none.
        temperature: that of its policy, or None.
    """

    name: str
    action: np.ndarray
    value: float | None
    temperature: float | None


def figures(model: Any, observation: Mapping[str, np.ndarray], joint: np.ndarray) -> tuple[AgentFigures, ...]:
    """Each agent's action, value and temperature.

    Args:
        model: a built estimator.
        observation: one team observation, without a batch axis.
        joint: (action_size,), the joint action taken there, in the environment's units.
    """
    team = model.team
    with torch.no_grad():
        values = _values(model, observation, joint)
    temperatures = model.temperature.current().tolist() if hasattr(model, "temperature") else None
    return tuple(
        AgentFigures(agent.name, joint[where], values[i], None if temperatures is None else temperatures[i])
        for i, (agent, where) in enumerate(zip(team.agents, team.action_slices, strict=True))
    )


def _values(model: Any, observation: Mapping[str, np.ndarray], joint: np.ndarray) -> list[float | None]:
    policy, team = model.policy, model.team
    seen = {name: torch.as_tensor(np.asarray(each)[None], device=policy.device) for name, each in observation.items()}
    critic = getattr(policy, "critic", None)
    if isinstance(critic, Critic):
        done = encode_joint_action(team, _units(team, joint).to(policy.device))
        q = critic.judged(critic.expected(critic(critic_state(team, viewed_state(team, seen), seen), done)))
        return [float(q)] * team.n_agents
    if isinstance(critic, ValueNet) and critic.remembered_size == 0:
        found, _ = critic.returns(CriticInputs(tuple(seen[name] for name in team.names), viewed_state(team, seen)))
        return [float(each) for each in found.reshape(-1).expand(team.n_agents)]
    return [_own_value(policy, team, i, seen) for i in range(team.n_agents)]


def _own_value(policy: Any, team: Any, i: int, seen: Mapping[str, torch.Tensor]) -> float | None:
    """The best value of an agent that values its own actions; None for others, and for those with a memory."""
    if policy.remembers:
        return None
    choice = policy.distribution(i, seen[team.names[i]], seen.get(ACTION_MASK))
    return float(choice.values.max()) if isinstance(choice, ActionValues) else None


def _units(team: Any, joint: np.ndarray) -> torch.Tensor:
    """A joint action in the units that critics see, (1, action_size)."""
    units = joint.astype(np.float32).copy()
    for agent, where in zip(team.agents, team.action_slices, strict=True):
        if agent.action.is_box:
            units[where] = box_to_unit(agent.action, units[where])
    return torch.as_tensor(units[None])


def beside(picture: np.ndarray, lines: list[str]) -> np.ndarray:
    """A picture with lines of text at its right, (height, width + 230, 3); what does not fit below is left out."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width + WIDTH, height), "white")
    sheet.paste(Image.fromarray(picture), (0, 0))
    ImageDraw.Draw(sheet).multiline_text((width + 8, 6), "\n".join(lines[: height // LINE]), fill="black", spacing=2)
    return np.asarray(sheet)


def written(found: tuple[AgentFigures, ...], total: float) -> list[str]:
    """The lines of the panel: the return so far, then each agent."""
    lines = [f"return so far {total:.2f}", ""]
    for agent in found:
        entries = " ".join(f"{entry:.2f}" if agent.action.dtype.kind == "f" else f"{entry:d}" for entry in agent.action)
        value = "" if agent.value is None else f"  value {agent.value:.2f}"
        temperature = "" if agent.temperature is None else f"  temperature {agent.temperature:.3g}"
        lines += [
            agent.name,
            f"  action {entries}",
            *([value] if value else []),
            *([temperature] if temperature else []),
        ]
    return lines
