"""The sections of an audit's report, in the order in which somebody who gets it asks."""

from __future__ import annotations

from collections.abc import Iterator

from azr_platform.audits.agreement import Row
from azr_platform.audits.blocks import (
    ROWS,
    Block,
    Panel,
    Table,
    Theirs,
    Words,
    difference,
    heading,
    para,
    people,
    percent,
    severity,
    share,
)
from azr_platform.audits.first import First
from azr_platform.audits.quotes import Quote
from azr_platform.audits.report import PROVES, AuditReport, judged_live, standing, verdict
from azr_platform.audits.reward import Earned
from azr_platform.audits.selection import RUN
from azr_platform.audits.tally import label
from azr_platform.audits.vouched import facts
from azr_platform.audits.worst import Bad

_TRACKS, _CLUSTERS = 12, 10
_CELL, _SAID = 120, 400
"""A cell, and a sentence, of theirs has so many characters; the JSON form has all."""


def sections(report: AuditReport, digest: str) -> Iterator[Block]:
    """The whole report."""
    yield from _head(report)
    yield from _found(report)
    yield from _timeline(report)
    yield from _firsts(report)
    yield from _spread(report)
    yield from _rewards(report)
    yield from _worst(report)
    yield from _clusters(report)
    yield from _labels(report)
    yield from _signed(report, digest)


def _head(report: AuditReport) -> Iterator[Block]:
    yield heading("Audit of ", Theirs(report.run), level=1)
    own = report.audit == RUN
    mine = "As it was judged when the log was read" if report.log else "The run's own verdicts"
    audit = (mine,) if own else ("Audit ", Theirs(report.audit))
    policy = Theirs(report.signed.judges.policy) if report.signed.judges.policy else "not on record"
    blocked = f"{report.tally.blocked:,} {'blocked' if judged_live(report) else 'to be blocked'}"
    counts = f"; {report.tally.judged:,} samples judged, {blocked}; {report.signed.made_at}."
    log = (" A log of another trainer's: ", Theirs(report.log), ".") if report.log else ()
    yield para(*audit, ", policy ", policy, counts, *log, kind="lead")
    yield para(verdict(report), kind="verdict")
    yield para(*standing(report), kind="lead" if report.chain_holds else "broken")


def _found(report: AuditReport) -> Iterator[Block]:
    counted = report.tally
    yield heading("What was found")
    rows = [
        [
            severity(row.what),
            f"{row.samples:,}",
            percent(row.share),
            f"{row.blocked:,}",
            f"{row.trained:,}",
            f"{row.cleared:,}",
        ]
        for row in counted.severities
    ]
    yield Table(("worst finding", "samples", "share [95 %]", "blocked", "trained on", "cleared"), rows)
    yield para(
        "A sample counts once, by its worst finding. Cleared: a person allowed it or called it a false alarm. "
        "Intervals are Wilson's, as if samples were independent. What the supervisor or a person said is no finding.",
        kind="note",
    )
    if not counted.categories:
        return
    rows = [
        [
            Theirs(row.what),
            f"{row.samples:,}",
            percent(row.share),
            severity(row.severity),
            f"{row.blocked:,}",
            f"{row.trained:,}",
        ]
        for row in counted.categories
    ]
    yield Table(("category", "flagged", "share [95 %]", "worst", "blocked", "trained on"), rows)
    yield para(
        "Flagged: with a finding of medium severity or worse, or blocked in doubt. A sample counts in each category "
        "that it is flagged for.",
        kind="note",
    )


def _timeline(report: AuditReport) -> Iterator[Block]:
    along = report.answers.timeline
    if along is None or not along.tracks or len(along.starts) < 2:
        return
    yield heading("When it happened")
    for track in along.tracks[:_TRACKS]:
        rates = " → ".join(f"{stretch.rate.value:.2%}" for stretch in track.stretches[:8])
        changes = f"; changes at {along.axis} {', '.join(map(str, track.changes[:8]))}" if track.changes else ""
        highest = max((rate.value for rate in track.rates if rate is not None), default=0.0)
        said = f": {track.samples:,} samples, {rates}{changes}; at most {highest:.2%}"
        yield Panel(along, track, (_cut(track.what), said))
    if along.events:
        events = [[f"{event.step:,}", _cut(event.what, _SAID)] for event in along.events[:ROWS]]
        yield Table(("from step", "what may explain a change"), events, 1, len(along.events))
    first, last = along.starts[0], along.starts[-1] + along.width - 1
    further = len(along.tracks) - _TRACKS
    yield para(
        f"From {along.axis} {first:,} to {last:,}, {along.width:,} of them a place; each picture has its own height. "
        "Band: the share of samples with its 95 % interval. Thick: stretches of one rate, as far as can be told. "
        "Dashed: where it changed. Dotted: another policy, or a rollback.",
        f" {further} further categories are in the JSON form." if further > 0 else "",
        f" Left aside: {along.aside:,} seeds, or samples that a rollback left behind." if along.aside else "",
        kind="note",
    )


def _firsts(report: AuditReport) -> Iterator[Block]:
    found = report.answers.first
    if found is None or not found.categories:
        return
    yield heading("When it began")
    for title, rows in (("category", found.categories), ("rule", found.rules)):
        heads = (title, "first sample", "step", "role and kind", "then", "samples", "last step", "why")
        yield Table(heads, [_first(one) for one in rows[:ROWS]], 1, len(rows))


def _first(one: First) -> list[str]:
    return [
        _cut(one.what),
        str(one.sample),
        f"{one.step:,}",
        _who(one.role, one.kind),
        _word(one.allowed),
        f"{one.samples:,}",
        f"{one.last_step:,}",
        _cut(one.finding.why) if one.finding is not None else "in doubt",
    ]


def _spread(report: AuditReport) -> Iterator[Block]:
    found = report.answers.spread
    if found is None or not found.roots:
        return
    yield heading("How far it spread")
    below = sum(found.generations[1:])
    yield para(
        f"{found.generations[0]:,} flagged proposals became tasks. Of all {found.tasks:,} tasks {below:,} descend from "
        f"them, over {len(found.generations) - 1} generations. Downstream lie {found.samples:,} proposals and answers; "
        f"an update used {found.trained:,} of them, for a reward of {found.reward:+.2f} together. Proposals that were "
        f"shown such a task were flagged themselves in {percent(found.near)}, others in {percent(found.far)}."
    )
    rows = [
        [
            Theirs(root.task[:16]),
            str(root.sample),
            f"{root.step:,}",
            f"{root.shown:,}",
            f"{root.tasks:,}",
            f"{root.samples:,}",
            f"{root.flagged:,}",
            f"{root.reward:+.2f}",
            Theirs(", ".join(root.what)),
        ]
        for root in found.roots[:ROWS]
    ]
    heads = ("task", "of sample", "step", "shown to", "tasks below", "samples below", "flagged", "reward", "category")
    yield Table(heads, rows, 1, len(found.roots))
    yield para(
        "A prompt shows several tasks, so descent alone reaches far and proves no influence. Roots share descendants.",
        kind="note",
    )


def _rewards(report: AuditReport) -> Iterator[Block]:
    found = report.answers.reward
    if found is None or not found.rows:
        return
    yield heading("What it earned")
    rows = [
        [
            _who(row.role, row.kind),
            *_earned(row.flagged),
            *_earned(row.others),
            difference(row.difference),
        ]
        for row in found.rows
    ]
    heads = ("role and kind", "flagged, used", "mean reward", "others, used", "mean reward", "difference [95 %]")
    yield Table(heads, rows)
    overall = f" Over all: {difference(found.overall)}." if found.overall is not None else ""
    yield para(
        f"Used: by an update.{overall} A difference is no cause: what is flagged may also be longer, later, or on "
        "harder tasks.",
        kind="note",
    )


def _earned(earned: Earned) -> list[str]:
    mean = "–" if earned.mean is None else f"{earned.mean:+.3f}"
    return [f"{earned.trained:,} of {earned.samples:,}", mean]


def _worst(report: AuditReport) -> Iterator[Block]:
    found = report.answers.worst or []
    if found:
        yield heading(f"The worst {len(found)}")
    for bad in found:
        yield from _bad(bad)


def _bad(bad: Bad) -> Iterator[Block]:
    one = bad.judgement
    who = _who(one.role, one.kind)
    yield heading(
        f"Sample {one.sample}", *((": ", who) if isinstance(who, Theirs) else ()), f", step {one.step:,}", level=3
    )
    earned = f"reward {one.reward:+.2f}, trained on" if one.trained and one.reward is not None else "not trained on"
    repeats = f"{bad.repeats:,} more of high scores for the same words. " if bad.repeats else ""
    yield para(f"Score {one.score:.2f}, {_word(one.allowed)}, {earned}. {repeats}", _cut(one.reason, _SAID))
    yield from _quoted(bad.quote)
    for finding in bad.findings[:ROWS]:
        yield para(f"{severity(label(finding.severity))} ", _cut(finding.rule), ": ", _cut(finding.why, _SAID))
    if bad.prompt:
        yield para("Asked: ", Theirs(bad.prompt.replace("\n", " ")), kind="note")


def _quoted(quote: Quote) -> Iterator[Block]:
    if quote.words or quote.before:
        yield Words(quote.before, quote.words, quote.after)


def _clusters(report: AuditReport) -> Iterator[Block]:
    found = report.answers.clusters
    if found is None or not found.clusters:
        return
    yield heading("The same again")
    yield para(
        f"{found.flagged:,} flagged samples hold {found.different:,} different traces; {found.alone:,} are like no "
        "other. The largest groups of near copies, each by its earliest:"
    )
    for one in found.clusters[:_CLUSTERS]:
        what = ", ".join(f"{name} {count:,}" for name, count in one.what.items())
        yield heading(
            f"{one.samples:,} samples from {one.members[0]} on, steps {one.first_step:,} to {one.last_step:,}", level=3
        )
        yield para(
            Theirs(what),
            f": {one.blocked:,} blocked, {one.trained:,} trained on for a reward of {one.reward:+.2f}; "
            f"{one.alike:.0%} alike.",
        )
        yield from _quoted(one.quote)


def _labels(report: AuditReport) -> Iterator[Block]:
    held = report.labels
    yield heading("What people said")
    if not held.labels:
        yield para("Nobody has labelled a sample, so how right the findings are is not known.")
        return
    by_alert = f", {held.from_alerts:,} by resolving an alert" if held.from_alerts else ""
    yield para(
        f"{held.labels:,} labelled texts, by {people(held.people)}{by_alert}: {held.harmful:,} harmful, "
        f"{held.benign:,} benign. Recall is of those labelled harmful and of nothing else; in {held.not_found:,} of "
        "the labelled texts nothing was found, and only those could show what was missed."
    )
    agreed = [held.blocked, held.found, *held.categories, *held.rules]
    heads = ("", "right", "wrong", "missed", "precision [95 %]", "recall [95 %]")
    yield Table(heads, [_agreed(row) for row in agreed[: 2 * ROWS]], of=len(agreed))
    if held.disagreements:
        yield heading("Where they disagree", level=3)
        rows = [
            [str(one.sample), _word(one.allowed), _cut(one.who), _cut(one.word), _cut(one.note)]
            for one in held.disagreements[:ROWS]
        ]
        yield Table(("sample", "verdict", "who", "said", "why"), rows, 3, len(held.disagreements))


def _agreed(row: Row) -> list[str]:
    counts = (f"{row.right:,}", f"{row.wrong:,}", f"{row.missed:,}")
    return [_cut(row.name), *counts, share(row.precision), share(row.recall)]


def _signed(report: AuditReport, digest: str) -> Iterator[Block]:
    yield heading("Signed off")
    rows = [[what, Theirs(value)] for what, value in facts(report)]
    yield Table(("what", "on record"), [*rows, ["digest of this report", Theirs(digest)]], 1)
    yield para(PROVES, kind="note")


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "blocked"


def _cut(text: str, most: int = _CELL) -> Theirs:
    return Theirs(text if len(text) <= most else f"{text[: most - 1]}…")


def _who(role: str, kind: str) -> str:
    """Whose sample it is; a log of another trainer's knows no roles."""
    return _cut(f"{role} {kind}".strip(), 40) or "–"
