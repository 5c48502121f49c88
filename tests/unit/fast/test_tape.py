"""A tape does again what a piece did: on the same memory, with new draws, and without Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from masoft.fast.adam import FusedAdam
from masoft.fast.arena import Arena
from masoft.fast.held import Held
from masoft.fast.recording import afterwards, aside, may_look, recordable, whole
from masoft.fast.tape import Tape


def test_a_replay_reads_its_inputs_and_fills_its_results() -> None:
    inputs, total = torch.arange(3.0), torch.zeros(())

    def piece() -> Tensor:
        doubled = inputs * 2
        total.add_(doubled.sum())
        return doubled[1:].exp()

    tape = Tape("piece", [])
    result = tape.record(piece)
    inputs.fill_(0.5)
    assert tape.replay() is result
    torch.testing.assert_close(result, torch.full((2,), torch.e))
    assert total.item() == 6.0 + 3.0 and tape.obstacle is None


def test_draws_are_new_and_in_the_same_order() -> None:
    generator, twin = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)

    def piece(generator: torch.Generator) -> Tensor:
        first = torch.randn(4, generator=generator)
        return first + torch.empty(4).exponential_(generator=generator) + torch.rand(4, generator=generator)

    tape = Tape("piece", [generator])
    found = [tape.record(lambda: piece(generator)).clone(), tape.replay().clone(), tape.replay().clone()]
    for one in found:
        assert torch.equal(one, piece(twin))


def steps(layer: nn.Module, inputs: Tensor) -> Callable[[], Tensor]:
    """A piece that trains a layer."""
    optimizer = FusedAdam(layer.parameters(), lr=0.1)

    def piece() -> Tensor:
        optimizer.zero_grad()
        loss = layer(inputs).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return piece


def test_gradients_and_steps_are_part_of_a_piece() -> None:
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1))
    other = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1))
    other.load_state_dict(one.state_dict())
    inputs, tape = torch.randn(8, 3), Tape("step", [])
    taped, plain = steps(one, inputs), steps(other, inputs)
    with recordable():
        losses = [tape.record(taped).clone()] + [tape.replay().clone() for _ in range(5)]
        expected = [plain() for _ in range(6)]
    assert [loss.item() for loss in losses] == [loss.item() for loss in expected]
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_python_runs_afterwards_and_what_is_made_aside_stays() -> None:
    counted, kept = [], {}

    def piece() -> None:
        if "total" not in kept:
            with aside():
                kept["total"] = torch.zeros(())
        kept["total"].add_(1)
        afterwards(lambda: counted.append(kept["total"].clone()))

    tape = Tape("piece", [])
    tape.record(piece)
    tape.replay()
    tape.replay()
    assert [value.item() for value in counted] == [1.0, 2.0, 3.0]


def test_a_whole_step_runs_python_in_each_replay() -> None:
    inputs = torch.tensor([1.0, -2.0, 3.0])

    def largest_rows(values: Tensor) -> Tensor:
        rows = (values > 0).nonzero().squeeze(1)
        return torch.zeros(3).index_copy_(0, rows, values[rows])

    tape = Tape("piece", [])
    result = tape.record(lambda: whole(largest_rows, inputs * 2) + 1)
    assert tape.obstacle is None and result.tolist() == [3, 1, 7]
    inputs.copy_(torch.tensor([-1.0, 5.0, -1.0]))
    assert tape.replay().tolist() == [1, 11, 1]
    with recordable(as_on_gpu=True):
        assert not may_look(inputs)


def test_what_nobody_reads_afterwards_shares_memory() -> None:
    torch.manual_seed(0)
    layers, inputs, kept = [nn.Linear(64, 64) for _ in range(9)], torch.randn(64, 64), []

    def piece() -> Tensor:
        seen = inputs
        for k, layer in enumerate(layers):
            seen = layer(seen).tanh()
            if k == 3:
                kept.append(seen[1:])  # a window keeps the whole
        return seen.sum()

    with torch.no_grad():
        arena = Arena()
        tape = Tape("piece", [])
        result = tape.record(piece)
        tape.share(arena)
        assert len(arena.blocks) <= 3 and result.data_ptr() not in {block.data_ptr() for block in arena.blocks}
        inputs.mul_(2)
        tape.replay()
        found = kept[0].clone(), result.clone()
        expected = piece()
    assert torch.equal(found[0], kept[1]) and torch.equal(found[1], expected)


def test_two_pieces_use_the_same_blocks_and_keep_what_crosses() -> None:
    weight, arena = torch.ones(50, 50, requires_grad=True), Arena()
    first, second = Tape("first", []), Tape("second", [])
    loss = first.record(lambda: (weight * 2).exp().sum())  # its graph keeps what the next piece reads
    first.share(arena)
    n_blocks = len(arena.blocks)
    second.record(lambda: (torch.autograd.grad(loss, weight)[0], (weight.detach() * 3).sin().cos().sum()))
    second.share(arena)
    with torch.no_grad():
        weight.fill_(0.5)
    first.replay()
    slope, other = second.replay()
    torch.testing.assert_close(slope, torch.full((50, 50), 2 * torch.e))
    torch.testing.assert_close(other, torch.full((50, 50), 1.5).sin().cos().sum())
    assert len(arena.blocks) <= n_blocks + 2


def test_an_input_that_moves_or_goes_is_noticed() -> None:
    stays, moves, goes = torch.zeros(2), torch.zeros(2), [torch.zeros(2)]
    tape = Tape("piece", [])
    tape.record(lambda: stays + moves + goes[0])
    tape.settle()
    assert not tape.has_moved()
    goes.clear()
    assert tape.has_moved()
    tape.settle()
    assert not tape.has_moved()
    moves.data = torch.ones(2)
    assert tape.has_moved()


@pytest.mark.parametrize(
    ("piece", "obstacle"),
    [
        (lambda x: float(x.sum()), r"__float__ at \S*test_tape.py:\d+"),
        (lambda x: x.nonzero(), r"nonzero at \S*test_tape.py:\d+ .*shape of its result"),
        (lambda x: x.masked_select(x > 0), "masked_select at"),
        (lambda x: x.index_put_((x > 0,), torch.zeros(())), "index_put_ at .*shape of its result"),
        (lambda x: x[x > 0], r"index at \S*test_tape.py:\d+ .*shape of its result"),
        (lambda x: x.numpy(), "numpy at"),
        (lambda x: torch.as_tensor([1.0]), "as_tensor at .*copied once"),
        (lambda x: setattr(x, "data", torch.zeros(3)), "data at .*another place"),
    ],
)
def test_obstacles_are_named_and_stop_nothing(piece: Callable[[Tensor], object], obstacle: str) -> None:
    tape, reached = Tape("piece", []), []
    values = torch.ones(3)

    def whole() -> None:
        piece(values)
        reached.append(True)

    tape.record(whole)
    assert reached
    assert tape.obstacle is not None
    with pytest.raises(AssertionError, match=obstacle):
        raise AssertionError(tape.obstacle)


@dataclass(frozen=True)
class Inputs:
    """Some inputs."""

    rows: Tensor
    more: tuple[Tensor, ...]
    number: int = 1
    nothing: Tensor | None = None


def test_inputs_are_copied_to_one_place() -> None:
    held, column = Held(), torch.arange(6.0).view(3, 2)[:, 0]
    first = held.put("batch", Inputs(column, (torch.zeros(1).expand(4),)))
    second = held.put("batch", Inputs(column + 1, (torch.ones(1).expand(4),)))
    assert first is not second and first.rows.data_ptr() == second.rows.data_ptr()
    assert first.rows.tolist() == [1.0, 3.0, 5.0] and first.more[0].tolist() == [1.0] * 4
    other = held.put("batch", Inputs(torch.zeros(5), (torch.zeros(4),)))
    assert other.rows.data_ptr() != first.rows.data_ptr()
