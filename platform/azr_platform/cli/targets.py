"""What ``eval`` can measure: a run, one of its checkpoints, a model's folder, the embedded model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from azr_platform.cli.input import BadInput

if TYPE_CHECKING:
    from azr_platform.config.schema import Config
    from azr_platform.ledger.records import CheckpointRow


@dataclass(frozen=True)
class Target:
    """A model with the settings that it is asked with. ``step`` and ``branch`` place it in ``run``."""

    name: str
    folder: Path
    config: Config
    run: Path | None = None
    step: int | None = None
    branch: int | None = None
    digest: str = ""
    """Of the checkpoint's ``state.json`` as the ledger recorded it; empty for what is no checkpoint."""


def find_target(name: str, *, checkpoint: str | None = None, base: bool = False, preset: str | None = None) -> Target:
    """The model that a user means by ``name``.

    Raises:
        BadInput: there is no such model; the text says what was looked for.
    """
    from azr_platform.config.load import load

    path = Path(name).expanduser()
    if (path / "ledger.db").is_file():
        return _of_run(path, checkpoint, base)
    if checkpoint or base:
        raise BadInput(f"{name}: not a run (no ledger.db in it); --checkpoint and --base choose among a run's models")
    if name == "nano":
        from azr_platform.nano.model import weights_path

        return Target("nano", weights_path(), load(preset or "nano"))
    if (path.parent.parent / "ledger.db").is_file() and path.parent.name == "checkpoints":
        return _of_run(path.parent.parent, path.name, base=False)
    if not path.exists():
        raise BadInput(f"{name}: no run, model folder or stored evaluation there; `nano` is the embedded model")
    _require_model(path)
    return Target(name, path, load(preset or "nano") if preset or is_embedded(path) else _plain())


def _of_run(run: Path, checkpoint: str | None, base: bool) -> Target:
    from azr_platform.config.load import load
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor.runfolder import present_checkpoints

    if checkpoint and base:
        raise BadInput("give --checkpoint or --base, not both")
    if not (run / "run.toml").is_file():
        raise BadInput(f"{run}: no run.toml in it, so how its model is asked is unknown")
    config = load(file=run / "run.toml")
    if base:
        return _base(run, config)
    with LedgerReader(run) as reader:
        present = present_checkpoints(run, reader)
        recorded = reader.checkpoints()
    if checkpoint is None:
        if not present:
            raise BadInput(f"{run}: no checkpoint yet; --base measures the model it starts from")
        chosen = present[-1]
    else:
        named = [row for row in [*recorded, *present] if _is_named(row, checkpoint)]
        found = [row for row in named if row.removed is None]
        if not found:
            names = ", ".join(Path(row.path).name for row in present) or "none yet"
            gone = f"checkpoint {checkpoint!r} was removed ({named[-1].removed})" if named else ""
            raise BadInput(f"{run}: {gone or f'no checkpoint {checkpoint!r}'}; there are: {names}")
        chosen = found[-1]
    folder = run / chosen.path
    _require_model(folder)
    return Target(f"{run.name}/{folder.name}", folder, config, run, chosen.step, chosen.branch, chosen.digest)


def _is_named(row: CheckpointRow, wanted: str) -> bool:
    return wanted in (row.path, Path(row.path).name, str(row.step))


def _base(run: Path, config: Config) -> Target:
    if config.model.path == "nano":
        from azr_platform.nano.model import weights_path

        folder = weights_path()
    else:
        folder = Path(config.model.path).expanduser()
        _require_model(folder)
    return Target(f"{run.name}/base", folder, config, run, 0, 1)


def _require_model(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: neither a run (no ledger.db) nor a model (no config.json)")
    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{folder}: a model without weights (no .safetensors file)")


def _plain() -> Config:
    from azr_platform.config.schema import Config

    return Config()


def is_embedded(folder: Path) -> bool:
    """Whether a model reads with the embedded model's tokenizer, and so knows its compact prompts alone."""
    from azr_platform.nano.model import weights_path

    try:
        words = [
            json.loads((place / "tokenizer.json").read_bytes())["model"]["vocab"] for place in (folder, weights_path())
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(words[0] == words[1])


def weights_digest(folder: Path) -> str:
    """BLAKE2b over the names and bytes of a model's weight files, the optimizer's left out."""
    digest = blake2b(digest_size=16)
    for path in sorted(folder.glob("*.safetensors")):
        if path.name != "optimizer.safetensors":
            digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
            with path.open("rb") as handle:
                while block := handle.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
