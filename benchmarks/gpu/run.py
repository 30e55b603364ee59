"""Checks and measures the platform on this machine's GPU: benchmarks/gpu/run.sh --help

Each item is a process of its own with a time limit; what it found is a JSON file in the folder of results, and one that
has its file is not done again. Running out of memory, crashing or taking too long is a row of the table, too. A call
starts no item that might not end within --minutes; call again to go on. The table is printed at the end of each call
and written to table.md beside the results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from table import table

HERE = Path(__file__).resolve().parent


class Item(NamedTuple):
    """``does`` is MODULE.FUNCTION, called with where it runs and ``arguments``; ``seconds`` is its limit."""

    does: str
    arguments: tuple[str, ...]
    seconds: int
    what: str
    needs: tuple[str, ...] = ()
    """Packages that it cannot do without."""
    gpu: bool = False
    """Whether a CPU will not do."""

    def lacks(self, device: str) -> str:
        """Why it cannot be done here; empty when it can."""
        missing = [name for name in self.needs if find_spec(name) is None]
        return (
            f"{', '.join(missing)} not installed"
            if missing
            else "only on a GPU"
            if self.gpu and device == "cpu"
            else ""
        )


ITEMS = {
    "check-precision": Item("checks.precision", (), 120, "bfloat16 beside float32"),
    "check-packed": Item("checks.packed", (), 120, "packed sequences beside padded ones"),
    "check-chunked": Item("checks.chunked", (), 90, "logits in chunks beside all at once"),
    "check-cpu": Item("checks.agreement", (), 120, "the device in float32 beside the CPU in float64"),
    "check-resume": Item("checks.resume", (), 120, "updates with a checkpoint and a fresh model and optimizer between"),
    "check-rollback": Item("selfplay.rollback", (), 240, "a run of the embedded model, rolled back"),
    "nano": Item("selfplay.nano", (), 240, "self-play of the embedded model"),
    "learner-0.5b": Item("measures.learner", ("0.5b",), 180, "updates with the preset's settings"),
    "learner-1.5b": Item("measures.learner", ("1.5b",), 180, "the same"),
    "learner-3b": Item("measures.learner", ("3b",), 240, "the same"),
    "learner-7b": Item("measures.learner", ("7b",), 360, "the same"),
    "learner-7b-bf16": Item(
        "measures.learner", ("7b", "optimizer.master_weights=false"), 360, "without float32 copies of the weights"
    ),
    "learner-1.5b-kept": Item(
        "measures.learner", ("1.5b", "update.gradient_checkpointing=false"), 180, "all activations kept"
    ),
    "trl-0.5b": Item("measures.beside_trl", (), 300, "our update beside TRL's GRPO step", ("trl", "datasets")),
    "rollouts-0.5b": Item("measures.rollouts", ("0.5b", "transformers"), 240, "sampling with the library"),
    "rollouts-3b": Item("measures.rollouts", ("3b", "transformers"), 300, "the same"),
    "rollouts-3b-vllm": Item("measures.rollouts", ("3b", "vllm"), 400, "sampling with vLLM", ("vllm",), gpu=True),
    "step-3b": Item("selfplay.step", ("transformers",), 540, "a step of the 3B preset, by phase"),
    "step-3b-vllm": Item("selfplay.step", ("vllm",), 540, "the same with vLLM", ("vllm",), gpu=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="of one call (default 9)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="ITEM", help="these items, or all that begin like them"
    )
    parser.add_argument("--list", action="store_true", help="name the items and what was found, and end")
    parser.add_argument("--again", action="store_true", help="do items once more that have a result, with --only")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to try the items out; figures mean nothing")
    parser.add_argument("--out", type=Path, help="folder of the results (default: results beside this file)")
    parser.add_argument("--item", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.item:
        from item import run_item

        run_item(ITEMS[chosen.item], device=chosen.device, tiny=chosen.tiny, out=chosen.out)
        return
    name = "results" if chosen.device == "cuda" and not chosen.tiny else f"results-{chosen.device}"
    out = (chosen.out or HERE / name).resolve()
    names = [item for item in ITEMS if not chosen.only or any(item.startswith(wanted) for wanted in chosen.only)]
    if not names:
        parser.error(f"no item begins with {' or '.join(chosen.only)}; there are: {', '.join(ITEMS)}")
    if chosen.again and not chosen.only:
        parser.error("--again goes with --only")
    if chosen.list:
        for item in names:
            found = _read(out, item)
            status = found["status"] if found else "not here" if ITEMS[item].lacks(chosen.device) else "-"
            print(f"{item:<18} {status:<14} {ITEMS[item].what}")
        return
    sys.exit(_call(out, names, chosen))


def _call(out: Path, names: list[str], chosen: argparse.Namespace) -> int:
    """Do what is missing, as far as the minutes go; returns 1 where a check failed or an item ended badly."""
    if chosen.device == "cuda":
        _require_gpu()
    _require_same_kind(out, chosen)
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * chosen.minutes
    first, left = True, []
    for name in names:
        if (_read(out, name) and not chosen.again) or ITEMS[name].lacks(chosen.device):
            continue
        remaining = end - time.monotonic()
        if remaining < ITEMS[name].seconds and not first:
            left.append(name)
            continue
        first = False
        limit = min(ITEMS[name].seconds, remaining)
        print(f"{name}: {ITEMS[name].what}; at most {limit:.0f} s", flush=True)
        found = _done(out, name, chosen, limit)
        print(f"{name}: {found['status']} in {found['seconds']:.0f} s", flush=True)
    results = {name: found for name in ITEMS if (found := _read(out, name) or _absent(name, chosen))}
    text = table(results)
    (out / "table.md").write_text(text, "utf-8")
    print("\n" + text)
    if left:
        print(f"not begun for want of time: {' '.join(left)}; call again to go on")
    ended = {found["status"] for name in names if (found := results.get(name))}
    return 0 if ended <= {"done", "not here"} else 1


def _absent(name: str, chosen: argparse.Namespace) -> dict[str, Any] | None:
    """What stands in the table for an item that cannot be done here; nothing is written down, so that it can be once
    what it lacks is there."""
    why = ITEMS[name].lacks(chosen.device)
    return {"status": "not here", "rows": [], "note": why, "tiny": chosen.tiny} if why else None


def _done(out: Path, name: str, chosen: argparse.Namespace, limit: float) -> dict[str, Any]:
    """Do an item in a process of its own and write down what came of it."""
    (out / "logs").mkdir(exist_ok=True)
    log, partial = out / "logs" / f"{name}.log", out / f"{name}.partial"
    partial.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "run.py"), "--item", name, "--device", chosen.device, "--out", str(partial)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    if chosen.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    started = time.monotonic()
    with log.open("wb") as output, tempfile.TemporaryDirectory(prefix="azr-gpu-") as work:
        child = subprocess.Popen(
            [*command, *(["--tiny"] if chosen.tiny else [])],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment, "TMPDIR": work},
            start_new_session=True,  # so that it ends with everything it started
        )
        try:
            status = child.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end_group(child)
    if partial.is_file():
        found: dict[str, Any] = json.loads(partial.read_text("utf-8"))
    else:
        last = (log.read_text("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
        word = "took too long" if status is None else f"ended with {status}"
        found = {"status": word, "rows": [], "note": last[-300:]}
    found |= {"item": name, "tiny": chosen.tiny, "seconds": time.monotonic() - started, "at": time.strftime("%F")}
    found.setdefault("device", chosen.device)
    partial.write_text(json.dumps(found, indent=1), "utf-8")
    partial.rename(out / f"{name}.json")
    return found


def _end_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read(out: Path, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((out / f"{name}.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        sys.exit(f"error: {out / f'{name}.json'}: not a result ({error}); delete it, and the item is done again")
    return found


def _require_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        sys.exit(
            f"error: torch {torch.__version__} at {sys.executable} sees no GPU; "
            "to try the items out without one: --device cpu --tiny"
        )


def _require_same_kind(out: Path, chosen: argparse.Namespace) -> None:
    """Results of a GPU and of a trial must not mix in one table."""
    for name in ITEMS:
        found = _read(out, name)
        if found and (found["device"], found["tiny"]) != (chosen.device, chosen.tiny):
            kind = f"--device {found['device']}{' --tiny' if found['tiny'] else ''}"
            sys.exit(f"error: {out}: the results there were made with {kind}; give another folder with --out")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
        sys.exit(0)
    sys.exit(130)
