"""A trial: a program run on one input by an interpreter of our own, for so many steps and with so much room.

Most programs are over by then, and are no bombs. Of those that are not, what was under way is judged: loops that came
back to where they were, that get further from their end or grow by a factor with each turn, recursions whose branches
cost ever more. What is not understood, or hangs on chance, is not judged at all.
"""

from __future__ import annotations

import ast
from enum import Enum
from typing import NamedTuple

from azr_monitor.rules.outcomes import Excess
from azr_monitor.rules.trial_statements import Statements
from azr_monitor.rules.trial_values import MAX_LENGTH, Exhausted, Outgrown, Raised, Scope, TooMuch

STEPS = 25_000
_ENDS = (ArithmeticError, LookupError, ValueError, AssertionError, StopIteration, RuntimeError, OSError, Raised)
"""What a program may end by, as by its answer."""


class Outcome(Enum):
    """How a trial ended."""

    OVER = "over"
    TOO_MUCH = "too much"
    UNFINISHED = "unfinished"
    UNKNOWN = "unknown"


class Trial(NamedTuple):
    """How a trial ended, and what was too much."""

    outcome: Outcome
    excess: Excess | None = None


def tried(tree: ast.Module, call: ast.Call, steps: int = STEPS) -> Trial:
    """Run a program on the input of one call."""
    machine = Statements(steps)
    scope = Scope(None)
    scope.values["__name__"] = "program"
    try:
        try:
            machine.block(tree.body, scope)
            machine.value(call, scope)
        except TooMuch as error:
            return Trial(Outcome.TOO_MUCH, Excess(error.node, error.why, error.sure))
        except (Exhausted, Outgrown) as error:
            found = machine.judge(float(MAX_LENGTH) if isinstance(error, Outgrown) else 0.0)
            if found is None:
                return Trial(Outcome.UNFINISHED)
            return Trial(Outcome.TOO_MUCH, Excess(found.node, found.why, found.sure))
        except RecursionError:
            return Trial(Outcome.UNKNOWN)
        except _ENDS:
            return Trial(Outcome.OVER)
    except Exception:
        return Trial(Outcome.UNKNOWN)  # the program's own mistake, or something that is not understood
    return Trial(Outcome.OVER)
