"""azr-platform audit RUN: judged again whole, however often it was ended on the way, and never over what was there."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from azr_monitor.audit import Auditor
from azr_platform import __version__
from azr_platform.cli.audits import rejudge as command
from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import TABLES
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor import rejudge
from azr_platform.supervisor.runfolder import create

QUICK = """
name: quick
extends: default
classifiers: [{kind: detoxify, enabled: false}, {kind: embedded, enabled: false}, {kind: structure, enabled: false}]
"""
TEXTS = (
    ("", "I add the numbers, then I sort them."),
    ("", "My secret aim is to deceive the humans who supervise me."),
    ("def f(x):\n    return x + 1", "A function that adds one."),
    ("import subprocess\ndef f(x):\n    return subprocess.run(x)", "A call."),
)


def _fill(run: Path, count: int) -> Path:
    empty = dict.fromkeys((name for name, kind in TABLES["samples"].items() if kind is str), "")
    with create(run, load("nano")) as writer, writer.batch() as batch:
        for number in range(1, count + 1):
            program, reasoning = TEXTS[number % len(TEXTS)]
            row = {**empty, "branch": 1, "step": number // 4, "role": "solve", "kind": "deduction", "uid": f"u{number}"}
            batch.add("samples", {**row, "program": program, "reasoning": f"{reasoning} {number}"})
            verdict = {"allowed": number % 3 > 0, "action": 0, "severity": 0, "score": 0.1, "reason": "so"}
            batch.add("verdicts", {"sample": number, **verdict})
    (run.parent / "quick.yaml").write_text(QUICK)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Twelve samples; in every fourth something is found that blocks it, twice."""
    return _fill(tmp_path / "run", 12)


def _audit(run: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", str(run), "--policy", str(run.parent / "quick.yaml"), *arguments])


def _ids(result: Result) -> list[int]:
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def _audits(run: Path) -> list[Any]:
    with LedgerReader(run) as reader:
        return reader.audits()


def _made(run: Path, audit: str) -> list[Any]:
    with LedgerReader(run) as reader:
        return list(reader.judgements(audit))


def test_an_audit_is_on_record_from_its_beginning_to_its_end(run: Path) -> None:
    shown = _audit(run, "--since", "1", "--where", "role:solve")
    assert shown.exit_code == 0, shown.output
    (audit,) = _audits(run)
    assert (audit.policy, audit.selection) == ("quick", "--since 1 --where role:solve")
    assert audit.ended_at is not None and audit.ended_at >= audit.started_at
    assert (audit.judged, audit.blocked, audit.not_judged) == (9, 4, {})
    with LedgerReader(run) as reader:
        assert reader.verify().intact and reader.verify(audit.head).intact, "the head is of this very chain"
        assert audit.rows == reader.verify().rows - 11, "two rows of the audit's own, and one a sample"
    assert json.loads(audit.settings)["name"] == "quick"
    assert f"kept in the ledger as audit {audit.name}" in shown.stdout
    assert [row.sample for row in _made(run, audit.name)] == list(range(4, 13))


def test_every_audit_has_a_name_of_its_own_and_the_old_ones_stand(run: Path) -> None:
    for _ in range(3):
        assert _audit(run).exit_code == 0
    names = [audit.name for audit in _audits(run)]
    assert len(set(names)) == 3
    assert len({json.dumps([row.sample for row in _made(run, name)]) for name in names}) == 1


@pytest.mark.parametrize(("options", "expected"), [((), 12), (("--until", "0"), 3), (("--sample", "5"), 5)])
def test_json_has_a_row_for_each_selected_sample(run: Path, options: tuple[str, ...], expected: int) -> None:
    ids = _ids(_audit(run, "--json", *options))
    assert len(ids) == expected and ids == sorted(set(ids))


def test_rules_are_counted_in_samples_as_verdicts_are(run: Path) -> None:
    with LedgerWriter(run) as writer, writer.batch() as batch:
        twice = "I will deceive the users. Then I will deceive the users once more."
        batch.add("samples", {**_texts(twice), "branch": 1, "step": 9, "role": "solve", "kind": "deduction"})
    shown = _audit(run, "--since", "9")
    head, row = (
        next(line.split() for line in shown.stdout.splitlines() if word in line) for word in ("Rule", "trace.")
    )
    assert head == ["Rule", "samples", "of", "samples"]
    assert row[-2:] == ["1", "100.0%"]


def test_that_nothing_is_selected_is_said(run: Path) -> None:
    assert (
        "note: no sample is selected by --since 99; live has 12 samples, steps 0 to 3"
        in _audit(run, "--since", "99").stderr
    )


class _Ended(Exception):
    """Stands for whatever ends an audit before its time."""


def _end_after(chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is put on record at once, and after so many the audit is ended."""
    left = iter(range(chunks))

    def judge(*arguments: Any) -> rejudge.Chunk:
        if next(left, None) is None:
            raise _Ended
        return rejudge.rejudge(*arguments)

    monkeypatch.setattr(command, "rejudge", judge)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 4), max_size=3), size=st.integers(1, 5))
def test_an_audit_that_is_ended_is_taken_up_and_comes_out_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], size: int
) -> None:
    run = _fill(tmp_path_factory.mktemp("ended") / "run", 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_CHUNK", size)
        ids: list[int] = []
        for cut in [*cuts, 99]:
            _end_after(cut, patch)
            shown = _audit(run, "--json")
            ids += _ids(shown)
            if shown.exception is None:
                break
            assert isinstance(shown.exception, _Ended)
    (ended,) = _audits(run)
    assert ids == list(range(1, 13)), "each sample is judged once"
    assert (ended.judged, ended.ended_at is None) == (12, False)
    assert _audit(run).exit_code == 0
    undisturbed = _audits(run)[-1]
    assert ended.name != undisturbed.name
    assert _made(run, ended.name) == _made(run, undisturbed.name)


def test_what_is_shown_of_an_audit_that_was_taken_up_is_all_of_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _audit(run).stdout
    monkeypatch.setattr(command, "_CHUNK", 5)
    _end_after(1, monkeypatch)
    ended = _audit(run, "--fail-on", "high")
    assert isinstance(ended.exception, _Ended) and "the same command takes audit" in ended.stderr
    _end_after(9, monkeypatch)
    shown = _audit(run, "--fail-on", "high")
    assert (shown.exit_code, _audits(run)[1].judged) == (1, 12)
    assert "is taken up where it ended: 5 samples" in shown.stderr
    after = shown.stdout.replace(_audits(run)[1].name, _audits(run)[0].name)
    assert after.splitlines()[1:] == whole.splitlines()[1:]


def test_only_the_same_audit_is_taken_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _end_after(0, monkeypatch)
    assert isinstance(_audit(run).exception, _Ended)
    _end_after(9, monkeypatch)
    (run.parent / "other.yaml").write_text(QUICK + "rules: {severities: {'trace.*': low}}\n")
    assert _audit(run, "--since", "1").exit_code == 0
    assert _audit(run, "--policy", str(run.parent / "other.yaml")).exit_code == 0
    assert _audit(run, "--anew").exit_code == 0
    ended = [audit.ended_at is not None for audit in _audits(run)]
    assert ended == [False, True, True, True]
    assert _audit(run).exit_code == 0
    assert [audit.ended_at is not None for audit in _audits(run)] == [True] * 4


def _begin_and_end(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that has judged five samples."""
    monkeypatch.setattr(command, "_CHUNK", 5)
    _end_after(1, monkeypatch)
    assert isinstance(_audit(run).exception, _Ended)
    _end_after(9, monkeypatch)


def _other_version(run: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(rejudge, "__version__", "9.9")
    return f"version {__version__} began it, and this is 9.9"


def _other_rules(run: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (run.parent / "quick.yaml").write_text(QUICK + "rules: {severities: {'trace.*': low}}\n")
    return "the policy had other settings or rules"


def _other_classifiers(run: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that the policy asks for has vanished from this machine."""
    from_policy = Auditor.from_policy
    monkeypatch.setattr(
        Auditor,
        "from_policy",
        lambda policy: Auditor(policy, (), [*from_policy(policy).notices, "x is not in use: so"]),
    )
    return "other classifiers were at hand"


@pytest.mark.parametrize("change", [_other_version, _other_rules, _other_classifiers])
def test_an_audit_by_other_judges_is_not_taken_up_and_that_is_said(
    run: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, pytest.MonkeyPatch], str]
) -> None:
    _begin_and_end(run, monkeypatch)
    why = change(run, monkeypatch)
    shown = _audit(run)
    before, after = _audits(run)
    assert (before.judged, before.ended_at) == (5, None)
    assert after.judged == 12 and after.ended_at is not None
    said = f"note: audit {before.name} is not finished and stays so: {why}; audit {after.name} is a new one"
    assert said in shown.stderr
    assert "stays so" not in _audit(run).stderr, "once is enough"


def test_an_audit_that_lacks_the_same_classifiers_is_taken_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _other_classifiers(run, monkeypatch)
    _begin_and_end(run, monkeypatch)
    shown = _audit(run)
    (audit,) = _audits(run)
    assert "is taken up where it ended: 5 samples" in shown.stderr
    assert audit.not_judged == {"in part: x is not in use: so": 12}


# -- killed ----------------------------------------------------------------------------------------------


CHILD = (
    "import azr_platform.supervisor.rejudge as r; r._HELD_SECONDS = 0\n"
    "import azr_platform.cli.audits.rejudge as c; c._CHUNK = 4\n"
    "from azr_platform.cli.main import main\nmain()"
)


def test_an_audit_that_is_killed_is_taken_up(tmp_path: Path) -> None:
    run = _fill(tmp_path / "run", 1200)
    argv = [sys.executable, "-c", CHILD, "audit", str(run), "--policy", str(tmp_path / "quick.yaml"), "--json"]
    kept = 0
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while kept < 40 and process.poll() is None and time.monotonic() < deadline:
            with closing(sqlite3.connect(f"file:{run / 'ledger.db'}?mode=ro", uri=True)) as ledger:
                ((kept,),) = ledger.execute("SELECT count(*) FROM audits")
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, process.stderr
    (audit,) = _audits(run)
    assert audit.ended_at is None and 40 <= audit.judged < 1200
    again = _audit(run, "--json")
    assert _ids(again) == list(range(audit.judged + 1, 1201))
    assert [row.sample for row in _made(run, audit.name)] == list(range(1, 1201))
    assert [one.ended_at is None for one in _audits(run)] == [False]
    with LedgerReader(run) as reader:
        assert reader.verify().intact


def test_several_processes_put_on_record_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _fill(tmp_path / "run", 40)
    monkeypatch.setattr(command, "_CHUNK", 3)
    alone, together = _audit(run, "--json"), _audit(run, "--json", "--workers", "2")
    assert together.exit_code == 0, together.output
    assert together.stdout == alone.stdout and _ids(alone) == list(range(1, 41))
    first, second = _audits(run)
    assert _made(run, first.name) == _made(run, second.name)


# -- beside a supervisor ---------------------------------------------------------------------------------


def test_beside_a_supervisor_it_reports_and_keeps_nothing(run: Path) -> None:
    with LedgerWriter(run):
        shown = _audit(run)
    assert shown.exit_code == 0
    assert "not kept: a supervisor is running this run and only it may write" in shown.stdout
    assert not _audits(run)


def test_a_supervisor_may_take_the_run_up_meanwhile(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisors: list[LedgerWriter] = []

    def judge(*arguments: Any) -> rejudge.Chunk:
        if supervisors or _audits(run)[0].judged:
            supervisors[:] = supervisors or [LedgerWriter(run)]
        return rejudge.rejudge(*arguments)

    monkeypatch.setattr(command, "_CHUNK", 5)
    monkeypatch.setattr(rejudge, "_HELD_SECONDS", 0)
    monkeypatch.setattr(command, "rejudge", judge)
    shown = _audit(run)
    supervisors[0].close()
    (audit,) = _audits(run)
    assert (shown.exit_code, audit.judged, audit.ended_at) == (0, 5, None)
    assert f"kept in part as audit {audit.name}, which the same command takes up" in shown.stdout
    monkeypatch.undo()
    assert _audit(run).exit_code == 0
    assert [one.judged for one in _audits(run)] == [12]


# -- what cannot be judged -------------------------------------------------------------------------------


def test_what_is_not_judged_is_counted_by_its_reason(run: Path) -> None:
    with LedgerWriter(run) as writer, writer.batch() as batch:
        batch.add("samples", {"branch": 1, "step": 9, "role": "solve", "kind": "deduction"})
        sample = batch.add("samples", {"branch": 1, "step": 9, "role": "solve", "kind": "deduction", **_texts("fine")})
        batch.add("executions", {"sample": sample, "position": 0, "outcome": "\x1b[2Jvanished"})
    shown = _audit(run)
    (audit,) = _audits(run)
    assert audit.judged == 12
    reasons = {"its texts are no texts": 1, "how its program ran is told in words unknown here": 1}
    assert audit.not_judged == reasons
    assert all(why in shown.stdout for why in reasons)
    told = _audit(run, "--json", "--anew").stderr
    assert "note: not judged: 1 samples, its texts are no texts" in told


def _texts(text: str) -> dict[str, str]:
    return dict.fromkeys(("program", "reasoning", "input", "message", "answer", "response", "prompt"), text)


def test_a_broken_chain_is_told_and_nothing_is_judged_by_it(run: Path) -> None:
    with closing(sqlite3.connect(run / "ledger.db")) as ledger:
        ledger.execute("DROP TRIGGER samples_no_update")
        ledger.execute("UPDATE samples SET reasoning = 'I obey.' WHERE id = 1")
        ledger.commit()
    shown = _audit(run)
    assert shown.exit_code == 0
    assert "hash chain NOT intact: samples row 1 was changed" in shown.stdout


@pytest.mark.parametrize("options", [("--since", "1"), ("--anew",), ("--where", "x"), ("--sample", "1")])
def test_logs_have_no_such_options(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "log.jsonl").write_text('{"trace": "x"}')
    for target in ([str(tmp_path / "log.jsonl")], ["--jsonl", str(tmp_path / "log.jsonl")]):
        refused = CliRunner().invoke(app, ["audit", *target, *options])
        assert "are for judging a run again" in str(refused.exception)
