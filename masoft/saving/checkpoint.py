"""Checkpoints: everything that a run needs to go on as if it had never stopped, and the callback that writes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from masoft.buffers.stretches import ReplayStretches
from masoft.envs.vector_snapshot import restore_vector, vector_values
from masoft.errors import ConfigurationError, ModelFileError, explain
from masoft.files import Archive, Decoder, Encoder, FolderLock, Trust, read_archive
from masoft.files.finite import check_finite
from masoft.files.lock import NAME
from masoft.files.remote import address, local_folder, own, send
from masoft.saving.checkpoint_folder import CheckpointFolder, Stretch, listed_stretches
from masoft.saving.files import PACKAGES, WEIGHTS, build, describe, encode_parts, load_parts
from masoft.saving.replay_files import covering, load_head, load_rows

M = TypeVar("M")
STRETCH_BYTES = 64 * 2**20
OBSERVATIONS = ("_last_obs", "_last_episode_starts", "_last_original_obs")
"""What stable-baselines3 keeps of the running episodes."""


@dataclass(frozen=True)
class OnDisk:
    """What a model has put into a folder so far.

    Args:
        folder: the run's folder.
        buffer: the replay buffer whose rows lie there, or None.
        stretches: the files.
    """

    folder: Path
    buffer: Any
    stretches: tuple[Stretch, ...]


def save_checkpoint(model: Any, run: str | Path, keep_last: int) -> Path:
    """Write all of a model's state; of the replay buffer only what is not on the disk yet."""
    if keep_last < 1:
        raise ConfigurationError(explain("keep_last", "an integer >= 1", keep_last))
    folder = local_folder(run, to_write=True)
    with locked(folder) as lock:
        lock.check()
        check_own(model, folder)
        own(folder)
        cure = "The previous checkpoint is untouched: resume from it, with a smaller learning rate."
        check_finite(model, "a checkpoint", cure)
        path = _save(model, CheckpointFolder(folder), keep_last)
        send(folder)
        return path


@contextmanager
def locked(run: Path) -> Iterator[FolderLock]:
    """A run's folder as this process's own; a second time in one process is no second process.

    Raises:
        FolderBusyError: another process works in it.
    """
    if not FolderLock.is_own(run / NAME):
        run.mkdir(parents=True, exist_ok=True)
    with FolderLock(run / NAME, f"The folder {str(run)!r}", is_shared=True) as lock:
        if lock.taken_over is not None:
            warnings.warn(f"{run}: took over from {lock.taken_over}, which is gone.", UserWarning, stacklevel=4)
        yield lock


def _save(model: Any, folder: CheckpointFolder, keep_last: int) -> Path:
    encoder = Encoder()
    manifest = describe(model, "checkpoint", encoder)
    manifest["run"] = model.run_id
    manifest["timesteps"] = model.num_timesteps
    manifest["state"] = encode_parts({**model.state_parts(), **model.run_parts()}, encoder)
    manifest |= _encode_episodes(model, encoder)
    stretches: tuple[Stretch, ...] = ()
    rows: ReplayStretches | None = model.replay_stretches()
    if rows is not None:
        manifest["replay"] = encoder.encode(rows.head(), "replay")
        stretches = _write_new_rows(model, folder, rows)
    path = folder.write_checkpoint(manifest, [(WEIGHTS, encoder.tensors)], stretches, keep_last)
    model._on_disk = OnDisk(folder.path.parent, None if rows is None else rows.buffer, stretches)
    return path


def check_own(model: Any, run: Path) -> None:
    """Refuse to mix two runs in one folder, where one would delete the other's checkpoints.

    Raises:
        ConfigurationError: the folder holds another run's.
    """
    if model._on_disk is not None and model._on_disk.folder == run:
        return
    found = CheckpointFolder(run).newest_manifest()
    if found is not None and found.get("run") != model.run_id:
        cure = f"Continue it with {type(model).__name__}.resume({address(run)!r}, env=env), or choose another folder."
        raise ConfigurationError(explain("The folder for checkpoints", "empty, or this run's own", address(run), cure))


def _encode_episodes(model: Any, encoder: Encoder) -> dict[str, Any]:
    """The running episodes, where the environments can give their state; else nothing of them."""
    values = vector_values(model.env) if model.knows_episodes else None
    trial = Encoder()
    trial.encode(values, "environments")
    if values is None or trial.absent:
        return {"environments": None, "observations": None}
    observations = {name: getattr(model, name) for name in OBSERVATIONS}
    return {
        "environments": encoder.encode(values, "environments"),
        "observations": encoder.encode(observations, "observations"),
    }


def _write_new_rows(model: Any, folder: CheckpointFolder, rows: ReplayStretches) -> tuple[Stretch, ...]:
    """Put on the disk what is not there; small files at the end are written again as one, so that few remain."""
    kept = []
    known = model._on_disk
    if known is not None and known.folder == folder.path.parent and known.buffer is rows.buffer:
        kept = [stretch for stretch in known.stretches if stretch.stop > rows.first]
        kept = kept if all(folder.has_stretch(stretch) for stretch in kept) else []
    # The last saved row is written again: cutting an episode short changes it.
    start = max(kept[-1].stop - 1, 0) if kept else rows.first
    limit = STRETCH_BYTES // rows.bytes_per_row
    while kept and kept[-1].stop - kept[-1].start <= rows.end - start <= limit:
        start = min(kept.pop().start, start)
    new = [folder.write_stretch(low, high, rows.read(low, high)) for low, high in rows.cut(start, STRETCH_BYTES)]
    return (*kept, *new)


def resume(
    cls: type[M], run: str | Path, env: Any, device: Any, trusted: Iterable[object], changes: Mapping[str, Any]
) -> M:
    """Rebuild a model from the newest checkpoint of a run that is whole.

    Args:
        cls: the class that the caller expects; the checkpoint's may be a subclass.
        run: the run's folder, or its URL.
        env: environment to go on in, made as it was before.
        device: where the networks go.
        trusted: the caller's own classes, functions or modules that the checkpoint may name.
        changes: constructor arguments that replace those of the checkpoint.
    """
    folder = CheckpointFolder(local_folder(run))
    for path in reversed(folder.checkpoints()):
        damage = folder.damage(path)
        if damage is None:
            return _restore(cls, folder, path, env, device, Trust(PACKAGES, [*trusted, cls]), changes)
        warnings.warn(f"{path} is damaged, trying the one before it. {damage}", UserWarning, stacklevel=3)
    raise ModelFileError(explain("The run's folder", "one with a whole checkpoint in it", str(run)))


def _restore(
    cls: type[M], folder: CheckpointFolder, path: Path, env: Any, device: Any, trust: Trust, changes: Mapping[str, Any]
) -> M:
    archive = read_archive(path)
    manifest = archive.manifest
    decoder = Decoder(archive.members.get(WEIGHTS, {}), trust)
    model: Any
    model, void = build(cls, archive, decoder, device, changes, is_resumed=True)
    form = manifest["format"]
    if env is not None:
        model.set_env(env)
        if model.n_envs != manifest.get("n_envs"):
            cure = "Make as many environments as before."
            raise ConfigurationError(explain("n_envs", f"{manifest.get('n_envs')}", model.n_envs, cure))
        load_parts({**model.state_parts(), **model.run_parts()}, manifest.get("state"), decoder, form, void)
        stretches = _restore_rows(model, folder, archive, decoder)
        _restore_episodes(model, manifest, decoder)
        model._on_disk = OnDisk(folder.path.parent, getattr(model, "replay_buffer", None), stretches)
    else:
        learned, state = model.state_parts(), manifest.get("state")
        if isinstance(state, dict):
            state = {name: value for name, value in state.items() if name in learned}
        load_parts(learned, state, decoder, form, void)
    model.renew(void)
    check_finite(model, "the checkpoint", error=ModelFileError)
    model._run_id = str(manifest.get("run"))
    found: M = model
    return found


def _restore_rows(model: Any, folder: CheckpointFolder, archive: Archive, decoder: Decoder) -> tuple[Stretch, ...]:
    rows: ReplayStretches | None = model.replay_stretches()
    if rows is None:
        return ()
    load_head(rows, decoder.decode(archive.manifest.get("replay"), "replay"))
    stretches = listed_stretches(archive.manifest)
    covering(rows, [(stretch.start, stretch.stop) for stretch in stretches])
    for stretch in stretches:
        load_rows(rows, stretch.start, stretch.stop, folder.read_stretch(stretch))
    return tuple(stretches)


def _restore_episodes(model: Any, manifest: Mapping[str, Any], decoder: Decoder) -> None:
    """Put the environments where they were, if the checkpoint knows where; else they start anew at ``learn``."""
    if manifest.get("environments") is None:
        return
    observations = decoder.decode(manifest.get("observations"), "observations")
    try:
        was_restored = restore_vector(model.env, decoder.decode(manifest["environments"], "environments"))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelFileError(f"The environments' states in the checkpoint do not fit: {error!r}") from error
    if not was_restored:
        warnings.warn("The environments could not be put where they were; they start anew.", UserWarning, stacklevel=4)
        return
    for name in OBSERVATIONS:
        setattr(model, name, observations[name])
