"""Seconds of a self-play step by part, of several ways to run it, interleaved: python benchmarks/step.py --help

Each round trains every arm once, from the same seed, in a process of its own; the first step of a run is left out.
Ratios are of the medians' steps within a round, so that a machine that is slow for a while is so for all arms.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("platform", "monitor", "sandbox", "policies", "tui")


class Arm:
    """A checkout of the platform, and what is set in it."""

    def __init__(self, name: str, root: Path, settings: Sequence[str] = ()) -> None:
        self.name, self.root, self.settings = name, root, settings

    def train(self, run: Path, steps: int, seed: int) -> list[dict[str, float]]:
        """Train the nano preset; the seconds of each step but the first, by part, the whole as ``step``."""
        options = [option for setting in self.settings for option in ("--set", setting)]
        command = ["-m", "azr_platform", "train", "--preset", "nano", "--run", str(run), "--steps", str(steps)]
        log = run.with_suffix(".log")
        with log.open("w") as output:
            status = subprocess.run(
                [sys.executable, *command, "--seed", str(seed), *options],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(str(self.root / room) for room in ROOMS)},
                check=False,
            ).returncode
        if status:
            sys.exit(f"error: {self.name}: train ended with {status}; {log} ends with: {log.read_text()[-500:]}")
        with closing(sqlite3.connect(f"file:{run / 'ledger.db'}?mode=ro", uri=True)) as ledger:
            seconds: dict[int, dict[str, float]] = defaultdict(dict)
            for step, value in ledger.execute("SELECT step, seconds FROM steps"):
                seconds[step]["step"] = value
            for step, name, value in ledger.execute(
                "SELECT step, name, value FROM metrics WHERE name LIKE 'seconds/%'"
            ):
                seconds[step][name.removeprefix("seconds/")] = value
        return [seconds[step] for step in sorted(seconds)[1:]]


def compare(arms: Sequence[Arm], rounds: int, steps: int, seed: int) -> None:
    """Print each arm's median seconds by part, and each later arm's steps over the first's."""
    seen: Mapping[str, list[dict[str, float]]] = {arm.name: [] for arm in arms}
    ratios: Mapping[str, list[float]] = {arm.name: [] for arm in arms[1:]}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            turn = {}
            for arm in arms if number % 2 == 0 else arms[::-1]:
                turn[arm.name] = arm.train(Path(folder) / f"{arm.name}-{number}", steps, seed + number)
                seen[arm.name].extend(turn[arm.name])
                print(
                    f"round {number + 1} of {rounds}: {figures(arm.name, turn[arm.name])}", file=sys.stderr, flush=True
                )
            whole = {name: median(step["step"] for step in rows) for name, rows in turn.items()}
            for arm in arms[1:]:
                ratios[arm.name].append(whole[arm.name] / whole[arms[0].name])
    for name, rows in seen.items():
        print(figures(name, rows))
    for name, values in ratios.items():
        low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        print(f"{name} over {arms[0].name}: {middle:.2f} (quartiles {low:.2f} to {high:.2f}, {len(values)} rounds)")


def figures(name: str, rows: Sequence[Mapping[str, float]]) -> str:
    """An arm's median seconds in one line."""
    parts = sorted({part for row in rows for part in row} - {"step"})
    told = "  ".join(f"{part} {median(row.get(part, 0.0) for row in rows):.2f}" for part in ["step", *parts])
    return f"{name}: {told} (median seconds of {len(rows)} steps)"


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="of each run, two at least")
    parser.add_argument("--seed", type=int, default=7)
    return parser


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another checkout, the first arm")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an arm with this setting")
    chosen = parser.parse_args()
    arms = [Arm("before", chosen.before.resolve())] if chosen.before else []
    arms.append(Arm("now", ROOT))
    arms += [Arm(setting, ROOT, [setting]) for setting in chosen.set]
    compare(arms, chosen.rounds, max(2, chosen.steps), chosen.seed)


if __name__ == "__main__":
    main()
