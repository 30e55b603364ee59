"""Held-out programs enter no buffer and no gradient, whatever they are called; and which they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from azr_monitor.audit import Auditor
from azr_platform.channel.messages import Judgement, Review, Submission
from azr_platform.config.load import ConfigError, load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.heldout import held_out_programs
from azr_platform.supervisor.rows import RaisedAlert
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.pool import JailPool

HELD_OUT = "def f(x):\n    y = x * 3\n    return y + 1"
RENAMED = "def f(number):  # looks like another program\n    tripled = number * 3\n    return tripled + 1"
OTHER = "def f(x):\n    y = x * 3\n    return y + 2"
SIX = tuple("123456")
INDUCTION = Task(
    id="i", kind=Kind.INDUCTION, program=OTHER, inputs=SIX, outputs=tuple(str(3 * int(n) + 2) for n in SIX), shown=3
)


def proposal(program: str, think: str = "new", given: str = "1") -> Submission:
    response = f"<think>{think}</think>\n<answer>\n```python\n{program}\n```\n```input\n{given}\n```\n</answer>"
    return Submission(uid=program, role=Role.PROPOSE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=9)


def answer(program: str) -> Submission:
    response = f"<think>so</think>\n<answer>\n```python\n{program}\n```\n</answer>"
    return Submission(
        uid=program, role=Role.SOLVE, kind=Kind.INDUCTION, prompt="p", response=response, tokens=9, task="i"
    )


Ask = Callable[..., tuple[list[Judgement], list[RaisedAlert]]]


@pytest.fixture
def ask(quick_auditor: Auditor, jail: JailPool, writer: LedgerWriter) -> Ask:
    held_out = frozenset({program_key(HELD_OUT)})
    gate = Gate(quick_auditor, jail, 6, [*seed_tasks(6), INDUCTION], held_out=held_out)

    def judged(*samples: Submission) -> tuple[list[Judgement], list[RaisedAlert]]:
        reply, alerts = gate.record(gate.judge(Review(step=1, phase=Phase.SOLVE, samples=list(samples))), writer, 1)
        return reply.judgements, alerts

    return judged


@pytest.mark.parametrize(
    "sample", [proposal(HELD_OUT), proposal(RENAMED), proposal(RENAMED, given="not an input"), answer(RENAMED)]
)
def test_a_held_out_program_is_dropped_unrun_and_on_record_with_the_reason(
    sample: Submission, ask: Ask, tmp_path: Path
) -> None:
    (judgement,), alerts = ask(sample)
    assert not judgement.allowed
    assert not judgement.decided, "so that it is not even punished"
    assert judgement.task is None
    assert alerts == [], "it is nobody's fault"
    with LedgerReader(tmp_path) as reader:
        detail = reader.sample(judgement.sample)
        assert list(reader.tasks()) == []
    assert detail is not None
    assert detail.executions == []
    assert detail.verdict is not None
    assert "held out" in detail.verdict.reason
    assert "supervisor.held-out" in [finding.rule for finding in detail.findings]


def test_other_programs_pass(ask: Ask) -> None:
    (kept, right), _ = ask(proposal(OTHER), answer(OTHER))
    assert kept.valid
    assert kept.decided
    assert right.correct


def test_what_the_monitor_blocks_is_blocked_with_its_own_reason_and_alert(ask: Ask) -> None:
    aim = "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."
    (judgement,), alerts = ask(proposal(HELD_OUT, aim))
    assert not judgement.allowed
    assert not judgement.decided
    assert "held out" not in judgement.reason
    assert len(alerts) == 1


def test_answers_to_a_task_on_a_held_out_program_are_dropped_too(
    quick_auditor: Auditor, jail: JailPool, writer: LedgerWriter
) -> None:
    """Such a task can only come from the run's seeds or problem file."""
    gate = Gate(quick_auditor, jail, 6, [INDUCTION], held_out=frozenset({program_key(OTHER)}))
    judged = gate.judge(Review(step=1, phase=Phase.SOLVE, samples=[answer("def f(x):\n    return 3 * x + 2")]))
    reply, _ = gate.record(judged, writer, 1)
    assert (reply.judgements[0].allowed, reply.judgements[0].decided) == (False, False)


# -- which programs --------------------------------------------------------------------------------------


def test_nothing_is_held_out_unless_it_is_asked_for() -> None:
    assert held_out_programs(load().tasks.held_out) == frozenset()


def test_the_embedded_model_s_tasks_are_held_out_of_its_own_runs() -> None:
    from azr_platform.nano.heldout import held_out_tasks

    keys = held_out_programs(load("nano").tasks.held_out)
    assert {program_key(task.program) for task in held_out_tasks()} == keys


def test_a_file_of_programs_is_read_up_to_renaming(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"program": "def f(a):\\n    return a", "kind": "deduction"}\n\n')
    assert held_out_programs(str(path)) == {program_key("def f(b): return b")}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"program": "x"}\n{"prog": "x"}\n', "line 2: .*program"),
        ("not json\n", "line 1"),
        ('{"program": 3}', "line 1"),
        ("\n", "holds no program"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_holds_nothing_out_is_refused(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=why):
        held_out_programs(str(path))
