"""Cases of a log, as audit PATH would judge them, without judging them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from azr_platform.logs.detect import LOOKED_AT, choose, entries
from azr_platform.logs.files import rows
from azr_platform.logs.records import Entry, Format, Row, Skip

Found = tuple[str, list[Entry], list[Skip]]
SAMPLES = Path(__file__).parent / "samples"


def read(file: Path, forced: Format | None = None) -> Found:
    """The format that was chosen, the cases, and what was left out."""
    chosen = forced or choose(row for row in islice(rows(file), LOOKED_AT) if isinstance(row, Row)).format
    cases: list[Entry] = []
    skips: list[Skip] = []
    for row in rows(file):
        found = row if isinstance(row, Skip) or chosen is None else entries(row, chosen)
        if isinstance(found, Skip):
            skips.append(found)
        elif isinstance(found, list):
            cases += found
    return chosen.name if chosen else "none", cases, skips


@pytest.fixture(name="read")
def reader() -> Callable[..., Found]:
    return read


@pytest.fixture
def samples() -> Path:
    """Logs that the libraries themselves have written; README.md there says which and how."""
    return SAMPLES
