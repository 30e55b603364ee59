"""What a proposal is worth beyond being learnable: complexity, distance to what was shown, rarity of its answer.

The optional intrinsic terms of Absolute Zero (arXiv 2505.03335, appendix, and its reference code; all off in the
paper's runs). Pure functions of numbers and sequences; `tasks/measures.py` reads them off a program.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

Combination = Literal["sum", "product"]


class Term(NamedTuple):
    """One intrinsic term: ``coefficient * value``, at most ``cap``. Off, and left out, when the coefficient is 0."""

    value: float
    coefficient: float
    cap: float

    @property
    def on(self) -> bool:
        return self.coefficient > 0

    @property
    def amount(self) -> float:
        return min(self.cap, self.coefficient * self.value)


def combined(worth: float, terms: Sequence[Term], how: Combination = "sum") -> float:
    """A valid proposal's learnability together with the terms that are on: added to it, or multiplied with it.

    A proposal that is worth nothing stays so (as in the reference code): no program is paid for being large or
    strange when nothing can be learnt from it.

    Raises:
        ValueError: a negative worth, value, coefficient or cap, or one that is not a number.
    """
    if not worth >= 0:
        raise ValueError(f"a worth of {worth} is not at least 0")
    for term in terms:
        if not min(term) >= 0:
            raise ValueError(f"{term}: value, coefficient and cap must be at least 0")
    amounts = [term.amount for term in terms if term.on]
    if worth == 0:
        return 0.0
    return worth + sum(amounts) if how == "sum" else worth * math.prod(amounts)


def rarity(answer: Hashable, recent: Sequence[Hashable], limit: float = 1.0) -> float:
    """1 - share / limit, in 0..1, of the share that ``answer`` has among the recent ones; 1 when there are none.

    The paper's term has the limit 1. With a lower one, what has reached that share is worth nothing more.

    Raises:
        ValueError: the limit is not above 0.
    """
    if not limit > 0:
        raise ValueError(f"a limit of {limit} is not above 0")
    if not recent:
        return 1.0
    share = sum(other == answer for other in recent) / len(recent)
    return max(0.0, 1.0 - share / limit)


def mean_distance(program: Sequence[Hashable], references: Sequence[Sequence[Hashable]]) -> float:
    """Mean edit distance to the references, each divided by the longer length, so in 0..1; 1 without references."""
    if not references:
        return 1.0
    distances = [
        edit_distance(program, other) / max(len(program), len(other)) if program or other else 0.0
        for other in references
    ]
    return sum(distances) / len(distances)


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Levenshtein distance: the fewest insertions, deletions and replacements that make ``b`` of ``a``.

    Bit-parallel (Myers 1999, in the form of Hyyrö 2003): a column of the table is two integers of ``len(a)`` bits.
    """
    if not a or not b:
        return len(a) + len(b)
    places: dict[Hashable, int] = {}
    for position, item in enumerate(a):
        places[item] = places.get(item, 0) | 1 << position
    everything, last = (1 << len(a)) - 1, 1 << len(a) - 1
    up, down, distance = everything, 0, len(a)  # where a column rises and falls, from the top; its last entry
    for item in b:
        match = places.get(item, 0)
        diagonal = (((match & up) + up) ^ up) | match | down
        rises = down | ~(diagonal | up) & everything
        falls = up & diagonal
        distance += bool(rises & last) - bool(falls & last)
        rises = rises << 1 | 1
        falls = falls << 1
        up = (falls | ~(diagonal | rises)) & everything
        down = rises & diagonal & everything
    return distance


def halstead_effort(operators: Sequence[Hashable], operands: Sequence[Hashable]) -> float:
    """Halstead's effort E = D * V (Elements of Software Science, 1977), 0 for a program without operands.

    With n1 and n2 different operators and operands, N1 and N2 in all: difficulty D = n1/2 * N2/n2, volume
    V = (N1 + N2) * log2(n1 + n2).
    """
    if not operands:
        return 0.0
    different_operators, different_operands = len(set(operators)), len(set(operands))
    difficulty = different_operators / 2 * len(operands) / different_operands
    volume = (len(operators) + len(operands)) * math.log2(different_operators + different_operands)
    return difficulty * volume
