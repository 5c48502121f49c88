"""Values of an agent's own actions: places, masks, the best one."""

from __future__ import annotations

import torch

from masoft.functional.action_values import ActionValues, joint_mask
from masoft.functional.choices import enumerate_actions


def test_places_and_actions_are_inverse_and_in_the_order_of_enumeration() -> None:
    nvec = (2, 3, 2)
    values = ActionValues(torch.zeros(12, 12), nvec)
    actions = enumerate_actions(nvec)
    assert values.number_of(actions).tolist() == list(range(12))
    assert torch.equal(values.action_of(torch.arange(12)), actions)


def test_the_best_legal_action() -> None:
    table = torch.tensor([[1.0, 9.0, 3.0, 2.0, 8.0, 4.0]])  # (0,0) (0,1) (0,2) (1,0) (1,1) (1,2)
    assert ActionValues(table, (2, 3)).mode().tolist() == [[0, 1]]
    mask = torch.tensor([[1, 1, 1, 0, 1]])  # the second part's choice 1 is illegal
    masked = ActionValues(table, (2, 3), mask)
    assert masked.mode().tolist() == [[1, 2]]
    assert masked.sample().tolist() == [[1, 2]]
    assert masked.value_of(torch.tensor([[0, 1]])).tolist() == [9.0]  # values themselves are not masked


def test_the_joint_mask_is_the_product_of_the_parts() -> None:
    mask = torch.tensor([[1, 0, 1, 1, 0]])
    assert joint_mask(mask, (2, 3)).tolist() == [[True, True, False, False, False, False]]


def test_rows_and_detach_keep_what_belongs_together() -> None:
    values = torch.arange(6.0).view(3, 2).requires_grad_()
    mask = torch.tensor([[1, 1], [1, 0], [0, 1]])
    part = ActionValues(values, (2,), mask).rows(slice(1, None)).detach()
    assert part.mode().flatten().tolist() == [0, 1]
    assert not part.values.requires_grad
