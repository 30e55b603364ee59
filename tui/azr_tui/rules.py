"""What the policies pane knows: every rule in force or off, what it has found over time, and what people made of that.

Rules' names and reasons may come from a user's own files: they are made visible like any text. The monitor's rules are
imported with the first question, in the thread that answers it: the dashboard is on screen without them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from azr_monitor.records import Severity
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import PolicyRow, RuleHits
from azr_tui.questions import Answer, Question, Sources

if TYPE_CHECKING:
    from azr_monitor.catalogue import Entry
    from azr_monitor.policy import Policy

ORDERS = ("name", "hits", "last", "severity", "false alarms")
SHOWN = ("all", "fired", "changed")


class RuleFacts(NamedTuple):
    """A rule with what is on record of it. ``entry`` is None for what the policy does not know (any more).

    ``steps``: in how many samples it found something, over equal spans of steps; ``decided`` of them people decided
    about, and ``false`` were called false alarms. ``changed``: the changes of it, oldest first.
    """

    name: str
    entry: Entry | None
    hits: RuleHits | None
    last: int | None
    steps: Sequence[int]
    decided: int
    false: int
    changed: Sequence[PolicyRow]

    @property
    def severity(self) -> int:
        if self.entry is not None:
            return int(self.entry.severity)
        return self.hits.severity if self.hits is not None else 0

    @property
    def samples(self) -> int:
        return self.hits.samples if self.hits is not None else 0

    @property
    def enabled(self) -> bool:
        return self.entry is None or self.entry.enabled

    @property
    def false_share(self) -> float | None:
        return self.false / self.decided if self.decided else None


@dataclass
class PolicyRead(Answer):
    """The policy as it stands and its rules; ``note`` says what is not as on record, ``policy`` None: unreadable."""

    question: AskPolicy
    policy: Policy | None
    name: str
    changes: int
    rules: list[RuleFacts]
    note: str
    span: int


@dataclass(frozen=True)
class AskPolicy(Question):
    """Every rule with what it found over so many spans of steps."""

    bins: int = 16

    def read(self, sources: Sources) -> PolicyRead:
        from azr_monitor.catalogue import entries
        from azr_monitor.policy import PolicyError
        from azr_platform.ledger.policies import changes

        reader = sources.reader
        rows = reader.policies()
        policy, note = _policy(reader, rows)
        known: list[Entry] = []
        if policy is not None:
            try:
                known = entries(policy)
            except PolicyError as error:
                note = str(error)
        rules = _facts(reader, known, rows, self.bins)
        name = reader.policy_name() or (policy.name if policy is not None else "")
        return PolicyRead(self, policy, name, len(changes(rows)), rules, note, reader.rule_span(self.bins))


def _policy(reader: LedgerReader, rows: Sequence[PolicyRow]) -> tuple[Policy | None, str]:
    """The policy in force from now on, and what is to be said of it."""
    from azr_monitor.outside import named_outside, without_files
    from azr_monitor.policy import POLICIES, PolicyError, load_policy
    from azr_platform.ledger.policies import base_on_record, changes, with_changes

    # Whoever wrote a record does not choose which files are opened, unless a supervisor here judges by them already.
    trusted, note = reader.supervisor_alive(), ""
    try:
        base = base_on_record(rows)
        if base is None:
            config = tomllib.loads(reader.run().config)
            name = str(config.get("supervisor", {}).get("policy", "default"))
            if name not in POLICIES and not trusted:
                return None, f"no policy is on record for this run, and the file that it names is not opened: {name}"
            base = load_policy(name)
            note = "no policy is on record for this run: this is the one it names, as it is today"
        elif not trusted and (named := [name for name in named_outside(base) if name.startswith("rules.")]):
            base = without_files(base)
            note = f"rules that stand in files are not in the list, as nobody runs this: {'; '.join(named)}"
    except (PolicyError, tomllib.TOMLDecodeError, AttributeError) as error:
        return None, str(error)
    policy, idle = with_changes(base, changes(rows))
    return policy, "; ".join(idle) or note


def _facts(reader: LedgerReader, known: Sequence[Entry], rows: Sequence[PolicyRow], bins: int) -> list[RuleFacts]:
    by_name: Mapping[str, Entry] = {entry.rule: entry for entry in known}
    hits = {one.rule: one for one in reader.rule_hits()}
    steps, decided = reader.rule_steps(bins), reader.rule_decisions()
    last = reader.steps_of([one.last_sample for one in hits.values()])
    return [
        RuleFacts(
            name,
            by_name.get(name),
            hits.get(name),
            last.get(hits[name].last_sample) if name in hits else None,
            steps.get(name, ()),
            *decided.get(name, (0, 0)),
            [row for row in rows if row.rule == name],
        )
        for name in sorted({*by_name, *hits})
    ]


def listed(rules: Sequence[RuleFacts], words: str, shown: str, order: str) -> list[RuleFacts]:
    """The rules that hold all of the words in name, reason or category, of those that are to be shown, in order."""
    wanted = words.lower().split()

    def text(rule: RuleFacts) -> str:
        entry = rule.entry
        said = f" {entry.why} {entry.category} {entry.sort} {entry.action.label}" if entry is not None else ""
        return f"{rule.name}{said} {Severity(rule.severity).label if rule.severity in range(5) else ''}".lower()

    kept = [rule for rule in rules if all(word in text(rule) for word in wanted)]
    if shown == "fired":
        kept = [rule for rule in kept if rule.samples]
    elif shown == "changed":
        kept = [rule for rule in kept if rule.changed or not rule.enabled]
    return sorted(kept, key=lambda rule: (_measure(rule, order), rule.name))


def _measure(rule: RuleFacts, order: str) -> float:
    """What an order sorts by, the smallest first."""
    match order:
        case "hits":
            return -rule.samples
        case "last":
            return -1 - (rule.last if rule.last is not None else -1)
        case "severity":
            return -rule.severity
        case "false alarms":
            return -(rule.false_share or 0.0)
        case _:
            return 0


def action_of(rule: RuleFacts) -> str:
    """``off``, the action's name, or nothing for a rule that the policy does not know."""
    if rule.entry is None:
        return "-"
    return rule.entry.action.label if rule.entry.enabled else "off"
