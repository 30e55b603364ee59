"""A ledger in Datasette: it answers what is asked, whoever holds the address, and what it shows is inert."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from azr_platform.audits.browse.questions import QUESTIONS, metadata
from azr_platform.ledger.schema import TABLES
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.page import inert
from azr_tui.escape import visible

server = pytest.importorskip("azr_platform.audits.browse.server", reason="needs the extra [browse]")
TOKEN = "word-nobody-guesses"
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> javascript:alert(3) \x1b[2J \u202e"
    "</span></td><a href='//evil.example'>"
)
ADDRESS = "http://evil.example/?leak=1"
Ask = Callable[..., httpx.Response]


@pytest.fixture
def ledger(run_folder: Path) -> Path:
    """Three samples with hostile texts everywhere that texts can be, two audits that disagree."""
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": HOSTILE, "created_at": 1.0, "version": "1", "seed": 0, "steps": 3, "config": ""})
        for number in (1, 2, 3):
            texts = dict.fromkeys(("reasoning", "program", "prompt", "response", "input", "message"), HOSTILE)
            place = {"branch": 1, "step": number, "role": "solve", "kind": "deduction", "phase": "solve"}
            batch.add("samples", {**texts, **place, "uid": ADDRESS, "answer": ADDRESS, "task": HOSTILE, "tokens": 1})
            row = {"sample": number, "allowed": number != 3, "action": 2, "severity": 3, "score": 0.5}
            batch.add("verdicts", {**row, "reason": HOSTILE})
            row = {"sample": number, "branch": 1, "step": number, "reward": 0.5, "advantage": 0.0, "trained": True}
            batch.add("rewards", row)
            for audit in ("a", "b"):
                row = {"time": 1.0, "audit": audit, "policy": HOSTILE, "sample": number, "severity": 0, "score": 0.0}
                row |= {"allowed": audit == "a", "findings": "[]", "reason": HOSTILE}
                batch.add("audits", row)
        span = {"part": "trace", "span_start": 0, "span_end": 8}
        batch.add("findings", {"sample": 3, "rule": "trace.harm", "severity": 3, **span, "why": HOSTILE})
        row = {"time": 1.0, "branch": 1, "step": 3, "severity": 3, "rule": HOSTILE, "sample": 3, "message": HOSTILE}
        batch.add("alerts", row)
        row = {"time": 1.0, "branch": 1, "step": 3, "sample": 3, "decision": "block", "who": HOSTILE, "note": HOSTILE}
        batch.add("decisions", {**row, "digest": "d"})
        batch.add("notices", {"time": 1.0, "source": "log", "message": HOSTILE})
    return run_folder / "ledger.db"


@pytest.fixture
def ask(ledger: Path) -> Ask:
    """An answer of the server, as a browser on this machine asks for it."""
    app = server.served(ledger, f"azr-platform: {visible(HOSTILE)}", TOKEN, inert(visible))

    def get(path: str, *, method: str = "GET", token: str = TOKEN, **headers: str) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as client:
                return await client.request(method, f"/{token}/{path}", headers=headers, follow_redirects=True)

        return asyncio.run(answer())

    return get


def test_as_json_no_character_acts_on_a_terminal_and_as_csv_texts_are_as_stored(ask: Ask) -> None:
    """The guide says which of them to print."""
    whole = ask("ledger/samples.json?_shape=array")
    assert whole.text.isascii() and whole.text.replace("\n", "").isprintable()
    assert whole.json()[0]["reasoning"] == HOSTILE
    csv = ask("ledger/samples.csv")
    assert "\x1b[2J" in csv.text and csv.headers["x-content-type-options"] == "nosniff"
    assert csv.headers["content-type"].startswith("text/plain"), "no browser opens a spreadsheet with it"


WORDS = {"rule": "trace.*", "audit": "b", "first": "a", "second": "b"}


def with_words(name: str) -> str:
    return "&".join(f"{word}={WORDS[word]}" for word in re.findall(r":(\w+)", QUESTIONS[name].sql))


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_finds_what_there_is(ask: Ask, name: str) -> None:
    answer = ask(f"ledger/{name}.json?_shape=array&{with_words(name)}")
    assert answer.status_code == 200, answer.text
    rows = answer.json()
    counts = {"findings_by_step": 3, "audits_made": 2, "audits_compared": 3, "audit_against_run": 2, "paid": 3}
    assert len(rows) == counts.get(name, 1)
    if name == "flagged_by_rule":
        assert rows[0]["words"] == HOSTILE[:8]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "ledger",
        "ledger/samples",
        "ledger/samples/3",
        "ledger/verdicts",
        "ledger/alerts",
        "ledger/notices",
        "ledger/run",
        "ledger/samples?_facet=task&_search=<script>alert(1)</script>",
        "ledger?sql=select+reasoning,uid+from+samples+where+id=:p&p=<script>alert(1)</script>",
        "ledger?sql=select+'<script>alert(1)</script>'+as+[<img>]",
        *(f"ledger/{name}?{with_words(name)}" for name in QUESTIONS),
    ],
)
def test_texts_are_shown_as_text_and_nothing_leads_outside(ask: Ask, path: str) -> None:
    answer = ask(path)
    assert answer.status_code in (200, 400)
    for act in (
        "<script>alert",
        "<img src=x",
        "<a href='//evil",
        'href="javascript:',
        f'href="{ADDRESS}',
        "</span></td><a",
    ):
        assert act not in answer.text
    assert "\x1b" not in answer.text or "_facet" in path
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer", "the address is the key"


def test_a_text_is_there_to_be_read(ask: Ask) -> None:
    assert HOSTILE[:25] in unescape(ask("ledger/samples/3").text)
    assert f'href="/{TOKEN}/ledger/samples/3"' in ask("ledger/verdicts").text
    assert f"/{TOKEN}/{TOKEN}" not in ask("ledger/samples").text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"Host": "evil.example"}, "127.0.0.1 and localhost only"),
        ({"Host": "user@127.0.0.1"}, "127.0.0.1 and localhost only"),
        ({"Origin": "http://evil.example"}, "Another site"),
        ({"method": "POST"}, "only read"),
        ({"method": "DELETE"}, "only read"),
        ({"token": "guess"}, "the key"),
        ({"token": ""}, "the key"),
        ({"token": f"{TOKEN}x"}, "the key"),
    ],
)
def test_nobody_else_is_answered(ask: Ask, asked: dict[str, str], told: str) -> None:
    answer = ask("ledger/samples", **asked)
    assert (answer.status_code, told in answer.text) == (403, True)
    assert "alert" not in answer.text


@pytest.mark.parametrize(
    "sql",
    [
        "delete from samples",
        "update samples set reasoning = ''",
        "attach database '/etc/passwd' as x",
        "pragma journal_mode = delete",
        "select load_extension('x')",
        "with x as (select 1) delete from samples",
        "vacuum into '/tmp/never'",
        "select 1; drop table samples",
    ],
)
def test_no_sql_writes_or_reaches_another_file(ask: Ask, ledger: Path, sql: str) -> None:
    before = ledger.read_bytes()
    answer = ask(f"ledger.json?sql={sql.replace(' ', '+').replace(';', '%3B')}")
    assert answer.status_code == 400, answer.text
    assert ledger.read_bytes() == before
    assert not Path("/tmp/never").exists()


def test_a_finished_ledger_is_read_without_a_file_beside_it(ask: Ask, ledger: Path) -> None:
    before = sorted(path.name for path in ledger.parent.iterdir())
    assert ask("ledger/samples").status_code == 200
    assert sorted(path.name for path in ledger.parent.iterdir()) == before


def test_of_a_run_that_goes_on_the_newest_rows_are_shown(ledger: Path) -> None:
    with LedgerWriter(ledger.parent) as writer:
        writer.append("notices", {"time": 1.0, "source": "log", "message": "just now"})
        app = server.served(ledger, "t", TOKEN, inert(visible))

        async def answer() -> str:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return (await client.get(f"/{TOKEN}/ledger/notices")).text

        assert "just now" in asyncio.run(answer())


def test_every_table_and_column_that_is_described_exists(ledger: Path) -> None:
    told: dict[str, Any] = metadata("t")["databases"]["ledger"]["tables"]
    with sqlite3.connect(ledger) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert set(told) == set(TABLES) | {"chain"}
    assert set(told) <= there
    assert all(table["description"] for table in told.values())
    assert all(set(table["columns"]) <= set(TABLES.get(name, ())) for name, table in told.items())
