"""Does self-play teach the embedded model, and is it the reward's doing? Every arm on the same held-out tasks.

    python benchmarks/learning.py FOLDER [--steps 60] [--seeds 3] [--arm NAME ...] [--ceiling MODEL] [--per-kind 500]

An arm is a supervised run of the nano preset, as a user would start it, and an evaluation of where it ends. What is
done already in FOLDER is not done again, so a broken measurement goes on. Prints a table; writes FOLDER/learning.json
and, with matplotlib, FOLDER/learning.png.

- self-play: the preset;  global baseline: one baseline for the whole batch instead of one a role and kind
- random reward: each group's rewards dealt at random among its samples
- frozen proposer: the base goes on proposing;  solver only: proposals add nothing to the gradient
- rlvr: tasks of the grammar with their truths;  ttrl: the same without, by majority vote
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ARMS: dict[str, list[str]] = {
    "self-play": [],
    "random reward": ["--set", "control.rewards=shuffled"],
    "frozen proposer": ["--set", "control.proposer=frozen"],
    "solver only": ["--set", "control.proposer=untrained"],
    "global baseline": ["--set", "update.advantage=reinforce++"],
    "rlvr": ["--regime", "rlvr", "--problems", "grammar"],
    "ttrl": ["--regime", "ttrl", "--problems", "grammar"],
}
COMMAND = [sys.executable, "-m", "azr_platform"]
KINDS = ("deduction", "abduction", "induction")


def evaluate(target: str, file: Path, options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """The evaluation of a run or a model, made once."""
    if not file.exists():
        command = [
            *COMMAND,
            "eval",
            target,
            "--per-kind",
            str(options.per_kind),
            "--samples",
            str(options.samples),
            *more,
        ]
        run = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        if run.returncode:
            sys.exit(f"error: eval {target} failed: {run.stderr.strip()}")
        file.write_text(run.stdout)
    found: dict[str, Any] = json.loads(file.read_text())["evaluations"][0]
    return found


def arm(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One arm under one seed: the evaluation, and the seconds that training took."""
    run = options.folder / f"{name.replace(' ', '-')}-{seed}"
    times = run.with_suffix(".seconds")
    if not times.exists():
        started = time.monotonic()
        resume = ["--resume", str(run)] if run.exists() else None
        command = [*COMMAND, "train", *(resume or ["--preset", "nano", "--run", str(run), *ARMS[name]])]
        if resume is None:
            command += ["--seed", str(seed), "--steps", str(options.steps)]
        with run.with_suffix(".log").open("a") as log:
            status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        if status:
            sys.exit(f"error: {name}, seed {seed}: train ended with {status}; see {run.with_suffix('.log')}")
        times.write_text(f"{time.monotonic() - started:.0f}")
    return {
        "arm": name,
        "seed": seed,
        "seconds": float(times.read_text()),
        "evaluation": evaluate(str(run), run.with_suffix(".json"), options),
    }


def score(evaluation: dict[str, Any], kind: str) -> float:
    """Percent of pass@1 at temperature 1 of a kind, or of the mean of the kinds."""
    scores = evaluation["scores"]["pass@1"]
    return (
        statistics.mean(score(evaluation, k) for k in KINDS) if kind == "mean" else 100 * float(scores[kind]["value"])
    )


def show(base: dict[str, Any], rows: list[dict[str, Any]], ceiling: dict[str, Any] | None) -> None:
    """A table of pass@1 by kind, gains over the base, and seconds of training."""
    table = Table("arm", "seeds", *KINDS, "mean", "gain", "seconds", title="held-out pass@1 at temperature 1, %")
    table.add_row("base", "", *(f"{score(base, kind):.1f}" for kind in (*KINDS, "mean")), "", "")
    for name in ARMS:
        done = [row for row in rows if row["arm"] == name]
        if not done:
            continue
        cells = []
        for kind in (*KINDS, "mean"):
            values = [score(row["evaluation"], kind) for row in done]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        gain = statistics.mean(score(row["evaluation"], "mean") for row in done) - score(base, "mean")
        seconds = statistics.mean(row["seconds"] for row in done)
        table.add_row(name, str(len(done)), *cells, f"{gain:+.1f}", f"{seconds:.0f}")
    if ceiling is not None:
        table.add_row("ceiling", "", *(f"{score(ceiling, kind):.1f}" for kind in (*KINDS, "mean")), "", "")
    Console().print(table)


def plot(base: dict[str, Any], rows: list[dict[str, Any]], ceiling: dict[str, Any] | None, file: Path) -> None:
    """One panel a kind and one for their mean: every seed a point, base and ceiling as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(13, 4), sharey=True)
    names = [name for name in ARMS if any(row["arm"] == name for row in rows)]
    for axis, kind in zip(axes, (*KINDS, "mean"), strict=True):
        axis.axhline(score(base, kind), color="black", linewidth=1, linestyle=":", label="base")
        if ceiling is not None:
            axis.axhline(score(ceiling, kind), color="black", linewidth=1, linestyle="--", label="clean parent")
        for place, name in enumerate(names):
            values = [score(row["evaluation"], kind) for row in rows if row["arm"] == name]
            axis.plot([place] * len(values), values, "o", color="#0072B2", markersize=5, alpha=0.8)
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axis.set_title(kind)
        axis.set_ylim(0, 100)
    axes[0].set_ylabel("held-out pass@1, %")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="only these; may be repeated")
    parser.add_argument("--ceiling", help="a model to compare with, such as the base's clean parent")
    parser.add_argument("--per-kind", type=int, default=500)
    parser.add_argument("--samples", type=int, default=8)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = evaluate("nano", options.folder / "base.json", options)
    ceiling = None
    if options.ceiling:
        ceiling = evaluate(options.ceiling, options.folder / "ceiling.json", options, "--preset", "nano")
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for name in options.arm or ARMS:
            rows.append(arm(name, seed, options))
            show(base, rows, ceiling)
    result = {"steps": options.steps, "base": base, "ceiling": ceiling, "arms": rows}
    (options.folder / "learning.json").write_text(json.dumps(result, indent=1) + "\n")
    try:
        plot(base, rows, ceiling, options.folder / "learning.png")
    except ImportError:
        print("no learning.png: matplotlib is not installed")


if __name__ == "__main__":
    main()
