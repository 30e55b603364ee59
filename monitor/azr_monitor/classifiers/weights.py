"""Get a classifier's files without surprises: a download that gives up in seconds, a load that runs no code."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azr_monitor.classifiers.base import ClassifierUnavailable

TIMEOUT_S = 8.0
"""How long one connection may stay silent."""


def offline() -> bool:
    """Whether the environment forbids the network (the Hugging Face variables)."""
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def reach(url: str, remedy: str) -> None:
    """Open a connection and close it again: one attempt, no retries.

    Raises:
        ClassifierUnavailable: no answer within ``TIMEOUT_S``.
    """
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - https only, checked by the callers
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return
    except urllib.error.HTTPError:
        return  # it answered
    except (OSError, ValueError) as error:
        raise ClassifierUnavailable(f"{_host(url)} cannot be reached ({_cause(error)})", remedy) from error


def download(url: str, target: Path, remedy: str) -> None:
    """Fetch ``url`` to ``target``, whole or not at all; a file name ending in ``-<hash>`` is checked against it.

    Raises:
        ClassifierUnavailable: unreachable, broken off, or not the file it claims to be.
    """
    if not url.startswith("https://"):
        raise ClassifierUnavailable(f"{url} is not an https address", remedy)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as source, part.open("wb") as sink:  # noqa: S310
            while block := source.read(1 << 20):
                digest.update(block)
                sink.write(block)
        wanted = target.stem.rpartition("-")[2]
        if not digest.hexdigest().startswith(wanted):
            raise ClassifierUnavailable(f"the download of {target.name} does not match its hash", "try again")
        part.replace(target)
    except (OSError, ValueError) as error:
        raise ClassifierUnavailable(f"{target.name} cannot be downloaded ({_cause(error)})", remedy) from error
    finally:
        part.unlink(missing_ok=True)


def load_tensors(path: Path, torch: Any) -> Any:
    """Load a checkpoint without running any code from it.

    Plain checkpoints load with torch's own ``weights_only``. Older ones also pickled objects of the trainer that
    wrote them; those are replaced by inert placeholders, and only tensors and containers come out.

    Raises:
        ClassifierUnavailable: not a checkpoint.
    """
    try:
        with warnings.catch_warnings():
            # torch warns of odd pickle protocols; whatever is odd about the file is settled here.
            warnings.simplefilter("ignore")
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:
                module = SimpleNamespace(Unpickler=_InertUnpickler, load=_inert_load, __name__="inert")
                return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
    except (
        OSError,
        ValueError,
        RuntimeError,
        EOFError,
        KeyError,
        AttributeError,
        TypeError,
        pickle.UnpicklingError,
    ) as error:
        remedy = "give the path of a Detoxify checkpoint"
        raise ClassifierUnavailable(f"{path} is not a checkpoint ({type(error).__name__})", remedy) from error


class Inert:
    """Stands for any object of a class we do not load: it takes whatever it is given and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return Inert()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Take a list item."""

    def extend(self, items: Any) -> None:
        """Take list items."""

    def add(self, item: Any) -> None:
        """Take a set item."""


_SAFE = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    *(
        ("torch", f"{kind}Storage")
        for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    ),
    *(
        ("torch", kind)
        for kind in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    ),
}


class _InertUnpickler(pickle.Unpickler):
    """Resolves the names tensors are made of and nothing else; any other class becomes ``Inert``."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _SAFE:
            return super().find_class(module, name)
        return Inert


def _inert_load(file: Any, **options: Any) -> Any:
    return _InertUnpickler(file, **options).load()


def _host(url: str) -> str:
    return url.split("/")[2] if url.count("/") >= 2 else url


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError | socket.timeout):
        return "timed out"
    return (str(reason).strip().splitlines() or [type(error).__name__])[0][:120]
