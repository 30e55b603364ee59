"""Composite proposals at the gate: the functions come from the record, and what is judged and run is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from azr_monitor.audit import Auditor
from azr_platform.channel.messages import Judgement, Review, Submission
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.supervisor.gate import Gate
from azr_sandbox.pool import JailPool

GIVEN = [
    Task(id="plus", kind=Kind.DEDUCTION, program="def f(x):\n    return x + 1", inputs=("1",), outputs=("2",)),
    Task(id="twice", kind=Kind.DEDUCTION, program="def f(x):\n    return 2 * x", inputs=("1",), outputs=("2",)),
    Task(id="helped", kind=Kind.DEDUCTION, program="import re\ndef f(x):\n    return x", inputs=("1",), outputs=("1",)),
]
Ask = Callable[..., Judgement]


@pytest.fixture
def ask(quick_auditor: Auditor, jail: JailPool, tmp_path: Path) -> Iterator[Ask]:
    with LedgerWriter(tmp_path) as writer:
        writer.append("run", {"name": "test", "steps": 1})
        gate = Gate(quick_auditor, jail, 6, GIVEN)

        def judged(program: str, *functions: str) -> Judgement:
            blocks = f"```python\n{program}\n```\n```input\n3\n```\n"
            sample = Submission(
                uid="s",
                role=Role.PROPOSE,
                kind=Kind.DEDUCTION,
                prompt="p",
                response=f"<think>t</think>\n<answer>\n{blocks}</answer>",
                tokens=9,
                functions=functions,
            )
            reply, _ = gate.record(gate.judge(Review(step=1, phase=Phase.PROPOSE, samples=[sample])), writer, 1)
            return reply.judgements[0]

        yield judged


def test_a_program_that_calls_its_functions_becomes_a_task_that_runs_by_itself(ask: Ask, jail: JailPool) -> None:
    judgement = ask("def f(x):\n    return g_1(g_0(x))", "plus", "twice")
    assert judgement.valid, judgement.problem
    assert judgement.task is not None
    assert judgement.task.outputs == ("8",)
    assert "def g_0(x):\n    return x + 1" in judgement.task.program
    assert "def g_1(x):\n    return 2 * x" in judgement.task.program


def test_what_was_judged_is_on_record_as_it_ran(ask: Ask, tmp_path: Path) -> None:
    judgement = ask("def f(x):\n    return g_0(x)", "plus")
    with LedgerReader(tmp_path) as reader:
        detail = reader.sample(judgement.sample)
    assert detail is not None
    assert judgement.task is not None
    assert detail.program == judgement.task.program


@pytest.mark.parametrize(
    ("program", "functions", "why"),
    [
        ("def f(x):\n    return g_0(x)", ("plus", "twice"), "does not call g_1"),
        ("def g_0(x):\n    return 7\ndef f(x):\n    return g_0(x)", ("plus",), "redefines g_0"),
        ("def f(x):\n    return g_0(x)", ("made-up-by-the-trainer",), "cannot be given"),
        ("def f(x):\n    return g_0(x)", ("helped",), "cannot be given"),
        ("    return 7\ndef f(x):\n    return g_0(x)", ("plus",), "does not parse"),
    ],
)
def test_a_program_that_does_not_build_on_them_is_invalid_and_never_run(
    program: str, functions: tuple[str, ...], why: str, ask: Ask, tmp_path: Path
) -> None:
    judgement = ask(program, *functions)
    assert judgement.allowed
    assert not judgement.valid
    assert judgement.task is None
    assert why in judgement.problem
    with LedgerReader(tmp_path) as reader:
        detail = reader.sample(judgement.sample)
    assert detail is not None
    assert detail.executions == []


def test_the_monitor_reads_what_the_model_wrote_behind_the_functions(ask: Ask) -> None:
    judgement = ask("import os\ndef f(x):\n    os.system('true')\n    return g_0(x)", "plus")
    assert not judgement.allowed
