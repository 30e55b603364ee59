"""Does an earlier report still hold: is its file as it was written, and does the run's record say the same?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from azr_platform.audits.report import FORMAT, AuditReport, content, digest, gather, standing
from azr_platform.audits.selection import Selection, audit_named
from azr_platform.audits.signoff import verified
from azr_platform.ledger.errors import UnknownAudit
from azr_platform.ledger.reader import LedgerReader

_MAY_CHANGE: Final = frozenset({"labels", "signed", "standing"})
"""People may have said more since, and the record grows with it; the rest follows from what was judged."""
_SIGNED: Final = ("audit", "begun_at", "ended_at", "at_head", "at_rows", "reading")
_JUDGES: Final = ("policy", "fingerprint", "settings", "changes", "classifiers")
_COVERAGE: Final = ("judged", "unkept", "in_part")
"""Of what is signed, what can be held against the record: who made the report when, and with which versions, cannot."""


class _File(msgspec.Struct):
    format: str
    digest: str
    content: dict[str, Any]


def differences(told: bytes, reader: LedgerReader, selection: Selection, *, who: str) -> list[str]:
    """What does not hold, a line each; empty when all of it does. ``selection`` must be the one that it was made with.

    Raises:
        ValueError: it is no report.
    """
    try:
        file = msgspec.json.decode(told, type=_File)
        if file.format != FORMAT:
            raise ValueError(f"a report of the form {file.format!r}, not {FORMAT!r}")
        then = file.content
        head, name = str(then["signed"]["chain"]["head"]), str(then["audit"])
        told_standing = "".join(standing(msgspec.convert(then, AuditReport)))
    except (msgspec.MsgspecError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no report of this program's ({error})") from error
    wrong = [] if digest(then) == file.digest else ["its content is not that of its digest"]
    chain = verified(reader, head)
    if not chain.intact:
        wrong.append(f"the run's record: {chain.problem}")
    try:
        now = content(gather(reader, audit_named(reader, name), selection, who=who))
    except UnknownAudit:
        return [*wrong, f"the run has no audit {name!r}"]
    if now["signed"]["selection"] != then["signed"].get("selection"):
        return [*wrong, "it is of other samples: give the options that it was made with"]
    if then.get("standing") != told_standing:
        wrong.append("standing is not what the rest of it says")
    wrong += [f"{part} is not what the record says" for part in now if _differ(part, now, then)]
    return [*wrong, *_signed_apart(now["signed"], then["signed"])]


def _signed_apart(now: dict[str, Any], then: dict[str, Any]) -> Iterator[str]:
    for where, names in (("", _SIGNED), ("judges", _JUDGES), ("coverage", _COVERAGE)):
        here, there = (now[where], then[where]) if where else (now, then)
        for name in names:
            if here[name] != there[name]:
                yield f"signed.{where}{'.' if where else ''}{name} is not what the record says"


def _differ(part: str, now: dict[str, Any], then: dict[str, Any]) -> bool:
    return part not in _MAY_CHANGE and _settled(now[part]) != _settled(then.get(part))


def _settled(value: Any) -> Any:
    """Without what people's later words change."""
    if isinstance(value, dict):
        return {key: _settled(inner) for key, inner in value.items() if key != "cleared"}
    return [_settled(inner) for inner in value] if isinstance(value, list) else value
