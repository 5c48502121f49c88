"""Legal random actions, for warm-up and for comparison."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from masoft.distributions import Categoricals
from masoft.mirror.exploration import GaussianNoise, Noise
from masoft.spec import TeamSpec


def uniform_actions(
    team: TeamSpec, n: int, masks: np.ndarray | None = None, generator: torch.Generator | None = None
) -> np.ndarray:
    """Joint actions drawn uniformly from what is legal.

    Args:
        team: the team's specification.
        n: how many.
        masks: joint masks, (n, mask_size), or None.
        generator: source of the draws, on the CPU.

    Returns:
        (n, action_size): Box entries in [-1, 1], categorical parts as choice numbers.
    """
    drawn = uniform_on(torch.device("cpu"), team, n, None if masks is None else torch.as_tensor(masks), generator)
    return drawn.numpy()


def uniform_on(
    device: torch.device, team: TeamSpec, n: int, masks: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    """The same as a tensor on a device, where masks and generator are too."""
    parts = []
    for agent, where in zip(team.agents, team.mask_slices, strict=True):
        if agent.action.is_box:
            parts.append(torch.rand((n, agent.action.size), generator=generator, device=device) * 2 - 1)
        else:
            mask = None if masks is None else masks[:, where]
            logits = torch.zeros(n, agent.action.mask_size, device=device)
            parts.append(Categoricals(logits, agent.action.nvec, mask).sample(generator).float())
    return torch.cat(parts, dim=-1)


def noisy_actions(
    team: TeamSpec,
    actions: np.ndarray,
    noise: float | Noise,
    epsilon: float,
    masks: np.ndarray | None = None,
    generator: torch.Generator | None = None,
    resting: Collection[int] = (),
) -> np.ndarray:
    """Gaussian noise on Box entries, and now and then a uniform legal action of a categorical agent.

    Each categorical agent decides by itself, in each environment, whether this is such a step.

    Args:
        team: the team's specification.
        actions: (n, action_size): Box entries in [-1, 1], categorical parts as choice numbers; not modified.
        noise: on Box entries, which stay within [-1, 1]; a number is the standard deviation of a normal one.
        epsilon: probability that a categorical agent acts uniformly, in [0, 1].
        masks: joint masks, (n, mask_size), or None.
        generator: source of the draws, on the CPU.
        resting: agents whose actions stay as they are.

    Returns:
        (n, action_size).
    """
    explored = np.array(actions, dtype=np.float32)
    added = noise if isinstance(noise, Noise) else GaussianNoise(noise)
    has_categorical = team.mask_size > 0
    uniform = uniform_actions(team, len(actions), masks, generator) if has_categorical and epsilon > 0 else explored
    for agent, where in zip(team.agents, team.action_slices, strict=True):
        if agent.action.is_box:
            draws = added.draw((len(actions), agent.action.size), generator).numpy()
            explored[:, where] = np.clip(explored[:, where] + draws, -1, 1)
        elif epsilon > 0:
            is_random = torch.rand(len(actions), generator=generator).numpy() < epsilon
            explored[is_random, where] = uniform[is_random, where]
    for where in (team.action_slices[i] for i in resting):
        explored[:, where] = actions[:, where]
    return explored


def noisy_on_device(
    team: TeamSpec,
    actions: Tensor,
    noise: float | Noise,
    epsilon: float,
    masks: Tensor | None,
    generators: tuple[torch.Generator, torch.Generator],
    resting: Collection[int] = (),
) -> Tensor:
    """`noisy_actions` for tensors, which stay on their device.

    Args:
        team, actions, noise, epsilon, masks, resting: as there.
        generators: on the CPU, of noise and of who acts uniformly; on the device of the actions, of uniform actions.
    """
    device, n = actions.device, len(actions)
    of_noise, of_actions = generators
    added = noise if isinstance(noise, Noise) else GaussianNoise(noise)
    uniform = uniform_on(device, team, n, masks, of_actions) if team.mask_size > 0 and epsilon > 0 else actions
    parts = []
    for i, (agent, where) in enumerate(zip(team.agents, team.action_slices, strict=True)):
        own = actions[:, where]
        if agent.action.is_box:
            moved = (own + _sent(added.draw((n, agent.action.size), of_noise), device)).clamp(-1, 1)
        elif epsilon > 0:
            is_random = _sent(torch.rand(n, generator=of_noise) < epsilon, device)
            moved = torch.where(is_random.unsqueeze(1), uniform[:, where], own)
        else:
            moved = own
        parts.append(own if i in resting else moved)
    return torch.cat(parts, dim=-1)


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """Values from the CPU on a device, without a wait."""
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)


def epsilon_at(initial: float, final: float, fraction: float, progress_remaining: float) -> float:
    """A straight line from ``initial`` to ``final`` over the first ``fraction`` of training, then ``final``.

    Args:
        initial, final: in [0, 1].
        fraction: of training, in [0, 1].
        progress_remaining: 1 at the start, 0 at the end.
    """
    done = 1 - progress_remaining
    return final if done >= fraction else initial + (final - initial) * done / fraction
