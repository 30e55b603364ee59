"""A policy tried on past samples: what would be blocked and what no longer, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.amend import amended
from azr_monitor.audit import Auditor
from azr_monitor.policy import PolicyError
from azr_monitor.records import Amendment
from azr_platform.channel.messages import Judgement, Review, Submission
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Phase, Role
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.trial import Difference, Progress, trial, with_rule_file
from azr_platform.tasks.seeds import seed_tasks

UH_OH = "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."
Run = Callable[..., list[Judgement]]


@pytest.fixture
def review(tmp_path: Path, writer: LedgerWriter, quick_auditor: Auditor) -> Run:
    """Puts answers with these thoughts on record, one a step."""

    class NoJail:
        def run(self, requests: Any) -> list[Any]:
            raise OSError("no jail in this test")

    gate = Gate(quick_auditor, NoJail(), 6, seed_tasks(6))

    def put(*thoughts: str) -> list[Judgement]:
        judged: list[Judgement] = []
        for step, thought in enumerate(thoughts, 1):
            response = f"<think>{thought}</think>\n<answer>\n```output\n1\n```\n</answer>"
            sample = Submission(
                uid="u", role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=3, task="x"
            )
            batch = gate.judge(Review(step=step, phase=Phase.SOLVE, samples=[sample]))
            judged += gate.record(batch, writer, 1)[0].judgements
        return judged

    return put


def test_what_a_change_would_release_is_named_with_its_cause(
    tmp_path: Path, review: Run, quick_auditor: Auditor
) -> None:
    blocked, _ = review(UH_OH, "fine")
    rule = quick_auditor.inspect([_subject(UH_OH)])[0].cause
    after = quick_auditor.under(amended(quick_auditor.policy, Amendment(rule=rule, enabled=False)))
    before = (tmp_path / "ledger.db").read_bytes()
    with LedgerReader(tmp_path) as reader:
        told = list(trial(reader, quick_auditor, after))
        back = [one for one in trial(reader, after, quick_auditor) if isinstance(one, Difference)]
    (found,) = [one for one in told if isinstance(one, Difference)]
    assert (found.sample, found.step, found.before, found.after) == (blocked.sample, 1, "block", "allow")
    assert found.released and not found.newly_blocked and found.cause == rule
    assert [one.newly_blocked for one in back] == [True]
    assert told[0] == Progress(0, 2) and told[-1] == Progress(2, 2)
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_only_so_many_of_the_newest_are_judged(tmp_path: Path, review: Run, quick_auditor: Auditor) -> None:
    review(UH_OH, *["fine"] * 200, UH_OH)
    rule = quick_auditor.inspect([_subject(UH_OH)])[0].cause
    after = quick_auditor.under(amended(quick_auditor.policy, Amendment(rule=rule, action="alert")))
    with LedgerReader(tmp_path) as reader:
        few = list(trial(reader, quick_auditor, after, newest=150))
        every = list(trial(reader, quick_auditor, after, newest=9999))
    assert [one.sample for one in few if isinstance(one, Difference)] == [202]
    assert [(one.sample, one.after) for one in every if isinstance(one, Difference)] == [(202, "flag"), (1, "flag")]
    assert few[-1] == Progress(150, 150) and every[-1] == Progress(202, 202)


def test_a_file_of_rules_is_tried_on_top(tmp_path: Path, review: Run, quick_auditor: Auditor) -> None:
    pack = tmp_path / "mine.yaml"
    pack.write_text(
        "about: Herrings.\nrules:\n  - id: trace.mine\n    severity: high\n    why: speaks of herrings\n"
        "    match: [red herring]\n    catch: [a red herring]\n    spare: [a blue one]\n"
    )
    review("fine", "a red herring")
    with LedgerReader(tmp_path) as reader:
        after = quick_auditor.under(with_rule_file(quick_auditor.policy, pack))
        found = [one for one in trial(reader, quick_auditor, after) if isinstance(one, Difference)]
    assert [(one.sample, one.before, one.after, one.cause) for one in found] == [(2, "allow", "block", "trace.mine")]


@pytest.mark.parametrize("name", ["mine.txt", "missing.yaml"])
def test_what_is_no_file_of_rules_is_refused(tmp_path: Path, quick_auditor: Auditor, name: str) -> None:
    with pytest.raises(PolicyError, match=name):
        with_rule_file(quick_auditor.policy, tmp_path / name)


def _subject(thought: str) -> Any:
    from azr_monitor.records import Subject

    return Subject("s", trace=thought, role="solve", kind="deduction")
