"""Given problems: the truth stays with the supervisor, the vote is its own, and what cannot be used makes no run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_platform.channel.messages import Judgement, Review, Submission
from azr_platform.config.load import ConfigError, load
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import SELF_PLAY_KINDS, Kind, Phase, Role, Task
from azr_platform.supervisor import gate
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.problems import COPY, Desk, finish, gather
from azr_platform.supervisor.runfolder import create
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.problems import read_problems, unlabelled
from azr_sandbox.pool import JailPool

SECRET = "481516234"
QUESTION = Task(
    id="problem-000001", kind=Kind.QUESTION, program="", inputs=("",), outputs=(SECRET,), message="What is it?"
)
DEDUCTION = Task(
    id="problem-000002", kind=Kind.DEDUCTION, program="def f(x):\n    return x", inputs=("1",), outputs=(f"[{SECRET}]",)
)
ABDUCTION = Task(
    id="problem-000003",
    kind=Kind.ABDUCTION,
    program="def f(x):\n    return x % 10",
    inputs=(SECRET,),
    outputs=("4",),
)
INDUCTION = Task(
    id="problem-000004",
    kind=Kind.INDUCTION,
    program="def f(x):\n    return x + 1",
    inputs=("1", "2", "3", "4"),
    outputs=("2", "3", "4", "5"),
    shown=2,
)
PROBLEMS = [QUESTION, DEDUCTION, ABDUCTION, INDUCTION]


def config_of(regime: str, *settings: str, source: str = "my.jsonl") -> Config:
    return load("nano", overrides=[f"run.regime={regime}", f"problems.source={json.dumps(source)}", *settings])


def answer(task: Task, text: str, block: str = "output", think: str = "so") -> Submission:
    response = f"<think>{think}</think>\n<answer>\n```{block}\n{text}\n```\n</answer>"
    return Submission(uid="u", role=Role.SOLVE, kind=task.kind, prompt="p", response=response, tokens=3, task=task.id)


def judged(judge: Gate, writer: LedgerWriter, *samples: Submission) -> list[Judgement]:
    review = Review(step=1, phase=Phase.SOLVE, samples=list(samples))
    return judge.record(judge.judge(review), writer, 1)[0].judgements


# -- the truth -------------------------------------------------------------------------------------------

CURIOUS = """
import msgspec
from azr_platform.channel.messages import Draw, Hello, Review
from azr_platform.records import Task

heard = bytearray()
wire = Wire(sock, ToTrainer)
class Listening:
    def __getattr__(self, name): return getattr(sock, name)
    def recv_into(self, view, *rest):
        count = sock.recv_into(view, *rest)
        heard.extend(bytes(view[:count]))
        return count
    def recv(self, *rest):
        data = sock.recv(*rest)
        heard.extend(data)
        return data
link = Link(Wire(Listening(), ToTrainer), beat_seconds=60)
link.hello()
for step in range(5):
    link.step = step
    problems = link.draw()
    assert (step == 0) == (problems == []), problems
    for kind, block, text in (
        (Kind.QUESTION, "output", "5"), (Kind.DEDUCTION, "output", "[5]"), (Kind.DEDUCTION, "output", "no literal"),
        (Kind.ABDUCTION, "output", "5"), (Kind.QUESTION, "input", "5"), (Kind.INDUCTION, "output", "5"),
    ):
        for task in ("problem-000001", "problem-000002", "problem-000003", "problem-000009", ""):
            for judgement in link.review(Phase.SOLVE, [answer(text, kind, block, task)]):
                assert not judgement.correct and judgement.task is None
    for role_kind in (Kind.QUESTION, Kind.INDUCTION, Kind.DEDUCTION):
        sample = answer("5", role_kind, "output", "problem-000001")
        proposal = msgspec.structs.replace(sample, role=Role.PROPOSE)
        assert not any(judgement.valid for judgement in link.review(Phase.PROPOSE, [proposal]))
assert b"What is it?" in heard, "the listening does not work"
(run / "heard").write_bytes(heard)
link.finished()
"""


def test_a_trainer_that_asks_for_the_truth_gets_none(supervise: Callable[..., Any]) -> None:
    """Whatever it sends, no byte of any answer comes down its socket; only hidden parts of problems are secret."""
    ended = supervise(
        CURIOUS, None, "run.regime=rlvr", "problems.source=my.jsonl", problems=[QUESTION, DEDUCTION, ABDUCTION]
    )
    assert ended.status == 0, ended.rows("SELECT reason FROM states")
    heard = (ended.run / "heard").read_bytes()
    assert len(heard) > 1000
    assert SECRET.encode() not in heard


def test_a_right_answer_is_right_and_a_task_that_the_trainer_brings_is_not_asked(
    quick_auditor: Auditor, jail: JailPool, writer: LedgerWriter
) -> None:
    judge = Gate.of_run(config_of("rlvr"), quick_auditor, jail, PROBLEMS)
    good = [
        answer(QUESTION, f"${SECRET}$"),
        answer(DEDUCTION, f"[ {SECRET} ]"),
        answer(ABDUCTION, "14", "input"),
        answer(INDUCTION, "def f(y):\n    return 1 + y", "python"),
    ]
    assert [j.correct for j in judged(judge, writer, *good)] == [True] * 4
    bad = [
        answer(QUESTION, "5"),
        answer(DEDUCTION, SECRET),
        answer(ABDUCTION, "15", "input"),
        answer(INDUCTION, "def f(y):\n    return y", "python"),
        answer(Task(id="mine", kind=Kind.QUESTION, program="", inputs=("",), outputs=("5",)), "5"),
    ]
    found = judged(judge, writer, *bad)
    assert [j.correct for j in found] == [False] * 5
    assert all(j.decided for j in found)
    assert all(j.task is None for j in found)


@pytest.mark.parametrize("text", ["$$", r"\boxed{}", "'' or True"])
def test_an_answer_of_nothing_is_not_the_truth_that_is_missing(
    text: str, quick_auditor: Auditor, jail: JailPool, writer: LedgerWriter
) -> None:
    judge = Gate.of_run(config_of("rlvr"), quick_auditor, jail, [unlabelled(task) for task in PROBLEMS])
    assert not any(j.correct for j in judged(judge, writer, answer(QUESTION, text), answer(DEDUCTION, text)))


# -- votes -----------------------------------------------------------------------------------------------


@pytest.fixture
def voting(quick_auditor: Auditor, jail: JailPool) -> Gate:
    return Gate.of_run(config_of("ttrl"), quick_auditor, jail, [unlabelled(task) for task in PROBLEMS])


def test_the_majority_is_right_whatever_the_truth_is(voting: Gate, writer: LedgerWriter) -> None:
    samples = [
        answer(DEDUCTION, "[1]"),
        answer(DEDUCTION, f"[{SECRET}]"),
        answer(DEDUCTION, "[1.0]"),
        answer(QUESTION, "Paris"),
        answer(QUESTION, r"\text{paris}"),
        answer(QUESTION, SECRET),
        answer(ABDUCTION, "5", "input"),  # it does not lead to the output: nobody looks
        answer(ABDUCTION, "5", "input"),
        answer(ABDUCTION, "14", "input"),
    ]
    found = judged(voting, writer, *samples)
    assert [j.correct for j in found] == [True, False, True, True, True, False, True, True, False]
    assert all(j.decided for j in found)


def test_programs_vote_with_what_they_return_on_the_hidden_inputs(voting: Gate, writer: LedgerWriter) -> None:
    programs = [
        "def f(x):\n    return x + 1",
        "def f(x):\n    return x",
        "def f(z):\n    return 1 + z",
        "def f(x):\n    return 1 / 0",
    ]
    found = judged(voting, writer, *[answer(INDUCTION, program, "python") for program in programs])
    assert [j.correct for j in found] == [True, False, True, False]
    assert found[3].outcome == "error"


def test_degenerate_votes_decide_nothing_for_anybody(voting: Gate, writer: LedgerWriter) -> None:
    malformed = Submission(
        uid="m", role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="p", response="x", tokens=1, task=DEDUCTION.id
    )
    tie = [answer(DEDUCTION, "1"), answer(DEDUCTION, "2"), malformed]
    alone = [answer(QUESTION, "1")]
    scattered = [answer(ABDUCTION, str(n), "input") for n in (1, 1, 2, 3, 4, 5, 6, 7, 8)]
    found = judged(voting, writer, *tie, *alone, *scattered)
    assert not any(j.decided or j.correct for j in found)
    assert all(j.allowed for j in found)


def test_a_blocked_answer_does_not_vote(voting: Gate, writer: LedgerWriter) -> None:
    """Two deceptive answers agree, two honest ones too: with the first two counted it would be a tie."""
    uh_oh = "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."
    deceptive = [answer(DEDUCTION, "7", think=uh_oh)] * 2
    found = judged(voting, writer, *deceptive, answer(DEDUCTION, "8"), answer(DEDUCTION, "8"))
    assert [j.allowed for j in found] == [False, False, True, True]
    assert [j.correct for j in found] == [False, False, True, True]
    assert found[3].decided


def test_a_vote_that_fails_blocks(
    voting: Gate, writer: LedgerWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the urn is on fire")

    monkeypatch.setattr(gate, "take_votes", broken)
    found = judged(voting, writer, answer(DEDUCTION, "8"), answer(DEDUCTION, "8"))
    assert [(j.allowed, j.correct, j.reason) for j in found] == [(False, False, "blocked: vote failed")] * 2
    with LedgerReader(tmp_path) as reader:
        assert any("vote failed: RuntimeError" in alert.message for alert in reader.alerts())


# -- dealing ---------------------------------------------------------------------------------------------


def test_the_desk_deals_prompts_in_an_order_of_the_seed_s() -> None:
    config = config_of("rlvr", "problems.per_step=3")
    desk = Desk(config, [*PROBLEMS, Task(id="0123456789abcdef", kind=Kind.QUESTION, program="", inputs=(), outputs=())])
    assert [len(desk.draw(step)) for step in (0, 1, 2, 3)] == [0, 3, 3, 3]
    assert desk.draw(2) == Desk(config, PROBLEMS).draw(2), "a task that a model proposed is no given problem"
    assert {problem.task for step in range(1, 20) for problem in desk.draw(step)} == {task.id for task in PROBLEMS}
    assert desk.draw(1) != Desk(config_of("rlvr", "problems.per_step=3", "run.seed=1"), PROBLEMS).draw(1)
    assert not any(SECRET in problem.prompt for problem in desk.draw(1))


# -- making a run ----------------------------------------------------------------------------------------


def test_a_run_keeps_its_problems_and_their_digest(tmp_path: Path, jail: JailPool) -> None:
    source = tmp_path / "my.jsonl"
    source.write_text('{"kind": "deduction", "program": "def f(x):\\n    return x * 3", "inputs": ["7"]}\n')
    config = config_of("rlvr", source=str(source))
    tasks = finish(gather(config), config, jail)
    with create(tmp_path / "run", config, tasks), LedgerReader(tmp_path / "run") as reader:
        assert list(reader.tasks()) == tasks
        assert tasks[0].outputs == ("21",)
        (notice,) = reader.notices()
    assert f"1 problems from {source}; {COPY} has BLAKE2b-256 " in notice.message
    assert read_problems(tmp_path / "run" / COPY) == tasks


def test_without_labels_no_answer_is_anywhere_in_the_run(tmp_path: Path, jail: JailPool) -> None:
    source = tmp_path / "my.jsonl"
    line = {"kind": "abduction", "program": "def f(x):\n    return x % 10", "inputs": [SECRET]}
    source.write_text(json.dumps({"question": "?", "answer": SECRET}) + "\n" + json.dumps(line) + "\n")
    config = config_of("ttrl", source=str(source))
    with create(tmp_path / "run", config, finish(gather(config), config, jail)):
        pass
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"ledger.db", COPY, "run.toml"}
    assert not [file.name for file in files if SECRET.encode() in file.read_bytes()]


def test_a_regime_and_its_problems_go_together() -> None:
    with pytest.raises(ConfigError, match="needs problems; give --problems FILE"):
        gather(config_of("rlvr", source=""))
    with pytest.raises(ConfigError, match="for the regimes rlvr and ttrl"):
        gather(config_of("azr"))
    assert gather(config_of("azr", source="")) == []


def test_the_grammar_gives_tasks_of_each_kind_by_the_seed_and_none_that_is_held_out() -> None:
    from azr_platform.nano.heldout import held_out_tasks

    tasks = gather(config_of("rlvr", "problems.count=600", source="grammar"))
    assert [task.kind for task in tasks[:3]] == list(SELF_PLAY_KINDS)
    assert len({task.id for task in tasks}) == len(tasks) == 600
    assert all(len(task.inputs) == (6 if task.kind is Kind.INDUCTION else 1) for task in tasks)
    held_out = {program_key(task.program) for task in held_out_tasks()}
    assert len(held_out) > 500
    assert not held_out & {program_key(task.program) for task in tasks}
    assert tasks == gather(config_of("rlvr", "problems.count=600", source="grammar"))
    assert tasks != gather(config_of("rlvr", "problems.count=600", "run.seed=1", source="grammar"))


def test_what_the_grammar_says_is_what_the_jail_computes(jail: JailPool) -> None:
    from msgspec.structs import replace

    config = config_of("rlvr", "problems.count=60", source="grammar")
    tasks = gather(config)
    assert finish([replace(task, outputs=()) for task in tasks], config, jail) == tasks
