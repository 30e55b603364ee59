"""Pages of samples, alerts, tasks and records: however they are narrowed, they hold what a look at all rows finds."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from azr_platform.ledger.filters import AlertFilter, AlertState, Judged, SampleFilter, TaskFilter, TaskOrder
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.reads import pages
from azr_platform.ledger.records import MetricSpan
from azr_platform.ledger.search import SearchIndex
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Task
from azr_platform.tasks.prompts import propose_prompt

RULES = ("trace.harm.a", "trace.harm.b", "program.exec", "behaviour.time", "monitor.failure")
ACTIONS = (0, 1, 2, 6)
NEW_INDEXES = (
    "samples_narrow",
    "samples_attempts",
    "findings_rule_sample",
    "metrics_curve",
    "rewards_reward",
    "tasks_kind",
    "tasks_program",
    "tasks_step",
    "alert_acks_alert",
    "verdicts_score",
)


class Truth(NamedTuple):
    """What was written of one sample."""

    id: int
    role: str
    kind: str
    step: int
    action: int
    rules: tuple[str, ...]
    reward: float | None
    decided: bool
    response: str
    score: float
    task: str


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Truth]]:
    """Two branches, 400 samples with every combination of what lists are narrowed to."""
    run = tmp_path_factory.mktemp("pages")
    rng, truths = random.Random(5), []
    with LedgerWriter(run) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 90, "config": ""})
        for number, branch in ((1, None), (2, 1)):
            batch.add("branches", {"created_at": 1.0, "parent": branch, "from_step": 20 * (number - 1), "reason": ""})
        for number in range(400):
            branch, step = (1, number // 10) if number < 250 else (2, 20 + (number - 250) // 10)
            response = " ".join(rng.sample(("apple", "pear", "fig", "plum"), 2))
            truth = Truth(
                number + 1,
                rng.choice(("propose", "solve")),
                rng.choice(("deduction", "abduction", "induction")),
                step,
                rng.choice(ACTIONS),
                tuple(rng.sample(RULES, rng.choice((0, 0, 1, 2)))),
                None,
                rng.random() < 0.3,
                response,
                rng.choice((0.0, 0.1, 0.5, 0.93)),
                f"task-{number % 7}",
            )
            if truth.action != 2:
                truth = truth._replace(reward=rng.choice((-0.5, 0.0, 0.25, 1.0)))
            truths.append(truth)
            place = {"branch": branch, "step": step}
            texts = {"prompt": "p", "response": response, "role": truth.role, "kind": truth.kind}
            fixed = {"time": 1.0, "uid": "u", "phase": "solve", "well_formed": True}
            batch.add("samples", {**place, **texts, **fixed, "task": truth.task})
            verdict = {"allowed": truth.action not in (2, 6), "action": truth.action, "severity": 1}
            batch.add("verdicts", {"sample": truth.id, **verdict, "score": truth.score, "reason": "r"})
            for rule in truth.rules:
                batch.add("findings", {"sample": truth.id, "rule": rule, "severity": 2, "part": "trace", "why": "w"})
            if truth.reward is not None:
                batch.add("rewards", {"sample": truth.id, **place, "reward": truth.reward, "advantage": 0.0})
            if truth.decided:
                batch.add("decisions", {"sample": truth.id, "decision": "block", "who": "me", "digest": "d"})
    return run, truths


@pytest.fixture(params=["all", "rare", "older"])
def run(
    request: pytest.FixtureRequest, written: tuple[Path, list[Truth]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The ledger as it is; with a low bound for what counts as rare; and without the indexes, as m008 left it."""
    if request.param == "rare":
        monkeypatch.setattr(pages, "_RARE", 20)
        monkeypatch.setattr(pages, "_FIRST_SIFT", 4)
    if request.param != "older":
        return written[0]
    (tmp_path / "ledger.db").write_bytes((written[0] / "ledger.db").read_bytes())
    without_pages(tmp_path)
    return tmp_path


def without_pages(run: Path) -> None:
    """Take the migration m009 back."""
    with closing(sqlite3.connect(run / "ledger.db")) as connection:
        for index in NEW_INDEXES:
            connection.execute(f"DROP INDEX {index}")
        connection.execute("CREATE INDEX idx_samples_task ON samples(task)")
        connection.execute("CREATE INDEX idx_findings_rule ON findings(rule)")
        connection.execute("CREATE INDEX idx_metrics_name_branch_step ON metrics(name, branch, step)")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm009_pages'")
        connection.commit()


JUDGED: dict[Judged, Callable[[Truth], bool]] = {
    Judged.ALLOWED: lambda truth: truth.action not in (2, 6),
    Judged.BLOCKED: lambda truth: truth.action in (2, 6),
    Judged.HELD: lambda truth: truth.action == 6,
    Judged.FLAGGED: lambda truth: bool(truth.rules),
    Judged.WAITING: lambda truth: (
        truth.action > 0
        and not truth.decided
        and "monitor.failure" not in truth.rules
        and (truth.action == 6 or any(rule != "behaviour.time" for rule in truth.rules))
    ),
}


def passes(wanted: SampleFilter, truth: Truth) -> bool:
    rules = [wanted.rule] if wanted.rule in RULES else [rule for rule in RULES if rule.startswith("trace.harm.")]
    return (
        wanted.role in (None, truth.role)
        and wanted.kind in (None, truth.kind)
        and (wanted.judged is None or JUDGED[wanted.judged](truth))
        and (wanted.rule is None or any(rule in truth.rules for rule in rules))
        and (wanted.first_step is None or truth.step >= wanted.first_step)
        and (wanted.last_step is None or truth.step <= wanted.last_step)
        and (wanted.least_reward is None or (truth.reward is not None and truth.reward >= wanted.least_reward))
        and (wanted.most_reward is None or (truth.reward is not None and truth.reward <= wanted.most_reward))
        and (wanted.least_score is None or truth.score >= wanted.least_score)
        and (wanted.most_score is None or truth.score <= wanted.most_score)
        and (wanted.task is None or truth.task == wanted.task)
        and all(word in truth.response for word in wanted.text.split())
    )


def filters() -> Iterator[SampleFilter]:
    """Every pair of parts, and many larger sets of them."""
    parts: list[dict[str, object]] = [
        {"role": "solve"},
        {"kind": "abduction"},
        *({"judged": judged} for judged in Judged),
        {"rule": "program.exec"},
        {"rule": "trace.harm.*"},
        {"first_step": 22},
        {"first_step": 3, "last_step": 21},
        {"least_reward": 0.2},
        {"least_reward": -1.0, "most_reward": 0.0},
        {"least_score": 0.5},
        {"least_score": 0.05, "most_score": 0.6},
        {"task": "task-3"},
        {"oldest_first": True},
    ]
    yield SampleFilter()
    for size in (1, 2):
        for chosen in itertools.combinations(parts, size):
            yield SampleFilter(**{name: value for part in chosen for name, value in part.items()})  # type: ignore[arg-type]
    rng = random.Random(1)
    for _ in range(60):
        chosen = tuple(rng.sample(parts, rng.randint(3, 6)))
        yield SampleFilter(**{name: value for part in chosen for name, value in part.items()})  # type: ignore[arg-type]


def all_pages(page: Callable[[int | None], list[int]], size: int) -> list[int]:
    found: list[int] = []
    while True:
        rows = page(found[-1] if found else None)
        assert len(rows) <= size
        found += rows
        if len(rows) < size:
            return found


def test_pages_hold_what_their_filter_lets_pass_in_order(run: Path, written: tuple[Path, list[Truth]]) -> None:
    seen = 0
    with LedgerReader(run) as reader:
        for wanted in filters():
            found = all_pages(
                lambda beyond, wanted=wanted: [  # type: ignore[misc]
                    row.id for row in reader.samples_page(wanted, limit=37, beyond=beyond)
                ],
                37,
            )
            expected = [truth.id for truth in written[1] if passes(wanted, truth)]
            assert found == (expected if wanted.oldest_first else expected[::-1]), wanted
            seen += len(expected)
    assert seen > 2000


def test_a_search_is_narrowed_like_any_list(run: Path, written: tuple[Path, list[Truth]]) -> None:
    with LedgerReader(run) as reader, SearchIndex(reader) as index:
        index.update()
        for wanted in itertools.islice(filters(), 40):
            sought = type(wanted)(**{**_fields(wanted), "text": "fig pear"})
            found = all_pages(
                lambda beyond, sought=sought: [  # type: ignore[misc]
                    found.sample.id for found in index.page(sought, limit=11, beyond=beyond)
                ],
                11,
            )
            expected = [truth.id for truth in written[1] if passes(sought, truth)]
            assert found == (expected if wanted.oldest_first else expected[::-1]), sought
        for found_one in index.page(SampleFilter(text="fig"), limit=5):
            text, spans = found_one.snippet
            assert [text[start:end] for start, end in spans] == ["fig"]


def _fields(wanted: SampleFilter) -> dict[str, object]:
    return {name: getattr(wanted, name) for name in wanted.__struct_fields__}


def test_a_list_reads_only_the_rows_that_it_shows(written: tuple[Path, list[Truth]]) -> None:
    """Samples hold long texts: what is only looked at must come from the narrow index."""
    with LedgerReader(written[0]) as reader:
        asked: list[str] = []
        reader._connection.set_trace_callback(asked.append)
        for wanted in filters():
            reader.samples_page(wanted, limit=1)
        reader._connection.set_trace_callback(None)
        chosen = [query for query in asked if query.lstrip().startswith("SELECT s.id FROM samples s INDEXED")]
        assert len(chosen) > 100
        for query in chosen[::10]:
            plan = [row[3] for row in reader._query(f"EXPLAIN QUERY PLAN {query}")]
            assert any("s USING COVERING INDEX samples_narrow" in line for line in plan), plan


# -- alerts and records ------------------------------------------------------------------------------------


@pytest.fixture
def reader_and_writer(run_folder: Path) -> Iterator[tuple[LedgerReader, LedgerWriter]]:
    with LedgerWriter(run_folder) as writer, LedgerReader(run_folder) as reader:
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        yield reader, writer


def test_alerts_are_narrowed_counted_and_paged(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> None:
    reader, writer = reader_and_writer
    with writer.batch() as batch:
        for number in range(1, 41):
            rule = ("trace.a", "trace.b", "metric.c")[number % 3]
            sample = number if number % 2 else None
            place = {"time": 1.0, "branch": 1, "step": number // 4, "sample": sample}
            batch.add("alerts", {**place, "severity": number % 4, "rule": rule, "message": "m"})
            if number % 5 == 0:
                batch.add("alert_acks", {"time": 2.0, "alert": number, "who": "me"})

    def ids(wanted: AlertFilter) -> list[int]:
        return all_pages(lambda beyond: [row.id for row in reader.alerts_page(wanted, limit=6, beyond=beyond)], 6)

    everything = range(1, 41)
    assert ids(AlertFilter()) == list(everything)[::-1]
    assert ids(AlertFilter(oldest_first=True)) == list(everything)
    assert ids(AlertFilter(severity=2, oldest_first=True)) == [n for n in everything if n % 4 >= 2]
    assert ids(AlertFilter(rule="trace.*", oldest_first=True)) == [n for n in everything if n % 3 != 2]
    assert ids(AlertFilter(rule="trace.b", with_sample=False)) == [n for n in everything if n % 6 == 4][::-1]
    assert ids(AlertFilter(with_sample=True, last_step=3, oldest_first=True)) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert ids(AlertFilter(state=AlertState.OPEN, first_step=9)) == [39, 38, 37, 36]
    acknowledged = AlertFilter(state=AlertState.ACKNOWLEDGED, severity=3)
    assert ids(acknowledged) == [35, 15]
    nothing = dict.fromkeys(AlertState, 0)
    assert reader.alert_counts(acknowledged) == {**nothing, AlertState.OPEN: 8, AlertState.ACKNOWLEDGED: 2}
    assert reader.alert_counts(AlertFilter(rule="nothing")) == nothing
    assert ids(AlertFilter(text="M", first_step=10)) == [40] and ids(AlertFilter(text="mm")) == []
    with writer.batch() as batch:
        sample = batch.add("samples", {"uid": "u"})
        for rule in ("trace.b", "program.z", "program.z"):
            batch.add("findings", {"sample": sample, "rule": rule, "severity": 1, "part": "trace", "why": ""})
    assert reader.rule_names() == ["metric.c", "program.z", "trace.a", "trace.b"]


def test_what_alerts_came_to_narrows_and_counts_them(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> None:
    reader, writer = reader_and_writer
    outcomes = {2: "resolved", 3: "false-alarm", 4: "resolved"}
    with writer.batch() as batch:
        for number in range(1, 7):
            sample = 10 * number if number != 5 else None
            alert = {"time": 1.0, "branch": 1, "step": 1, "rule": "r", "message": "m", "sample": sample}
            batch.add("alerts", {**alert, "severity": 4 if number < 5 else 2})
            if number in (1, 2, 3, 4):
                batch.add("alert_acks", {"time": 2.0, "alert": number, "who": "me"})
        for number, outcome in outcomes.items():
            batch.add("alert_outcomes", {"time": 3.0, "alert": number, "outcome": outcome, "who": "me"})

    def ids(state: AlertState) -> list[int]:
        return [row.id for row in reader.alerts_page(AlertFilter(state=state))]

    assert {state: ids(state) for state in AlertState} == {
        AlertState.OPEN: [6, 5],
        AlertState.ACKNOWLEDGED: [1],
        AlertState.RESOLVED: [4, 2],
        AlertState.FALSE_ALARM: [3],
    }
    assert {state: len(ids(state)) for state in AlertState} == reader.alert_counts(AlertFilter())
    assert {row.id: row.outcome for row in reader.alerts() if row.outcome} == outcomes
    assert [row.id for row in reader.sample_alerts([30, 60, 70])] == [3, 6]
    worst, alert = reader.worst_open_alert(), reader.alert(4)
    assert worst is not None and worst.id == 6 and alert is not None and alert.outcome == "resolved"
    assert [reader.alert(number) for number in (0, 99, 2**63)] == [None] * 3


def test_counts_follow_what_is_recorded_later(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> None:
    """They are added to, never counted anew; an alert may be acknowledged at once, later, twice, or never."""
    reader, writer = reader_and_writer
    rng, blocked, acknowledged = random.Random(3), 0, set()
    for round_ in range(1, 30):
        with writer.batch() as batch:
            for _ in range(rng.randint(0, 3)):
                sample = batch.add("samples", {"uid": "u"})
                allowed = rng.random() < 0.5
                blocked += not allowed
                batch.add("verdicts", {"sample": sample, "allowed": allowed})
            alert = batch.add("alerts", {"time": 1.0, "rule": "r", "severity": 1, "message": ""})
            if rng.random() < 0.6:
                chosen = rng.randint(1, alert)
                acknowledged.add(chosen)
                batch.add("alert_acks", {"time": 1.0, "alert": chosen})
        if rng.random() < 0.7:
            with LedgerReader(reader.run_folder) as fresh:
                expected = fresh.summary()
            summary = reader.summary()
            assert (summary.samples, summary.blocked) == (expected.samples, expected.blocked)
            assert summary.blocked == blocked
            assert summary.alerts_open == expected.alerts_open == round_ - len(acknowledged)


def test_controls_and_notices_come_in_pages(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> None:
    reader, writer = reader_and_writer
    with writer.batch() as batch:
        for number in range(1, 8):
            who = "policy" if number % 2 else "ada"
            batch.add("controls", {"time": 1.0, "who": who, "action": "pause", "arguments": "{}", "outcome": "done"})
            batch.add("notices", {"time": 1.0, "source": who, "message": f"{number}"})
    assert [row.id for row in reader.controls_page(limit=3)] == [7, 6, 5]
    assert [row.id for row in reader.controls_page(limit=3, beyond=5)] == [4, 3, 2]
    assert [row.id for row in reader.controls_page(who="ada", oldest_first=True, beyond=2)] == [4, 6]
    assert [(row.id, row.message) for row in reader.notices_page(limit=2)] == [(7, "7"), (6, "6")]
    assert [row.id for row in reader.notices_page(source="policy", beyond=5)] == [3, 1]


# -- tasks -------------------------------------------------------------------------------------------------


def program(number: int) -> str:
    return f"def f(x):\n    # é {'x' * number}\n    return x + {number}"


def task(number: int, kind: Kind = Kind.DEDUCTION) -> Task:
    return Task(id=f"t{number}", kind=kind, program=program(number), inputs=("1",), outputs=("2",), message="m")


@pytest.fixture
def family(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> LedgerReader:
    """Tasks 0 and 1 were given; 2 was proposed with both shown, 3 with 2 shown. Task n was tried n times."""
    reader, writer = reader_and_writer

    def propose(step: int, number: int, shown: tuple[int, ...], style: str) -> None:
        prompt = propose_prompt(Kind.DEDUCTION, [task(each) for each in shown], style)  # type: ignore[arg-type]
        with writer.batch() as batch:
            place = {"branch": 1, "step": step}
            sample = None
            if shown:
                texts = {"prompt": prompt, "response": "words", "role": "propose", "task": f"t{number}"}
                sample = batch.add("samples", {**place, **texts, "uid": "u", "kind": "deduction"})
            one = task(number)
            texts = {"inputs": json.dumps(one.inputs), "outputs": json.dumps(one.outputs), "shown": 1, "message": "m"}
            batch.add("tasks", {"sample": sample, **place, "task": one.id, "kind": one.kind.value, **texts,
                                "program": one.program})  # fmt: skip
            for attempt in range(number):
                answer = {"role": "solve", "task": one.id, "correct": attempt == 0, "uid": "u", "response": "x"}
                batch.add("samples", {**place, **answer, "kind": "deduction"})

    propose(0, 0, (), "full")
    propose(0, 1, (), "full")
    propose(1, 2, (0, 1), "full")
    propose(2, 3, (2,), "compact")
    return reader


def test_tasks_are_ordered_by_how_hard_and_how_used_they_are(family: LedgerReader) -> None:
    def names(order: TaskOrder, kind: str | None = None) -> list[str]:
        found: list[str] = []
        page = family.tasks_page(TaskFilter(kind=kind, order=order), limit=1)
        while page:
            found += [row.task for row in page]
            page = family.tasks_page(TaskFilter(kind=kind, order=order), limit=1, beyond=page[-1])
        return found

    assert names(TaskOrder.NEWEST) == ["t3", "t2", "t1", "t0"]
    assert names(TaskOrder.OLDEST, "deduction") == ["t0", "t1", "t2", "t3"]
    assert names(TaskOrder.HARDEST) == ["t3", "t2", "t1", "t0"]
    assert names(TaskOrder.EASIEST) == ["t1", "t2", "t3", "t0"]
    assert names(TaskOrder.MOST_USED) == ["t3", "t2", "t1", "t0"]
    assert names(TaskOrder.NEWEST, "abduction") == []
    assert family.task_counts() == {"deduction": 4}
    newest, *_ = family.tasks_page(TaskFilter(order=TaskOrder.HARDEST))
    assert (newest.attempts, newest.correct, newest.rate, newest.step) == (3, 1, 1 / 3, 2)
    assert family.tasks_page(TaskFilter(order=TaskOrder.OLDEST))[0].rate is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (TaskFilter(first_step=1), ["t3", "t2"]),
        (TaskFilter(first_step=0, last_step=1), ["t2", "t1", "t0"]),
        (TaskFilter(least_rate=0.5), ["t2", "t1"]),
        (TaskFilter(most_rate=0.4), ["t3"]),
        (TaskFilter(most_used=1), ["t1", "t0"]),
        (TaskFilter(least_used=2, order=TaskOrder.EASIEST), ["t2", "t3"]),
        (TaskFilter(least_rate=0.1, order=TaskOrder.HARDEST), ["t3", "t2", "t1"]),
        (TaskFilter(text="T2"), ["t2"]),
        (TaskFilter(text="no such words"), []),
    ],
)
def test_tasks_are_narrowed_by_what_came_of_them(family: LedgerReader, wanted: TaskFilter, expected: list[str]) -> None:
    assert [row.task for row in family.tasks_page(wanted)] == expected
    first, *rest = [*family.tasks_page(wanted, limit=1), *[None] * 2][:2]
    if first is not None:
        assert [row.task for row in family.tasks_page(wanted, beyond=first)] == expected[1:]
    assert rest == [None]


def test_a_task_knows_its_attempts_and_its_family(family: LedgerReader) -> None:
    detail = family.task("t2")
    assert detail is not None and detail.task.sample is not None
    assert (detail.program, detail.inputs, detail.outputs) == (program(2), ["1"], ["2"])
    assert family.task("t9") is None
    attempts = family.attempts("t3")
    assert [row.correct for row in attempts] == [1, 0, 0]
    assert family.attempts("t3", limit=1, beyond=attempts[0].id) == attempts[1:2]
    assert [row.task for row in family.references(detail.task.sample)] == ["t0", "t1"]
    assert family.references(999) == []
    with SearchIndex(family) as index:
        index.update()
        assert [row.task for row in index.descendants("t1")] == ["t2"]
        assert [row.task for row in index.descendants("t2")] == ["t3"]
        assert index.descendants("t3") == []
        assert index.uses(["t0", "t3"]) == {"t0": 1, "t3": 0}


def test_a_program_that_quotes_another_adds_to_no_list_what_was_not_shown(
    reader_and_writer: tuple[LedgerReader, LedgerWriter],
) -> None:
    """A text that looks like a shown program and is no task's is left out, whatever characters it holds."""
    reader, writer = reader_and_writer
    writer.append("samples", {"role": "propose", "prompt": "```python\ndef f(): '\0%s{}'\n```\n```python\n```"})
    assert reader.references(1) == []


# -- rules, checkpoints, metrics ---------------------------------------------------------------------------


def test_what_a_rule_found_is_counted_over_steps(run: Path, written: tuple[Path, list[Truth]]) -> None:
    with LedgerReader(run) as reader:
        hits = {row.rule: row for row in reader.rule_hits()}
        spans = reader.rule_steps(bins=4)
        assert reader.rule_span(4) == 1  # no step is on record as done: all later ones go to the last span
        for rule in RULES:
            found = [truth for truth in written[1] if rule in truth.rules]
            assert (hits[rule].samples, hits[rule].findings) == (len(found), len(found))
            assert (hits[rule].first_sample, hits[rule].last_sample) == (found[0].id, found[-1].id)
            expected = [0] * 4
            for truth in found:
                expected[min(truth.step, 3)] += 1
            assert sum(spans[rule]) == len(found)
            assert spans[rule] == expected, rule
        assert reader.rule_steps(bins=4, rule="program.exec") == {"program.exec": spans["program.exec"]}


def test_what_rules_found_is_added_to(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> None:
    """Whoever asks again hears the same as who asks for the first time."""
    reader, writer = reader_and_writer
    rng = random.Random(4)
    for step in range(12):
        with writer.batch() as batch:
            for _ in range(rng.randint(0, 4)):
                sample = batch.add("samples", {"uid": "u", "branch": 1, "step": step})
                for rule in rng.choices(RULES[:3], k=rng.randint(0, 4)):  # one rule may find several things in it
                    finding = {"rule": rule, "severity": rng.randint(0, 3), "part": "trace", "why": ""}
                    batch.add("findings", {"sample": sample, **finding})
            batch.add("steps", {"branch": 1, "step": step, "started_at": 1.0, "seconds": 1.0})
        with LedgerReader(reader.run_folder) as fresh:
            assert reader.rule_hits() == fresh.rule_hits()
            assert reader.rule_steps(bins=5) == fresh.rule_steps(bins=5)
    hits = {row.rule: row for row in reader.rule_hits()}
    findings = list(reader._query("SELECT rule, count(*), count(DISTINCT sample) FROM findings GROUP BY rule"))
    assert len(findings) == 3
    for rule, count, samples in findings:
        assert (hits[rule].findings, hits[rule].samples) == (count, samples)
        assert sum(reader.rule_steps(bins=5)[rule]) == samples


def test_a_metric_is_told_in_spans_that_keep_its_bounds(
    reader_and_writer: tuple[LedgerReader, LedgerWriter],
) -> None:
    reader, writer = reader_and_writer
    rng = random.Random(2)
    values = {step: rng.gauss(0, 1) for step in range(200)}
    with writer.batch() as batch:
        for parent, from_step in ((None, 0), (1, 99)):
            batch.add("branches", {"created_at": 1.0, "parent": parent, "from_step": from_step, "reason": ""})
        for step in range(150):  # what the second branch leaves behind does not count
            value = values[step] if step < 100 else 1e9
            batch.add("metrics", {"branch": 1, "step": step, "name": "loss", "value": value})
        for step in range(100, 200):
            value = float("nan") if step == 120 else values[step]
            batch.add("metrics", {"branch": 2, "step": step, "name": "loss", "value": value})
    del values[120]
    for points in (1, 7, 40):
        spans = reader.metric_span("loss", 0, 199, points)
        assert len(spans) <= points
        assert sum(span.count for span in spans) == 199
        for span in spans:
            inside = [value for step, value in values.items() if span.first_step <= step <= span.last_step]
            assert (span.low, span.high, span.count) == (min(inside), max(inside), len(inside))
            assert span.mean == pytest.approx(sum(inside) / len(inside))
    assert [(span.first_step, span.low) for span in reader.metric_span("loss", 98, 101, 4)] == [
        (step, values[step]) for step in (98, 99, 100, 101)
    ]
    assert reader.metric_span("nothing", 0, 199) == []
    newest = reader.newest_metric()
    writer.append("metrics", {"branch": 2, "step": 200, "name": "loss", "value": 1.5})
    assert reader.metrics_after(newest) == [(newest + 1, 2, 200, "loss", 1.5)]
    assert reader.metrics_after(newest + 1) == []


def test_a_program_is_found_by_its_length_and_its_middle(written: tuple[Path, list[Truth]]) -> None:
    with LedgerReader(written[0]) as reader:
        asked: list[str] = []
        reader._connection.set_trace_callback(asked.append)
        assert reader._task_named_by("def f(x):\n    return x") is None
        reader._connection.set_trace_callback(None)
        (plan,) = (row[3] for row in reader._query(f"EXPLAIN QUERY PLAN {asked[0]}") if "tasks" in row[3])
        assert "INDEX tasks_program (<expr>=? AND <expr>=?)" in plan


@pytest.mark.parametrize("order", [TaskOrder.HARDEST, TaskOrder.EASIEST, TaskOrder.MOST_USED])
def test_answers_that_come_later_are_added_to_those_counted(
    family: LedgerReader, reader_and_writer: tuple[LedgerReader, LedgerWriter], order: TaskOrder
) -> None:
    wanted = TaskFilter(order=order)
    assert family.tasks_page(wanted)
    for name, correct in (("t0", 1), ("t0", 0), ("t3", 1), ("t3", None), ("never recorded", 1)):
        with reader_and_writer[1].batch() as batch:
            answer = {"role": "solve", "task": name, "correct": correct, "uid": "u", "response": "x"}
            batch.add("samples", {"branch": 1, "step": 3, "kind": "deduction", **answer})
        with LedgerReader(family.run_folder) as afresh:
            assert family.tasks_page(wanted) == afresh.tasks_page(wanted)
    with reader_and_writer[1].batch() as batch:
        texts = {"inputs": "[]", "outputs": "[]", "shown": 1, "message": "", "program": "pass"}
        batch.add("tasks", {"branch": 1, "step": 3, "task": "never recorded", "kind": "deduction", **texts})
    found = {row.task: (row.attempts, row.correct) for row in family.tasks_page(wanted)}
    assert found == {"t0": (2, 1), "t1": (1, 1), "t2": (2, 1), "t3": (5, 2), "never recorded": (1, 1)}


def test_metrics_that_come_later_are_added_to_those_summed_up(
    reader_and_writer: tuple[LedgerReader, LedgerWriter],
) -> None:
    reader, writer = reader_and_writer
    assert reader.metric_totals() == {}
    branches = [{"created_at": 1.0, "parent": parent, "from_step": 1, "reason": ""} for parent in (None, 1)]
    with writer.batch() as batch:
        for row in branches:
            batch.add("branches", row)
    losses = [(1, 1, 4.0), (1, 2, 2.0), (2, 2, 8.0), (1, 3, 1.0)]
    for branch, step, name, value in [(1, 1, "entropy", None), *((*at, "loss", value) for *at, value in losses)]:
        with writer.batch() as batch:
            batch.add("metrics", {"branch": branch, "step": step, "name": name, "value": value})
        with LedgerReader(reader.run_folder) as afresh:
            for line in (1, 2, None):
                assert reader.metric_totals(line) == afresh.metric_totals(line)
    assert reader.metric_totals(2) == {"loss": MetricSpan(1, 2, 4.0, 6.0, 8.0, 2)}
    assert reader.metric_totals(1)["loss"] == MetricSpan(1, 3, 1.0, 7 / 3, 4.0, 3)


def test_a_run_without_tasks_has_none_in_any_order(reader_and_writer: tuple[LedgerReader, LedgerWriter]) -> None:
    for order in TaskOrder:
        assert reader_and_writer[0].tasks_page(TaskFilter(order=order)) == []
    assert reader_and_writer[0].tasks_page(TaskFilter(least_used=1)) == []
