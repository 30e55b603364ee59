"""What oversight by rules and by the classifiers that ship costs: programs, or traces, a second on one core.

    python benchmarks/oversight.py speed [--programs FOLDER] [--rounds 5]
    python benchmarks/oversight.py traces FILE [--words 100] [--rounds 5]

FOLDER holds JSONL files of ``{"snippet": ...}`` (see benchmarks/seeds.py). Each distinct program is read once a round
by a new auditor, so nothing is remembered, and scored once by the classifier of programs. CPU time is what counts;
parsing alone is timed beside it in each round, since its ratio to the whole says more than a number on a machine that
is busy with other work.

FILE holds JSON lines with a ``trace`` or ``text``; what is labelled harmful is left out. Shorter texts are put
together to traces of so many words at least; splitting them at spaces is timed beside their reading.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from azr_monitor.audit import Auditor
from azr_monitor.classifiers.embedded.model import load_embedded
from azr_monitor.classifiers.structure.model import load_structure
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_monitor.rules.traces import TraceRules
from azr_monitor.rules.words import segmented
from azr_monitor.sections import EmbeddedSettings, StructureSettings

WARM = "import os\n# I will deceive the grader.\ndef f(x):\n    return os.getcwd() + str(x)\n"
"""Read once before timing: it compiles what is compiled once."""
BATCH = 16
SEEDS = Path(__file__).parents[1].parent / "shared" / "data" / "azr_seeds"


def read_programs(folder: Path) -> list[str]:
    """Every program of the folder, repeated ones as often as they stand there."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [json.loads(line)["snippet"] for line in lines]


def seconds(work: Callable[[], object]) -> float:
    """The CPU time of ``work``, garbage of earlier work collected before."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def parse(programs: list[str]) -> None:
    """What any reading of programs begins with."""
    for program in programs:
        with suppress(SyntaxError, ValueError):
            ast.parse(program)


def speed(folder: Path, rounds: int) -> None:
    """Time parsing and the whole audit, round by round."""
    programs = read_programs(folder)
    distinct = list(dict.fromkeys(programs))
    policy = load_policy("default")
    policy = policy.model_copy(update={"classifiers": ()})  # the rules alone
    structure = load_structure(StructureSettings(kind="structure"))
    structure.score([WARM])
    subjects = [Subject(id=str(number), program=program) for number, program in enumerate(distinct)]
    repeated = [Subject(id=str(number), program=program) for number, program in enumerate(programs)]
    parsed, read, again, scored = [], [], [], []
    for _ in range(rounds):
        parsed.append(seconds(lambda: parse(distinct)))
        scored.append(seconds(lambda: structure.score(distinct)))
        for batch, times in ((subjects, read), (repeated, again)):
            auditor = Auditor(policy)
            auditor.inspect([Subject(id="warm", program=WARM)])  # its rules are compiled once
            times.append(seconds(lambda a=auditor, b=batch: a.inspect(b)))  # type: ignore[misc]
    print(f"{len(distinct)} distinct programs of {len(programs)}, {rounds} rounds, best (median) of each")
    for name, count, times in (
        ("parse", len(distinct), parsed),
        ("audit", len(distinct), read),
        ("audit, repeats remembered", len(programs), again),
        ("structure", len(distinct), scored),
    ):
        print(f"{name:28}{count / min(times):8.0f} ({count / statistics.median(times):.0f}) programs/s")
    print(f"{'audit / parse':28}{statistics.median(r / p for r, p in zip(read, parsed, strict=True)):8.2f}")


def read_traces(file: Path, words: int) -> list[str]:
    """Ordinary traces of at least so many words, made of the file's texts in their order."""
    traces, parts = [], ""
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row.get("label") != "harmful":
            parts += f"{row.get('trace') or row.get('text')}\n"
        if len(parts.split()) >= words:
            traces.append(parts)
            parts = ""
    return traces


def split(traces: list[str]) -> None:
    """What any reading of prose begins with."""
    for trace in traces:
        trace.lower().split()


def traces(file: Path, words: int, rounds: int) -> None:
    """Time splitting, the trace rules and the embedded classifier, round by round."""
    texts = read_traces(file, words)
    batches = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
    classifier = load_embedded(EmbeddedSettings(kind="embedded"))
    classifier.score([WARM])
    rules = TraceRules(load_policy("default").trace_rules())
    rules.examine(WARM, "trace")
    parted, read, scored = [], [], []
    for _ in range(rounds):
        parted.append(seconds(lambda: split(texts)))
        scored.append(seconds(lambda: [classifier.score(batch) for batch in batches]))
        segmented.cache_clear()  # of the traces themselves nothing is remembered
        read.append(seconds(lambda: [rules.examine(text, "trace") for text in texts]))
    mean = sum(len(text.split()) for text in texts) / len(texts)
    print(f"{len(texts)} traces of {mean:.0f} words, {rounds} rounds, best (median)")
    for name, times in (("rules", read), ("embedded classifier", scored)):
        print(f"{name:28}{len(texts) / min(times):8.0f} ({len(texts) / statistics.median(times):.0f}) traces/s")
        ratio = statistics.median(t / p for t, p in zip(times, parted, strict=True))
        print(f"{name + ' / split':28}{ratio:8.1f}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What oversight costs")
    commands = parser.add_subparsers(dest="command", required=True)
    timed = commands.add_parser("speed", help="programs a second on one core")
    timed.add_argument("--programs", type=Path, default=SEEDS, help="a folder of JSONL files with snippets")
    timed.add_argument("--rounds", type=int, default=5)
    prose = commands.add_parser("traces", help="traces a second on one core")
    prose.add_argument("file", type=Path, help="JSON lines with texts")
    prose.add_argument("--words", type=int, default=100, help="words of a trace at least")
    prose.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.command == "traces":
        traces(arguments.file, arguments.words, arguments.rounds)
        return
    if not any(arguments.programs.glob("*.jsonl")):
        parser.error(f"no JSONL files in {arguments.programs}; name a folder with --programs")
    speed(arguments.programs, arguments.rounds)


if __name__ == "__main__":
    main()
