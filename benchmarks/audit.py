"""How fast a log is audited, in how much memory, and what more processes gain: ``azr-platform audit LOG --json``.

    python benchmarks/audit.py [--size 100M ...] [--workers 1 2] [--policy rules|default] [--prompt 0] [--keep]
                               [--folder FOLDER] [--shape trace|program]

Makes logs of these sizes as verl writes them, a trace of about 125 words a row and no two alike, in ``--folder``,
which needs the room; a log that is there already is used again. ``rules`` is the default policy without classifiers.
With ``--prompt N`` a row also has a prompt of N characters, as rollouts of many turns have: nobody judges it, but it is
read, and logs of many GB are audited in minutes. Sentences are those of ``monitor/corpus/prose/benign.jsonl``.
``--keep`` keeps each log as a ledger too; ``program`` rows hold a program instead.

Figures: CPU seconds of all processes and of the reading one, rows a second of CPU and of wall time, and the most memory
that the reading process and a judging one ever held. On a machine that does other work the CPU figures are those to
compare; what two processes gain there is told by the reading one's share, which is what they cannot share.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "monitor/corpus/prose/benign.jsonl"
RULES = """name: rules
extends: default
classifiers:
  - {kind: embedded, enabled: false}
  - {kind: structure, enabled: false}
  - {name: detoxify, enabled: false}
"""
WORDS = 125
TICKS = os.sysconf("SC_CLK_TCK")
UNITS = {"K": 10**3, "M": 10**6, "G": 10**9}
PROGRAM = (
    "def f(xs):\n    total = {number}\n    for x in xs:\n        total += x * {factor}\n    return total % {modulus}\n"
)


class Used(NamedTuple):
    """What a process and its children took: CPU seconds, and the most MB that the parent and any child held."""

    wall: float
    reader: float
    all: float
    reader_mb: float
    judge_mb: float


def sentences() -> list[str]:
    texts = [json.loads(line)["text"] for line in CORPUS.read_text("utf-8").splitlines()]
    return [sentence for text in texts for sentence in re.split(r"(?<=[.!?]) +", text) if len(sentence.split()) > 4]


def rows(seed: int, shape: str, prompt: int) -> Iterator[bytes]:
    """Rows without end, the same for the same seed."""
    rng, pool = random.Random(seed), sentences()
    context = " ".join(rng.choices(pool, k=prompt // 40 + 1))[:prompt]
    number = 0
    while True:
        trace: list[str] = []
        count = 0
        while shape == "trace" and count < WORDS:
            trace.append(rng.choice(pool))
            count += len(trace[-1].split())
        code = PROGRAM.format(number=number, factor=rng.randrange(99), modulus=rng.randrange(1, 999))
        output = f"```python\n{code}```" if shape == "program" else f"{' '.join(trace)} That is {number}."
        row = {"input": f"{number} {context}", "output": output, "gts": "7", "score": number % 2, "step": number // 512}
        yield json.dumps(row).encode() + b"\n"
        number += 1


def make(folder: Path, size: int, shape: str, prompt: int) -> tuple[Path, int]:
    """(a log of at least so many bytes, how many rows it has)."""
    file = folder / f"{shape}-{prompt}-{size}.jsonl"
    if not file.exists():
        with file.open("wb") as out:
            for row in rows(size, shape, prompt):
                out.write(row)
                if out.tell() >= size:
                    break
    with file.open("rb") as made:
        return file, sum(block.count(b"\n") for block in iter(lambda: made.read(1 << 24), b""))


def audit(log: Path, policy: str, workers: int, keep: Path | None) -> Used:
    """Audit a log in a process of its own, and look at it and its children until it ends."""
    command = [sys.executable, "-m", "azr_platform", "audit", str(log), "--json", "--policy", policy]
    command += ["--workers", str(workers), *(["--keep", str(keep)] if keep else [])]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen: dict[int, tuple[float, float]] = {}
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, seen, ended))
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    ended.set()
    watch.join()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    everything = usage.ru_utime + usage.ru_stime  # of the process and of the children that it has waited for
    children = {pid: one for pid, one in seen.items() if pid != process.pid}
    reader = seen.get(process.pid, (everything, 0.0))
    mb = max((held for _, held in children.values()), default=0.0)
    return Used(time.perf_counter() - begun, reader[0], everything, reader[1], mb)


def _watch(parent: int, seen: dict[int, tuple[float, float]], ended: threading.Event) -> None:
    """Note the CPU seconds and the peak memory of a process and its children, over and over."""
    while not ended.wait(0.2):
        for pid in [parent, *_children(parent)]:
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            except OSError:
                continue
            if peak is not None:
                seen[pid] = ((int(stat[11]) + int(stat[12])) / TICKS, int(peak[1]) * 1024 / 1e6)


def _children(parent: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def size_of(text: str) -> int:
    return int(float(text[:-1]) * UNITS[text[-1]]) if text[-1] in UNITS else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["20M", "100M"], type=size_of)
    parser.add_argument("--workers", nargs="+", default=[1, 2], type=int)
    parser.add_argument("--policy", default="rules")
    parser.add_argument("--shape", choices=["trace", "program"], default="trace")
    parser.add_argument("--prompt", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    policy = asked.policy
    if policy == "rules":
        policy = str(folder / "rules.yaml")
        Path(policy).write_text(RULES)
    nothing, _ = make(folder, 1000, asked.shape, asked.prompt)
    print("MB      rows      workers  wall s  CPU s  of them reading  rows/s CPU  rows/s wall  MB reading  MB judging")
    for workers in asked.workers:
        start = audit(nothing, policy, workers, None)
        for size in asked.size:
            log, count = make(folder, size, asked.shape, asked.prompt)
            keep = folder / "kept" if asked.keep else None
            used = audit(log, policy, workers, keep)
            if keep:
                shutil.rmtree(keep)
            cpu, wall = used.all - start.all, used.wall - start.wall
            print(
                f"{size / 1e6:<7,.0f} {count:<9,} {workers:<8} {used.wall:<7.0f} {used.all:<6.0f} {used.reader:<16.1f} "
                f"{count / cpu:<11,.0f} {count / wall:<12,.0f} {used.reader_mb:<11.0f} {used.judge_mb:.0f}",
                flush=True,
            )
    if asked.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
