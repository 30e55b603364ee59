"""Real faults under a live supervisor: a clear line, an alert or a notice, a safe state, and nothing lost.

Faults of the disk are a small tmpfs, in a mount namespace of the test's own: such a test runs itself again in there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Severity
from azr_monitor.sections import TransformerSettings
from azr_platform.channel.messages import Action
from azr_platform.ledger import schema
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor import recorder
from azr_platform.supervisor.observer import Observer
from azr_sandbox.limits import Limits
from azr_sandbox.nsjail import find_nsjail
from azr_sandbox.pool import JailPool

Supervise = Callable[..., Any]
INSIDE = "AZR_TEST_IN_A_NAMESPACE"


class Alerts(Observer):
    """What a front end was told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def alert(self, severity: Severity, rule: str, message: str) -> None:
        assert severity is Severity.HIGH
        assert rule == "supervisor.ledger"
        self.messages.append(message)


def intact(run: Path) -> bool:
    with LedgerReader(run) as reader:
        return reader.verify().intact


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path | None]:
    """``tmp_path/run`` as a disk of 2 MiB; None where the test has run in there already, and passed."""
    if os.environ.get(INSIDE):
        run = tmp_path / "run"
        run.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(run)], check=True)
        yield run
        return
    may = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*may, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount, not even in a namespace")
    again = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", request.node.nodeid]
    inside = subprocess.run(
        [*may, *again, "--basetemp", str(tmp_path / "inside")],
        cwd=request.config.rootpath,
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert inside.returncode == 0, inside.stdout + inside.stderr
    assert "1 passed" in inside.stdout
    yield None


# -- the ledger's disk -----------------------------------------------------------------------------------

REVIEWS = """
link.hello()
(run / "ready").touch()
wait("go")
(judgement,) = link.review(Phase.SOLVE, [answer("'Hello world'")])
assert not judgement.allowed and judgement.sample == 0 and judgement.reason == "blocked: ledger failed", judgement
link.safe_point("between steps")
(judgement,) = link.review(Phase.SOLVE, [answer("'Hello world'")])
assert judgement.allowed and judgement.correct and judgement.sample > 0, judgement
link.finished()
"""


def fill(disk: Path) -> None:
    """Until not one byte more fits."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        size = 1 << 16
        while size:
            try:
                ballast.write(b"x" * size)
            except OSError:
                size //= 2


@pytest.mark.slow
def test_a_full_disk_blocks_pauses_and_loses_nothing(
    disk: Path | None, supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    if disk is None:
        return
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.05)
    told = Alerts()

    def fill_and_free(live: Any) -> None:
        live.until_seen("ready")
        (disk / "go").touch()  # needs room itself
        (disk / "go").rename(disk / "held")
        fill(disk)
        (disk / "held").rename(disk / "go")
        live.until(lambda status: status.state == "pausing")
        (disk / "ballast").unlink()
        status = live.until(lambda status: status.state == "paused")
        assert "full" in status.reason
        assert live.order(Action.RESUME).ok

    ended = supervise(REVIEWS, fill_and_free, observer=told)
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert "database or disk is full" in told.messages[0]
    assert "Free some space on its disk" in told.messages[0]
    assert ended.rows("SELECT correct FROM samples") == [(1,)]
    assert intact(ended.run)


@pytest.mark.slow
def test_a_run_on_a_read_only_disk_can_be_read_and_not_continued(disk: Path | None, supervise: Supervise) -> None:
    if disk is None:
        return
    ended = supervise("link.hello()\nlink.safe_point('between steps')\nlink.finished()\n")
    assert ended.status == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "azr_platform", *arguments], capture_output=True, text=True)

    status = command("status", str(disk))
    assert (status.returncode, status.stderr) == (0, "")
    assert "finished" in status.stdout
    refused = command("rollback", str(disk), "--to", "0")
    assert refused.returncode == 5
    assert refused.stderr.count("\n") == 1
    assert "Read-only file system" in refused.stderr
    assert "Make the run's folder and what is in it writable" in refused.stderr


def test_a_ledger_that_another_program_holds_is_waited_for(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.05)
    told = Alerts()
    hold = (
        "import sqlite3, sys; ledger = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60); "
        "ledger.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    )

    def hold_and_let_go(live: Any) -> None:
        live.until_seen("ready")
        with subprocess.Popen(
            [sys.executable, "-c", hold, str(live.run / "ledger.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            live.say("go")
            live.until(lambda status: status.state == "pausing")
            other.communicate("")
        live.until(lambda status: status.state == "paused")
        assert live.order(Action.RESUME).ok

    ended = supervise(REVIEWS, hold_and_let_go, observer=told)
    assert ended.states[-1] == "finished"
    assert "database is locked" in told.messages[0]
    assert "Another program holds it" in told.messages[0]
    assert ended.rows("SELECT correct FROM samples") == [(1,)]
    assert intact(ended.run)


def test_a_log_that_somebody_removes_loses_no_row(supervise: Supervise) -> None:
    body = """
link.hello()
for step in range(4):
    link.step = step
    (run / f"at-{step}").touch()
    wait(f"go-{step}")
    (judgement,) = link.review(Phase.SOLVE, [answer("'Hello world'")])
    assert judgement.allowed
link.finished()
"""

    def remove(live: Any) -> None:
        for step in range(4):
            live.until_seen(f"at-{step}")
            if step in (1, 2):
                (live.run / "ledger.db-wal").unlink()
            live.say(f"go-{step}")

    ended = supervise(body, remove)
    assert ended.status == 0
    assert ended.rows("SELECT step FROM samples ORDER BY id") == [(0,), (1,), (2,), (3,)]
    notices = [message for (message,) in ended.rows("SELECT message FROM notices WHERE source = 'ledger'")]
    assert notices == ["ledger.db-wal was removed or replaced while the run went on; its rows were saved"] * 2
    assert intact(ended.run)


# -- the jail --------------------------------------------------------------------------------------------


def test_an_nsjail_that_vanishes_blocks_and_pauses_until_it_is_back(
    supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nsjail = copy_of(find_nsjail(), tmp_path / "copy")
    monkeypatch.setenv("NSJAIL", str(nsjail))
    body = """
def propose(number):
    blocks = f"```python\\ndef f(x):\\n    return x + {number}\\n```\\n```input\\n1\\n```"
    text = f"<think>new</think>\\n<answer>\\n{blocks}\\n</answer>"
    sample = Submission(uid="u", role=Role.PROPOSE, kind=Kind.DEDUCTION, prompt="p", response=text, tokens=3)
    return link.review(Phase.PROPOSE, [sample])[0]

link.hello()
assert propose(1).valid
(run / "ready").touch()
wait("go")
for number in range(2, 5):
    judgement = propose(number)
    assert not judgement.allowed and judgement.reason == "blocked: jail failed", judgement
link.safe_point("between steps")
judgement = propose(5)
assert judgement.allowed and judgement.valid, judgement
link.finished()
"""

    with JailPool(Limits(wall_s=60.0, cpu_s=20), workers=1) as pool:

        def vanish(live: Any) -> None:
            live.until_seen("ready")
            nsjail.rename(tmp_path / "away")
            for pid in pool.process_ids:
                os.kill(pid, signal.SIGKILL)
            live.say("go")
            status = live.until(lambda status: status.state == "paused")
            assert "jail failed" in status.reason
            (tmp_path / "away").rename(nsjail)
            assert live.order(Action.RESUME).ok

        ended = supervise(body, vanish, jail=pool)
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    alerts = ended.rows("SELECT DISTINCT message FROM alerts WHERE message LIKE '%JailUnavailable%'")
    assert len(alerts) == 1
    assert f"{nsjail} is gone" in alerts[0][0]
    assert "put it back" in alerts[0][0]
    assert intact(ended.run)


def copy_of(program: Path, folder: Path) -> Path:
    """A program of a wheel's finds its libraries in a folder beside its package."""
    site = program.parents[2]
    copy = folder / program.relative_to(site)
    copy.parent.mkdir(parents=True)
    shutil.copy(program, copy)
    for libraries in site.glob("*nsjail*.libs"):
        (folder / libraries.name).symlink_to(libraries)
    return copy


# -- a classifier ----------------------------------------------------------------------------------------


@pytest.fixture
def tiny_classifier(tmp_path: Path) -> Any:
    """A real one of random weights, and the policy that asks it and heeds none of its scores."""
    pytest.importorskip("torch", reason="classifiers need the training extra")
    transformers = pytest.importorskip("transformers", reason="classifiers need the training extra")
    from azr_monitor.classifiers.transformer import load_transformer

    folder = tmp_path / "classifier"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", "hello", "world"]
    transformers.BertTokenizerFast({word: at for at, word in enumerate(words)}).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = transformers.BertConfig(vocab_size=len(words), num_labels=2, **sizes)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    entry = TransformerSettings(kind="transformer", name="tiny", path=str(folder), min_words=0)
    classifier = load_transformer(entry)
    policy = load_policy("default").model_copy(update={"classifiers": (entry,), "rates": ()})
    return classifier, Auditor(policy, [classifier])


def test_a_classifier_that_crashes_blocks_and_pauses_until_it_is_back(
    supervise: Supervise, tiny_classifier: Any
) -> None:
    """Its memory is damaged while the run goes on: every pass through the model raises."""
    classifier, judge = tiny_classifier
    body = """
from msgspec.structs import replace

def review(number):  # a text that it has not read yet
    sample = answer("'Hello world'")
    return link.review(Phase.SOLVE, [replace(sample, response=sample.response.replace("so", f"hello {number}"))])[0]

link.hello()
assert review(1).allowed
(run / "ready").touch()
wait("go")
for number in range(2, 5):
    judgement = review(number)
    assert not judgement.allowed and judgement.reason.startswith("blocked: tiny failed: IndexError"), judgement
link.safe_point("between steps")
judgement = review(5)
assert judgement.allowed and judgement.correct, judgement
link.finished()
"""

    def crash(live: Any) -> None:
        live.until_seen("ready")
        embeddings = classifier._model.get_input_embeddings()
        whole = embeddings.weight.data
        embeddings.weight.data = whole[:1]  # the tokens beyond are out of range
        live.say("go")
        status = live.until(lambda status: status.state == "paused")
        assert "tiny failed" in status.reason
        embeddings.weight.data = whole
        assert live.order(Action.RESUME).ok

    ended = supervise(body, crash, judge=judge)
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert ended.rows("SELECT allowed FROM verdicts ORDER BY id") == [(1,), (0,), (0,), (0,), (1,)]
    alerts = [message for (message,) in ended.rows("SELECT message FROM alerts")]
    assert "tiny failed: IndexError: index out of range in self" in alerts
    assert intact(ended.run)


# -- the clock -------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_back_disturbs_neither_the_run_nor_its_record(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may set the machine's clock in a test: the supervisor reads one that goes back at each reading."""
    readings = iter(range(2_000_000_000, 0, -1000))
    body = """
link.hello()
for step in range(3):
    link.step = step
    link.safe_point("between steps")
    (judgement,) = link.review(Phase.SOLVE, [answer("'Hello world'")])
    assert judgement.allowed
    done()
    checkpoint(step)
link.finished()
"""

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: float(next(readings)))
        ended = supervise(body)
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    with LedgerReader(ended.run) as reader:
        assert reader.verify().intact
        assert reader.state().state == "finished"
        assert [row.step for row in reader.line_checkpoints()] == [0, 1, 2]
        assert all(seconds >= 0 for seconds in reader.step_seconds())
