"""What the outer jail adds to the benchmark's baselines: the same baseline inside it and without, interleaved.

    python benchmarks/outer_jail.py [--rounds R]

Only programs of our own are run: one side of the comparison has no jail around it at all.
"""

from __future__ import annotations

import argparse
import statistics
from random import Random

from azr_sandbox.bench.arms import pairs
from azr_sandbox.bench.outer import OuterJail, Pair
from azr_sandbox.bench.processes import cpu_s
from azr_sandbox.bench.programs import OWN


def cost_ms(jail: OuterJail, batch: list[Pair]) -> float:
    """CPU milliseconds a pair."""
    jail.load(batch)
    before = cpu_s()
    jail.run()
    return 1000 * (cpu_s() - before) / len(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    batch = pairs(OWN) * 2
    print(f"{'baseline':10}{'bare ms':>10}{'jailed ms':>12}{'jailed : bare, median and quartiles':>40}")
    for way in ("fork", "pool"):
        with OuterJail(way, bare=True) as bare, OuterJail(way) as jailed:
            taken: dict[OuterJail, list[float]] = {bare: [], jailed: []}
            for number in range(rounds + 1):
                for jail in Random(number).sample([bare, jailed], 2):
                    taken[jail].append(cost_ms(jail, batch))
        ratios = sorted(inside / outside for inside, outside in zip(taken[jailed][1:], taken[bare][1:], strict=True))
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        costs = f"{statistics.median(taken[bare]):10.2f}{statistics.median(taken[jailed]):12.2f}"
        print(f"{way:10}{costs}{f'{middle:.3f} ({low:.3f}-{high:.3f})':>40}")


if __name__ == "__main__":
    main()
