"""A policy changed while its run goes on: on record first, in force from the next step, refused where it must be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Amendment, Subject
from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Action, Command
from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.amendments import Standing, amend
from azr_platform.supervisor.runfolder import steer_ended
from azr_platform.supervisor.warden import Stance

UH_OH = "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."
Supervise = Callable[..., Any]

TRAINER = f"""
def look(step):
    link.step = step
    response = "<think>{UH_OH}</think>\\n<answer>\\n```output\\n1\\n```\\n</answer>"
    sample = Submission(uid="u", role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=3)
    (judgement,) = link.review(Phase.SOLVE, [sample])
    with (run / "seen").open("a") as seen:
        print(step, "ok" if judgement.allowed else judgement.outcome, file=seen)
"""


@pytest.fixture(scope="module")
def auditor() -> Auditor:
    return Auditor(load_policy("default").model_copy(update={"classifiers": (), "rates": ()}))


@pytest.fixture(scope="module")
def rule(auditor: Auditor) -> str:
    """The one rule that blocks the sentence above."""
    (finding,) = auditor.inspect([Subject("s", trace=UH_OH)])[0].findings
    return finding.rule


def order(amendment: Amendment | None, why: str = "a novel is studied here") -> Command:
    return Command(action=Action.AMEND, who="ada", why=why, amendment=amendment)


class Scene:
    """A monitor that stands over a ledger, and people who change it."""

    def __init__(self, folder: Path, writer: LedgerWriter, auditor: Auditor) -> None:
        self.folder, self.writer, self.base = folder, writer, auditor.policy
        self.standing = Standing(folder, auditor)
        self.branch("start")
        self.standing.begin(writer, 1, 0)

    def branch(self, reason: str, from_step: int = 0) -> None:
        row = {"created_at": 1.0, "parent": None, "from_step": from_step, "reason": reason}
        self.writer.append("branches", row)
        self.standing.take_up()

    def amend(self, step: int = 1, why: str = "w", **given: Any) -> Any:
        return self.standing.amend(self.writer, order(Amendment(**given), why), 1, step)

    def allows(self, step: int) -> bool:
        return self.standing.inspect([Subject("s", trace=UH_OH)], step)[0].allowed


@pytest.fixture
def scene(tmp_path: Path, writer: LedgerWriter, auditor: Auditor) -> Scene:
    return Scene(tmp_path, writer, auditor)


# -- what a change does, and when --------------------------------------------------------------------------


def test_a_change_counts_from_the_step_after_the_one_that_is_judged(scene: Scene, rule: str) -> None:
    assert scene.amend(step=3, rule=rule, enabled=False).ok
    assert not scene.allows(3) and scene.allows(4)
    assert not scene.allows(3), "a step that is done again is judged as it was"
    assert scene.amend(step=5, rule=rule, enabled=True).ok
    assert scene.allows(5) and not scene.allows(6)


def test_after_a_rollback_every_earlier_change_counts_at_once(scene: Scene, rule: str) -> None:
    scene.amend(step=7, rule=rule, enabled=False)
    scene.branch("recovery: the trainer was killed", 3)
    assert not scene.allows(4)
    scene.branch("rollback", 3)
    assert scene.allows(4)


def test_what_is_on_record_says_who_why_before_and_after(scene: Scene, rule: str) -> None:
    outcome = scene.amend(step=2, rule=rule, action="alert", why="it is a quotation")
    with LedgerReader(scene.folder) as reader:
        first, change = reader.policies()
        assert reader.verify().intact
    assert (first.name, first.rule) == ("default", "") and json.loads(first.settings)["actions"]["medium"] == "drop"
    assert (change.rule, change.setting, change.before, change.after) == (rule, "action", "null", '"alert"')
    assert (change.who, change.why, change.step) == ("ada", "it is a quotation", 2)
    assert change.fingerprint != first.fingerprint and change.fingerprint in outcome.detail
    assert change.fingerprint == scene.standing.at(3).fingerprint() and scene.standing.at(2) == scene.base


def test_a_threshold_that_is_changed_is_on_record_with_all_of_its_category(
    tmp_path: Path, writer: LedgerWriter, auditor: Auditor
) -> None:
    policy = load_policy("default")
    with LedgerReader(tmp_path) as reader:
        change = order(Amendment(rule="embedded.harm", thresholds={"medium": 0.85}))
        assert amend(reader, writer, change, policy, 1, 1).ok
        assert json.loads(reader.policies()[-1].after) == {"low": 0.6, "medium": 0.85, "high": 0.92}
        further = order(Amendment(rule="embedded.harm", thresholds={"high": 0.99}))
        assert amend(reader, writer, further, policy, 1, 1).ok, "on top of what was changed before"
        assert json.loads(reader.policies()[-1].after) == {"low": 0.6, "medium": 0.85, "high": 0.99}


def test_the_policy_is_put_on_record_again_only_when_it_is_another(scene: Scene, rule: str) -> None:
    scene.amend(rule=rule, enabled=False)
    scene.standing.begin(scene.writer, 1, 5)
    with LedgerReader(scene.folder) as reader:
        assert [row.rule for row in reader.policies()] == ["", rule]
    milder = Auditor(scene.base.model_copy(update={"description": "another"}))
    Standing(scene.folder, milder).begin(scene.writer, 1, 5)
    with LedgerReader(scene.folder) as reader:
        assert [row.rule for row in reader.policies()] == ["", rule, ""]


def test_a_change_of_a_rule_that_is_gone_is_told_and_does_nothing(scene: Scene, rule: str) -> None:
    row = {"time": 1.0, "branch": 1, "step": 0, "name": "default", "fingerprint": "f", "settings": "", "who": "ada"}
    for name, setting, after in (
        ("yara.mine", "enabled", "false"),
        (rule, "colour", '"red"'),
        (rule, "enabled", '"no"'),
        (rule, "thresholds", '{"low": "0.5"}'),
        (rule, "action", "{"),
    ):
        change = {"rule": name, "setting": setting, "before": "true", "after": after, "why": "w"}
        scene.writer.append("policies", {**row, **change})
    scene.standing.take_up()
    assert len(scene.standing.begin(scene.writer, 1, 0)[1:]) == 5
    assert not scene.allows(9), "what is damaged turns nothing off"


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "why", "words"),
    [
        ({"rule": "trace.nothing", "enabled": False}, "w", "no rule 'trace.nothing'"),
        ({"rule": "monitor.failure", "enabled": False}, "w", "cannot be changed"),
        ({"rule": "program.too-complex", "action": "record"}, "w", "cannot be changed"),
        ({"rule": "program.exec", "action": "ignore"}, "w", "is no action"),
        ({"rule": "program.exec", "enabled": False}, "", "say why"),
        ({"rule": "program.exec", "enabled": False}, " \n", "say why"),
    ],
)
def test_what_may_not_be_changed_is_refused_and_changes_nothing(scene: Scene, given: Any, why: str, words: str) -> None:
    outcome = scene.standing.amend(scene.writer, order(Amendment(**given), why), 1, 1)
    assert not outcome.ok and words in outcome.detail
    assert scene.standing.at(99) == scene.base
    with LedgerReader(scene.folder) as reader:
        assert len(reader.policies()) == 1


def test_a_change_that_cannot_be_recorded_is_not_in_force(scene: Scene, rule: str) -> None:
    class Full:
        def append(self, *_: object) -> int:
            raise LedgerBroken(scene.folder, "disk full")

    with pytest.raises(LedgerBroken):
        scene.standing.amend(Full(), order(Amendment(rule=rule, enabled=False)), 1, 1)  # type: ignore[arg-type]
    assert not scene.allows(9)


# -- in a live run -----------------------------------------------------------------------------------------


def test_a_change_in_a_live_run_survives_a_crash_and_a_restart(
    run: Path, supervise: Supervise, auditor: Auditor, rule: str
) -> None:
    """The trainer dies in step 2, after the change: that step is judged again as it was, and the next one is not."""
    body = TRAINER + (
        """
welcome = link.hello()
if not welcome.checkpoint:
    checkpoint(0)
    look(1)
    checkpoint(1)
    look(2)
    (run / "held").touch()
    wait("changed")
    look(2)
    os.kill(os.getpid(), signal.SIGKILL)
look(2)
look(3)
try:
    while True:
        link.safe_point("between steps")
        time.sleep(0.01)
except HaltRequested:
    pass
"""
    )

    def meanwhile(live: Any) -> None:
        live.until_seen("held")
        with ControlClient(live.run) as client:
            refused = client.command(order(Amendment(rule="monitor.limit", enabled=False)))
            outcome = client.command(order(Amendment(rule=rule, enabled=False)))
        assert not refused.ok and outcome.ok and "after step 2" in outcome.detail
        live.say("changed")
        live.until(lambda status: status.restarts == 1 and status.step == 3)
        live.order(Action.STOP, why="enough")

    ended = supervise(body, meanwhile, judge=auditor, standing=True)
    assert (run / "seen").read_text().split("\n") == ["1 blocked", "2 blocked", "2 blocked", "2 blocked", "3 ok", ""]
    rows = ended.rows("SELECT action, arguments, why, outcome FROM controls WHERE who = 'ada'")
    assert [(row[0], row[2], row[3].split(":")[0]) for row in rows] == [
        ("amend", "a novel is studied here", "refused"),
        ("amend", "a novel is studied here", "done"),
    ]
    given = json.loads(rows[1][1])
    assert given["rule"] == rule and given["enabled"] is False and {"uid", "pid"} < given.keys()
    assert any("ada changed the policy" in row[0] for row in ended.rows("SELECT message FROM notices"))

    supervise(TRAINER + "link.hello()\nlook(4)\nlink.finished()\n", judge=auditor, standing=True)
    assert (run / "seen").read_text().endswith("3 ok\n4 ok\n")


def test_who_came_to_watch_changes_nothing(run: Path, supervise: Supervise, auditor: Auditor, rule: str) -> None:
    def meanwhile(live: Any) -> None:
        live.until_seen("here")
        with ControlClient(live.run, read_only=True) as client:
            outcome = client.command(order(Amendment(rule=rule, enabled=False)))
        assert not outcome.ok and "gives no commands" in outcome.detail
        live.say("go")

    body = TRAINER + "link.hello()\n(run / 'here').touch()\nwait('go')\nlook(1)\nlink.finished()\n"
    ended = supervise(body, meanwhile, judge=auditor, standing=True)
    assert (run / "seen").read_text() == "1 blocked\n"
    assert ended.rows("SELECT count(*) FROM policies WHERE rule != ''") == [(0,)]


def test_a_trainer_cannot_change_the_policy(run: Path, supervise: Supervise, auditor: Auditor, rule: str) -> None:
    """What a model's text might make of a trainer: its socket takes no command."""
    body = (
        TRAINER
        + f"""
from azr_monitor.records import Amendment
from azr_platform.channel.messages import Action, Command
link.hello()
if not (run / "once").exists():
    (run / "once").touch()
    link._wire.send(Command(action=Action.AMEND, who="ada", why="w", amendment=Amendment(rule={rule!r}, enabled=False)))
    time.sleep(60)
look(1)
link.finished()
"""
    )
    ended = supervise(body, judge=auditor, standing=True)
    assert (run / "seen").read_text() == "1 blocked\n"
    assert ended.rows("SELECT count(*) FROM policies WHERE rule != ''") == [(0,)]
    assert any("not a message of this protocol" in row[0] for row in ended.rows("SELECT message FROM alerts"))


def test_a_metric_rule_that_is_changed_acts_from_the_next_step_on(
    run: Path, supervise: Supervise, auditor: Auditor
) -> None:
    body = """
link.hello()
for step in (1, 2, 3):
    link.step = step
    wait(f"go-{step}")
    link.step_done(0.5, {"samples": 1.0, "loss": float("nan")} if step > 1 else {"samples": 1.0}, [])
    (run / f"done-{step}").touch()
try:
    while True:
        link.safe_point("between steps")
        time.sleep(0.01)
except HaltRequested:
    pass
"""
    name = "metric.not-finite"

    def meanwhile(live: Any) -> None:
        live.say("go-1")
        live.until_seen("done-1")
        with ControlClient(live.run) as client:
            assert client.command(order(Amendment(rule=name, action="stop"))).ok
        live.say("go-2")
        live.say("go-3")

    ended = supervise(body, meanwhile, judge=auditor, standing=True, stance=Stance.of(auditor.policy))
    assert ended.states[-1] == "stopped"
    assert ended.rows("SELECT action FROM controls WHERE who = 'policy'") == [("stop",)]


def test_a_run_without_a_policy_that_can_be_changed_says_so(run: Path, supervise: Supervise, rule: str) -> None:
    def meanwhile(live: Any) -> None:
        live.until_seen("here")
        with ControlClient(live.run) as client:
            outcome = client.command(order(Amendment(rule=rule, enabled=False)))
        assert not outcome.ok and "cannot be changed" in outcome.detail
        live.say("go")

    supervise("link.hello()\n(run / 'here').touch()\nwait('go')\nlink.finished()\n", meanwhile)


def test_a_run_that_nobody_supervises_is_changed_too(
    run: Path, supervise: Supervise, auditor: Auditor, rule: str
) -> None:
    supervise(TRAINER + "link.hello()\nlook(1)\nlink.finished()\n", judge=auditor, standing=True)
    with pytest.raises(NotSupervised):
        ControlClient(run)
    assert steer_ended(run, order(Amendment(rule=rule, enabled=False))).ok
    assert not steer_ended(run, order(Amendment(rule=rule, enabled=False))).ok, "it is so already"
    with LedgerReader(run) as reader:
        assert reader.policies()[-1].rule == rule and reader.verify().intact


KILLED = """
import os, signal, sys
from pathlib import Path
from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Amendment
from azr_platform.channel.messages import Action, Command
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor import amendments
from azr_platform.supervisor.amendments import Standing

folder, rule, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
standing = Standing(folder, Auditor(load_policy("default").model_copy(update={"classifiers": (), "rates": ()})))
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with LedgerWriter(folder) as writer:
    if moment == "before the record":
        amendments._add = die
    else:
        standing.take_up = die
    change = Amendment(rule=rule, enabled=False)
    standing.amend(writer, Command(action=Action.AMEND, who="ada", why="w", amendment=change), 1, 1)
"""


@pytest.mark.parametrize(("moment", "recorded"), [("before the record", False), ("before the effect", True)])
def test_killed_in_between_the_record_decides(
    tmp_path: Path, auditor: Auditor, rule: str, moment: str, recorded: bool
) -> None:
    """SIGKILL before the row: not in force, ever. After the row: in force when the run is taken up again."""
    with LedgerWriter(tmp_path) as writer:
        writer.append("run", {"name": "test", "steps": 1})
        writer.append("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    ended = subprocess.run([sys.executable, str(script), str(tmp_path), rule, moment], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    standing = Standing(tmp_path, auditor)
    standing.take_up()
    with LedgerReader(tmp_path) as reader:
        assert bool([row for row in reader.policies() if row.rule]) is recorded
        assert reader.verify().intact
    assert standing.inspect([Subject("s", trace=UH_OH)], 2)[0].allowed is recorded
