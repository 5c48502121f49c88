"""Acting from a recording: the same actions, memories and draws, number for number."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

import masoft
from masoft.policies.acting import ActingPolicy
from masoft.policies.team_policy import TeamPolicy
from masoft.testing import check_recordable
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": [16, 16]}}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "HASAC": ("HASAC", "matrix/climbing", SMALL),
    "boxes": ("HASAC", "boxes", SMALL | {"learning_starts": 1}),
    "memory": ("HASAC", "mpe/simple_spread_v3", {"policy": "RnnPolicy", "learning_starts": 1}),
    "HATD3": ("HATD3", "matrix/climbing", SMALL),
    "QMIX": ("QMIX", "matrix/climbing", SMALL),
    "HAPPO": ("HAPPO", "matrix/climbing", SMALL | {"n_steps": 16, "batch_size": 16}),
    "wide": ("HAPPO", "boxes", {"policy_kwargs": {"net_arch": [600, 600]}, "n_steps": 16, "batch_size": 16}),
    "GRU": ("MAPPO", "mpe/simple_spread_v3", {"policy": "RnnPolicy", "n_steps": 16, "batch_size": 16}),
    "one actor": ("MAPPO", "boxes", {"policy_kwargs": {"share_parameters": True}, "n_steps": 16, "batch_size": 16}),
}  # fmt: skip


def model_of(case: str, **more: Any) -> Any:
    name, env, settings = CASES[case]
    return getattr(masoft, name)(env=made(env), seed=2, device="cpu", **{**settings, **more})


def made(env: str) -> Any:
    return masoft.make("mpe/simple_spread_v3", continuous_actions=True) if env == "boxes" else env


def played(model: Any, n: int = 9) -> list[Any]:
    """What a team does by itself and by draws in n steps of its environment, one and three observations at a time."""
    if model.record and model.policy.recorded is not None:
        model.policy.recorded._always = True
    seen, found, state, triple = model.env.reset(), [], None, None
    model.generator.manual_seed(4)
    for k in range(n):
        actions, state = model.predict(seen, state, deterministic=k % 2 == 0)
        three = {name: np.repeat(values, 3, 0) for name, values in seen.items()}
        more, triple = model.predict(three, triple)
        found += [actions.tolist(), more.tolist(), model.generator.get_state().tolist()]
        found += [part.tolist() for part in state or ()]
        seen = model.env.step(actions)[0]
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_team_acts_as_before(case: str) -> None:
    plain, recorded = model_of(case), model_of(case, record=True)
    assert played(plain) == played(recorded)
    replays = sum(recorded.policy.recorded.recorder.replays.values())
    assert replays > 5 and not recorded.policy.recorded.recorder.obstacles
    assert plain.policy.recorded is None


def test_what_moves_the_weights_is_seen() -> None:
    plain, recorded = model_of("HASAC"), model_of("HASAC", record=True)
    for model in (plain, recorded):
        played(model)
        model.learning_starts = 8
        model.batch_size = 8
        model.learn(30)
    for one, other in zip(plain.policy.parameters(), recorded.policy.parameters(), strict=True):
        other.data = one.data.clone()  # another place in memory, as a stack of actors or another device gives
    assert played(plain) == played(recorded)
    again = model_of("HASAC", record=True)
    played(again)
    again.set_parameters({"policy": plain.policy.state_dict()}, exact_match=False)
    assert played(again) == played(plain)


def test_few_environments_act_by_numpy_as_before() -> None:
    small = {"policy_kwargs": {"net_arch": [16]}}
    plain, recorded = (model_of("wide", record=switch, **small) for switch in (False, True))
    assert played(plain) == played(recorded)
    assert recorded.policy.acts_by_arrays(1) and not recorded.policy.recorded.recorder.replays


def test_recording_ends_with_the_switch_and_is_not_copied() -> None:
    model = model_of("HASAC", record=True)
    played(model)
    twin = copy.deepcopy(model.policy)
    assert isinstance(twin, ActingPolicy) and twin.recorded is None
    model.record = False
    assert model.policy.recorded is None


class Loud(TeamPolicy):
    """Acts by a number that Python looks at."""

    def distribution(self, i: int, observation: Any, masks: Any = None) -> Any:
        if not isinstance(observation, torch.Tensor):
            return super().distribution(i, observation, masks)
        scale = 1.0 if observation.float().mean().item() > -1e9 else 0.0
        return super().distribution(i, observation * scale, masks)


def test_acting_that_looks_at_numbers_is_named_and_goes_on() -> None:
    model = masoft.HASAC(Loud, IdentityTeam(), seed=0, device="cpu", record=True, batch_size=8, learning_starts=500)
    with pytest.warns(
        UserWarning, match=r"from observations to actions cannot be recorded: item at .*test_recorded_acting"
    ):
        played(model, 3)
    plain = masoft.HASAC(Loud, IdentityTeam(), seed=0, device="cpu", batch_size=8)
    played(plain, 3)
    assert played(model, 5) == played(plain, 5)


class Counted(TeamPolicy):
    """Acts by a number of Python's that changes."""

    calls = 0

    def act_alone(self, *given: Any) -> Any:
        self.calls += 1
        actions, memories = super().act_alone(*given)
        return actions + self.calls, memories


def test_check_recordable_covers_acting() -> None:
    with pytest.raises(AssertionError, match="Recorded acting differs from unrecorded from step"):
        check_recordable(masoft.HASAC(Counted, IdentityTeam(), seed=0, device="cpu", batch_size=8), n=6)
    for case in ("HATD3", "GRU"):
        check_recordable(model_of(case), n=5)


def test_a_processor_records_only_what_gets_faster() -> None:
    together, alone = model_of("HASAC", record=True), model_of("memory", record=True)
    for model, is_recorded in ((together, False), (alone, True)):
        seen = model.env.reset()
        for _ in range(4):
            model.predict(seen)
        assert bool(model.policy.recorded.recorder.replays) == is_recorded
