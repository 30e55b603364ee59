"""Checkpoints: the whole state of a trainer in one folder, without pickle, all there or not at all.

``step-000040/`` holds the model in Hugging Face layout (loadable by transformers and vLLM), ``optimizer.safetensors``
(moments, and the float32 copies of weights that train in a smaller format), ``buffers.msgpack`` and ``state.json`` with
a BLAKE2b digest of every other file. Under LoRA the model has the additions in it, and ``lora.safetensors`` has them by
themselves: what a run continues from. Where a run that samples one step ahead was stopped between checkpoints,
``trailing.safetensors`` has the weights that the step ahead is sampled with. Randomness needs no state of its own:
every draw derives from the run's seed, the step and the phase.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from azr_platform.buffers.buffer import Entry
from azr_platform.records import Kind
from azr_platform.rollout.trailing_engine import copy_weights
from azr_platform.rollout.weights import plain_weights
from azr_platform.trainer.lora import LoraUnavailable, additions, fingerprint, restore_additions
from azr_platform.trainer.optimizer import Optimizer, StateMismatch

FORMAT = 1
_OPTIMIZER, _BUFFERS, _STATE = "optimizer.safetensors", "buffers.msgpack", "state.json"
_LORA, _BASE = "lora.safetensors", "base"
_TRAILING = "trailing.safetensors"


class CheckpointBroken(Exception):
    """A checkpoint is missing, incomplete or not what was written."""


class CheckpointUnwritten(OSError):
    """The disk did not take a checkpoint: no space, no permission. What was there before is untouched."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``state.json``. ``files`` maps each other file to its BLAKE2b-256 hex digest."""

    format: int
    step: int
    seed: int
    files: dict[str, str]


class Saved(msgspec.Struct, frozen=True):
    path: Path
    digest: str


def folder_name(step: int, branch: int) -> str:
    """Branches keep their own checkpoints, so a rollback overwrites none."""
    return f"step-{step:06d}" if branch == 1 else f"step-{step:06d}-branch-{branch}"


def save(
    folder: Path,
    *,
    step: int,
    seed: int,
    model: Any,
    tokenizer: Any,
    optimizer: Optimizer,
    buffers: Mapping[Kind, Sequence[Entry]],
    trailing: Mapping[str, Tensor] | None = None,
) -> Saved:
    """Write a checkpoint beside ``folder``, flush it to disk, then rename it into place.

    ``trailing`` are the weights that the next step is sampled with, where they are not the model's.

    Raises:
        CheckpointUnwritten: the disk did not take it; what was written of it is removed again.
    """
    partial = folder.with_name(folder.name + ".partial")
    try:
        return _save(folder, partial, step, seed, model, tokenizer, optimizer, buffers, trailing)
    except Exception as error:
        # Libraries that write from Rust raise errors of their own for what the system refused.
        if not isinstance(error, OSError | SafetensorError) and "(os error " not in str(error):
            raise
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointUnwritten(f"{folder} could not be written: {error}") from error


def size(folder: Path) -> int:
    """Bytes of a checkpoint's files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _save(
    folder: Path,
    partial: Path,
    step: int,
    seed: int,
    model: Any,
    tokenizer: Any,
    optimizer: Optimizer,
    buffers: Mapping[Kind, Sequence[Entry]],
    trailing: Mapping[str, Tensor] | None,
) -> Saved:
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    factors = additions(model)
    if factors:
        model.save_pretrained(partial, safe_serialization=True, state_dict=plain_weights(model))
        save_file(factors, partial / _LORA, metadata={_BASE: fingerprint(model)})
    else:
        model.save_pretrained(partial, safe_serialization=True)
    tokenizer.save_pretrained(partial)
    save_file(optimizer.state(), partial / _OPTIMIZER)
    if trailing is not None:
        save_file({name: tensor.contiguous() for name, tensor in trailing.items()}, partial / _TRAILING)
    (partial / _BUFFERS).write_bytes(msgspec.msgpack.encode(dict(buffers)))
    state = State(FORMAT, step, seed, {name: _digest(partial / name) for name in _contents(partial)})
    (partial / _STATE).write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1))
    _flush(partial)
    if folder.exists():  # left by a trainer that died after writing it and before it was recorded
        shutil.rmtree(folder)
    partial.rename(folder)
    _flush_folder(folder.parent)
    return Saved(folder, _digest(folder / _STATE))


def verify(folder: Path, digest: str | None = None) -> State:
    """Read ``state.json`` and check every file against it.

    Raises:
        CheckpointBroken: naming the first file that is missing, changed, or was added.
    """
    try:
        raw = (folder / _STATE).read_bytes()
        state = msgspec.json.decode(raw, type=State)
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointBroken(f"{folder}: no readable {_STATE} ({error})") from error
    if digest is not None and blake2b(raw, digest_size=32).hexdigest() != digest:
        raise CheckpointBroken(f"{folder}: {_STATE} is not the one that was recorded")
    if state.format != FORMAT:
        raise CheckpointBroken(f"{folder}: format {state.format}; this version reads format {FORMAT}")
    if added := set(_contents(folder)) - state.files.keys():
        raise CheckpointBroken(f"{folder}: {min(added)} was added since it was written")
    for name, expected in state.files.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointBroken(f"{folder}: {name} is missing")
        if _digest(folder / name) != expected:
            raise CheckpointBroken(f"{folder}: {name} was changed since it was written")
    return state


def load_optimizer(folder: Path, optimizer: Optimizer) -> None:
    """Restore the optimizer's moments, step counts and float32 copies, by name.

    Raises:
        CheckpointBroken: they are not of the parameters that train.
    """
    try:
        optimizer.load_state(load_file(folder / _OPTIMIZER))
    except StateMismatch as error:
        raise CheckpointBroken(f"{folder}: {_OPTIMIZER} is another model's or run's: {error}") from error


def load_lora(folder: Path, model: Any) -> None:
    """Put LoRA's additions back into a model that was loaded as at the run's beginning.

    Raises:
        CheckpointBroken: there are none, they do not fit, or the weights below them are not those of the beginning.
    """
    try:
        with safe_open(folder / _LORA, framework="pt") as file:
            base = (file.metadata() or {}).get(_BASE)
            saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a mapping
        if base != fingerprint(model):
            raise CheckpointBroken(f"{folder}: model.path holds other weights than when the run began")
        restore_additions(model, saved)
    except OSError as error:
        raise CheckpointBroken(f"{folder}: no readable {_LORA} ({error})") from error
    except LoraUnavailable as error:
        raise CheckpointBroken(f"{folder}: {error}") from error


def load_trailing(folder: Path, copy: Any) -> bool:
    """Put the weights that the next step is sampled with into ``copy``; whether the checkpoint has such.

    Raises:
        CheckpointBroken: they do not fit.
    """
    if not (folder / _TRAILING).exists():
        return False
    try:
        copy_weights(load_file(folder / _TRAILING), copy)
    except ValueError as error:
        raise CheckpointBroken(f"{folder}: {_TRAILING}: {error}") from error
    return True


def load_buffers(folder: Path) -> dict[Kind, list[Entry]]:
    """The tasks of each buffer, oldest first.

    Raises:
        CheckpointBroken: the file is not one of buffers.
    """
    try:
        return msgspec.msgpack.decode((folder / _BUFFERS).read_bytes(), type=dict[Kind, list[Entry]])
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointBroken(f"{folder}: {_BUFFERS} cannot be read ({error})") from error


def _contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != _STATE)


def _digest(path: Path) -> str:
    digest = blake2b(digest_size=32)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
