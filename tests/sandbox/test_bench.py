"""The benchmark: it counts all CPU time, its baselines reach nothing of the machine, and every way does the work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from azr_sandbox.bench import arms, processes
from azr_sandbox.bench.arms import BaselineArm, NsjailArm, PoolArm, Program
from azr_sandbox.bench.measure import COMPARISONS, Measured, Report, measure
from azr_sandbox.bench.outer import BaselineFailed, OuterJail
from azr_sandbox.bench.programs import OWN
from azr_sandbox.execution import Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.pool import JailPool

WAYS = ("fork", "forks", "pool")
SPIN = "import sys, time\nwhile time.process_time() < 0.3: pass\n"


@pytest.fixture(scope="module", params=WAYS)
def baseline(request: pytest.FixtureRequest, pool: JailPool) -> Iterator[OuterJail]:
    with OuterJail(request.param) as jail:
        yield jail


def values(jail: OuterJail, *programs: str) -> list[bool]:
    """Whether each program, of no argument, gave a value."""
    gave = []
    for program in programs:
        jail.load([(program, "")])
        gave.append(jail.run().values == 1)
    return gave


# -- CPU time ------------------------------------------------------------------------------------------------


def test_cpu_time_of_a_living_child_and_of_an_ended_one_is_counted() -> None:
    before = processes.cpu_s()
    child = subprocess.Popen(
        [sys.executable, "-c", SPIN + "print(flush=True)\nsys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout
        child.stdout.readline()
        assert processes.cpu_s() - before >= 0.3
    assert processes.cpu_s() - before >= 0.3 - processes._TICK_S


def test_cpu_time_of_a_grandchild_that_was_waited_for_is_counted_while_its_parent_lives() -> None:
    before = processes.cpu_s()
    code = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN!r}])\nprint(flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert processes.cpu_s() - before >= 0.3 - 2 * processes._TICK_S


def test_descendants_are_found_with_their_memory_files_and_state() -> None:
    code = "import subprocess, sys\nsubprocess.Popen(['sleep', '60'])\nprint(flush=True)\nsys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with child:
        assert child.stdout
        child.stdout.readline()
        (sleep,) = processes.descendants(child.pid)
        assert child.pid in processes.descendants(os.getpid())
        assert processes.resident_bytes(child.pid) > 1 << 20
        assert processes.open_files(child.pid) >= 3
        assert processes.state(sleep) in ("S", "R", "D")
        os.killpg(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.state(child.pid) == "Z"
    assert processes.state(child.pid) == ""
    assert processes.resident_bytes(child.pid) == processes.open_files(child.pid) == 0


# -- the baselines reach nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_baseline_without_isolation_of_its_own_reaches_no_file_process_or_network_of_the_machine(
    way: str, tmp_path: Path, pool: JailPool
) -> None:
    written = tmp_path / "written"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        attacks = [
            "def f():\n    return open('/etc/passwd').read()",
            f"def f():\n    return open({str(written)!r}, 'w').write('x')",
            f"import socket\ndef f():\n    return socket.create_connection(('127.0.0.1', {port}), 5).close()",
            "import os\ndef f():\n    return os.kill(os.getppid(), 0) if os.getppid() > 1 else 1 // 0",
            f"import os\ndef f():\n    return os.kill({os.getpid()}, 0)",
            "import os\ndef f():\n    return os.listdir('/proc')[0]",
            "import os\ndef f():\n    return os.environ['PYTHONHASHSEED'], os.getuid() or 1 // 0",
        ]
        with OuterJail(way, bare=True) as outside:
            assert values(outside, *attacks[:3]) == [True] * 3, "these succeed where nothing holds them"
        assert written.read_text() == "x"
        written.unlink()
        with OuterJail(way) as jail:
            assert values(jail, *attacks[:3]) == [False] * 3
            assert values(jail, *attacks[4:6]) == [False] * 2
    assert not written.exists()


def test_a_program_that_ends_its_process_gives_no_value_and_spoils_no_other(baseline: OuterJail) -> None:
    good = "def f():\n    return 1"
    deadly = "import os\ndef f():\n    os._exit(3)"
    dumb = "import sys\ndef f():\n    print('noise')\n    sys.stdout.flush()\n    raise SystemExit(0)"
    assert values(baseline, good, deadly, good, dumb, "def f(:", "f = 3", good) == [
        *(True, False, True),
        *(False, False, False, True),
    ]


def test_a_value_that_does_not_repeat_is_none_for_a_way_that_runs_twice(pool: JailPool) -> None:
    chancy = "import os\ndef f():\n    return os.urandom(8)"
    with OuterJail("fork") as fork, OuterJail("forks") as forks, OuterJail("pool") as processes_pool:
        assert values(fork, chancy) == [True]
        assert values(forks, chancy) == values(processes_pool, chancy) == [False]


def test_a_baseline_that_was_killed_is_an_error_and_leaves_no_process(pool: JailPool) -> None:
    before = set(processes.descendants(os.getpid()))
    with OuterJail("pool") as jail:
        jail.load([("def f():\n    return 1", "")])
        for pid in set(processes.descendants(os.getpid())) - before:
            with suppress(ProcessLookupError):  # it may have ended by itself, or with another
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(BaselineFailed, match="has ended"):
            jail.run()
    assert set(processes.descendants(os.getpid())) == before


def test_a_baseline_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch, pool: JailPool) -> None:
    monkeypatch.setattr("azr_sandbox.bench.outer.PYTHON", "/py/bin/absent")
    with pytest.raises(JailUnavailable, match="/py/bin/absent"), OuterJail("fork"):
        pass


# -- every way does the work ---------------------------------------------------------------------------------


def test_every_way_gives_a_value_for_every_program_of_ours(pool: JailPool) -> None:
    kept = arms.screen(OWN, pool)
    assert kept == list(OWN), "what is measured by default is all measured"
    ways = [
        NsjailArm("nsjail each"),
        PoolArm("single", pool, lambda program: [Request(program.text, (i,), verify=False) for i in program.inputs]),
        PoolArm("together", pool, lambda program: [Request(program.text, program.inputs, together=True)]),
    ]
    for way in ways:
        count = way.load(kept)
        ran = way.run()
        assert ran.values == count > 0, way.name
        assert ran.latencies_ms or way.alone_ms()
    for name in WAYS:
        with OuterJail(name) as jail:
            way = BaselineArm(name, jail)
            count = way.load(kept)
            ran = way.run()
            assert ran.values == count == len(ran.latencies_ms) == sum(len(program.inputs) for program in OWN)


def test_what_gives_no_value_is_left_out(pool: JailPool) -> None:
    programs = [
        Program("def f(x):\n    return 1 // x", ("1", "0", "2")),
        Program("def f(x):\n    return object()", ("1",)),
        Program("import os\ndef f():\n    return os.urandom(4)", ("",)),
    ]
    assert arms.screen(programs, pool) == [Program(programs[0].text, ("1", "2"))]


@pytest.mark.slow
def test_a_measurement_interleaves_all_ways_and_counts_everything(pool: JailPool) -> None:
    told: list[tuple[str, int, int]] = []
    before = set(processes.descendants(os.getpid()))
    report = measure(OWN[:3], 2, lambda *what: told.append(what))
    assert set(processes.descendants(os.getpid())) == before
    names = {arms.FORK, arms.FORKS, arms.IN_PROCESS, arms.EACH, arms.JAIL, arms.VERIFIED, arms.TWO}
    names |= {arms.TOGETHER, arms.TOGETHER_ONCE}
    assert set(report.arms) == names
    assert (report.programs, report.pairs, report.left_out) == (3, 18, 0)
    for arm in report.arms.values():
        assert arm.values == arm.pairs == (2 if arm.name == arms.EACH else 36)
        assert len(arm.cpu_ms) == len(arm.wall_ms) == 2
        assert all(value > 0 for value in arm.latencies_ms)
    turns = [what for what, _, total in told if total > 1]
    assert sorted(turns[9:18]) == sorted(turns[18:27]) == sorted(names)
    assert told[-1] == ("done", 27, 27)
    for name, other in COMPARISONS:
        assert report.ratio(name, other).median > 0


def test_a_measurement_of_nothing_is_refused(pool: JailPool) -> None:
    with pytest.raises(ValueError, match="none of the programs"):
        measure([Program("def f(:", ("1",))], 1, lambda *_: None)


# -- figures -------------------------------------------------------------------------------------------------


def test_figures_are_medians_of_rounds_and_percentiles_by_nearest_rank() -> None:
    arm = Measured(
        "a", cpu_ms=[2.0, 4.0, 100.0], wall_ms=[5.0, 8.0, 10.0], latencies_ms=[float(n) for n in range(1, 101)]
    )
    assert arm.per_cpu_s == 250
    assert arm.per_s == 125
    assert (arm.latency_ms(50), arm.latency_ms(99), arm.latency_ms(100)) == (50.0, 99.0, 100.0)
    assert Measured("b", latencies_ms=[3.0]).latency_ms(99) == 3.0


def test_a_ratio_is_taken_within_each_round() -> None:
    slow, fast = Measured("slow", cpu_ms=[10.0, 40.0, 8.0]), Measured("fast", cpu_ms=[5.0, 10.0, 4.0])
    report = Report(1, 1, 0, {"slow": slow, "fast": fast})
    assert report.ratio("fast", "slow") == (2.0, 2.0, 3.0)
    assert report.ratio("slow", "fast").median == 0.5


# -- the command ---------------------------------------------------------------------------------------------


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "azr_platform", "sandbox", "bench", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, check=False)


@pytest.mark.slow
def test_the_command_prints_tables_that_fit_a_terminal_and_leaves_out_what_gives_no_value(
    tmp_path: Path, pool: JailPool
) -> None:
    lines = [
        {"id": 1, "program": "def f(x):\n    return 1 // x", "inputs": ["1", "0", "2"]},
        {"id": 2, "program": "def f(x):\n    return x", "input": "'[red]\\x1b[31m'"},
    ]
    file = tmp_path / "programs.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    ran = bench("--jsonl", str(file), "--rounds", "1")
    assert ran.returncode == 0, ran.stderr
    assert "2 programs, 3 pairs, 1 rounds; 1 pairs give no value and were left out" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    for name in (arms.FORK, arms.IN_PROCESS, arms.EACH, arms.JAIL, arms.VERIFIED, arms.TOGETHER_ONCE, arms.TWO):
        assert name in ran.stdout
    assert ran.stderr == ""


@pytest.mark.slow
def test_the_command_gives_every_round_as_json(pool: JailPool) -> None:
    ran = bench("--programs", "2", "--rounds", "2", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert set(found) == {"machine", "programs", "pairs", "left_out", "arms", "ratios"}
    assert len(found["arms"]) == 9
    assert all(arm["values"] == arm["runs"] > 0 and len(arm["cpu_ms"]) == 2 for arm in found["arms"])
    assert [(row["of"], row["to"]) for row in found["ratios"]] == list(COMPARISONS)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not json", "line 1 is not JSON"),
        ('{"id": 1, "input": "1"}', 'line 1: "program" must be text'),
        ('{"id": 1, "program": "def f(:", "input": "1"}', "none of the programs gives a value"),
        ("", "none of the programs"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_line(line: str, why: str, tmp_path: Path, pool: JailPool) -> None:
    file = tmp_path / "programs.jsonl"
    file.write_text(line)
    ran = bench("--jsonl", str(file))
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert str(file) in ran.stderr
    assert why in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
