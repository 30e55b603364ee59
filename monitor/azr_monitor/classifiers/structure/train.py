"""Train the classifier of programs: python -m azr_monitor.classifiers.structure.train --help

Logistic regression on hashed features (Weinberger et al., 2009) by gradient descent (Adagrad) from zero, hostile and
honest programs weighing the same; what its values mean as probabilities is learnt (Platt, 1999) from files that it was
not trained on, each left out in turn. NumPy only, and no order but the seed's: the same corpus and seed give the same
bytes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.classifiers.platt import logistic, platt
from azr_monitor.classifiers.structure.features import ROWS, Encoded, encode
from azr_monitor.classifiers.trained import CorpusError, command, save

PROBE: Final = re.compile(r"### (harmful|honest): (.+?) \| (.*)\n")
"""The line above a program in a file of probes: its label, its name, its input."""
_EPOCHS, _RATE, _DECAY = 15, 0.3, 1e-4


class Example(NamedTuple):
    """A program, whether it is hostile, and the file it is from."""

    program: str
    hostile: bool
    source: str


def read(folder: Path) -> list[Example]:
    """The programs of ``*.jsonl`` and of the probes in a folder, in order.

    Raises:
        CorpusError: a line that is no program with a label, or programs of one label only.
    """
    found: list[Example] = []
    for path in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                found.append(Example(row["program"], {"harmful": True, "benign": False}[row["label"]], path.stem))
            except (ValueError, KeyError, TypeError) as error:
                raise CorpusError(f"{path}:{number}: no program with a label ({error!r})") from error
    for path in sorted(folder.rglob("*.txt")):
        found.extend(Example(program, label == "harmful", "probes") for label, _, _, program in probes(path))
    if len({example.hostile for example in found}) < 2:
        raise CorpusError(f"{folder}: hostile and honest programs are needed, both")
    return found


def probes(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """The programs of a file of probes: (harmful or honest, name, input, program)."""
    _, *parts = PROBE.split(path.read_text("utf-8"))
    return zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True)


def fit(programs: Sequence[Encoded], hostile: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """Learn a weight for each row of features."""
    random = np.random.default_rng(seed)
    table, pace, offset = np.zeros(ROWS), np.full(ROWS, 1e-6), 0.0
    weight = np.where(hostile, 0.5 / hostile.mean(), 0.5 / (1 - hostile.mean()))
    for _ in range(_EPOCHS):
        for at in random.permutation(len(programs)).tolist():
            rows, values = programs[at]
            likely = logistic(table[rows] @ values + offset)
            error = (likely - hostile[at]) * weight[at]
            slope = error * values + _DECAY * table[rows]
            pace[rows] += slope**2
            table[rows] -= _RATE * slope / np.sqrt(pace[rows])
            offset -= 0.01 * error
    return table


def worth(table: NDArray[np.float64], programs: Sequence[Encoded]) -> NDArray[np.float64]:
    """What each program's features weigh together."""
    return np.array([float(table[rows] @ values) for rows, values in programs])


def train(corpus: Path, out: Path, seed: int) -> dict[str, Any]:
    """Train on a corpus and write weights and card; returns what the card says.

    Raises:
        CorpusError: see ``read``.
    """
    examples = [(one, encoded) for one in read(corpus) if (encoded := encode(one.program)) is not None]
    programs = [encoded for _, encoded in examples]
    hostile = np.array([one.hostile for one, _ in examples])
    source = np.array([one.source for one, _ in examples])
    left_out = np.zeros(len(examples))
    figures: dict[str, Any] = {}
    for name in dict.fromkeys(source.tolist()):
        held = source == name
        if len(set(hostile[~held].tolist())) == 2:
            table = fit([programs[at] for at in np.flatnonzero(~held).tolist()], hostile[~held], seed)
            left_out[held] = worth(table, [programs[at] for at in np.flatnonzero(held).tolist()])
            figures[name] = {"programs": int(held.sum()), "auroc": _auroc(left_out[held], hostile[held])}
    slope, bias = platt(left_out, hostile)
    table = fit(programs, hostile, seed)
    scale = float(np.abs(table).max() / 127) or 1.0
    about = {"seed": seed, "programs": len(examples), "hostile": int(hostile.sum()), "left_out": figures}
    small = np.round(table / scale).astype(np.int8)
    save({"table": small}, {"scale": scale, "slope": slope, "bias": bias, **about}, out)
    return about


def _auroc(values: NDArray[np.float64], hostile: NDArray[np.bool_]) -> float | None:
    if hostile.all() or not hostile.any():
        return None
    ordered = np.sort(values[~hostile])
    below, upto = (np.searchsorted(ordered, values[hostile], side) for side in ("left", "right"))
    return round(float((below + upto).mean() / 2 / len(ordered)), 4)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command(argv, __doc__, Path(__file__).parent, "programs", train)


if __name__ == "__main__":
    sys.exit(main())
