"""What judging a run again takes, in CPU time and memory: python benchmarks/rejudge.py --samples 20000 --workers 1 2

A synthetic ledger is judged by ``azr-platform audit RUN`` under a policy of rules alone, once for each number of
workers. CPU time says more than the clock does on a machine that is busy with other work. What a start costs is taken
off by judging a tenth of the samples as well: ``each`` is the difference by the sample, of all processes together.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from synthetic import make

POLICY = "name: rules\nextends: default\nclassifiers:\n" + "".join(
    f"  - {{kind: {kind}, enabled: false}}\n" for kind in ("detoxify", "embedded", "structure")
)
# In a file, as processes that are spawned import the main module again.
COMMAND = """
import json, resource, sys
if __name__ == "__main__":
    from azr_platform.cli.main import app
    app(sys.argv[1:], standalone_mode=False)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]), file=sys.stderr)
"""


class Used(NamedTuple):
    """CPU seconds and the peak of memory in MB: of the command, and of its workers (together; of one)."""

    cpu: float
    memory: float
    workers_cpu: float
    worker_memory: float


def judge(folder: Path, run: Path, workers: int, until: int) -> Used:
    """Judge a copy of the run up to a step."""
    copy = folder / "copy"
    shutil.copytree(run, copy)
    options = ["--policy", str(folder / "rules.yaml"), "--workers", str(workers), "--until", str(until)]
    command = [sys.executable, str(folder / "command.py"), "audit", str(copy), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(copy)
    if done.returncode:
        sys.exit(f"error: audit ended with {done.returncode}: {done.stderr[-500:]}")
    own, children = map(json.loads, done.stderr.splitlines()[-2:])
    return Used(*own, *children)


def main() -> None:
    """Print a row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yaml").write_text(POLICY)
        (folder / "command.py").write_text(COMMAND)
        make(folder / "run", options.samples, options.steps)
        print("workers  command     MB  workers' CPU  MB of one  each ms")
        for workers in options.workers:
            few = judge(folder, folder / "run", workers, options.steps // 10)
            all_ = judge(folder, folder / "run", workers, options.steps)
            more = all_.cpu + all_.workers_cpu - few.cpu - few.workers_cpu
            each = 1000 * more / (0.9 * options.samples)
            print(
                f"{workers:>7} {all_.cpu:>7.1f}s {all_.memory:>6.0f} {all_.workers_cpu:>12.1f}s "
                f"{all_.worker_memory:>10.0f} {each:>8.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
