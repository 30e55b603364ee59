"""The corpora: well-formed, and what is measured on is nowhere in what is trained on."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.categories import HARMS
from azr_monitor.classifiers.structure.train import probes

CORPUS = Path(__file__).parents[2] / "monitor" / "corpus"
PROSE = sorted([*(CORPUS / "prose").glob("*.jsonl"), *(CORPUS / "held_out").glob("*traces.jsonl")])
PROGRAMS = sorted([*(CORPUS / "programs").glob("*.jsonl"), *(CORPUS / "held_out").glob("*programs.jsonl")])


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def plain(text: str) -> str:
    return " ".join("".join(c.casefold() if c.isalnum() else " " for c in text).split())


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_texts_are_labelled_and_quotes_stand_in_them(path: Path) -> None:
    for row in rows(path):
        assert row["label"] in ("harmful", "benign")
        assert row["text"].strip()
        if row["label"] == "harmful":
            assert row["category"] in HARMS
            assert all(quote in row["text"] for quote in row.get("quotes", []))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_programs_are_labelled_and_parse(path: Path) -> None:
    for row in rows(path):
        assert row["label"] in ("harmful", "benign")
        ast.parse(row["program"])


@pytest.mark.parametrize(("folder", "key"), [("prose", "text"), ("programs", "program")])
def test_what_is_held_out_is_nowhere_in_what_is_trained_on(folder: str, key: str) -> None:
    trained = {plain(row[key]) for path in (CORPUS / folder).glob("*.jsonl") for row in rows(path)}
    trained |= {plain(program) for path in (CORPUS / folder).rglob("*.txt") for *_, program in probes(path)}
    held = [row[key] for path in (CORPUS / "held_out").glob("*.jsonl") for row in rows(path) if key in row]
    assert len(held) > 300
    # Two writers may hit upon the same three lines: `def f(): while True: pass`.
    assert not [text for text in held if plain(text) in trained and (key == "text" or len(text.splitlines()) > 3)]
