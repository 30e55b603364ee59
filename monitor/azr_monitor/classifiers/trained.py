"""What training a shipped classifier leaves: weights, and a card that says what they are and vouches for them."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from numpy.typing import NDArray

from azr_monitor.classifiers.base import ClassifierUnavailable

WEIGHTS: Final = "weights.safetensors"
CARD: Final = "model.json"

Tensors = Mapping[str, NDArray[Any]]
W = TypeVar("W")


class CorpusError(ValueError):
    """A corpus cannot be used; the message names the file, the line and what is wrong."""


def save(tensors: Tensors, card: Mapping[str, Any], out: Path) -> None:
    """Write weights and card into the folder ``out``; the card also says what the weights' SHA-256 is."""
    from safetensors.numpy import save as packed

    content = packed(dict(tensors))
    out.mkdir(parents=True, exist_ok=True)
    (out / WEIGHTS).write_bytes(content)
    described = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    (out / CARD).write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", "utf-8")


def load(folder: Path, trainer: str, unpack: Callable[[Mapping[str, Any], Tensors], W]) -> W:
    """What ``unpack`` makes of card and weights in ``folder``, where the weights are those that the card describes.

    ``unpack`` may raise ``ValueError``, ``KeyError``, ``TypeError`` or ``AttributeError`` for what does not fit.

    Raises:
        ClassifierUnavailable: files are missing, damaged, or do not fit; its remedy names the module ``trainer``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpacked

    remedy = f"reinstall azr-platform, or train anew: python -m {trainer}"
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        content = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(content).hexdigest() != card["sha256"]:
            raise ClassifierUnavailable(f"{folder / WEIGHTS} is not the file that {CARD} describes", remedy)
        return unpack(card, unpacked(content))
    except OSError as error:
        raise ClassifierUnavailable(f"{error.filename} cannot be read ({error.strerror})", remedy) from error
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ClassifierUnavailable(f"{folder} holds no weights of this classifier ({error})", remedy) from error


def command(
    argv: Sequence[str] | None, about: str | None, home: Path, corpus: str, train: Callable[[Path, Path, int], object]
) -> int:
    """The command line of a trainer at ``home``: ``train(corpus, out, seed)``; prints what it returns as JSON.

    Returns:
        The exit status: 0, or 2 where the corpus cannot be used.
    """
    parser = argparse.ArgumentParser(prog=f"python -m azr_monitor.classifiers.{home.name}.train", description=about)
    shipped = home.parents[2] / "corpus" / corpus
    parser.add_argument("--corpus", type=Path, default=shipped, help="folder of the corpus")
    parser.add_argument("--out", type=Path, default=home / "weights", help="where weights and card go")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    try:
        found = train(given.corpus, given.out, given.seed)
    except (CorpusError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(found) + "\n")
    return 0
