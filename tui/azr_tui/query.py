"""The language of the filter lines: plain words, and ``key:value`` terms that narrow a list. Pure.

```
step:120-140 kind:deduction role:solve verdict:blocked rule:trace.* reward:<0 score:>0.5 "these words"
```
A value may be a part of a word it can only mean (``kind:ded``). Ranges are ``5``, ``5-9`` (whole numbers), ``5..9``,
``5..``, ``..9``, ``<5``, ``<=5``, ``>5``, ``>=5``; both ends of a range are included. What stands in double quotes is
plain words, whatever is in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from azr_monitor.records import Severity
from azr_platform.ledger.filters import AlertFilter, AlertState, Judged, SampleFilter, TaskFilter, TaskOrder
from azr_platform.records import Kind, Role

F = TypeVar("F", bound=msgspec.Struct)

_TERM: Final = re.compile(r'"[^"]*"?|(?:(?P<key>[A-Za-z_]+):)?(?P<value>"[^"]+"|\S+)|\S+')
_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_RANGE: Final = re.compile(
    rf"(?P<side><=|>=|<|>)?(?P<one>{_NUMBER})|(?P<least>{_NUMBER})?\.\.(?P<most>{_NUMBER})?|(?P<from>\d+)-(?P<to>\d+)"
)


class Unreadable(ValueError):
    """A value that does not belong to its key; the text says what would."""


class Key(NamedTuple):
    """One key: what it narrows, how a value looks, which values there are (empty: too many to list)."""

    name: str
    meaning: str
    example: str
    values: tuple[str, ...]
    read: Callable[[str], Mapping[str, object]]


class Query(NamedTuple, Generic[F]):
    """What was typed and what it means. With a ``problem`` the filter is what the other terms say."""

    text: str
    filter: F
    problem: str = ""


# -- values ------------------------------------------------------------------------------------------------


def _one_of(field: str, choices: Iterable[StrEnum]) -> Callable[[str], Mapping[str, object]]:
    by_name = {choice.value: choice for choice in choices}

    def read(value: str) -> Mapping[str, object]:
        return {field: by_name[_chosen(value, tuple(by_name))]}

    return read


def _chosen(value: str, names: Sequence[str]) -> str:
    """The name that a value is, or is the beginning of."""
    low = value.lower().replace("_", "-")
    if low in names:
        return low
    begun = [name for name in names if name.startswith(low)]
    if len(begun) != 1:
        from azr_monitor.fields import nearest

        raise Unreadable(f"{value!r} is not one of {', '.join(names)}{nearest(low, names)}")
    return begun[0]


def _span(value: str) -> tuple[float | None, float | None, bool, bool]:
    """(least, most, whether the least itself is left out, whether the most is)."""
    found = _RANGE.fullmatch(value.lower())
    if found is None or value == "..":
        raise Unreadable(f"{value!r} is no range: write 5, 5..9, 5.., <5 or >=5")
    if found["one"]:
        number, side = float(found["one"]), found["side"] or ""
        above, below = side.startswith(">"), side.startswith("<")
        return (None if below else number), (None if above else number), side == ">", side == "<"
    least, most = found["from"] or found["least"], found["to"] or found["most"]
    return (float(least) if least else None), (float(most) if most else None), False, False


def _numbers(least: str, most: str) -> Callable[[str], Mapping[str, object]]:
    def read(value: str) -> Mapping[str, object]:
        low, high, above, below = _span(value)
        if low is not None and above:
            low = math.nextafter(low, math.inf)
        if high is not None and below:
            high = math.nextafter(high, -math.inf)
        return {least: low, most: high}

    return read


def _whole(first: str, last: str) -> Callable[[str], Mapping[str, object]]:
    def read(value: str) -> Mapping[str, object]:
        low, high, above, below = _span(value)
        if any(end is not None and (abs(end) > 2**53 or end != int(end)) for end in (low, high)):
            raise Unreadable(f"{value!r}: whole numbers are wanted")
        return {
            first: None if low is None else int(low) + above,
            last: None if high is None else int(high) - below,
        }

    return read


def _name(field: str) -> Callable[[str], Mapping[str, object]]:
    return lambda value: {field: value}


def _severity(value: str) -> Mapping[str, object]:
    names = [severity.label for severity in Severity]
    return {"severity": int(next(s for s in Severity if s.label == _chosen(value.lstrip(">="), names)))}


def _order(value: str) -> Mapping[str, object]:
    return {"oldest_first": _chosen(value, ("newest", "oldest")) == "oldest"}


def _about(value: str) -> Mapping[str, object]:
    return {"with_sample": _chosen(value, ("sample", "run")) == "sample"}


def _values(choices: Iterable[StrEnum]) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices)


# -- keys --------------------------------------------------------------------------------------------------

_STEP: Final = Key("step", "of these steps", "120-140", (), _whole("first_step", "last_step"))
_RULE: Final = Key("rule", "found by a rule", "trace.*", (), _name("rule"))
_ENDS: Final = ("newest", "oldest")
SAMPLE_KEYS: Final = (
    _STEP,
    Key("role", "proposed or solved", "solve", _values(Role), _one_of("role", Role)),
    Key("kind", "of a task kind", "deduction", _values(Kind), _one_of("kind", Kind)),
    Key("verdict", "what was made of it", "blocked", _values(Judged), _one_of("judged", Judged)),
    _RULE,
    Key("reward", "its reward", "<0", (), _numbers("least_reward", "most_reward")),
    Key("score", "the monitor's score", ">0.5", (), _numbers("least_score", "most_score")),
    Key("task", "became or answers a task", "ID", (), _name("task")),
    Key("order", "which come first", "oldest", _ENDS, _order),
)
ALERT_KEYS: Final = (
    Key("severity", "at least so bad", "high", tuple(s.label for s in Severity), _severity),
    Key("state", "what people made of it", "open", _values(AlertState), _one_of("state", AlertState)),
    _RULE,
    _STEP,
    Key("about", "a sample or the whole run", "sample", ("sample", "run"), _about),
    Key("order", "which come first", "oldest", _ENDS, _order),
)
TASK_KEYS: Final = (
    Key("kind", "of a kind", "deduction", _values(Kind), _one_of("kind", Kind)),
    _STEP,
    Key("rate", "the share of right answers", "<0.5", (), _numbers("least_rate", "most_rate")),
    Key("used", "how many answers there are", ">8", (), _whole("least_used", "most_used")),
    Key("order", "which come first", "hardest", _values(TaskOrder), _one_of("order", TaskOrder)),
)


def samples(text: str) -> Query[SampleFilter]:
    """What a filter line of samples means."""
    return parsed(text, SampleFilter(), SAMPLE_KEYS)


def alerts(text: str) -> Query[AlertFilter]:
    """What a filter line of alerts means."""
    return parsed(text, AlertFilter(), ALERT_KEYS, quotes=False)


def tasks(text: str) -> Query[TaskFilter]:
    """What a filter line of tasks means."""
    return parsed(text, TaskFilter(), TASK_KEYS, quotes=False)


def parsed(text: str, nothing: F, keys: Sequence[Key], *, quotes: bool = True) -> Query[F]:
    """What a filter line with these keys means. Words keep their ``quotes`` where a search reads them."""
    by_name = {key.name: key for key in keys}
    given: dict[str, object] = {}
    words: list[str] = []
    problems: list[str] = []
    for term in _TERM.finditer(text):
        name, value = term["key"], term["value"]
        if name is None:
            if word := term[0] if quotes else term[0].strip('"'):
                words.append(word)
        elif (key := by_name.get(name.lower())) is None:
            from azr_monitor.fields import nearest

            problems.append(f"{name}: is no key{nearest(name.lower(), tuple(by_name))}; there are {', '.join(by_name)}")
        else:
            try:
                given |= key.read(value.strip('"'))
            except Unreadable as error:
                problems.append(f"{key.name}: {error}")
    if words:
        given["text"] = " ".join(words)
    return Query(text.strip(), msgspec.structs.replace(nothing, **given), "; ".join(problems[:2]))


def with_term(text: str, key: str, value: str | None) -> str:
    """The line with this value for a key, in the place of any other; None takes the key out."""
    kept = [term[0] for term in _TERM.finditer(text) if (term["key"] or "").lower() != key]
    added = [] if value is None else [f'{key}:"{value}"' if " " in value else f"{key}:{value}"]
    return " ".join(kept + added)


def completion(text: str, keys: Sequence[Key], rules: Sequence[str] = ()) -> str | None:
    """The line with its last word completed, where it can be a key, or a value of one; None where there is nothing."""
    start = max(text.rfind(" ") + 1, 0)
    word = text[start:]
    if not word or '"' in word:
        return None
    name, colon, value = word.partition(":")
    if not colon:
        found = next((f"{key.name}:" for key in keys if key.name.startswith(word.lower())), None)
    else:
        key = next((key for key in keys if key.name == name.lower()), None)
        known = () if key is None else tuple(rules) if key.name == "rule" else key.values
        match = next((each for each in known if value and each.startswith(value.lower())), None)
        found = None if match is None else f"{name}:{match}"
    return None if found is None or found == word else text[:start] + found


def hint(keys: Sequence[Key], words: bool = True) -> str:
    """Every key with an example, on one line."""
    return " ".join([*(f"{key.name}:{key.example}" for key in keys), *(['"words"'] if words else [])])
