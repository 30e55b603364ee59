"""The supervisor against trainers, clients and operators that do the wrong thing at the wrong time."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from azr_monitor.records import Action as Act
from azr_monitor.records import Severity
from azr_monitor.sections import Leave
from azr_platform.channel.client import SOCKET, connect_unix
from azr_platform.channel.messages import Action, Ask, Hello
from azr_platform.channel.wire import frame
from azr_platform.supervisor import process, recorder
from azr_platform.supervisor.observer import Observer
from azr_platform.supervisor.warden import Stance

Supervise = Callable[..., Any]

FINISH = """
link.hello()
link.safe_point("between steps")
link.finished()
"""
THREE_STEPS = """
welcome = link.hello()
start = int(welcome.checkpoint.split("-")[1]) if welcome.checkpoint else -1
branch = welcome.branch
while True:
    try:
        for step in range(start + 1, 4):
            link.step = step
            link.safe_point("between steps")
            (run / f"at-{step}").touch()
            wait(f"go-{step}")
            checkpoint(step, branch)
        link.safe_point("after the last step")
        link.finished()
        break
    except HaltRequested:
        break
    except RollBackRequested as request:
        start, branch = request.order.step, request.order.branch
        (run / f"back-{branch}").touch()
"""


class Rate(NamedTuple):
    severity: Severity
    count: int
    within_steps: int
    action: Act


# -- the front end and the trainer -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [BrokenPipeError("the pipe is closed"), SystemExit(1), ValueError("closed file")])
def test_a_front_end_that_fails_does_not_end_the_run(error: BaseException, supervise: Supervise) -> None:
    class Broken(Observer):
        calls = 0

        def state(self, state: str, where: str, reason: str) -> None:
            Broken.calls += 1
            raise error

    ended = supervise(FINISH, observer=Broken())
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert Broken.calls == 1


def test_a_trainer_frozen_while_an_answer_is_on_its_way_is_killed_and_restarted(supervise: Supervise) -> None:
    """The answer is larger than a socket holds, so that sending it blocks."""
    body = """
link.hello()
if not (run / "once").exists():
    (run / "once").touch()
    import select
    huge = [answer("1" * 40, task="x" * 2000) for _ in range(2000)]
    from azr_platform.channel.messages import Review
    link._wire.send(Review(step=1, phase=Phase.SOLVE, samples=huge))
    select.select([sock], [], [])  # the answer begins to arrive
    os.kill(os.getpid(), signal.SIGSTOP)
link.safe_point("between steps")
link.finished()
"""
    ended = supervise(body, None, "supervisor.beat_timeout_seconds=2.0")
    assert ended.status == 0
    ((message,),) = ended.rows("SELECT message FROM alerts WHERE rule = 'supervisor.trainer'")
    assert "no sign of life" in message


def test_no_trainer_outlives_a_supervisor_that_fails_on_the_way(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def bug(*_: object) -> None:
        raise RuntimeError("a bug in the supervisor")

    monkeypatch.setattr(process.Supervisor, "_record_step", bug)
    body = """
(run / "pid").write_text(str(os.getpid()))
link.hello()
done()
"""
    with pytest.raises(RuntimeError, match="a bug"):
        supervise(body)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "run" / "pid").read_text()), 0)


def test_a_trainer_that_fails_to_save_when_halted_is_no_silent_stop(supervise: Supervise) -> None:
    body = """
link.hello()
wait("stop")
try:
    link.safe_point("between steps")
except HaltRequested:
    link.crashed("OSError: no space left on device")
    sys.exit(1)
"""

    def stop(live: Any) -> None:
        live.until(lambda status: status.state == "running")
        assert live.order(Action.STOP).ok
        live.say("stop")

    ended = supervise(body, stop)
    assert ended.states[-1] == "stopped"
    ((reason,),) = ended.rows("SELECT reason FROM states ORDER BY id DESC LIMIT 1")
    assert "no space left" in reason
    assert ended.rows("SELECT rule FROM alerts") == [("supervisor.trainer",)]


def test_a_trainer_killed_while_paused_comes_back_paused(supervise: Supervise) -> None:
    def kill(live: Any) -> None:
        live.until_seen("at-1")
        assert live.order(Action.PAUSE, why="look").ok
        live.say("go-1")
        first = live.until(lambda status: status.state == "paused")
        os.kill(first.trainer_pid, signal.SIGKILL)
        again = live.until(lambda status: status.state == "paused" and status.restarts == 1)
        assert again.trainer_pid != first.trainer_pid
        assert again.reason == "look"
        for step in (2, 3):
            live.say(f"go-{step}")
        assert live.order(Action.RESUME).ok

    (ended := supervise(THREE_STEPS.replace("range(start + 1", "range(max(1, start + 1)"), kill))
    assert ended.status == 0
    told = "the trainer was killed (signal 9), as the system does when memory runs out; see dmesg"
    assert ended.rows("SELECT message FROM alerts")[0] == (told,)
    assert ended.states[-1] == "finished"


def test_a_trainer_that_speaks_no_protocol_is_killed_and_the_run_fails_in_the_end(supervise: Supervise) -> None:
    body = "sock.sendall(b'\\x05\\0\\0\\0hello'); time.sleep(600)"
    ended = supervise(body, None, "supervisor.max_restarts=1")
    assert ended.status == 1
    assert ended.states[-1] == "failed"
    ((reason,),) = ended.rows("SELECT reason FROM states ORDER BY id DESC LIMIT 1")
    assert "not a message of this protocol" in reason


# -- commands at the wrong time --------------------------------------------------------------------------


def test_commands_after_a_stop_are_refused_and_recorded(supervise: Supervise) -> None:
    def stop(live: Any) -> None:
        live.until_seen("at-0")
        assert live.order(Action.STOP, why="enough").ok
        assert live.until(lambda _: True).state == "stopping"
        for action in (Action.STOP, Action.PAUSE, Action.RESUME, Action.ROLLBACK):
            outcome = live.order(action, step=0)
            assert not outcome.ok
            assert outcome.detail == "already stopping: enough"
        live.say("go-0")

    ended = supervise(THREE_STEPS, stop)
    assert ended.status == 0
    assert ended.states[-1] == "stopped"
    assert [outcome.split(":")[0] for _, _, outcome in ended.controls] == ["done"] + ["refused"] * 4
    given = [json.loads(row[0]) for row in ended.rows("SELECT arguments FROM controls ORDER BY id")]
    by = {"uid": os.geteuid(), "pid": os.getpid()}
    assert given == [by, *[{"step": 0} | by] * 4], "who gave them is what the kernel says"


def test_commands_after_the_end_are_refused(supervise: Supervise) -> None:
    # Without its pulse, which would end a trainer that the supervisor has hung up on.
    body = FINISH.replace(
        "link.finished()", "link._stop.set()\nlink.finished()\n(run / 'ended').touch()\nwait('leave')"
    )

    def too_late(live: Any) -> None:
        live.until_seen("ended")
        for action in (Action.PAUSE, Action.STOP, Action.ROLLBACK):
            outcome = live.order(action, step=0)
            assert not outcome.ok
            assert outcome.detail == "the run has finished"
        live.in_loop(lambda: live.supervisor.interrupt("signal SIGINT", "too late"))
        live.say("leave")

    ended = supervise(body, too_late)
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert len(ended.controls) == 3


def test_stop_ends_a_pause(supervise: Supervise) -> None:
    def stop(live: Any) -> None:
        live.until_seen("at-0")
        assert live.order(Action.PAUSE).ok
        live.say("go-0")
        live.until(lambda status: status.state == "paused")
        assert live.order(Action.STOP).ok

    ended = supervise(THREE_STEPS, stop)
    assert ended.status == 0
    assert ended.states[-2:] == ["stopping", "stopped"]


def test_a_signal_s_stop_is_on_record_once(supervise: Supervise) -> None:
    def interrupt(live: Any) -> None:
        live.until_seen("at-0")
        for _ in range(3):
            live.in_loop(lambda: live.supervisor.interrupt("signal SIGTERM", "interrupted"))
        live.until(lambda status: status.state == "stopping")
        live.say("go-0")

    ended = supervise(THREE_STEPS, interrupt)
    assert ended.status == 0
    assert ended.states[-1] == "stopped"
    assert ended.controls == [
        ("signal SIGTERM", "stop", "done: stopping at the next safe point, with a checkpoint"),
    ]


def test_rollback_ends_a_pause_and_the_second_of_two_counts(supervise: Supervise) -> None:
    def back(live: Any) -> None:
        for step in (0, 1):
            live.say(f"go-{step}")
        live.until_seen("at-2")
        assert live.order(Action.PAUSE).ok
        assert live.order(Action.ROLLBACK, step=1).ok
        assert live.order(Action.ROLLBACK, step=0).ok
        for step in (2, 3):
            live.say(f"go-{step}")
        live.until_seen("back-2")

    ended = supervise(THREE_STEPS, back)
    assert ended.status == 0
    assert ended.rows("SELECT parent, from_step, reason FROM branches WHERE id > 1") == [(1, 0, "rollback")]
    assert "paused" not in ended.states


def test_a_rollback_to_what_another_left_behind_is_dropped_with_a_notice(supervise: Supervise) -> None:
    def back(live: Any) -> None:
        for step in (0, 1):
            live.say(f"go-{step}")
        live.until_seen("at-2")
        assert live.order(Action.ROLLBACK, step=1).ok
        stale = live.supervisor._rollback
        assert live.order(Action.ROLLBACK, step=0).ok
        live.say("go-2")
        live.until_seen("back-2")
        # As if the first had been asked for while the second was being carried out.
        live.supervisor._rollback = stale
        live.say("stale")
        live.say("go-3")

    body = THREE_STEPS.replace('(run / f"back-{branch}").touch()', '(run / f"back-{branch}").touch(); wait("stale")')
    ended = supervise(body, back)
    assert ended.status == 0
    assert ended.rows("SELECT from_step FROM branches WHERE id > 1") == [(0,)]
    assert any("no longer on the run's line" in row[0] for row in ended.rows("SELECT message FROM notices"))


def test_a_command_while_the_last_step_is_saved_is_still_obeyed(supervise: Supervise) -> None:
    def back(live: Any) -> None:
        for step in range(3):
            live.say(f"go-{step}")
        live.until_seen("at-3")
        assert live.order(Action.ROLLBACK, step=2).ok
        live.say("go-3")

    ended = supervise(THREE_STEPS, back)
    assert ended.status == 0
    assert ended.rows("SELECT from_step FROM branches WHERE id > 1") == [(2,)]
    assert ended.states[-1] == "finished"


# -- reactions -------------------------------------------------------------------------------------------

UH_OH_STEPS = """
UH_OH = answer("1")
import msgspec
UH_OH = msgspec.structs.replace(UH_OH, response=UH_OH.response.replace(
    "so", "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."))
""" + THREE_STEPS.replace(
    '    wait(f"go-{step}")\n', '    wait(f"go-{step}")\n            if step == 2: link.review(Phase.SOLVE, [UH_OH])\n'
)


BACK = Stance(rates=[Rate(Severity.HIGH, 1, 5, Act.ROLLBACK)], rollback=Leave(allowed=True))


def go(live: Any) -> None:
    for step in range(4):
        live.say(f"go-{step}")


def test_a_policy_s_rollback_that_brings_the_same_again_pauses_instead_of_looping(supervise: Supervise) -> None:
    """The same seed draws the same samples, so that a second rollback would be followed by a third, for ever."""

    def watch(live: Any) -> None:
        go(live)
        paused = live.until(lambda status: status.state == "paused")
        assert paused.branch == 2
        assert live.order(Action.STOP).ok

    ended = supervise(UH_OH_STEPS, watch, stance=BACK)
    assert ended.status == 0
    assert ended.rows("SELECT from_step FROM branches WHERE id > 1") == [(1,)]
    who = [(who, action, outcome.split(":")[0]) for who, action, outcome in ended.controls]
    assert who == [("policy", "rollback", "done"), ("policy", "rollback", "refused"), ("test", "stop", "done")]


def test_a_policy_s_rollback_does_not_undo_the_operator_s_pause(supervise: Supervise) -> None:
    def pause_first(live: Any) -> None:
        for step in (0, 1):
            live.say(f"go-{step}")
        live.until_seen("at-2")
        assert live.order(Action.PAUSE, why="mine").ok
        go(live)
        paused = live.until(lambda status: status.state == "paused")
        assert paused.branch == 2
        assert paused.reason == "mine"
        assert live.order(Action.STOP).ok

    ended = supervise(UH_OH_STEPS, pause_first, stance=BACK)
    assert ended.states.index("rolling back") < ended.states.index("paused")


def test_a_part_that_keeps_failing_pauses_the_run_under_any_policy(supervise: Supervise) -> None:
    class Burning:
        def inspect(self, subjects: Sequence[Any], step: int | None = None) -> Any:
            raise RuntimeError("the rules are on fire")

        conclude = inspect

    body = """
link.hello()
try:
    while True:
        link.safe_point("between steps")
        link.step += 1
        (judgement,) = link.review(Phase.SOLVE, [answer("1")])
        assert not judgement.allowed
except HaltRequested:
    pass
"""

    def watch(live: Any) -> None:
        paused = live.until(lambda status: status.state == "paused")
        assert "on fire" in paused.reason
        assert live.order(Action.STOP).ok

    ended = supervise(body, watch, judge=Burning())
    assert ended.rows("SELECT count(*) FROM samples") == [(process.PERSISTENT_FAILURES,)]
    assert ended.controls[0][:2] == ("supervisor", "pause")


# -- the ledger ------------------------------------------------------------------------------------------


def refuse(run: Path, refused: bool) -> None:
    """Make every insert of a sample or a state fail, as a full disk would; or not any more."""
    connection = sqlite3.connect(run / "ledger.db", timeout=10)
    for table in ("samples", "states", "controls"):
        connection.execute(
            f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            if refused
            else f"DROP TRIGGER full_{table}"
        )
    connection.commit()
    connection.close()


REVIEW_ONCE = """
link.hello()
(run / "ready").touch()
wait("go")
(judgement,) = link.review(Phase.SOLVE, [answer("'Hello world'")])
assert not judgement.allowed and judgement.sample == 0 and judgement.reason == "blocked: ledger failed", judgement
try:
    link.safe_point("between steps")
except HaltRequested:
    sys.exit(0)
(judgement,) = link.review(Phase.SOLVE, [answer("'Hello world'")])
assert judgement.allowed and judgement.correct and judgement.sample > 0, judgement
link.finished()
"""


def test_a_failing_ledger_blocks_pauses_and_is_waited_for(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.05)

    def fill(live: Any) -> None:
        live.until_seen("ready")
        refuse(live.run, True)
        live.say("go")
        live.until(lambda status: status.state == "pausing")
        refuse(live.run, False)
        live.until(lambda status: status.state == "paused")
        assert live.order(Action.RESUME).ok

    ended = supervise(REVIEW_ONCE, fill)
    assert ended.status == 0
    assert ended.states[-1] == "finished"
    assert ended.rows("SELECT correct FROM samples") == [(1,)]


def test_a_stop_while_the_ledger_fails_ends_the_run_as_failed(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.05)

    def fill(live: Any) -> None:
        live.until_seen("ready")
        refuse(live.run, True)
        live.say("go")
        live.until(lambda status: status.state == "pausing")
        outcome = live.order(Action.STOP)
        assert not outcome.ok
        assert "cannot be put on record" in outcome.detail

    ended = supervise(REVIEW_ONCE, fill)
    assert ended.status == 1
    assert ended.rows("SELECT count(*) FROM samples") == [(0,)]


# -- clients ---------------------------------------------------------------------------------------------


def test_clients_that_say_nothing_or_never_read_do_not_keep_the_run_from_ending(supervise: Supervise) -> None:
    kept: list[socket.socket] = []

    def crowd(live: Any) -> None:
        live.until_seen("at-0")
        for number in range(100):
            client = socket.socket(socket.AF_UNIX)
            connect_unix(client, live.run / SOCKET)
            kept.append(client)
            if number % 2:
                client.sendall(frame(Hello(peer="client", pid=0)))
        # One asks for more answers than a socket holds, and reads none of them.
        kept[1].settimeout(1.0)
        try:
            while True:
                kept[1].sendall(frame(Ask()) * 1000)
        except TimeoutError:
            pass
        assert live.order(Action.STOP).ok
        live.say("go-0")

    ended = supervise(THREE_STEPS, crowd)
    assert ended.status == 0
    for client in kept:
        client.close()


def test_a_client_that_never_greets_is_hung_up_on(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    from azr_platform.channel import server

    monkeypatch.setattr(server, "HELLO_SECONDS", 0.2)

    def silent(live: Any) -> None:
        live.until_seen("at-0")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            connect_unix(client, live.run / SOCKET)
            said = b"".join(iter(lambda: client.recv(4096), b""))
        assert b"say Hello first" in said
        go(live)

    assert supervise(THREE_STEPS, silent).status == 0


# -- leaks -----------------------------------------------------------------------------------------------


def test_a_run_leaves_no_descriptor_process_or_socket_behind(supervise: Supervise, tmp_path: Path) -> None:
    def descriptors() -> set[Path]:
        return {
            target for link in Path("/proc/self/fd").iterdir() if (target := link.resolve()).is_relative_to(tmp_path)
        }

    seen: list[int] = []

    def crash_once(live: Any) -> None:
        seen.append(live.until(lambda status: status.trainer_pid > 0).trainer_pid)
        os.kill(seen[0], signal.SIGKILL)
        seen.append(live.until(lambda status: status.restarts == 1 and status.trainer_pid > 0).trainer_pid)
        go(live)

    assert supervise(THREE_STEPS, crash_once).status == 0
    assert descriptors() == set()
    assert not (tmp_path / "run" / SOCKET).exists()
    for pid in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
