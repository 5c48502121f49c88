"""A team that acts from a recording: one replay from all that is seen to the joint action."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from masoft.fast.recorder import Recorder
from masoft.spec import ACTION_MASK

if TYPE_CHECKING:
    from masoft.policies.acting import ActingPolicy, Memories

ACT = "act"
"""Name of the piece."""


class RecordedActing:
    """Acts for a policy, from a recording for each number of environments.

    What is drawn, remembered and given is, number for number, what the policy gives by itself.

    Args:
        generators: gives those that policies may draw from.
        checks: see `Recorder`.
        always: record also where it is slower: on a processor, agents that act together are quick as they are.
    """

    def __init__(
        self, generators: Callable[[], Sequence[torch.Generator]], checks: bool = False, always: bool = False
    ) -> None:
        self._always = always
        self.recorder = Recorder(generators, lambda: (), checks)
        self._generators = generators
        self._stacks: list[Any] = []

    def __call__(
        self,
        policy: ActingPolicy,
        obs: Mapping[str, Any],
        memories: Memories,
        starts: Any,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[Any, Memories] | None:
        """As `ActingPolicy.act_on`; None where the policy has to act by itself."""
        names, device = policy.team.names, policy.device
        is_drawn_elsewhere = generator is not None and not any(generator is known for known in self._generators())
        n, arrays = len(obs[names[0]]), not isinstance(obs[names[0]], Tensor)
        is_quick = device.type == "cpu" and not self._always and policy.all_act_together
        if n == 0 or is_drawn_elsewhere or is_quick or (arrays and policy.acts_by_arrays(n)):
            return None
        self._look_at_stacks(policy)
        sizes = policy.memory_sizes if policy.remembers else ()
        kept = memories or tuple(torch.zeros(n, size, device=device) for size in sizes)
        flags = None
        if sizes:
            flags = torch.zeros(n, device=device) if starts is None else torch.as_tensor(starts, device=device).float()
        own = (*names, ACTION_MASK) if policy.team.has_masks and ACTION_MASK in obs else names
        seen = {name: torch.as_tensor(obs[name], device=device) for name in own}
        draws = deterministic, generator is None
        seen, kept, flags = self.recorder.begin((seen, kept, flags), draws)
        piece = partial(policy.act_alone, seen, kept if sizes else (), flags, deterministic, generator)
        joint, remembered = self.recorder.run(ACT, piece)
        # The next replay fills these places anew.
        given: Any = joint.detach().cpu().numpy().copy() if arrays else joint.clone()
        return given, tuple(each.clone() for each in remembered)

    def forget(self) -> None:
        """Record anew from now on."""
        self.recorder.forget()

    def __reduce__(self) -> Any:
        """Copies of a model record anew, once they are told to."""
        return type(None), ()

    def _look_at_stacks(self, policy: ActingPolicy) -> None:
        """Actors that act together live in stacks, which are made anew where a parameter has been moved."""
        stacks = policy.stacks()
        if len(stacks) != len(self._stacks) or any(a is not b for a, b in zip(stacks, self._stacks, strict=True)):
            self._stacks = stacks
            self.forget()
