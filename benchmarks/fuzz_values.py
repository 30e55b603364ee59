#!/usr/bin/env python3
"""Fuzz the reader of values: python benchmarks/fuzz_values.py [--inputs 1000000] [--engine own|atheris] [--seed 1]

Every input is read and compared. It must be read or refused (NotALiteral, nothing else), come back equal when its
canonical text is read again, and agree with Python's own `ast.literal_eval` where both accept a short one. Ends with
one line of figures, the slowest input's CPU time among them; exit status 1 and the input when a rule is broken.

`own` mutates a corpus of literals and needs nothing. `atheris` is guided by coverage: pip install '.[fuzz]'.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import resource
import sys
import time
import warnings
from collections.abc import Generator
from typing import Any

SLOW_S = 0.1
PROGRESS_S = 5.0
COMPARED_CHARS = 200
CORPUS = (
    "None", "True", "0", "-1", "1_000", "0x1F", "0b11", "1.5", "-0.0", "1e400", "1E-3", ".5", "5.", "2j", "(1+2j)",
    "-1-2.5j", "nan", "-inf", "(nan+infj)", "'a'", '"b"', "b'c'", "r'\\n'", "'\\x41\\u0041\\N{DIGIT ONE}'",
    "'''a\nb'''",
    "'a' 'b'", "[1, 2.5, 'x', None]", "(1,)", "()", "[]", "{}", "{1, 2}", "{'a': [1, (2,)], 2: {}}", "1, 2",
    "set()", "frozenset({1, 2})", "set([1, 1])", "Counter({'a': 2})", "OrderedDict([('a', 1)])", "deque([1], maxlen=3)",
    "defaultdict(<class 'int'>, {'a': 1})", "collections.Counter()", "dict(a=1, b=[2])", "float('nan')",
    "[[[[[[1], 2], 3], 4], 5], 6]", "{(1, (2, frozenset({3}))): 4}", "9" * 300, "[" * 50 + "]" * 50,
)  # fmt: skip
TOKENS = (
    "[", "]", "(", ")", "{", "}", ",", ":", "+", "-", ".", "_", "=", "*", "#", ";", "'", '"', "'''", "\\", "\\x", "\\u",
    "\\N{", "0", "1", "9", "e", "j", "0x", "nan", "inf", "None", "True", "False", "b'", "r'", "set(", "frozenset({",
    "})", "Counter(", "OrderedDict([", "dict(a=", "deque([", "maxlen=", "defaultdict(<class '", "float('",
    "collections.", "__import__", "lambda", " if ", " or ", " ", "\n", "\t", "\x00", "\x0c", "\ud800", "\u202e", "é",
    "١",
)  # fmt: skip


class Broken(Exception):
    """A rule does not hold; the message says which, and for what input."""


def check(text: str) -> bool:
    """Hold one text to every rule; returns whether it is a literal. Raises Broken."""
    from azr_sandbox.values import MAX_CHARS, NotALiteral, parse, same

    try:
        value = parse(text)
    except NotALiteral as refusal:
        if len(str(refusal)) > 200 or not str(refusal).isprintable():
            raise Broken(f"an unprintable refusal: {text!r}") from None
        if same(text, text):
            raise Broken(f"refused, and yet equal to itself: {text!r}") from None
        return False
    if not same(text, text):
        raise Broken(f"not equal to itself: {text!r}")
    if len(value.text) <= MAX_CHARS:  # with its spaces and escapes it may be longer than what was read
        again = parse(value.text)
        if again != value or hash(again) != hash(value) or not same(text, value.text):
            raise Broken(f"not equal to its own text: {text!r}")
    if len(text) <= COMPARED_CHARS and not _BOOLEAN_KEYS.search(text):
        real = python_reads(text)
        if real is not _UNREAD and not same(repr(real), text):
            raise Broken(f"Python reads something else: {text!r}")
    return True


_UNREAD: Any = object()
_BOOLEAN_KEYS = re.compile(r"\{.*(True|False)", re.DOTALL)  # {1, True} is {1} to Python; here they differ


def python_reads(text: str) -> Any:
    """What `ast.literal_eval` makes of a text that this program made up; _UNREAD when it refuses."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _UNREAD


def mutations(seed: int) -> Generator[str, bool, None]:
    """Texts without end: members of the corpus, changed, joined, nested and repeated; a few are very long.

    Sent whether the last one was a literal, it goes on from some of those as well.
    """
    chance = random.Random(seed)
    pool = list(CORPUS)
    while True:
        text = chance.choice(pool if chance.random() < 0.5 else CORPUS)
        for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
            text = mutate(text, chance, pool)
        literal = yield text[:70_000]
        if literal and len(text) < 400 and chance.random() < 0.1:
            if len(pool) < 2_000:
                pool.append(text)
            else:
                pool[chance.randrange(len(CORPUS), len(pool))] = text


def mutate(text: str, chance: random.Random, pool: list[str]) -> str:
    at, to = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
    match chance.randrange(9):
        case 0:
            return text[:at] + chance.choice(TOKENS) + text[at:]
        case 1:
            return text[:at] + text[to:]
        case 2:
            return text[:at] + chance.choice(TOKENS) + text[to:]
        case 3:
            return text[:at] + chance.choice(pool) + text[at:]
        case 4:
            return f"{chance.choice('[({')}{text}, {chance.choice(pool)}{chance.choice('])}')}"
        case 5:
            return f"{{{text}: {chance.choice(pool)}, {chance.choice(pool)}: {text}}}"
        case 6:
            return text[:at] + chr(chance.choice((chance.randrange(128), chance.randrange(0x3000)))) + text[at + 1 :]
        case 7:
            often = chance.choice((2, 3, 10, 100) if len(text) < 100 else (2, 3))
            return text[:at] + text[at:to] * often + text[to:]
        case _:
            often = chance.choice((20, 200, 5_000, 30_000)) if chance.random() < 0.005 else 2
            return f"[{','.join([text] * min(often, 1 + 60_000 // (len(text) + 1)))}]"


class Run:
    """Counts and times inputs, and says how far it has come."""

    def __init__(self, inputs: int, quiet: bool = False) -> None:
        self.inputs, self.quiet = inputs, quiet
        self.seen = self.literals = self.chars = 0
        self.slowest_s, self.slowest = 0.0, ""
        self.slow = 0
        self.started = self.told = time.monotonic()
        self.memory_kb = _peak_kb()

    def one(self, text: str) -> bool:
        """Check one text; returns whether it is a literal. Raises Broken."""
        started = time.process_time()
        literal = check(text)
        took = time.process_time() - started
        if took > SLOW_S:  # a busy machine counts its own business too: the best of five is the text's
            took = min(took, *(self._again(text) for _ in range(5)))
            self.slow += took > SLOW_S
        if took > self.slowest_s:
            self.slowest_s, self.slowest = took, text
        self.seen += 1
        self.literals += literal
        self.chars += len(text)
        if not self.quiet and time.monotonic() - self.told > PROGRESS_S:
            self.tell()
        return literal

    @staticmethod
    def _again(text: str) -> float:
        from azr_sandbox.values import same

        started = time.process_time()
        same(text, text)
        return time.process_time() - started

    def tell(self) -> None:
        self.told = time.monotonic()
        rate = self.seen / (self.told - self.started)
        left = (self.inputs - self.seen) / rate
        print(f"{self.seen:,} of {self.inputs:,} inputs, {rate:,.0f} a second, {left:.0f} s left", file=sys.stderr)

    def summary(self) -> str:
        gained_mb = (_peak_kb() - self.memory_kb) / 1024
        return (
            f"{self.seen:,} inputs ({self.literals:,} literals, {self.chars / 1e6:,.0f} M characters) in "
            f"{time.monotonic() - self.started:,.0f} s: nothing but NotALiteral, slowest {self.slowest_s * 1e3:.0f} ms "
            f"({len(self.slowest):,} characters), {self.slow} over 100 ms, {gained_mb:.0f} MiB of memory gained"
        )


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fuzz(inputs: int, seed: int, quiet: bool = False) -> Run:
    """Check that many mutations. Raises Broken."""
    run = Run(inputs, quiet)
    texts = mutations(seed)
    text = next(texts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of doubtful escapes
        while run.seen < inputs:
            text = texts.send(run.one(text))
    return run


def guided(inputs: int, seed: int) -> None:
    """The same by atheris, which ends the process itself."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install 'azr-platform[fuzz]', or use --engine own")
    with atheris.instrument_imports(include=["azr_sandbox.values", "azr_sandbox.literal", "azr_sandbox.nodes"]):
        import azr_sandbox.values  # noqa: F401
    run = Run(inputs)

    def one(data: bytes) -> None:
        run.one(data.decode("utf-8", "surrogateescape"))
        if run.seen == inputs:
            print(run.summary(), flush=True)

    options = [sys.argv[0], f"-atheris_runs={inputs}", f"-seed={seed}", "-max_len=4096", "-verbosity=0"]
    warnings.simplefilter("ignore")
    atheris.Setup(options, one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.inputs < 1:
        parser.error(f"--inputs: expected at least 1, got {chosen.inputs}")
    if chosen.engine == "atheris":
        guided(chosen.inputs, chosen.seed)
        return
    try:
        print(fuzz(chosen.inputs, chosen.seed).summary())
    except Broken as broken:
        sys.exit(str(broken))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
