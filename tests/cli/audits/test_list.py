"""azr-platform audit list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create

BEGUN = {"fingerprint": "abcd", "settings": "{}", "version": "1.0", "head": "00", "rows": 7, "who": "me"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """One sample; a finished audit of it, and one that was ended before it judged anything."""
    with create(tmp_path / "run", load("nano")) as writer, writer.batch() as batch:
        batch.add("samples", {"branch": 1, "step": 1, "role": "solve", "kind": "deduction"})
        begun = {**BEGUN, "time": 1.0, "audit": "first", "policy": "strict \x1b[2J", "selection": "--since 3"}
        batch.add("audit_starts", begun)
        batch.add("audits", {"time": 2.0, "audit": "first", "policy": "strict abcd", "sample": 1, "allowed": 0})
        batch.add("audit_ends", {"time": 3.0, "audit": "first", "left_out": '{"too \\u001b[31m long": 2}'})
        batch.add("audit_starts", {**BEGUN, "time": 4.0, "audit": "second", "policy": "default", "selection": ""})
    return tmp_path / "run"


def test_each_audit_is_told_with_what_it_judged_and_what_not(run: Path) -> None:
    shown = CliRunner().invoke(app, ["audit", "list", str(run)])
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "first",
        "  policy strict ␛[2J abcd; --since 3",
        "  1 sample judged, 1 blocked",
        "  not judged: 2 too ␛[31m long",
        "second",
        "  policy default abcd; every sample",
        "  0 samples judged, 0 blocked; not finished",
    ]


def test_json_has_a_line_an_audit(run: Path) -> None:
    shown = CliRunner().invoke(app, ["audit", "list", str(run), "--json"])
    first, second = map(json.loads, shown.stdout.splitlines())
    assert (first["name"], first["judged"], first["left_out"]) == ("first", 1, {"too \x1b[31m long": 2})
    assert (second["name"], second["ended_at"]) == ("second", None)


def test_a_run_without_audits_says_how_to_make_one(tmp_path: Path) -> None:
    create(tmp_path / "run", load("nano")).close()
    shown = CliRunner().invoke(app, ["audit", "list", str(tmp_path / "run")])
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "azr-platform audit" in shown.stderr


def test_what_an_audit_left_out_must_be_readable(run: Path) -> None:
    with LedgerWriter(run) as writer:
        writer.append("audit_ends", {"time": 5.0, "audit": "second", "left_out": "[1]"})
    shown = CliRunner().invoke(app, ["audit", "list", str(run)])
    assert "what is on record of an audit cannot be read" in str(shown.exception)
