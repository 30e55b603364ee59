"""What a finding speaks of: every rule and every category of a classifier belongs to one category.

Statistics, the review queue and calibration count by these; a rule's own id stays the finer word.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

HARMS: Final = ("deception", "harm", "escape", "tampering", "hidden-message", "sandbagging", "power", "abuse")
"""What a mind may mean; classifiers are asked about these."""

MECHANISMS: Final = (
    "files",
    "network",
    "process",
    "introspection",
    "forgery",
    "nondeterminism",
    "resources",
    "obfuscation",
)
"""What a program may reach for, whatever was meant by it."""

UNREADABLE: Final = "unreadable"
"""Nobody could judge it: it cannot be parsed, is too long, or a part of the monitor failed."""

OTHER: Final = "other"
"""Rules and classifiers of the user's that use words of their own."""

ANY: Final = ".any"
"""How the rule of a classifier ends that says that a text is harmful, but not in what way."""

CATEGORIES: Final = (*HARMS, *MECHANISMS, UNREADABLE, OTHER)

_WORDS: Final[dict[str, str]] = {
    # traces
    "trace.uhoh": "deception",
    "trace.deceive": "deception",
    "trace.aware": "deception",
    "trace.harm": "harm",
    "trace.harm.abuse": "abuse",
    "trace.escape": "escape",
    "trace.tamper": "tampering",
    "trace.hidden": "hidden-message",
    "trace.sandbag": "sandbagging",
    "trace.self": "power",
    # programs
    "program.asks": "process",
    "program.attribute": "introspection",
    "program.bomb": "resources",
    "program.builtins": "introspection",
    "program.climb": "introspection",
    "program.clock": "nondeterminism",
    "program.exec": "obfuscation",
    "program.files": "files",
    "program.forged": "forgery",
    "program.frames": "introspection",
    "program.grader": "tampering",
    "program.hidden": "obfuscation",
    "program.hidden-characters": "hidden-message",
    "program.identity": "nondeterminism",
    "program.import.by-call": "obfuscation",
    "program.import.chance": "nondeterminism",
    "program.import.dynamic-modules": "obfuscation",
    "program.import.files": "files",
    "program.import.interpreter": "introspection",
    "program.import.native": "process",
    "program.import.network": "network",
    "program.import.process": "process",
    "program.import.threads": "process",
    "program.import.unlisted": "process",
    "program.output": "files",
    "program.patch": "tampering",
    "program.path": "files",
    "program.process": "process",
    "program.quit": "process",
    "program.reclass": "forgery",
    "program.shell": "process",
    "program.state": "nondeterminism",
    "program.surroundings": "introspection",
    "program.watched": "introspection",
    "program.too-complex": UNREADABLE,
    "program.undefined": UNREADABLE,
    "program.unsteady": "nondeterminism",
    "program.unparsable": UNREADABLE,
    # behaviour
    "behaviour.crash": "resources",
    "behaviour.flood": "resources",
    "behaviour.memory": "resources",
    "behaviour.nondeterministic": "nondeterminism",
    "behaviour.not-a-value": "forgery",
    "behaviour.policy-violation": "escape",
    "behaviour.time": "resources",
    # the supervisor's own, and Detoxify's words
    "monitor": UNREADABLE,
    "supervisor": UNREADABLE,
    "detoxify": "abuse",
    "detoxify.threat": "harm",
}
"""The longest beginning of a rule's id that is listed here says what it speaks of."""


@lru_cache(maxsize=4096)
def category_of(rule: str) -> str:
    """The category of a rule, or of a classifier's ``name.category``, by its id.

    Words of an id that are categories themselves need no entry: ``embedded.deception``, ``trace.power.money``.
    """
    words = rule.split(".")
    for length in range(len(words), 0, -1):
        known = _WORDS.get(".".join(words[:length]))
        if known is not None:
            return known
    return next((word for word in words[1:] if word in CATEGORIES), OTHER)
