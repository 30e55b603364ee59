"""Try the rules of engines: on their own examples, and on long and deep texts made to be slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from azr_monitor.engines.base import EngineRule
from azr_monitor.engines.process import EngineFailed, EngineProcess
from azr_monitor.engines.reader import EngineReader
from azr_monitor.policy import Policy

_DEPTH = 90
"""Calls within calls of a program made to be slow; Python itself reads about twice as many."""


class Trial(NamedTuple):
    """One example of a rule, and whether the rule does what it says there."""

    rule: EngineRule
    expected: Literal["catch", "spare"]
    text: str
    passed: bool


def try_examples(policy: Policy) -> list[Trial]:
    """Each engine rule in force on each of its examples; an example that cannot be read fails."""
    reader = EngineReader(policy)
    trials: list[Trial] = []
    for rule in policy.engine_rules():
        for expected, texts in (("catch", rule.catch), ("spare", rule.spare)):
            for text in texts:
                try:
                    found = any(finding.rule == rule.id for finding in reader.findings(_kind(rule), text))
                    passed = found if expected == "catch" else not found
                except EngineFailed:
                    passed = False
                trials.append(Trial(rule, expected, text, passed))  # type: ignore[arg-type]
    reader.close()
    return trials


def doubts(policy: Policy) -> list[str]:
    """What must be mended in the engine rules of a policy, examples that fail apart, with place and remedy."""
    found = [f"{warning}; give it a longer fixed text, or bound it" for e in policy.engines() for warning in e.warnings]
    for rule in policy.engine_rules():
        if rule.hidden:
            continue
        key = "meta" if rule.id.startswith("yara.") else "metadata"
        found.extend(
            f"{rule.place}: {rule.id} is never tried on a text to {word}; add {word} to its {key}"
            for word in ("catch", "spare")
            if not getattr(rule, word)
        )
    return [*found, *_slow(policy)]


def _slow(policy: Policy) -> Iterator[str]:
    """For each engine, the first text made to be slow that its rules do not read in time."""
    limits, seconds = policy.limits, policy.rules.engine_seconds
    yara, ast_grep = policy.engine_sources()
    for sources, kind, room, process in (
        (yara, "prose", limits.max_trace_chars, EngineProcess(yara, (), seconds)),
        (ast_grep, "program", limits.max_program_chars, EngineProcess((), ast_grep, seconds)),
    ):
        files = ", ".join(source.place for source in sources)
        for what, text in _made_slow(policy, kind, room) if sources else ():
            try:
                process.read(kind, text)
            except EngineFailed as error:
                yield f"{files}: {what}, {len(text)} characters long, cannot be read: {error}; bound repetitions"
                break
        process.close()


def _made_slow(policy: Policy, kind: str, room: int) -> Iterator[tuple[str, str]]:
    """Long texts that look like what the rules look for: their examples, and single characters of them, repeated."""
    examples = [text for rule in policy.engine_rules() if _kind(rule) == kind for text in (*rule.catch, *rule.spare)]
    for text in filter(None, examples):
        yield f"{text!r} repeated", (text + "\n" * (kind == "program")) * (room // (len(text) + 1))
    if kind == "program":
        nested = "f(" * _DEPTH + "1" + ")" * _DEPTH + "\n"
        yield "a call within calls, repeated", nested * (room // len(nested))
        return
    for character in sorted(set("".join(examples))):
        yield f"{character!r} repeated", character * (room - 1) + "!"


def _kind(rule: EngineRule) -> str:
    return "prose" if rule.id.startswith("yara.") else "program"
