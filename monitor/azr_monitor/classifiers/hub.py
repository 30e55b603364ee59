"""Where a model's files lie, and how they are loaded: safetensors only, and no code that comes with them.

path: folder              as it is
hub: owner/name           the hub's cache on this machine, at one pinned commit; fetched once where the policy allows it
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.classifiers.encoder import INSTALL, libraries, resolve
from azr_monitor.classifiers.weights import offline, reach
from azr_monitor.sections import PretrainedSettings

_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.jinja", "tokenizer.model")
"""What is fetched: no pickled weights, no code."""
_NOT = ("*/*",)


def load_pretrained(settings: PretrainedSettings, folder: str, kind: str) -> tuple[Any, Any]:
    """The model and its tokenizer, by a class of transformers such as ``AutoModelForCausalLM``.

    Raises:
        ClassifierUnavailable: no transformers, or files that are missing or do not make such a model.
    """
    path = model_folder(settings, folder)
    _, transformers = libraries()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model = getattr(transformers, kind).from_pretrained(
            path, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClassifierUnavailable(
            f"{path} cannot be loaded: {why}", "save the model as safetensors with its tokenizer"
        ) from error
    return model, tokenizer


def model_folder(settings: PretrainedSettings, folder: str) -> Path:
    """The folder with the model's files.

    Raises:
        ClassifierUnavailable: there is none, and it may or can not be fetched.
    """
    if settings.path is not None:
        path = resolve(settings.path, folder)
        if not (path / "config.json").is_file():
            raise ClassifierUnavailable(
                f"{path} holds no config.json", f"point classifiers path of {settings.name} to a model"
            )
        return path
    # Hub clients read this once, on import: a monitor must not phone home about the run.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ClassifierUnavailable("huggingface_hub is not installed", INSTALL) from error
    what = f"{settings.hub} at {str(settings.revision)[:8]}"
    cached = _snapshot(hub, settings, fetch=False)
    if cached is not None:
        return cached
    if not settings.download:
        remedy = f"set download: true for {settings.name}, or fetch it: hf download {settings.hub}"
        raise ClassifierUnavailable(f"{what} is not on this machine", f"{remedy} --revision {settings.revision}")
    if offline():
        raise ClassifierUnavailable(f"{what} is not on this machine and the network is off", "unset HF_HUB_OFFLINE")
    reach(_endpoint(), f"set path: of {settings.name} to a local folder")
    fetched = _snapshot(hub, settings, fetch=True)
    if fetched is None:
        raise ClassifierUnavailable(f"{what} has no weights as safetensors", "choose a model that has")
    return fetched


def _snapshot(hub: Any, settings: PretrainedSettings, fetch: bool) -> Path | None:
    """The hub's folder for the pinned commit, with weights in it; None when there is none."""
    try:
        found = hub.snapshot_download(
            settings.hub,
            revision=settings.revision,
            allow_patterns=list(_FILES),
            ignore_patterns=list(_NOT),
            local_files_only=not fetch,
            endpoint=_endpoint(),
        )
    except Exception as error:  # the client's own, and those of the network below it
        if not fetch:
            return None
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClassifierUnavailable(f"{settings.hub} cannot be fetched: {why}", "mend hub and revision") from error
    path = Path(found)
    whole = (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    return path if whole else None


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
