"""Models as files: what ``save`` writes and ``load`` reads, see the file format's page in the documentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from torch.optim import Optimizer

import masoft
from masoft.errors import MasoftError, ModelFileError, explain
from masoft.files import Archive, Decoder, Encoder, Trust, read_archive, remote, write_archive
from masoft.files.archive import Source
from masoft.files.finite import check_finite
from masoft.files.limit import AllocationLimit, check_sizes
from masoft.files.team import team_from_values, team_to_values
from masoft.files.trust import path_of
from masoft.saving.parts import NORMALIZED, StatePart, normalization_in, with_own_settings
from masoft.saving.settings import check_changes, set_aside
from masoft.saving.upgrade import FORMAT, READABLE, is_obsolete, is_outdated, upgraded

SUFFIX = ".zip"
WEIGHTS = "weights"
PACKAGES = ("masoft.algorithms", "masoft.mirror", "masoft.policies", "masoft.networks")
"""Where the classes that a model file may name are defined, besides torch.nn and torch.optim."""
OF_THE_MACHINE = ("env", "device", "tensorboard_log")
"""Constructor arguments that a file does not keep: they belong to the machine, not to the model."""

M = TypeVar("M")


def save_model(model: Any, target: Source) -> None:
    """Write a model's settings and everything that it has learned."""
    check_finite(model, "a model to be saved")
    encoder = Encoder()
    manifest = describe(model, "model", encoder)
    manifest["state"] = encode_parts(model.state_parts(), encoder)
    write_archive(with_suffix(target), manifest, [(WEIGHTS, encoder.tensors)])


def load_model(
    cls: type[M], source: Source, env: Any, device: Any, trusted: Iterable[object], changes: Mapping[str, Any]
) -> M:
    """Rebuild a model from a file.

    Args:
        cls: the class that the caller expects; the file's may be a subclass.
        source: path or URL (the ending may be left out), or open binary file.
        env: environment to go on in, or None.
        device: where the networks go.
        trusted: classes, functions or modules of the caller's own that the file may name.
        changes: constructor arguments that replace those of the file.
    """
    archive = read_archive(existing(source))
    decoder = Decoder(archive.members.get(WEIGHTS, {}), Trust(PACKAGES, [*trusted, cls]))
    model: Any  # a kind of `TeamAlgorithm`, a room above
    model, void = build(cls, archive, decoder, device, changes)
    form = archive.manifest["format"]
    load_parts(model.state_parts(), archive.manifest.get("state"), decoder, form, void)
    model.renew(void)
    check_finite(model, "the file", error=ModelFileError)
    if env is not None:
        model.set_env(env)
        seed = model.get_params()["seed"]
        if seed is not None:
            model.env.seed(seed)
    loaded: M = model
    return loaded


def describe(model: Any, kind: str, encoder: Encoder) -> dict[str, Any]:
    """The part of a manifest that rebuilds an untrained model."""
    model._check_built()
    parameters = {name: value for name, value in model.get_params().items() if name not in OF_THE_MACHINE}
    return {
        "format": FORMAT,
        "masoft": masoft.__version__,
        "kind": kind,
        "class": path_of(type(model)),
        "parameters": {name: encoder.encode(value, f"parameters.{name}") for name, value in parameters.items()},
        "team": encoder.encode(team_to_values(model.team), "team"),
        "n_envs": model.n_envs,
        "frozen": model.frozen_in_file(),
    }


def build(
    cls: type[M], archive: Archive, decoder: Decoder, device: Any, changes: Mapping[str, Any], is_resumed: bool = False
) -> tuple[M, tuple[str, ...]]:
    """An untrained model with the file's class, parameters and spaces, without an environment.

    Returns:
        the model, and beginnings of the names of parts that its changed settings make void.

    Raises:
        ModelFileError: the file is foreign or damaged.
        ConfigurationError: a change that trained weights cannot follow.
    """
    manifest = archive.manifest
    if manifest.get("format") not in READABLE:
        cure = "It was written by a later version of masoft: upgrade."
        raise ModelFileError(explain("The file's format", f"one of {READABLE}", manifest.get("format"), cure))
    found = decoder.decode({"class": manifest.get("class")}, "class")
    if not issubclass(found, cls):
        cure = f"Load it with {found.__name__}.load."
        raise ModelFileError(explain("The model's class", f"{cls.__name__} or a subclass", found.__name__, cure))
    stored = manifest.get("parameters")
    if not isinstance(stored, dict):
        raise ModelFileError(explain("The parameters in the model file", "a dict", stored))
    n_tensors = sum(len(member) for member in archive.members.values())
    check_sizes(n_tensors, stored)
    stored = {name: value for name, value in stored.items() if name not in OF_THE_MACHINE}
    kept = {k: decoder.decode(v, f"parameters.{k}") for k, v in stored.items() if k not in changes}
    before = {**kept, **_replaced(stored, decoder, changes)}
    check_changes(found, before, changes, is_resumed)
    unknown = [name for name in kept if name not in inspect.signature(found).parameters]
    if unknown:
        raise ModelFileError(explain("The parameters in the model file", f"those of {found.__name__}", unknown))
    team = team_from_values(decoder.decode(manifest.get("team"), "team"))
    n_stored = sum(tensor.numel() for member in archive.members.values() for tensor in member.values())
    try:
        model = found(**{**kept, "device": device, **changes})
        with AllocationLimit(n_stored, n_tensors):
            model.build_for(team)
        model.freeze_from_file(manifest.get("frozen"))
    except MasoftError as error:
        raise ModelFileError(f"The model in the file cannot be built: {error}") from error
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        raise ModelFileError(f"The model in the file cannot be built: {error!r}") from error
    saved = manifest.get("state")
    state = saved if isinstance(saved, dict) else {}
    if NORMALIZED in state:
        model.normalization = normalization_in(decoder.decode(state[NORMALIZED], NORMALIZED))
    return model, set_aside(before, changes, state, model.state_parts())


def _replaced(stored: Mapping[str, Any], decoder: Decoder, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the file has where the caller gives something else; of what no file could hold, what the caller gives."""
    found: dict[str, Any] = {}
    for name, given in changes.items():
        value = stored.get(name)
        with suppress(ModelFileError):
            found[name] = decoder.decode(value, f"parameters.{name}")
            continue
        body = value.get("dict") if isinstance(value, dict) else None
        if isinstance(body, dict) and isinstance(given, dict):
            held = {key: each for key, each in body.items() if not (isinstance(each, dict) and "absent" in each)}
            again = {key: given[key] for key in body.keys() - held.keys() if key in given}
            with suppress(ModelFileError):
                found[name] = {**decoder.decode({"dict": held}, f"parameters.{name}"), **again}
    return found


def encode_parts(parts: Mapping[str, StatePart], encoder: Encoder) -> dict[str, Any]:
    """Each part's state as JSON; its tensors go to the encoder.

    Raises:
        ModelFileError: a part holds what no file can.
    """
    before = set(encoder.absent)
    state = {name: encoder.encode(part.state_dict(), name) for name, part in parts.items()}
    lost = {where: shown for where, shown in encoder.absent.items() if where not in before}
    if lost:
        raise ModelFileError(explain("The state of a part", "made of numbers, strings, tensors and arrays", lost))
    return state


def load_parts(
    parts: Mapping[str, StatePart],
    state: Any,
    decoder: Decoder,
    form: int = FORMAT,
    void: tuple[str, ...] = (),
) -> None:
    """Give each part its state back; settings stay what the model was made with.

    Args:
        parts: the model's, by name.
        state: the file's.
        decoder: reads it.
        form: the file's format.
        void: beginnings of names of parts that start anew.

    Raises:
        ModelFileError: a part is missing, or does not fit.
    """
    parts = {name: part for name, part in parts.items() if not name.startswith(void)} if void else parts
    found = [name for name in state if not (void and name.startswith(void))] if isinstance(state, dict) else []
    found = [name for name in found if not is_obsolete(form, name, parts)]
    if not isinstance(state, dict) or set(found) != set(parts):
        got = sorted(found) if isinstance(state, dict) else state
        raise ModelFileError(explain("The parts in the file", f"{sorted(parts)}", got))
    for name, part in parts.items():
        value = decoder.decode(state[name], name)
        if is_outdated(form, name):
            continue
        try:
            value = upgraded(form, name, value)
            part.load_state_dict(with_own_settings(part, value) if isinstance(part, Optimizer) else value)
        except MasoftError:
            raise
        except Exception as error:  # every part has its own way of saying that a state is not its own
            raise ModelFileError(f"{name!r} in the file does not fit this model: {error}") from error


def with_suffix(target: Source) -> Source:
    """A path gets ``.zip`` where it has no ending, as in stable-baselines3."""
    if remote.is_url(target):
        return target if PurePosixPath(str(target)).suffix else f"{target}{SUFFIX}"
    if isinstance(target, str | Path):
        path = Path(target)
        return path if path.suffix else path.with_suffix(SUFFIX)
    return target


def existing(source: Source, what: str = "a model") -> Source:
    """The file itself, or the one with ``.zip`` appended.

    Args:
        source: a path, a URL, or an open file, which is passed through.
        what: it holds, for the message.

    Raises:
        ModelFileError: there is neither.
    """
    if not isinstance(source, str | Path):
        return source
    if remote.is_url(source):
        places: list[str | Path] = [str(source), f"{source}{SUFFIX}"]
    else:
        path = Path(source)
        places = [path, path.with_name(path.name + SUFFIX)]
    for place in places:
        if remote.exists(place) if isinstance(place, str) else place.is_file():
            return place
    raise ModelFileError(explain(f"The path of {what}", "an existing file", str(source)))
