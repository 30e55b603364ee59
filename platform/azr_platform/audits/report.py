"""What an audit came to, gathered once, so that every form of the report says the same; and the digest of what it says.

```
judgements ─► tally, questions, agreement ───┬─► AuditReport ─┬─► sections ─► HTML, Markdown
chain, policy, what was not judged ─► SignOff ┘               └─► JSON
```
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from azr_monitor.records import Severity
from azr_platform.audits.agreement import Agreement, agreement
from azr_platform.audits.blocks import Theirs, counted
from azr_platform.audits.handed_round import hand_round
from azr_platform.audits.labels import labels
from azr_platform.audits.questions import Answers, Asked, Asker, askers
from azr_platform.audits.selection import EVERYTHING, RUN, Selection, judgements
from azr_platform.audits.signoff import Chain, Coverage, SignOff, coverage, sign, verified
from azr_platform.audits.tally import Tally, label, tally
from azr_platform.ledger.reader import LedgerReader

FORMAT: Final = "azr-platform audit report 2"
PROVES: Final = (
    "The digest is the SHA-256 of all that this report says, as its JSON form holds it. There is no secret in it: by "
    "itself it finds accidents alone. Noted elsewhere, it shows any later change of the JSON form; and whoever has the "
    "run can hold that form against it with --check. Neither says that the run was recorded honestly, who made the "
    "report when, or what people had said by then."
)


class AuditReport(msgspec.Struct, frozen=True):
    """Everything that a report says. Texts in it are a model's, a trainer's or another's, made inert by each form."""

    run: str
    audit: str
    log: str
    """Where the log lay, if a log was kept as this ledger; else empty."""
    tally: Tally
    answers: Answers
    labels: Agreement
    signed: SignOff

    @property
    def chain_holds(self) -> bool:
        """Whether the record is as it was written."""
        return self.signed.chain.intact


def gather(
    reader: LedgerReader,
    audit: str,
    selection: Selection = EVERYTHING,
    *,
    who: str,
    chain: Chain | None = None,
    told: Callable[[int], object] = lambda count: None,
) -> AuditReport:
    """Ask everything of what an audit made of the selected samples, in one reading of it; ``told`` hears how many more
    judgements were read.

    The chain is walked first, unless it was (``chain``); what is added to the record after that, a later decision say,
    may be counted as well.

    Raises:
        LedgerBroken: the ledger cannot be read.
    """
    chain = verified(reader) if chain is None else chain
    named = labels(reader)
    asked = Asked(audit, selection)
    cleared = {sample for one in named if not one.harmful for sample in one.samples}
    asking = askers(reader, asked)
    counting: list[Asker] = [lambda stream: tally(stream, cleared), lambda stream: agreement(stream, named)]
    stream = judgements(reader, audit, selection)
    found, held, *answered = hand_round(stream, [*counting, *asking.values()], told)
    covered = coverage(reader, audit, not selection.whole, found.judged, found.in_part)
    return AuditReport(
        run=reader.run().name,
        audit=audit or RUN,
        log=reader.kept_log(),
        tally=found,
        answers=Answers(**dict(zip(asking, answered, strict=True))),
        labels=held,
        signed=sign(reader, audit, selection.words, who, chain, covered),
    )


# -- in a sentence -----------------------------------------------------------------------------------------


def verdict(report: AuditReport) -> str:
    """Did the model mean harm, cheat or leak, as far as this audit sees? One sentence."""
    found = report.tally
    if not found.judged:
        return "Nothing was judged, so nothing can be said."
    flagged = found.flagged
    assert flagged.share is not None, "there are judged samples"
    if not flagged.samples:
        return (
            f"Nothing of medium severity or worse was found in {found.judged:,} samples; what this policy sees is in "
            f"fewer than {flagged.share.high:.2%} of such samples (95 %), and what it does not see is not ruled out."
        )
    grave = sum(row.samples for row in found.severities if row.what in _GRAVE)
    assert report.answers.first is not None, "all questions were asked"
    rows = report.answers.first.categories
    begun = max((one for one in rows if one.sample == rows[0].sample), key=lambda one: one.samples)
    most = found.categories[0]
    trained = sum(row.trained for row in found.severities)
    moved = f"and {flagged.trained:,} moved the model"
    if report.log:
        moved = f"{moved}, by the log's steps" if trained else "and whether they moved a model the log does not say"
    were = "were" if judged_live(report) else "would be"
    return (
        f"Something was found in {flagged.samples:,} of {found.judged:,} samples ({flagged.share.value:.2%}, 95 % "
        f"interval {flagged.share.low:.2%} to {flagged.share.high:.2%}), {grave:,} of them high or critical: first in "
        f"sample {begun.sample} at step {begun.step} ({begun.what}), most often {most.what} ({most.samples:,}); "
        f"{flagged.blocked:,} {were} blocked, {moved}."
    )


def judged_live(report: AuditReport) -> bool:
    """Whether what was blocked was kept from the model: an audit, and a log of another trainer's, come too late."""
    return report.audit == RUN and not report.log


_GRAVE: Final = (label(Severity.HIGH), label(Severity.CRITICAL))


def standing(report: AuditReport) -> tuple[str, ...]:
    """Whether the record can be relied on, what nobody judged, and what people said: a sentence each."""
    chain, covered, held = report.signed.chain, report.signed.coverage, report.labels
    if not chain.intact:
        problem = ("THE RECORD IS NOT AS IT WAS WRITTEN: ", Theirs(chain.problem), ". What follows may rest on it.")
        said = list[str](problem)
    elif chain.noted:
        heads = counted(chain.noted, "head")
        said = [f"The record is intact: all {chain.rows:,} rows, and {heads} noted beside it in place."]
    else:
        said = [f"The record is intact: all {chain.rows:,} rows; no heads were noted beside it."]
    if covered.unread:
        number, whys = _unread(covered)
        named = " The first of each is named under Signed off." if report.signed.reading else ""
        said += [f" Not judged, though it might hold anything: {number} (", Theirs(whys), f").{named}"]
    if held.labels:
        said.append(
            f" People labelled {counted(held.labels, 'text')}, {held.harmful:,} of them harmful, and disagree with "
            f"{counted(len(held.disagreements), 'verdict')}."
        )
    return tuple(said)


# -- as JSON, with its digest ------------------------------------------------------------------------------


def content(report: AuditReport) -> dict[str, Any]:
    """The report as plain values. What is no number in JSON, such as a reward that is infinite, is none here."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(report))
    return {**plain, "verdict": verdict(report), "standing": "".join(standing(report))}


def digest(plain: dict[str, Any]) -> str:
    """The SHA-256 of a report's content, written as JSON in plain ASCII with sorted keys and no blanks."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode("ascii")).hexdigest()


def as_json(plain: dict[str, Any]) -> str:
    """The JSON form. Plain ASCII, so that no character of it acts on a terminal."""
    return json.dumps({"format": FORMAT, "digest": digest(plain), "content": plain}, indent=1, allow_nan=False) + "\n"


# -- for scripts -------------------------------------------------------------------------------------------


def failing(report: AuditReport, threshold: Severity) -> str:
    """Why a run does not pass, one line; empty when it does. What a person cleared counts no more; what nobody could
    read counts as high, since nobody has cleared it."""
    if not report.chain_holds:
        return f"the record is not as it was written: {report.signed.chain.problem}"
    for row in report.tally.severities[: Severity.CRITICAL - threshold + 1]:
        if left := row.samples - row.cleared:
            return f"findings that are {row.what} in {counted(left, 'sample')}, and --fail-on is {threshold.label}"
    if report.signed.coverage.unread and threshold <= Severity.HIGH:
        number, whys = _unread(report.signed.coverage)
        return f"not judged, though it might hold anything: {number} ({whys}); --fail-on is {threshold.label}"
    return ""


def _unread(covered: Coverage) -> tuple[str, str]:
    """How much nobody has looked at, and why: the latter as it is on record."""
    whys = ", ".join(f"{count:,} {why}" for why, count in covered.unread.items())
    return counted(sum(covered.unread.values()), "thing"), whys
