"""Try another policy on samples that a run has judged already: what would be blocked, and what no longer.

Both policies judge the same texts with what the jail reported of them; nothing is run and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from azr_monitor.audit import Auditor
from azr_monitor.policy import Policy, PolicyError
from azr_monitor.records import Verdict
from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import SampleDetail
from azr_platform.supervisor.rejudge import verdicts

_CHUNK: Final = 64
"""Samples that are judged between two words of how far it is."""


class Progress(msgspec.Struct, frozen=True):
    """How many samples have been judged."""

    judged: int
    of: int


class Difference(msgspec.Struct, frozen=True):
    """A sample on which the policies differ. ``before`` and ``after``: allow, flag, hold or block. ``cause``: the rule
    that decides it, or decided it before where nothing does now."""

    sample: int
    step: int
    role: str
    kind: str
    before: str
    after: str
    cause: str
    reason: str

    @property
    def newly_blocked(self) -> bool:
        return self.before in ("allow", "flag") and self.after in ("hold", "block")

    @property
    def released(self) -> bool:
        return self.before in ("hold", "block") and self.after in ("allow", "flag")


def with_rule_file(policy: Policy, path: Path) -> Policy:
    """The policy with one more file of rules: YARA (.yar, .yara), ast-grep, or our own trace rules.

    Raises:
        PolicyError: the file cannot be read, or is none of these.
    """
    if path.suffix in (".yar", ".yara"):
        key = "yara"
    elif path.suffix in (".yaml", ".yml"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(f"{path}: cannot be read: {error}") from error
        key = "ast_grep" if any(line.startswith("language:") for line in text.splitlines()) else "packs"
    else:
        raise PolicyError(f"{path}: rules are in .yar files (YARA) or .yaml files (ast-grep, trace rules)")
    files = (*getattr(policy.rules, key), str(path.resolve()))
    return policy.model_copy(update={"rules": policy.rules.model_copy(update={key: files})})


def trial(
    reader: LedgerReader, before: Auditor, after: Auditor, newest: int | None = None
) -> Iterator[Progress | Difference]:
    """Judge the newest samples (None: all) by both policies, newest first."""
    held = reader.summary().samples
    total, judged, beyond = held if newest is None else min(newest, held), 0, None
    yield Progress(0, total)
    while judged < total and (
        rows := reader.samples_page(SampleFilter(), limit=min(_CHUNK, total - judged), beyond=beyond)
    ):
        details = reader.details([row.id for row in rows])
        for detail, old, new in zip(details, verdicts(before, details), verdicts(after, details), strict=True):
            if old.word != new.word:
                yield _difference(detail, old, new)
        judged, beyond = judged + len(rows), rows[-1].id
        yield Progress(judged, total)


def _difference(detail: SampleDetail, old: Verdict, new: Verdict) -> Difference:
    sample, telling = detail.sample, new if new.cause else old
    return Difference(
        sample.id, sample.step, sample.role, sample.kind, old.word, new.word, telling.cause, telling.reason
    )
