"""Ledgers with content: a small run of two branches, with rows in every table."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from azr_platform.ledger.schema import TABLES
from azr_platform.ledger.writer import LedgerWriter


def sample_row(number: int, *, branch: int = 1, step: int = 1, phase: str = "solve") -> dict[str, object]:
    """A sample's columns, its texts all different from the next one's."""
    texts = dict.fromkeys(["reasoning", "program", "input", "message", "answer"], f"text {number}")
    return {
        "time": 100.0 + number,
        "branch": branch,
        "step": step,
        "phase": phase,
        "role": "solve",
        "kind": "deduction",
        "uid": f"{step}-{number}",
        "task": "t1",
        "prompt": f"prompt {number}",
        "response": f"response {number} é 🐍",
        **texts,
        "tokens": 10 + number,
        "well_formed": True,
        "correct": number % 2 == 0,
        "outcome": "ok",
        "problem": "",
    }


def fill(writer: LedgerWriter, rows: int = 3) -> None:
    """Put ``rows`` different rows into every table, one batch a round."""
    for round_ in range(rows):
        with writer.batch() as batch:
            for table, columns in TABLES.items():
                made: dict[str, object] = {}
                for place, (column, kind) in enumerate(columns.items()):
                    number = 1 + round_ * 100 + place
                    made[column] = f"{column} {number}" if kind is str else kind(number)
                batch.add(table, made)


@contextmanager
def tampering(run: Path) -> Iterator[sqlite3.Connection]:
    """The database as an attacker with write access sees it: without triggers, everything may be changed."""
    with closing(sqlite3.connect(run / "ledger.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection


@pytest.fixture
def filled(run_folder: Path) -> Path:
    """A run whose ledger has three rows in every table."""
    with LedgerWriter(run_folder) as writer:
        fill(writer)
    return run_folder


@pytest.fixture
def ledger_tools() -> ModuleType:
    """This module's helpers, for tests that need them (test folders are no packages)."""
    return sys.modules[__name__]
