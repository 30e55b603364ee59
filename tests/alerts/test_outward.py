"""From what a supervisor says to what arrives: which alerts and states, and what never leaves."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.records import Severity
from azr_platform.alerts.courier import Undelivered
from azr_platform.alerts.outward import Outward, require
from azr_platform.alerts.program import Program
from azr_platform.alerts.terminal import Terminal
from azr_platform.alerts.told import Told
from azr_platform.config.load import ConfigError, dump, load

DEADLINE = 300.0
SECRET = "s3cr3t"
MODEL_TEXT = "uniquely-the-models-own-words \x1b[2J <!channel>"
Make = Callable[..., Told]


def outward(run: Path, *settings: str, **more: Any) -> Outward:
    config = load("nano", overrides=["alerts.timeout_seconds=300.0", *settings])
    return Outward(run, "demo", config.alerts, lambda: "ab" * 32, **more)


def say_everything(observer: Outward) -> None:
    observer.branch(2, 4)
    observer.step(5, 9, 1.0, {"loss": 1.0})
    for severity in Severity:
        observer.alert(severity, f"rule.{severity.label}", MODEL_TEXT)
    for state in ("running", "paused", "finished"):
        observer.state(state, MODEL_TEXT, MODEL_TEXT)
    observer.notice(MODEL_TEXT)
    observer.beat(5, MODEL_TEXT, 0, 1)


def test_grave_alerts_and_ends_are_told_by_default_without_a_word_of_the_model_s(hook: Any, tmp_path: Path) -> None:
    observer = outward(tmp_path, 'alerts.webhooks=["json:HOOK", "slack:HOOK", "discord:HOOK"]')
    say_everything(observer)
    assert observer.close() == []
    plain = [one for one in hook.got if "type" in one]
    assert sorted(one["name"] for one in plain) == ["finished", "paused", "rule.critical", "rule.high"]
    assert {(one["branch"], one["step"], one["head"]) for one in plain} == {(2, 5, "ab" * 32)}
    assert len(hook.got) == 12
    assert "models-own" not in json.dumps(hook.got)


def test_what_is_told_is_a_setting_and_a_quote_is_escaped(hook: Any, tmp_path: Path) -> None:
    observer = outward(
        tmp_path,
        "alerts.webhooks=['json:HOOK']",
        "alerts.least=info",
        "alerts.states=['running']",
        "alerts.quote=true",
        "alerts.per_minute=100",
    )
    say_everything(observer)
    assert observer.close() == []
    assert sorted(one["name"] for one in hook.got) == sorted(["running", *(f"rule.{s.label}" for s in Severity)])
    assert {one["quote"] for one in hook.got} == {"uniquely-the-models-own-words ␛[2J <!channel>"}


def test_nothing_is_told_unless_it_is_asked_for(hook: Any, tmp_path: Path) -> None:
    observer = outward(tmp_path)
    say_everything(observer)
    assert observer.close() == []
    assert hook.got == []


def test_the_others_are_told_when_one_way_fails(hook: Any, tmp_path: Path, monkeypatch: Any, closed_port: int) -> None:
    monkeypatch.setenv("GONE", f"http://127.0.0.1:{closed_port}/{SECRET}")
    observer = outward(tmp_path, "alerts.webhooks=['slack:GONE', 'json:HOOK']", "alerts.attempts=1")
    observer.alert(Severity.HIGH, "rule", "")
    assert hook.wait(1)[0]["name"] == "rule"
    (trouble,) = observer.close()
    assert trouble.startswith("alerts.webhooks slack:GONE: not delivered: Connection refused")
    assert SECRET not in trouble


# -- addresses are secrets -------------------------------------------------------------------------------


def test_an_address_stands_neither_in_the_settings_nor_in_their_text(hook: Any) -> None:
    config = load("nano", overrides=["alerts.webhooks=['json:HOOK']"])
    require(config.alerts)
    assert "json:HOOK" in dump(config)
    assert SECRET not in dump(config)


@pytest.mark.parametrize(
    "override",
    [
        f"alerts.webhooks=['slack:https://hooks.invalid/{SECRET}']",
        f"alerts.webhooks=['https://user:{SECRET}@hooks.invalid/{SECRET}']",
        f"alerts.webhooks=https://hooks.invalid/?{SECRET}",
        f"alerts.webhook=https://hooks.invalid#{SECRET}",
    ],
)
def test_an_address_in_the_settings_is_refused_and_not_repeated(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load("nano", overrides=[override])
    assert SECRET not in str(refused.value)
    assert "hooks.invalid" in str(refused.value)
    file = tmp_path / "run.toml"
    file.write_text(f"[alerts]\nwebhooks = ['json:https://hooks.invalid/{SECRET}']\n")
    with pytest.raises(ConfigError) as refused:
        load(file=file)
    assert "alerts.webhooks" in str(refused.value) and SECRET not in str(refused.value)
    assert "write SHAPE:VARIABLE" in str(refused.value)


def test_a_variable_that_is_not_set_or_holds_no_address_is_missed_before_the_run(monkeypatch: Any) -> None:
    settings = load("nano", overrides=["alerts.webhooks=['slack:MY_HOOK']"]).alerts
    monkeypatch.delenv("MY_HOOK", raising=False)
    with pytest.raises(ConfigError, match="the environment variable MY_HOOK is not set; export the address there"):
        require(settings)
    monkeypatch.setenv("MY_HOOK", SECRET)
    with pytest.raises(ConfigError, match="MY_HOOK is no http or https URL") as refused:
        require(settings)
    assert SECRET not in str(refused.value)


# -- a command -------------------------------------------------------------------------------------------


def test_a_command_gets_json_on_its_standard_input_and_no_shell(tmp_path: Path, told: Make) -> None:
    copy = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
    out = tmp_path / "$(touch shell); out"
    command = [sys.executable, "-c", copy, str(out)]
    observer = outward(tmp_path, f"alerts.command={json.dumps(command)}")
    observer.alert(Severity.CRITICAL, "rule", MODEL_TEXT)
    assert observer.close() == []
    assert json.loads(out.read_text())["name"] == "rule"
    assert not (tmp_path / "shell").exists()


def test_a_command_that_cannot_be_found_is_missed_before_the_run(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("not to be run")
    plain.chmod(stat.S_IRUSR)
    for name in ("no-such-program-anywhere", str(plain)):
        with pytest.raises(ConfigError, match=r"alerts\.command: no program"):
            require(load("nano", overrides=[f"alerts.command=[{json.dumps(name)}]"]).alerts)


def test_a_command_s_failures_are_named_and_what_it_prints_is_kept(tmp_path: Path, told: Make) -> None:
    log = tmp_path / "logs" / "alerts.log"
    failing = Program([sys.executable, "-c", "import sys; sys.exit('the pager is off')"], log, DEADLINE)
    with pytest.raises(Undelivered, match=r"it ended with status 1; see logs/alerts\.log") as refused:
        failing.deliver(told())
    assert refused.value.again
    assert "the pager is off" in log.read_text()
    with pytest.raises(Undelivered, match=r"it cannot be started \(No such file or directory\)"):
        Program([str(tmp_path / "gone")], log, DEADLINE).deliver(told())
    Program([sys.executable, "-c", ""], log, DEADLINE).deliver(told())  # reads nothing, and that is fine


def test_a_command_that_hangs_is_killed(tmp_path: Path, told: Make) -> None:
    with pytest.raises(Undelivered, match=r"killed after 0\.2 s"):
        Program([sys.executable, "-c", "import signal; signal.pause()"], tmp_path / "log", 0.2).deliver(told())


def test_a_command_is_killed_with_what_it_started(tmp_path: Path, told: Make) -> None:
    """Its child holds a lock, which is free again when the child is gone."""
    lock, held = tmp_path / "lock", tmp_path / "held"
    child = (
        "import fcntl, pathlib, signal, sys\n"
        "file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "pathlib.Path(sys.argv[2]).touch(); signal.pause()"
    )
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    program = Program([sys.executable, "-c", parent, child, str(lock), str(held)], tmp_path / "log", DEADLINE)
    with ThreadPoolExecutor(1) as pool:
        delivery = pool.submit(program.deliver, told())
        while not held.exists():
            assert not delivery.done()
        program.abandon()
        with pytest.raises(Undelivered, match="it ended with status -9"):
            delivery.result(DEADLINE)
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


# -- the terminal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("notify", [False, True])
def test_a_terminal_is_rung_and_what_it_shows_has_no_control_characters(notify: bool, told: Make) -> None:
    ours, theirs = pty.openpty()
    try:
        Terminal(notify=notify, tty=os.ttyname(theirs)).deliver(told("rule\x1b\x07\n", run="\x1b]0;x"))
        shown = os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)
    if not notify:
        assert shown == b"\x07"
        return
    assert shown.startswith(b"\x07\x1b]9;azr-platform ") and shown.endswith(b"\x07")
    inside = shown[4:-1]
    assert not any(byte < 32 for byte in inside)


def test_without_a_terminal_nothing_happens(tmp_path: Path, told: Make) -> None:
    Terminal(notify=True, tty=str(tmp_path / "none")).deliver(told())
