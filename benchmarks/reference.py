"""Our pool beside the executor of the published Absolute-Zero trainer, as it is, on programs of our own.

    git clone https://github.com/LeapLabTHU/Absolute-Zero-Reasoner CHECKOUT
    pip install pebble timeout-decorator regex python-dateutil numpy tqdm
    python benchmarks/reference.py CHECKOUT [--rounds R]

`azr-platform sandbox bench` compares with a leaner pool of processes of our own; this says how much leaner. The
published executor runs programs with nothing around them, so only ours are run here. Its determinism check is on, as
in its trainer: ``f`` is called twice in one process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from azr_sandbox.bench.arms import pairs
from azr_sandbox.bench.outer import OuterJail
from azr_sandbox.bench.processes import cpu_s
from azr_sandbox.bench.programs import OWN
from azr_sandbox.execution import Request
from azr_sandbox.pool import JailPool

BANNED = ["subprocess", "threading", "multiprocessing", "random", "time", "os.sys", "os.path", "sys.exit"]
"""Words as its configuration bans them; looking for them is part of what it does to each program."""
PUBLISHED, LEAN, VERIFIED = "published executor", "in-process pool", "jail, verified"
TOGETHER, TOGETHER_ONCE = "jail, together", "jail, together, once"


def published(checkout: Path) -> Callable[[], int]:
    """Runs every pair through the published executor; how many it calls valid."""
    sys.path.insert(0, str(checkout))
    from absolute_zero_reasoner.utils.code_utils.python_executor import (  # type: ignore[import-not-found]
        PythonExecutor,
    )

    executor = PythonExecutor(timeout_length=10, ast_check=True, max_workers=1)
    batch = pairs(OWN)
    return lambda: sum(executor.check_all(text, given, banned_keywords=BANNED)[0] for text, given in batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a clone of the published trainer")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    batch = pairs(OWN)
    together = [Request(program.text, program.inputs, together=True) for program in OWN]
    once = [Request(program.text, program.inputs, verify=False, together=True) for program in OWN]
    verified = [Request(text, (given,)) for text, given in batch]
    with JailPool(workers=1) as pool, OuterJail("pool", bare=True) as lean:
        ways: dict[str, Callable[[], int]] = {
            PUBLISHED: published(options.checkout),
            LEAN: lambda: (lean.load(batch), lean.run().values)[1],
            VERIFIED: lambda: sum(execution.ok for row in pool.run(verified) for execution in row),
            TOGETHER: lambda: sum(execution.ok for row in pool.run(together) for execution in row),
            TOGETHER_ONCE: lambda: sum(execution.ok for row in pool.run(once) for execution in row),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(options.rounds + 1):
            for name in Random(number).sample(list(ways), len(ways)):
                before = cpu_s()
                values = ways[name]()
                taken[name].append(1000 * (cpu_s() - before) / len(batch))
                if values != len(batch):
                    sys.exit(f"error: {name} gave {values} values of {len(batch)}")
    print(f"{len(batch)} pairs, {options.rounds} rounds\n")
    print(f"{'way':20}{'CPU ms a pair':>15}{'of the published, quartiles':>32}")
    for name, costs in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(taken[PUBLISHED][1:], costs[1:], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        print(f"{name:20}{statistics.median(costs[1:]):15.2f}{f'{middle:.2f} ({low:.2f}-{high:.2f})':>32}")


if __name__ == "__main__":
    main()
