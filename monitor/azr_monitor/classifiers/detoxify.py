"""Detoxify, for real: its own checkpoints and model builder, loaded without unpickling code.

Where it differs from ``Detoxify(...)`` itself, and why:
- the checkpoint is loaded without running pickled code (see ``weights.load_tensors``);
- a local config folder also serves as the checkpoint's ``model_type``, which otherwise is looked up on the hub;
- long texts are read in windows: Detoxify's own ``predict`` drops everything after the first 512 tokens;
- a missing download fails within seconds and with one line.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.classifiers.encoder import INSTALL, EncoderClassifier, libraries, resolve
from azr_monitor.classifiers.weights import download, load_tensors, offline, reach
from azr_monitor.sections import DetoxifySettings

NAME = "detoxify"
_REMEDY = "set checkpoint: and config: of detoxify in the policy to local files, or allow the download"
_OFFLINE = "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or set checkpoint: and config: to local files"
# The names by which a checkpoint chooses transformers classes; any other is refused.
_ARCHITECTURES = ("Bert", "Albert", "Roberta", "XLMRoberta")
_MODELS = frozenset(f"{name}ForSequenceClassification" for name in _ARCHITECTURES)
_TOKENIZERS = frozenset(f"{name}Tokenizer{fast}" for name in _ARCHITECTURES for fast in ("", "Fast"))
_RELEASES = "https://github.com/unitaryai/detoxify/releases/download/"
# As detoxify.MODEL_URLS, here so that missing weights are noticed before torch is imported.
FILES = {
    "original": "v0.1-alpha/toxic_original-c1212f89.ckpt",
    "unbiased": "v0.3-alpha/toxic_debiased-c7548aa0.ckpt",
    "multilingual": "v0.4-alpha/multilingual_debiased-0b549669.ckpt",
    "original-small": "v0.1.2/original-albert-0e1d6498.ckpt",
    "unbiased-small": "v0.1.2/unbiased-albert-c8519128.ckpt",
}
# As detoxify.load_checkpoint renames them.
_CATEGORIES = {"toxic": "toxicity", "identity_hate": "identity_attack", "severe_toxic": "severe_toxicity"}


def load_detoxify(settings: DetoxifySettings, folder: str = "") -> EncoderClassifier:
    """Load Detoxify as the policy says; relative paths begin at ``folder``.

    Raises:
        ClassifierUnavailable: a package, the checkpoint, the config or the network is missing, or they do not fit.
    """
    for name in ("torch", "transformers", "detoxify"):
        if importlib.util.find_spec(name) is None:
            raise ClassifierUnavailable(f"{name} is not installed", INSTALL)
    config = _config_folder(settings, folder)
    checkpoint = _checkpoint(settings, folder)
    torch, _ = libraries()
    package = importlib.import_module("detoxify.detoxify")
    loaded = load_tensors(checkpoint, torch)
    arguments, classes, state = _parts(loaded)
    hub_name = arguments["model_type"]
    if config is not None:
        arguments["model_type"] = config
    elif not Path(str(hub_name)).is_dir():
        arguments["model_type"] = config = _cached_or_reachable(str(hub_name), settings)
    try:
        model, tokenizer = package.get_model_and_tokenizer(
            **arguments, state_dict=state, huggingface_config_path=config
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClassifierUnavailable(f"detoxify cannot be built: {why}", _REMEDY) from error
    return EncoderClassifier(
        NAME,
        model,
        tokenizer,
        classes,
        multi_label=True,
        batch_size=settings.batch_size,
        device=settings.device,
    )


def _config_folder(settings: DetoxifySettings, folder: str) -> str | None:
    if settings.config is None:
        return None
    path = resolve(settings.config, folder)
    if not (path / "config.json").is_file():
        raise ClassifierUnavailable(
            f"{path} holds no config.json", "point config: of detoxify to a folder with config and tokenizer"
        )
    return str(path)


def _checkpoint(settings: DetoxifySettings, folder: str) -> Path:
    """The checkpoint file: the policy's, the one downloaded before, or a fresh download."""
    if settings.checkpoint is not None:
        path = resolve(settings.checkpoint, folder)
        if not path.is_file():
            raise ClassifierUnavailable(
                f"{path} does not exist", "point checkpoint: of detoxify to a Detoxify checkpoint"
            )
        return path
    url = _RELEASES + FILES[settings.model]
    target = _hub_dir() / "checkpoints" / url.rsplit("/", 1)[1]
    if not target.is_file():
        if not settings.download:
            raise ClassifierUnavailable(f"{target} does not exist and download: is false", _REMEDY)
        if offline():
            raise ClassifierUnavailable(f"{target.name} is not downloaded and the network is off", _OFFLINE)
        if settings.config is None:
            # Both downloads or none: 400 MB of weights are no use without the tokenizer.
            reach(_hub(), _REMEDY)
        download(url, target, _REMEDY)
    return target


def _hub_dir() -> Path:
    """torch.hub.get_dir(), where Detoxify itself keeps its downloads, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub"


def _parts(loaded: Any) -> tuple[dict[str, Any], list[str], Any]:
    """(builder arguments, categories, state dict) of a checkpoint in Detoxify's format."""
    try:
        arguments = dict(loaded["config"]["arch"]["args"])
        classes = [_CATEGORIES.get(name, name) for name in map(str, loaded["config"]["dataset"]["args"]["classes"])]
        state = dict(loaded["state_dict"])
        model_name, tokenizer_name = str(arguments["model_name"]), str(arguments["tokenizer_name"])
        wanted = {key: arguments[key] for key in ("model_type", "model_name", "tokenizer_name", "num_classes")}
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierUnavailable(f"the checkpoint is not in Detoxify's format ({error})", _REMEDY) from error
    if model_name not in _MODELS or tokenizer_name not in _TOKENIZERS:
        raise ClassifierUnavailable("the checkpoint asks for classes Detoxify does not use", _REMEDY)
    return wanted, classes, state


def _cached_or_reachable(hub_name: str, settings: DetoxifySettings) -> str:
    """The local folder of a hub config and tokenizer, from the cache or fetched once, without a retry storm."""
    hub = importlib.import_module("huggingface_hub")
    wanted = [
        "config.json",
        "tokenizer*",
        "vocab*",
        "spiece.model",
        "sentencepiece*",
        "special_tokens_map.json",
        "merges.txt",
    ]
    try:
        return str(hub.snapshot_download(hub_name, allow_patterns=wanted, local_files_only=True))
    except Exception as missing:  # the hub client has many errors for "not in the cache"
        if offline() or not settings.download:
            raise ClassifierUnavailable(
                f"{hub_name}'s tokenizer is not downloaded and the network is off", _OFFLINE
            ) from missing
    reach(_hub(), _REMEDY)
    try:
        return str(hub.snapshot_download(hub_name, allow_patterns=wanted, etag_timeout=8))
    except Exception as error:  # as above; one line for the user, the cause chained for the log
        raise ClassifierUnavailable(
            f"{hub_name}'s tokenizer cannot be downloaded ({type(error).__name__})", _REMEDY
        ) from error


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")
