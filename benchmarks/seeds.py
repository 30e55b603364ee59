"""Run published model-written programs in the jail, compare with what was recorded, and explain every difference.

    python benchmarks/seeds.py [FOLDER] [--json FILE]         # the table; exit 1 below 97 % or with a loose end
    python benchmarks/seeds.py [FOLDER] --lines FILE          # the same programs as lines for `azr-platform sandbox`

FOLDER holds the ``*_seed_io.jsonl`` of other self-play runs (default:
``../shared/data/azr_seeds`` beside the checkout).
They recorded what `repr` printed, cut to its first and last 200 characters, or nothing when the program failed or a
second call in the same process gave something else.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from azr_sandbox import values
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.pool import JailPool
from azr_sandbox.verdict import chancy, order_sensitive

SEEDS = Path(__file__).resolve().parents[2] / "shared/data/azr_seeds"
LEAST_SAME = 0.97
SAME, SAME_CUT = "the same value", "the same as far as a cut record goes"
OTHER = "other"
# Asked of the same call in the jail: what the record would have been, and whether a second call gives the same. The
# program's own f stays in reach, since inputs call it, too.
_ASK = """

class _Ask:
    def __init__(self, *values):
        self.values = values

def _answer(first, *others):
    text = repr(first).strip()
    return bool(first == others[0]) if others else text if len(text) <= 400 else text[:200] + '...' + text[-200:]

def f(*arguments, _f=f, **named):
    return _answer(*arguments[0].values) if type(arguments[0]) is _Ask else _f(*arguments, **named)
"""


class Pair(NamedTuple):
    """A program with one input, and the output on record."""

    place: str
    program: str
    arguments: str
    record: str


def read(folder: Path) -> list[list[Pair]]:
    """Every program of a folder, as its pairs. Raises SystemExit when there are none."""
    programs = []
    for file in sorted(folder.glob("*_seed_io.jsonl")):
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            row = json.loads(line)
            text = "\n".join([*row.get("imports", []), row["snippet"]])
            inputs, outputs = row.get("inputs", [row.get("input")]), row.get("outputs", [row.get("output")])
            place = f"{file.name}:{number}"
            programs.append([Pair(place, text, i, o) for i, o in zip(inputs, outputs, strict=True)])
    if not programs:
        raise SystemExit(f"error: {folder} holds no *_seed_io.jsonl; name the folder that does")
    return programs


def lines(programs: Iterable[Sequence[Pair]]) -> Iterable[str]:
    """The programs as ``azr-platform sandbox run`` and ``bench`` read them."""
    for pairs in programs:
        inputs = [pair.arguments for pair in pairs]
        yield json.dumps({"id": pairs[0].place, "program": pairs[0].program, "inputs": inputs})


def run(programs: Sequence[Sequence[Pair]], pool: JailPool) -> list[tuple[Pair, Execution]]:
    """Every pair, verified."""
    requests = (Request(pairs[0].program, tuple(pair.arguments for pair in pairs)) for pairs in programs)
    console = Console(stderr=True)
    bar = track(pool.stream(requests), "running", len(programs), console=console, disable=not console.is_terminal)
    return [row for pairs, ran in zip(programs, bar, strict=True) for row in zip(pairs, ran, strict=True)]


def recorded_values(records: Iterable[str], pool: JailPool) -> dict[str, str | None]:
    """The literal each record means. One that is an expression is evaluated in the jail; a cut one means none."""
    found: dict[str, str | None] = {}
    for record in records:
        try:
            found[record] = values.parse(record).text
        except values.NotALiteral:
            found[record] = None
    expressions = [record for record, value in found.items() if value is None and record]
    ran = pool.run([Request("def f(value):\n    return value", (text,), verify=False) for text in expressions])
    return found | {text: execution.value for text, (execution,) in zip(expressions, ran, strict=True)}


def explain(pair: Pair, execution: Execution, as_recorded: Execution, twice: Execution) -> str:
    """Why a pair's value is not what was recorded. Every rule looks at what happened, none at which pair it is."""
    same_text = as_recorded.value is not None and values.same(as_recorded.value, repr(pair.record))
    if same_text and len(pair.record) == 403 and pair.record[200:203] == "...":
        return SAME_CUT
    text = f"{pair.program}\n{pair.arguments}"
    match execution.outcome:
        case Outcome.NOT_A_VALUE:
            told = "printed the same" if same_text else "nothing on record" if not pair.record else "another text"
            return f"not a value: {execution.detail.removeprefix('a value of type ').split()[0]} ({told})"
        case Outcome.ERROR if "ModuleNotFoundError" in execution.detail:
            return "a third-party module that the jail does not have"
        case Outcome.ERROR if not pair.record:
            return "the program raises (nothing on record)"
        case Outcome.NONDETERMINISTIC if chancy(text):
            return "random: differs from run to run"
        case Outcome.NONDETERMINISTIC if order_sensitive(text):
            return "order of a set: differs under other hash seeds"
        case Outcome.OK if execution.value and order_sensitive(text) and sorted(execution.value) == sorted(pair.record):
            return "order of a set: the same pieces in another order"
        case Outcome.OK if not pair.record and twice.value == "False":
            return "keeps state: a second call differs (nothing on record)"
        case Outcome.POLICY_VIOLATION | Outcome.TIMEOUT | Outcome.CPU | Outcome.MEMORY | Outcome.OUTPUT_LIMIT:
            return f"the jail's limits: {execution.outcome.value}"
    return OTHER


def table(rows: Sequence[tuple[Pair, Execution]], pool: JailPool) -> dict[str, list[Pair]]:
    """Every pair under its explanation."""
    meant = recorded_values(dict.fromkeys(pair.record for pair, _ in rows), pool)
    found: dict[str, list[Pair]] = defaultdict(list)
    differing = []
    for pair, execution in rows:
        record = meant[pair.record]
        if execution.value is not None and record is not None and values.same(execution.value, record):
            found[SAME].append(pair)
        else:
            differing.append((pair, execution))
    texts = [Request(pair.program + _ASK, (f"_Ask(f({pair.arguments}\n))",), verify=False) for pair, _ in differing]
    calls = [
        Request(pair.program + _ASK, (f"_Ask(f({pair.arguments}\n), f({pair.arguments}\n))",), verify=False)
        for pair, _ in differing
    ]
    for (pair, execution), (text,), (call,) in zip(differing, pool.run(texts), pool.run(calls), strict=True):
        found[explain(pair, execution, text, call)].append(pair)
    return found


def show(found: dict[str, list[Pair]], programs: int) -> None:
    """The table, most frequent first."""
    total = sum(map(len, found.values()))
    shown = Table("output", box=None, pad_edge=False)
    for heading in ("pairs", "share", "programs"):
        shown.add_column(heading, justify="right")
    for reason, pairs in sorted(found.items(), key=lambda item: -len(item[1])):
        places = len({pair.place for pair in pairs})
        shown.add_row(Text(reason), str(len(pairs)), f"{len(pairs) / total:.2%}", str(places))
    console = Console(highlight=False)
    console.print(f"{programs} programs, {total} pairs\n")
    console.print(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SEEDS, help="where the *_seed_io.jsonl lie")
    parser.add_argument("--lines", type=Path, help="only write the programs as lines for azr-platform sandbox")
    parser.add_argument("--json", type=Path, help="write every explanation with its places")
    options = parser.parse_args()
    programs = read(options.folder)
    if options.lines:
        options.lines.write_text("".join(f"{line}\n" for line in lines(programs)), "utf-8")
        return
    with JailPool() as pool:
        found = table(run(programs, pool), pool)
    show(found, len(programs))
    if options.json:
        counts = {reason: dict(Counter(pair.place for pair in pairs)) for reason, pairs in found.items()}
        options.json.write_text(json.dumps(counts, indent=1), "utf-8")
    total = sum(map(len, found.values()))
    same = len(found[SAME]) + len(found[SAME_CUT])
    print(f"\n{same / total:.2%} are the same as their record; {len(found[OTHER])} differences are unexplained")
    sys.exit(same < LEAST_SAME * total or bool(found[OTHER]))


if __name__ == "__main__":
    main()
