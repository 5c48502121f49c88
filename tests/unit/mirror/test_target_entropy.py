"""Target entropies follow the choices that agents have, and steps weigh as much as the rows that count."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from gymnasium import spaces

from masoft.functional.actions import log_choices
from masoft.mirror.entrywise import EntrywiseAdam
from masoft.mirror.target_entropy import Entropies, TargetEntropies
from masoft.mirror.temperature import AutoTemperature, make_temperature
from masoft.spec import TeamSpec, make_team_spec

SPACES = {
    "box": spaces.Box(-1, 1, (2,)),
    "five": spaces.Discrete(5),
    "two_parts": spaces.MultiDiscrete([2, 3]),
    "one": spaces.Discrete(1),
}


def team(has_masks: bool = True, has_deaths: bool = True) -> TeamSpec:
    sees = {name: spaces.Box(-1, 1, (1,)) for name in SPACES}
    return make_team_spec(sees, SPACES, has_masks=has_masks, has_deaths=has_deaths)


def test_log_choices_counts_legal_actions_of_all_parts() -> None:
    mask = torch.tensor([[1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
    torch.testing.assert_close(log_choices(mask, (2, 3)), torch.tensor([4.0, 1.0, 1.0]).log())


def test_means_count_rows_in_which_an_agent_is_there_and_has_a_choice() -> None:
    masks = torch.ones(4, 11)
    masks[0, :5] = torch.tensor([1.0, 0, 0, 0, 0])  # five: one choice in row 0, two in row 1
    masks[1, :5] = torch.tensor([1.0, 1, 0, 0, 0])
    active = torch.ones(4, 4)
    active[3, 0] = active[2, 1] = 0
    log_probs = [torch.tensor([1.0, 2, 3, 4]), torch.tensor([0.0, -1, -5, -2]), -torch.ones(4), torch.zeros(4)]
    found = TargetEntropies("auto", team()).of_rows(log_probs, masks, active)
    five = 0.3 * (math.log(2) + math.log(5)) / 2  # rows 1 and 3
    six = 0.3 * math.log(6)
    expected = [-2.0, five, six, 0.0, (-6 + 2 * five + 4 * six) / 4]
    torch.testing.assert_close(found.targets, torch.tensor(expected))
    torch.testing.assert_close(found.log_probs, torch.tensor([2.0, -1.5, -1.0, 0.0, (6 - 3 - 4) / 4]))
    assert found.shares is not None
    torch.testing.assert_close(found.shares, torch.tensor([0.75, 0.5, 1.0, 0.0, 1.0]))


def test_without_masks_and_deaths_targets_are_the_papers() -> None:
    found = TargetEntropies("auto", team(False, False)).of_rows([torch.ones(3)] * 4, None, None)
    own = [-2.0, 0.3 * math.log(5), 0.3 * math.log(6), 0.0]
    torch.testing.assert_close(found.targets, torch.tensor([*own, sum(own)]))
    torch.testing.assert_close(found.log_probs, torch.tensor([1.0, 1, 1, 1, 4]))
    assert found.shares is None


def test_a_number_is_held_up_to_what_can_be_reached() -> None:
    masks, active = torch.ones(2, 11), torch.ones(2, 4)
    masks[:, :5] = torch.tensor([1.0, 1, 0, 0, 0])
    found = TargetEntropies(1.0, team()).of_rows([torch.zeros(2)] * 4, masks, active)
    torch.testing.assert_close(found.targets[:4], torch.tensor([1.0, math.log(2), 1.0, 0.0]))
    assert TargetEntropies(9.0, team()).own == [9.0, math.log(5), math.log(6), 0.0]


def test_rows_and_means_of_active_rows_say_the_same() -> None:
    rng = np.random.default_rng(0)
    masks = torch.as_tensor(rng.integers(0, 2, (50, 11))).float()
    for start in (0, 5, 7, 10):
        masks[:, start] = 1
    active = torch.as_tensor(rng.integers(0, 2, (50, 4))).float()
    targets = TargetEntropies("auto", team())
    chooses = [log_choices(masks[:, :5], (5,)) > 0, log_choices(masks[:, 5:10], (2, 3)) > 0]
    has_choice = torch.stack([torch.ones(50), *chooses, torch.zeros(50)], -1)
    log_probs = torch.as_tensor(rng.normal(size=(50, 4))).float() * has_choice
    by_row = targets.of_rows([*log_probs.unbind(-1)], masks, active)
    means = (log_probs * active).sum(0) / active.sum(0)
    by_mean = targets.of_means(means, masks, active)
    excess, expected = (e.log_probs + e.targets for e in (by_mean, by_row))
    torch.testing.assert_close(excess[-1], expected[-1])
    torch.testing.assert_close(excess[:4] * active.mean(0), expected[:4] * by_row.shares[:4])  # type: ignore[index]


def test_entries_without_rows_stay_as_they_are_moments_included() -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = EntrywiseAdam(parameter, lr=0.1)
    for shares in ([1.0, 0.5, 0.0], [1.0, 0.0, 0.0]):
        parameter.grad = torch.ones(3)
        optimizer.shares = torch.tensor(shares)
        optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.2, -0.05, 0.0]))
    state = optimizer.state[parameter]
    assert state["step"].tolist() == [2, 1, 0]
    assert state["exp_avg"][2] == state["exp_avg_sq"][2] == 0


def test_whole_steps_are_pytorchs_adam() -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    mine, adam = EntrywiseAdam(ours, lr=0.01), torch.optim.Adam([theirs], lr=0.01)
    for seed in range(20):
        ours.grad = theirs.grad = torch.randn(4, generator=torch.Generator().manual_seed(seed))
        mine.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)
    again = EntrywiseAdam(torch.nn.Parameter(ours.detach().clone()), lr=0.01)
    again.load_state_dict({**mine.state_dict(), "state": deepcopy(adam.state_dict()["state"])})  # what older files hold
    ours.grad = theirs.grad = torch.ones(4)
    again.param_groups[0]["params"][0].grad = torch.ones(4)
    again.step()
    adam.step()
    torch.testing.assert_close(again.param_groups[0]["params"][0], theirs)


def test_a_seldom_agents_temperature_moves_as_a_full_time_agents_does_per_row() -> None:
    rng = np.random.default_rng(0)
    temperature = make_temperature("auto", team(has_masks=False))
    assert isinstance(temperature, AutoTemperature)
    targets, n_rows = TargetEntropies("auto", team(has_masks=False)), np.zeros(4)
    for _ in range(2_000):
        active = torch.as_tensor(rng.random((256, 4)) < [1, 0.005, 1, 1]).float()
        log_probs = [torch.full((256,), -5.0)] * 4
        temperature.update(targets.of_rows(log_probs, None, active))
        n_rows += active.sum(0).numpy()
    moved = temperature.log_values.detach().numpy()
    assert moved[0] / n_rows[0] == pytest.approx(moved[1] / n_rows[1], rel=0.1)


def test_fixed_temperatures_have_nothing_to_learn() -> None:
    temperature = make_temperature(0.2, team())
    temperature.update(Entropies(torch.zeros(5), torch.zeros(5)))
    torch.testing.assert_close(temperature.current(), torch.full((5,), 0.2))
