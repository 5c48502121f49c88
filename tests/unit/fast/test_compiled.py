"""Compiled pieces: what is cut out of a tape gives what the tape gives, and what does not is not used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

import masoft
from masoft.algorithms import recorded
from masoft.fast import compiled, recorder
from masoft.fast.adam import FusedAdam
from masoft.fast.compiled import Compiler, by_inductor, why_not_compiled
from masoft.fast.recording import recordable, whole
from masoft.fast.segments import Segment, cut
from masoft.fast.tape import Tape
from masoft.mirror import KLBall, KLDrift

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)


needs_compiler = pytest.mark.skipif(why_not_compiled(torch.device("cpu")) is not None, reason="there is no compiler")


def as_graph(graph: GraphModule, examples: list[Tensor]) -> Callable[..., Any]:
    """No compiler: the graph that it would get."""
    return graph


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pieces are compiled after three updates, and a piece that is not is an error."""
    monkeypatch.setattr(recorder, "PATIENCE", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def trained(piece: Callable[[], Any], **kwargs: Any) -> Tape:
    tape = Tape("piece", [torch.default_generator], **kwargs)
    with recordable(as_on_gpu=True):
        tape.record(piece)
    return tape


def step_of(layers: nn.Module, inputs: Tensor) -> Callable[[], Tensor]:
    """A piece with draws, gradients and a step."""
    optimizer = FusedAdam(layers.parameters(), lr=0.01)

    def piece() -> Tensor:
        noise = torch.empty_like(inputs).exponential_() + torch.randn(inputs.shape)
        loss = layers(inputs + noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return piece


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 1))


def two_ways(to_code: Callable[..., Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Losses and weights of ten replays, as they are and in code."""
    found = []
    for compiles in (False, True):
        layers, inputs = network(), torch.linspace(-1, 1, 20).view(4, 5)
        with torch.random.fork_rng():
            torch.manual_seed(7)
            tape = trained(step_of(layers, inputs))
            if compiles:
                calls = Compiler(to_code).calls_of(tape)
                assert calls is not None
                tape.replace(calls)
            losses = [tape.replay().clone() for _ in range(10)]
        found.append([*losses, *(weight.detach() for weight in layers.parameters())])
    return found[0], found[1]


def test_draws_and_steps_stay_out_and_keep_their_order() -> None:
    tape = trained(step_of(network(), torch.ones(4, 5)))
    parts = cut(tape)
    kinds = [[draw.name for draw in part.draws] if isinstance(part, Segment) else part.name for part in parts]
    assert kinds == [["exponential_", "randn"], "_fused_adam_"]


def test_what_nobody_reads_is_not_compiled() -> None:
    values = torch.ones(3)

    def piece() -> Tensor:
        values.sin().exp()
        return values + 1

    segment = cut(trained(piece))[0]
    assert isinstance(segment, Segment) and [entry.name for entry in segment.entries] == ["add"]


def test_graphs_give_what_replays_give() -> None:
    plain, graphs = two_ways(as_graph)
    for one, other in zip(plain, graphs, strict=True):
        torch.testing.assert_close(other, one)


@needs_compiler
def test_compiled_code_gives_what_replays_give(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain, coded = two_ways(by_inductor)
    for one, other in zip(plain, coded, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


def test_windows_that_overlap_and_what_is_written_into_them() -> None:
    values = torch.arange(12.0).view(3, 4)

    def piece() -> Tensor:
        values[:, 1:3].mul_(2)
        values[1].add_(values[:, 0].sum())
        made = values * 1.5
        made[:, 0] = 7.0
        return made.t()[1:]

    tape = trained(piece)
    start = values.clone()
    expected = tape.replay().clone(), values.clone()
    values.copy_(start)
    calls = Compiler(as_graph).calls_of(tape)
    assert calls is not None and torch.equal(values, start)  # the trial has left no trace
    tape.replace(calls)
    torch.testing.assert_close(tape.replay(), expected[0])
    torch.testing.assert_close(values, expected[1])


def test_a_step_of_python_stays_pythons() -> None:
    values = torch.tensor([1.0, -1.0, 2.0])

    def positive(x: Tensor) -> Tensor:
        return x[x > 0].sum()

    tape = trained(lambda: whole(positive, values + 1) * 2)
    calls = Compiler(as_graph).calls_of(tape)
    assert calls is not None
    tape.replace(calls)
    values.copy_(torch.tensor([-5.0, 4.0, -5.0]))
    assert tape.replay().item() == 10.0


def test_wrong_code_is_refused_and_nothing_is_lost() -> None:
    def wrong(graph: GraphModule, examples: list[Tensor]) -> Callable[..., Any]:
        def run(*inputs: Tensor) -> None:
            graph(*inputs)
            inputs[-1].mul_(1.01)

        return run

    values = torch.arange(3.0) + 1
    tape, compiler = trained(lambda: values.exp()), Compiler(wrong)
    with pytest.warns(UserWarning, match=r"The piece 'piece' is replayed uncompiled: .* differs by 1.0e-02"):
        assert compiler.calls_of(tape) is None
    torch.testing.assert_close(tape.replay(), values.exp())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiler.calls_of(tape) is None  # said once


def test_an_error_of_the_compiler_is_a_warning() -> None:
    def fails(graph: GraphModule, examples: list[Tensor]) -> Callable[..., Any]:
        raise RuntimeError("no way\nin many lines")

    values = torch.ones(3)
    tape = trained(lambda: values + 1)
    with pytest.warns(UserWarning, match="uncompiled: RuntimeError: no way$"):
        assert Compiler(fails).calls_of(tape) is None


def test_a_very_long_piece_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_OPERATIONS", 2)
    values = torch.ones(3)
    with pytest.warns(UserWarning, match="uncompiled: it has 3 operations, 2 at most"):
        assert Compiler(as_graph).calls_of(trained(lambda: values.sin().cos().tan())) is None


@needs_compiler
def test_what_is_asked_and_what_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    model = masoft.HASAC("matrix/climbing", **SMALL, record="compile").learn(12)
    assert model.record == "compile" and masoft.clone(model).record == "compile"
    model.save(tmp_path / "model")
    assert masoft.HASAC.load(tmp_path / "model").record == "compile"
    with pytest.raises(
        masoft.errors.ConfigurationError, match="'record' parameter of HASAC must be a bool or one of 'compile'"
    ):
        masoft.HASAC("matrix/climbing", record="jit")
    monkeypatch.setattr(recorded, "why_not_compiled", lambda device: "no compiler")
    with pytest.warns(UserWarning, match="record='compile' is record=True here: no compiler"):
        model.record = "compile"
    assert model.record is True


MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "HASAC": ("HASAC", "matrix/climbing", {}),
    "HASAC, spread": ("HASAC", "mpe/simple_spread_v3", {}),
    "MASAC": ("MASAC", "matrix/climbing", {}),
    "HATD3": ("HATD3", "matrix/climbing", {}),
    "HAD3QN": ("HAD3QN", "matrix/climbing", {}),
    "QMIX": ("QMIX", "mpe/simple_spread_v3", {}),
    "FOP": ("FOP", "mpe/simple_spread_v3", {}),
    "MEHAML": (
        "MEHAML",
        "matrix/climbing",
        dict(drift=KLDrift(0.1), neighborhood=KLBall(0.05), reference="every_5"),
    ),
}


@needs_compiler
@pytest.mark.parametrize("kind", MODELS)
def test_learning_by_graphs_is_learning(kind: str, soon: None) -> None:
    name, env, settings = MODELS[kind]
    known: list[GraphModule] = []

    def remembered(graph: GraphModule, examples: list[Tensor]) -> Callable[..., Any]:
        known.append(graph)
        return graph

    models = []
    for record in (True, "compile"):
        model = getattr(masoft, name)(env=env, **{**SMALL, **settings})
        model.record = record
        if record == "compile":
            model.runner.compiler = Compiler(remembered)
        models.append(model.learn(24))
    one, other = (model.policy.state_dict() for model in models)
    assert models[1].record == "compile" and len(known) >= 2
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=1e-3, atol=1e-5)
    assert torch.equal(models[0].generator.get_state(), models[1].generator.get_state())
