"""Faults of the machine that hit the real trainer: the run waits or goes on, and ends as the undisturbed one."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Severity
from azr_platform.channel.messages import Action, Review, StepDone
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor.child import TRAINER
from azr_platform.supervisor.runfolder import create
from azr_platform.trainer.checkpoint import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Query = Callable[..., list[tuple[Any, ...]]]
Supervise = Callable[..., int]


@pytest.fixture(scope="module")
def config(small_config: Callable[..., Config]) -> Config:
    """Random weights earn no reward; for the entropy's sake there is something to learn from all samples."""
    return small_config("run.steps=2", "tasks.kinds=['deduction']", "update.entropy_coefficient=0.001")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, supervise: Supervise, config: Config) -> dict[str, str]:
    """The files of its last checkpoint, with their digests."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert supervise(run, config) == 0
    return final_files(run)


def final_files(run: Path) -> dict[str, str]:
    with LedgerReader(run) as reader:
        assert reader.verify().intact
        last = reader.line_checkpoints()[-1]
    assert last.step == 2
    return verify(run / last.path, last.digest).files


def unprivileged() -> Sequence[str]:
    """A trainer that file modes hold for, also where the tests run as root."""
    if os.geteuid():
        return TRAINER
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv to give up what lets it write anywhere")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", *TRAINER)


def test_a_disk_that_refuses_a_checkpoint_pauses_the_run_until_it_takes_it(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: dict[str, str], query: Query
) -> None:
    """First no file may grow large (a limit of the process, as a quota has it), then none may be made."""
    run = tmp_path / "run"

    def arrange(moments: Any) -> None:
        def limit(size: int) -> None:
            pid = moments.status().trainer_pid
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

        def allow_large_files() -> None:
            assert "File too large" in moments.status().reason
            limit(resource.RLIM_INFINITY)
            assert moments.order(Action.RESUME).ok

        def forbid_new_files() -> None:
            (run / "checkpoints").chmod(0o500)
            moments.when_paused(allow_new_files)

        def allow_new_files() -> None:
            assert "Permission denied" in moments.status().reason
            (run / "checkpoints").chmod(0o700)
            assert moments.order(Action.RESUME).ok

        moments.before(StepDone, 1, lambda: limit(100_000))
        moments.when_paused(allow_large_files)
        moments.before(StepDone, 2, forbid_new_files)

    assert supervise(run, config, arrange, trainer=unprivileged()) == 0
    assert final_files(run) == undisturbed
    alerts = query(run, "SELECT step, rule, message FROM alerts ORDER BY id")
    assert [(step, rule) for step, rule, _ in alerts] == [(1, "supervisor.disk"), (2, "supervisor.disk")]
    assert all("could not be written" in message and "nothing is lost" in message for *_, message in alerts)
    assert {path.name for path in (run / "checkpoints").iterdir()} == {f"step-00000{step}" for step in range(3)}


def test_a_trainer_that_runs_out_of_memory_is_restarted_and_ends_the_same(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: dict[str, str], query: Query
) -> None:
    """The first one may take 300 MiB, which is not enough for what it has to load. (Where the system has to kill one
    for its memory, it does so with SIGKILL: see test_kills.)"""
    run, tried = tmp_path / "run", tmp_path / "tried"
    command = 'test -e "$0" && exec "$@"; : > "$0"; ulimit -v 307200; exec "$@"'
    assert supervise(run, config, trainer=("sh", "-c", command, str(tried), *TRAINER)) == 0
    assert final_files(run) == undisturbed
    ((rule, message),) = query(run, "SELECT rule, message FROM alerts")
    assert rule == "supervisor.trainer"
    assert re.search("memory|failed to map segment", message, re.IGNORECASE), message


def test_a_trainer_that_runs_out_of_memory_amid_a_step_is_restarted_and_ends_the_same(
    tmp_path: Path, supervise: Supervise, config: Config, undisturbed: dict[str, str], query: Query
) -> None:
    """While its first samples are judged it has all that it took to load and to sample; then it gets no byte more. (Its
    allocator keeps nothing in hand, or so small a model would have had enough.)"""
    run = tmp_path / "run"
    keeps_nothing = ("env", "MALLOC_MMAP_THRESHOLD_=4096", "MALLOC_ARENA_MAX=1", *TRAINER)

    def arrange(moments: Any) -> None:
        def no_more() -> None:
            pid = moments.status().trainer_pid
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() // 2, hard))

        moments.before(Review, 1, no_more)

    assert supervise(run, config, arrange, trainer=keeps_nothing) == 0
    assert final_files(run) == undisturbed
    ((severity, rule, message),) = query(run, "SELECT severity, rule, message FROM alerts")
    assert (severity, rule) == (Severity.HIGH, "supervisor.trainer")
    assert message.startswith(
        "the trainer ended with status 1: out of memory; a smaller update.tokens_per_microbatch or"
    )


def test_a_trainer_that_never_has_enough_memory_is_given_up(
    tmp_path: Path, supervise: Supervise, small_config: Callable[..., Config], query: Query
) -> None:
    """300 MiB are not enough for what it has to load, however often it is started again."""
    run = tmp_path / "run"
    config = small_config("run.steps=2", "tasks.kinds=['deduction']", "supervisor.max_restarts=1")
    small = ("sh", "-c", 'ulimit -v 307200; exec "$0" "$@"', *TRAINER)
    assert supervise(run, config, trainer=small) == 1
    ((state, reason),) = query(run, "SELECT state, reason FROM states ORDER BY id DESC LIMIT 1")
    assert state == "failed"
    assert "1 restarts did not help" in reason
    assert query(run, "SELECT count(*) FROM alerts WHERE rule = 'supervisor.trainer'") == [(2,)]
    with LedgerReader(run) as reader:
        assert reader.verify().intact


def test_a_gradient_that_is_no_number_moves_nothing_and_pauses_the_run(
    tmp_path: Path, supervise: Supervise, small_config: Callable[..., Config], query: Query
) -> None:
    """A loss beyond all numbers, at each step. The metric rule sees it, the default policy pauses, and whoever resumes
    gets a run that goes on, also after a kill, with the weights that it had."""
    config = small_config("run.steps=2", "tasks.kinds=['deduction']", "update.entropy_coefficient=1e38")
    policy = load_policy("default")
    rule = next(rule for rule in policy.metrics if rule.name == "metric.not-finite")
    judge = Auditor(policy.model_copy(update={"classifiers": (), "rates": (), "metrics": (rule,)}))

    def run_it(run: Path, *, kill: bool) -> dict[str, str]:
        def arrange(moments: Any) -> None:
            def resume() -> None:
                assert "metric.not-finite" in moments.status().reason
                assert moments.order(Action.RESUME).ok

            moments.when_paused(resume)
            if kill:
                moments.before(StepDone, 2, moments.kill_trainer)

        assert supervise(run, config, arrange, judge) == 0
        return final_files(run)

    run = tmp_path / "run"
    ended = run_it(run, kill=False)
    ((step, rule_of, message),) = query(run, "SELECT step, rule, message FROM alerts")
    assert (step, rule_of) == (1, "metric.not-finite")
    assert "grad_norm is not finite" in message
    norms = query(run, "SELECT value FROM metrics WHERE name = 'grad_norm'")
    skipped = query(run, "SELECT value FROM metrics WHERE name = 'update/skipped'")
    assert (norms, skipped) == ([(None,)] * 2, [(float(config.update.minibatches),)] * 2)
    weights = [load_file(run / f"checkpoints/step-00000{step}/model.safetensors") for step in (0, 2)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert run_it(tmp_path / "killed", kill=True) == ended


def test_of_supervisors_started_at_once_one_has_the_run_and_the_others_say_so(
    tmp_path: Path, small_config: Callable[..., Config], query: Query
) -> None:
    run = tmp_path / "run"
    create(run, small_config("run.steps=2", "tasks.kinds=['deduction']", "supervisor.policy=observe")).close()
    command = [sys.executable, "-m", "azr_platform", "train", "--resume", str(run)]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    at_once = [subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, **pipes) for _ in range(3)]
    told = [process.communicate(timeout=600)[1] for process in at_once]
    assert sorted(process.returncode for process in at_once) == [0, 4, 4], told
    winner = next(process for process in at_once if process.returncode == 0)
    for process, error in zip(at_once, told, strict=True):
        if process is not winner:
            assert f"another supervisor runs it (pid {winner.pid} since" in error
            assert error.count("\n") == 1
    assert query(run, "SELECT step FROM steps ORDER BY id") == [(1,), (2,)]
    assert query(run, "SELECT state FROM states ORDER BY id DESC LIMIT 1") == [("finished",)]
    with LedgerReader(run) as reader:
        assert reader.verify().intact
