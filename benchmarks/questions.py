"""What audit ask costs, and how often its timelines see a change where there is none.

    python benchmarks/questions.py [--samples 100000] [--letters 1000]
    python benchmarks/questions.py --changes [--runs 400]

The first makes a ledger in which every sample is flagged, a third of the traces near copies of others, and asks every
question of it, each in seconds of CPU time. The second simulates runs with and without a change of rate, of samples
that are independent and of samples that come in groups of eight alike, as those of one prompt may.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np

from azr_platform.audits.changes import changes
from azr_platform.audits.questions import Asked, Question, answers
from azr_platform.audits.similar import similar
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.search import SearchIndex
from azr_platform.ledger.writer import LedgerWriter

AT_ONCE = 2000
STEP = 400
RULES = ("trace.harm.bodily", "trace.uhoh", "trace.escape.plan")


def traces(count: int, letters: int, rng: random.Random) -> list[str]:
    """Texts of words as unequally frequent as a language's; every third differs from an earlier one in a word."""
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgkqjxz", k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / place for place in range(1, len(words) + 1)]
    made: list[str] = []
    for number in range(count):
        text = made[rng.randrange(number)].split() if number % 3 == 2 else rng.choices(words, weights, k=letters // 6)
        text[rng.randrange(len(text))] = rng.choice(words)
        made.append(" ".join(text))
    return made


def fill(run: Path, count: int, letters: int) -> None:
    """A ledger of flagged samples: every fourth a proposal that becomes a task, the others answers to it."""
    rng = random.Random(3)
    with LedgerWriter(run) as writer:
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "", "seed": 0, "steps": 0, "config": ""})
        writer.append("branches", {"created_at": 1.0, "from_step": 0, "reason": "start"})
        texts = traces(count, letters, rng)
        for begin in range(0, count, AT_ONCE):
            with writer.batch() as batch:
                for number, text in enumerate(texts[begin : begin + AT_ONCE], begin + 1):
                    place = {"branch": 1, "step": number // STEP}
                    role, task = ("propose", number) if number % 4 == 1 else ("solve", number - (number - 1) % 4)
                    row = {**place, "phase": role, "role": role, "kind": "deduction", "task": f"t{task}"}
                    batch.add("samples", {**row, "prompt": "p", "response": text, "reasoning": text})
                    verdict = {"allowed": True, "action": 1, "severity": 2, "score": rng.random(), "reason": "r"}
                    batch.add("verdicts", {"sample": number, **verdict})
                    finding = {"rule": rng.choice(RULES), "severity": 2, "part": "trace", "why": "w"}
                    batch.add("findings", {"sample": number, **finding, "span_start": 10, "span_end": 30})
                    reward = {"reward": rng.random(), "advantage": 0.0, "trained": True}
                    batch.add("rewards", {"sample": number, **place, **reward})


def timed(what: str, act: Callable[[], object]) -> None:
    """Print the CPU seconds of an act."""
    begun = time.process_time()
    act()
    print(f"{what:<12} {time.process_time() - begun:6.2f} s", flush=True)


def ask(count: int, letters: int) -> None:
    """Every question, and samples like an example, on a ledger made for it."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count, letters)
        with LedgerReader(Path(folder)) as reader:
            print(f"{count:,} flagged traces of {letters:,} characters")
            for question in Question:
                timed(question.value, lambda question=question: answers(reader, Asked(), question))  # type: ignore[misc]
            example = reader.trace(count // 2)
            with SearchIndex(reader) as index:
                timed("index", index.update)
                timed("similar", lambda: similar(reader.judgements(), reader, index, example))


def claimed(hits: np.ndarray, samples: int) -> float:
    """The share of runs in which a change is seen."""
    return sum(bool(changes(row.tolist(), [samples] * len(row))) for row in hits) / len(hits)


def simulate(runs: int) -> None:
    """Changes that are seen, in per cent of the runs."""
    rng = np.random.default_rng(5)
    print("none there:  group steps    mean   worst")
    for group, steps in product((1, 8), (20, 60, 200)):
        shares = [
            claimed(rng.binomial(samples // group, rate, (runs, steps)) * group, samples)
            for rate, samples in product((0.002, 0.02, 0.2), (64, 400))
        ]
        print(f"{group:>18} {steps:>5} {np.mean(shares):>6.2%} {max(shares):>7.2%}", flush=True)
    print("after 30 of 60 steps:  group   rates        64 a step  400 a step")
    for group, (before, after) in product((1, 8), ((0.005, 0.01), (0.01, 0.03), (0.02, 0.06), (0.1, 0.15))):
        rates = np.where(np.arange(60) < 30, before, after)
        seen = [claimed(rng.binomial(samples // group, rates, (runs, 60)) * group, samples) for samples in (64, 400)]
        print(f"{group:>28}   {before:.1%} to {after:.1%} {seen[0]:>8.0%} {seen[1]:>11.0%}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--letters", type=int, default=1000)
    parser.add_argument("--changes", action="store_true")
    parser.add_argument("--runs", type=int, default=400)
    given = parser.parse_args()
    if given.changes:
        simulate(given.runs)
    else:
        ask(given.samples, given.letters)
