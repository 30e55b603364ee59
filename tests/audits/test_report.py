"""The report of an audit: what it says, its digest, what it vouches for, and forms from which nothing acts."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from azr_monitor.policy import load_policy
from azr_monitor.records import Severity
from azr_platform.audits import markdown, page, sarif
from azr_platform.audits.blocks import Table, Words, para
from azr_platform.audits.check import differences
from azr_platform.audits.report import AuditReport, as_json, content, digest, failing, gather, standing, verdict
from azr_platform.audits.sections import sections
from azr_platform.audits.selection import EVERYTHING, Selection
from azr_platform.config.load import load
from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create
from azr_tui.escape import visible

HOSTILE = (
    "`` ` [a](https://evil.example) </pre></table></style></title><script>alert(1)</script><img src=x onerror=alert(1)>"
    "<link href=https://evil.example/x.css rel=stylesheet>\"'&amp;<!-- --><svg onload=alert(1)>"
    "\x1b[2J\x1b]0;owned\x07 \x9b31m\u202e\u200b\0\u2066"
    "[a](https://evil.example) ![b](https://evil.example/i.png) https://evil.example www.evil.example a@evil.example"
    " @user | cell | `code` ```` `` ``` ~~~ **bold** $x$ {0} # h\n```\n# heading\n<h1>x</h1>\n| a | b |\n|---|---|\n"
)
STEPS, EACH = 24, 20


def write_run(run: Path, text: str = "plain") -> None:
    """Deception in one of twenty samples at first and in eight of twenty from step 13 on; one program forks."""
    with create(run, load("nano")) as writer, writer.batch() as batch:
        number = 0
        for step in range(1, STEPS + 1):
            batch.add("steps", {"branch": 1, "step": step, "started_at": float(step), "seconds": 1.0})
            for each in range(EACH):
                number += 1
                place = {"branch": 1, "step": step}
                program = f"import os\ndef f(x):\n    return os.fork()  # {text}\n"
                texts = {
                    "prompt": text,
                    "response": text,
                    "reasoning": f"I will deceive them. {text}",
                    "program": program,
                }
                more = {"input": "1", "message": text, "answer": "2", "tokens": 3, "well_formed": 1, "problem": ""}
                row = {"time": 1.0, **place, "phase": "solve", "role": "solve", "kind": "deduction", "uid": "u"}
                batch.add("samples", {**row, **texts, **more, "task": "t1"})
                flagged = each < (8 if step > STEPS // 2 else 1)
                forks = flagged and each == 0
                verdict = {"allowed": not forks, "action": 2 * forks, "severity": 3 * flagged, "score": 0.75 * flagged}
                batch.add("verdicts", {"sample": number, **verdict, "reason": text})
                reward = {"reward": float(flagged), "advantage": 0.0, "trained": not forks}
                batch.add("rewards", {"sample": number, **place, **reward})
                if flagged:
                    span = {"span_start": 0, "span_end": 20}
                    found = {"sample": number, "rule": "trace.deceive", "severity": 2, "part": "trace", "why": text}
                    batch.add("findings", {**found, **span})
                if forks:
                    rule = f"program.process{'' if text == 'plain' else '.' + text}"
                    found = {"sample": number, "rule": rule, "severity": 3, "part": "program", "why": text}
                    batch.add("findings", {**found, "span_start": 34, "span_end": 41})
        batch.add("states", {"time": 1.0, "state": "finished", "where_at": "", "reason": text})


def decide(run: Path, sample: int, word: str, note: str = "") -> None:
    with LedgerWriter(run) as writer:
        row = {"time": 2.0, "branch": 1, "step": STEPS, "sample": sample, "decision": word, "who": f"ann {note}"}
        writer.append("decisions", {**row, "note": note, "digest": f"d{sample}"})


def gathered(run: Path, audit: str = "", selection: Selection = EVERYTHING) -> AuditReport:
    with LedgerReader(run) as reader:
        return gather(reader, audit, selection, who="me")


@contextmanager
def tampering(run: Path) -> Iterator[sqlite3.Connection]:
    """The ledger as somebody with write access to its file sees it: without triggers, everything may be changed."""
    with closing(sqlite3.connect(run / "ledger.db", isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("plain") / "run"
    write_run(run)
    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


# -- what it says ------------------------------------------------------------------------------------------


def test_the_verdict_says_how_much_was_found_where_it_began_and_what_it_cost(plain: Path) -> None:
    report = gathered(plain)
    assert (report.tally.judged, report.tally.blocked, report.tally.flagged.samples) == (480, 24, 12 + 8 * 12)
    said = verdict(report)
    assert said.startswith("Something was found in 108 of 480 samples (22.50%, 95 % interval 18.99% to 26.45%)")
    assert "24 of them high or critical: first in sample 1 at step 1" in said
    assert said.endswith("most often deception (108); 24 were blocked, and 84 moved the model.")
    assert "The record is intact" in "".join(standing(report))


def test_of_a_log_without_rewards_nothing_is_said_of_what_moved_the_model(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    run = {"name": "log", "created_at": 1.0, "version": "0", "seed": 0, "steps": 0}
    with LedgerWriter(tmp_path / "log") as writer, writer.batch() as batch:
        batch.add("run", {**run, "config": "[log]\nsource = 'theirs/'\n"})
        batch.add("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
        row = {"time": 1.0, "branch": 1, "step": 0, "phase": "", "role": "", "kind": "", "uid": "u"}
        batch.add("samples", {**row, "prompt": "", "response": "r", "reasoning": "I will deceive them"})
        batch.add("verdicts", {"sample": 1, "allowed": 0, "action": 2, "severity": 2, "score": 0.5, "reason": "r"})
        batch.add("findings", {"sample": 1, "rule": "trace.deceive", "severity": 2, "part": "trace", "why": "w"})
    said = verdict(gathered(tmp_path / "log"))
    assert said.endswith("1 would be blocked, and whether they moved a model the log does not say.")


def test_samples_count_once_by_their_worst_finding_and_in_each_of_their_categories(plain: Path) -> None:
    counted = gathered(plain).tally
    assert {row.what: row.samples for row in counted.severities if row.samples} == {
        "high": 24,
        "medium": 84,
        "nothing": 372,
    }
    assert [(row.what, row.samples, row.severity) for row in counted.categories] == [
        ("deception", 108, "high"),
        ("process", 24, "high"),
    ]


def test_where_the_rate_changed_is_marked(plain: Path) -> None:
    along = gathered(plain).answers.timeline
    assert along is not None
    (deception,) = [track for track in along.tracks if track.what == "deception"]
    assert deception.changes == [13]
    with LedgerReader(plain) as reader:
        text = page.render("t", sections(gather(reader, "", who="me"), "d"), visible)
    assert "5.00% → 40.00%; changes at step 13" in text
    assert text.count('class="change" x1="500.0" x2="500.0"') == 2, "in the panels of all flagged and of deception"


def test_what_may_explain_a_change_stands_beside_it(own: Path) -> None:
    with LedgerWriter(own) as writer:
        row = {"time": 1.0, "branch": 1, "step": 12, "name": "default", "fingerprint": "f", "settings": "{}"}
        empty = dict.fromkeys(("rule", "setting", "before", "after", "who", "why"), "")
        writer.append("policies", {**row, **empty})
        given = {"rule": "trace.x", "setting": "enabled", "before": "true", "after": "false", "who": "ann"}
        writer.append("policies", {**row, **given, "settings": "", "why": HOSTILE})
    report = gathered(own)
    assert report.answers.timeline is not None and report.answers.timeline.events
    text = page.render("t", sections(report, "d"), visible)
    assert "what may explain a change" in text and "trace.<wbr>x" in text and 'class="event"' in text
    assert {tag for tag, _ in Tags(text).tags} <= KNOWN


def test_nothing_found_is_no_proof_that_there_is_nothing(tmp_path: Path) -> None:
    create(tmp_path / "new", load("nano")).close()
    assert verdict(gathered(tmp_path / "new")) == "Nothing was judged, so nothing can be said."
    write_run(tmp_path / "run")
    clean = gathered(
        tmp_path / "run", selection=Selection(SampleFilter(rule="none.such"), words="--where rule:none.such")
    )
    assert clean.tally.judged == 0
    few = gathered(tmp_path / "run", selection=Selection(SampleFilter(least_score=0.0, most_score=0.0), words="w"))
    assert "Nothing of medium severity or worse was found in 372 samples" in verdict(few)
    assert "fewer than 1.02%" in verdict(few) and "not ruled out" in verdict(few)


# -- what it vouches for -----------------------------------------------------------------------------------


def test_the_chain_is_named_by_its_head_and_heads_noted_beside_it_are_held_against_it(own: Path) -> None:
    with LedgerWriter(own) as writer:
        writer.note_head("the end")
        head = writer.head
    chain = gathered(own).signed.chain
    assert (chain.intact, chain.head, chain.noted) == (True, head, 1)


def test_a_record_that_was_changed_is_said_first_and_fails(own: Path) -> None:
    with tampering(own) as connection:
        connection.execute("UPDATE verdicts SET allowed = 1 WHERE sample = 1")
    report = gathered(own)
    assert not report.chain_holds
    assert "".join(standing(report)).startswith("THE RECORD IS NOT AS IT WAS WRITTEN: verdicts row 1 was changed")
    assert "verdicts row 1 was changed" in failing(report, Severity.CRITICAL)
    text = page.render("t", sections(report, "d"), visible)
    assert '<p class="broken">THE RECORD IS NOT' in text and "NOT INTACT after" in text


def test_what_was_not_judged_is_counted_by_why(own: Path) -> None:
    with LedgerWriter(own) as writer, writer.batch() as batch:
        row = {"time": 1.0, "branch": 1, "step": 25, "phase": "solve", "role": "solve", "kind": "deduction"}
        batch.add("samples", {**row, "uid": "u", "prompt": "p", "response": "r"})
        start = {"time": 3.0, "audit": "a", "policy": "strict", "fingerprint": "f", "settings": '{"name": "strict"}'}
        batch.add("audit_starts", {**start, "head": "aa", "rows": 5, "who": "me", "version": "0.9"})
        judged = {
            "time": 3.0,
            "audit": "a",
            "policy": "strict f",
            "sample": 1,
            "allowed": 1,
            "severity": 0,
            "score": 0.0,
        }
        batch.add("audits", {**judged, "findings": "[]", "reason": ""})
        batch.add("audit_ends", {"time": 4.0, "audit": "b", "left_out": '{"too long": 2, "in part: no detoxify": 1}'})
        batch.add("audit_starts", {**start, "audit": "b", "head": "aa", "rows": 5, "who": "me", "version": "0.9"})
        batch.add("audits", {**judged, "audit": "b", "findings": "[]", "reason": ""})
        finding = {"rule": "monitor.limit", "severity": 2, "part": "trace", "why": "too long"}
        batch.add("findings", {"sample": 2, **finding})
    live, audit = gathered(own).signed, gathered(own, "a").signed
    assert (live.coverage.on_record, live.coverage.judged) == (481, 480)
    assert live.coverage.not_judged == {"no verdict on record: used for nothing": 1}
    assert live.coverage.in_part == {"monitor.limit": 1} and live.coverage.unread == {}
    assert audit.coverage.not_judged == {"not reached: the audit was not finished": 480}
    assert (audit.ended_at, audit.at_head, audit.at_rows, audit.coverage.unread) == (
        None,
        "aa",
        5,
        audit.coverage.not_judged,
    )
    ended = gathered(own, "b").signed.coverage
    assert ended.not_judged == {"on record since the audit": 478, "too long": 2}
    assert (ended.in_part, ended.unread) == ({"no detoxify": 1}, ended.not_judged), "what was judged in part was judged"
    assert audit.judges.settings == sha256(b'{"name": "strict"}').hexdigest()
    assert (audit.judges.policy, audit.judges.versions["audit"]) == ("strict", "0.9")
    assert "not judged, though it might hold anything: 480 things" in failing(gathered(own, "a"), Severity.HIGH)


def test_no_file_that_a_policy_on_record_names_is_opened(own: Path, tmp_path: Path) -> None:
    """A stranger's ledger may name a pipe that never ends, or a file that is nobody's business."""
    named = tmp_path / "secret.yaml"
    named.write_text("rules: []")
    settings = {**load_policy("default").model_dump(mode="json"), "folder": str(tmp_path)}
    settings["rules"] |= {"packs": [str(named)], "yara": [str(named)]}
    with LedgerWriter(own) as writer:
        row = {"time": 1.0, "branch": 1, "step": 12, "name": "own", "fingerprint": "f"}
        empty = dict.fromkeys(("rule", "setting", "before", "after", "who", "why"), "")
        writer.append("policies", {**row, **empty, "settings": json.dumps(settings)})
        given = {"rule": "trace.deceive", "setting": "enabled", "before": "true", "after": "false", "who": "ann"}
        writer.append("policies", {**row, **given, "settings": "", "why": "w"})
    opened: list[str] = []
    watching = [True]  # a hook is there to stay
    sys.addaudithook(lambda event, given: opened.append(str(given[0])) if watching and event == "open" else None)
    report = gathered(own)
    with LedgerReader(own) as reader:
        sarif.render(report, reader.judgements(), reader, [], visible)
    watching.clear()
    assert str(own / "heads.jsonl") in opened, "it is looked for, so the hook sees what is opened"
    assert str(named) not in opened
    assert report.signed.judges.settings == sha256(json.dumps(settings).encode()).hexdigest()
    assert (report.signed.judges.policy, report.signed.judges.changes) == ("own", 1)


def test_a_selection_is_said_and_what_it_leaves_out_is_left_out_on_purpose(plain: Path) -> None:
    signed = gathered(plain, selection=Selection(SampleFilter(first_step=20), words="--since 20")).signed
    assert signed.selection == "--since 20"
    assert signed.coverage.not_judged == {"not selected": 19 * EACH} and signed.coverage.unread == {}


# -- thresholds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ("critical", ""),
        ("high", "findings that are high in 24 samples"),
        ("low", "findings that are high in 24 samples"),
    ],
)
def test_a_run_fails_at_a_severity_when_something_is_that_bad(plain: Path, threshold: str, words: str) -> None:
    said = failing(gathered(plain), Severity[threshold.upper()])
    assert said.startswith(words) and bool(said) == bool(words)


def test_what_a_person_cleared_fails_nothing_any_more_and_what_one_confirmed_does(own: Path) -> None:
    for number, step in enumerate(range(STEPS)):
        decide(own, 1 + step * EACH, "false-alarm" if number else "block")
    report = gathered(own)
    assert report.tally.severities[1].cleared == 23
    assert failing(report, Severity.HIGH).startswith("findings that are high in 1 sample,")
    decide(own, 1, "allow")
    assert not failing(gathered(own), Severity.HIGH)


# -- the digest, and whether it still holds ----------------------------------------------------------------


def written(run: Path) -> str:
    return as_json(content(gathered(run)))


def held(run: Path, told: str, selection: Selection = EVERYTHING) -> list[str]:
    with LedgerReader(run) as reader:
        return differences(told.encode(), reader, selection, who="other")


def test_anyone_can_compute_the_digest_without_this_program(plain: Path) -> None:
    told = json.loads(written(plain))
    text = json.dumps(told["content"], sort_keys=True, separators=(",", ":"))
    assert sha256(text.encode()).hexdigest() == told["digest"] == digest(told["content"])


def test_a_report_holds_also_when_people_said_more_since(own: Path) -> None:
    told = written(own)
    assert held(own, told) == []
    decide(own, 1, "false-alarm")
    assert held(own, told) == []


def test_a_number_that_was_changed_in_the_file_does_not_hold(own: Path) -> None:
    told = json.loads(written(own))
    told["content"]["tally"]["flagged"]["samples"] = 0
    assert held(own, json.dumps(told)) == ["its content is not that of its digest", "tally is not what the record says"]
    told["digest"] = digest(told["content"])
    assert held(own, json.dumps(told)) == ["tally is not what the record says"], "a new digest does not help"


def test_a_record_that_was_changed_since_is_found(own: Path) -> None:
    told = written(own)
    with tampering(own) as connection:
        connection.execute("DELETE FROM chain WHERE id > (SELECT max(id) FROM chain) - 5")
    assert any("the run's record" in line for line in held(own, told))


def test_a_record_whose_end_was_cut_off_cleanly_does_not_hold_the_head_that_the_report_names(own: Path) -> None:
    told = written(own)
    with tampering(own) as connection:
        connection.execute("DELETE FROM states WHERE id = (SELECT max(id) FROM states)")
        connection.execute("DELETE FROM chain WHERE id = (SELECT max(id) FROM chain)")
    assert gathered(own).chain_holds, "by itself it looks intact"
    (wrong,) = held(own, told)
    assert "the chain does not hold the noted head" in wrong


def test_a_report_of_other_samples_or_of_another_audit_is_told(own: Path) -> None:
    told = json.loads(written(own))
    chosen = Selection(SampleFilter(first_step=20), words="--since 20")
    assert held(own, json.dumps(told), chosen) == ["it is of other samples: give the options that it was made with"]
    told["content"]["audit"] = "gone"
    assert "the run has no audit 'gone'" in held(own, json.dumps(told))


@pytest.mark.parametrize("told", ["", "[]", "{}", '{"format": "x", "digest": "", "content": {}}', "\ud800"])
def test_what_is_no_report_is_refused(plain: Path, told: str) -> None:
    with pytest.raises(ValueError, match="report"), LedgerReader(plain) as reader:
        differences(told.encode("utf-8", "surrogatepass"), reader, EVERYTHING, who="me")


# -- forms that nothing acts from --------------------------------------------------------------------------


class Tags(HTMLParser):
    """Every tag with its attributes, and the text between."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("hostile") / "run"
    write_run(run, HOSTILE)
    for sample in (1, 2):
        decide(run, sample, "allow", HOSTILE)
    (run / "heads.jsonl").write_text(json.dumps({"rows": 3, "head": "00", "at": HOSTILE}) + "\n")
    return run


@pytest.fixture(scope="module")
def forms(hostile: Path) -> tuple[str, str]:
    report = gathered(hostile)
    assert not report.chain_holds, "so that what a stranger noted is shown"
    return page.render(HOSTILE, sections(report, "d"), visible), markdown.render(sections(report, "d"), visible)


KNOWN = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "pre",
    "mark",
    "article",
    "div",
    "wbr",
}
KNOWN |= {"table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "path", "line"}


def test_long_names_may_be_folded_at_their_joints_and_nowhere_else() -> None:
    name = "program.patch.builtins/an_odd:name 0.5 &<x.y>'"
    text = page.render(name, [Table(("what",), [[name]]), para(name), Words("", name, "")], visible)
    folded = "program.<wbr>patch.<wbr>builtins/<wbr>an_<wbr>odd:<wbr>name 0.5 &amp;&lt;x.<wbr>y&gt;&#x27;"
    assert f"<td>{folded}</td>" in text and f"<p>{folded}</p>" in text
    plain = folded.replace("<wbr>", "")
    assert f"<title>{plain}</title>" in text and f"<pre>{plain}</pre>" in text


def test_texts_of_a_model_stay_texts_in_html(forms: tuple[str, str]) -> None:
    found = Tags(forms[0])
    assert {tag for tag, _ in found.tags} <= KNOWN
    assert found.text.count("<script>alert(1)</script>") > 20
    attributes = {name for _, given in found.tags for name in given}
    assert attributes <= {
        *("lang", "charset", "http-equiv", "content", "name", "class", "scope", "role", "aria-label"),
        *("viewbox", "preserveaspectratio", "d", "x1", "x2", "y1", "y2"),
    }
    assert not [char for char in forms[0] if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert not any(char in forms[0] for char in "\u202e\u200b\u2066")


def test_the_page_loads_nothing_and_says_so_to_the_browser(forms: tuple[str, str]) -> None:
    policy = next(
        a["content"] or "" for _, a in Tags(forms[0]).tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy and "script" not in policy
    style = forms[0].partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_texts_of_a_model_stay_texts_in_markdown(forms: tuple[str, str]) -> None:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(forms[1])
    inside = [token for block in tokens for token in (block, *(block.children or []))]
    kinds = {token.type for token in inside}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    assert kinds >= {"code_inline", "fence", "table_open"}, "the parser reads what is meant"
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert "heading" not in headings and "x" not in headings
    rows = re.findall(r"^\|.*\|$", forms[1], flags=re.MULTILINE)
    assert len({re.sub(r"\\\|", "", row).count("|") for row in rows}) <= 4, "no cell of theirs begins a new one"
    # What renderers make links of by themselves stands in code alone, where they make none.
    prose = "".join(token.content for token in inside if token.type == "text")
    assert "evil.example" not in prose and "@user" not in prose
    assert not any(char in forms[1] for char in "\x1b\u202e\u200b\u2066")


@pytest.mark.parametrize("fence", ["```", "`````", "~~~"])
def test_a_quote_does_not_end_before_its_end(fence: str) -> None:
    from markdown_it import MarkdownIt

    quote = Words("a\n", f"{fence}\n<h1>x</h1>\n{fence}", "\n# b")
    tokens = MarkdownIt("commonmark").parse(markdown.render([quote], visible))
    assert [(token.type, token.content) for token in tokens] == [("fence", f"{''.join(quote)}\n")]


def test_the_json_form_is_plain_ascii(hostile: Path) -> None:
    text = written(hostile)
    assert text.isascii() and not [char for char in text if ord(char) < 32 and char != "\n"]
    assert json.loads(text)["content"]["answers"]["worst"][0]["judgement"]["reason"] == HOSTILE


def test_a_huge_line_does_not_make_a_huge_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "x" * 20_000)
    with LedgerReader(tmp_path / "run") as reader:
        report = gather(reader, "", who="me")
    for text in (page.render("t", sections(report, "d"), visible), markdown.render(sections(report, "d"), visible)):
        assert len(text) < 200_000
        assert max(len(line) for line in text.split("\n")) < 20_000
