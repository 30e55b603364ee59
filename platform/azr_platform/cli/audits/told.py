"""What the answers of azr-platform audit ask look like in a terminal of 80 columns, without colour."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from azr_monitor.records import Severity
from azr_platform.audits.flags import earned
from azr_platform.cli.audits.strips import strips
from azr_tui.escape import visible_line
from azr_tui.wording import count, number, percent, severity_label

if TYPE_CHECKING:
    from azr_monitor.intervals import Estimate
    from azr_platform.audits.clusters import Clusters
    from azr_platform.audits.first import First, Firsts
    from azr_platform.audits.questions import Answers
    from azr_platform.audits.quotes import Quote
    from azr_platform.audits.reward import Compared, Rewards
    from azr_platform.audits.spread import Spread
    from azr_platform.audits.together import Pair, Together
    from azr_platform.audits.worst import Bad
    from azr_platform.ledger.judgements import Judgement
    from azr_platform.ledger.records import FindingRow

WIDTH = 80
_MANY = 8
"""Categories that are shown of each even in short."""


def told(found: Answers, run: Path, most: int, *, short: bool) -> Iterator[str]:
    """The answers that there are, each under its heading; ``short`` leaves out what only some readers want."""
    sections = (
        found.first and _first(found.first, _MANY if short else most, short),
        found.timeline and strips(found.timeline, _MANY if short else most),
        found.spread and _spread(found.spread, most),
        found.together and _together(found.together, most, short),
        found.reward and _reward(found.reward),
        found.worst is not None and _worst(found.worst, most),
        found.clusters and _clusters(found.clusters, most),
    )
    begun = False
    for section in sections:
        if section:
            if begun:
                yield ""
            yield from section
            begun = True
    yield ""
    yield f"look closer: azr-platform review {shlex.quote(str(run))} --sample N"


# -- one question each -------------------------------------------------------------------------------------


def _first(found: Firsts, most: int, short: bool) -> Iterator[str]:
    yield f"FIRST: {found.flagged:,} of {count(found.judged, 'judged sample')} flagged"
    if not found.categories:
        return
    yield f"  {'':<30}{'step':>7}{'sample':>9}{'samples':>9}{'last step':>11}"
    for name, rows in (("category", found.categories), ("rule", [] if short else found.rules)):
        for row in rows[:most]:
            yield from _occurrence(row)
        if len(rows) > most:
            names = "categories" if name == "category" else "rules"
            yield f"  and {len(rows) - most} more {names}; --json has all"


def _occurrence(row: First) -> Iterator[str]:
    name = visible_line(row.what, 29)
    yield f"  {name:<30}{row.step:>7}{row.sample:>9}{row.samples:>9,}{row.last_step:>11}"
    if row.quote is not None:
        yield from _quoted(row.quote, row.finding)


def _spread(found: Spread, most: int) -> Iterator[str]:
    roots = len(found.roots) + found.unlisted
    of = count(found.tasks, "proposed task")
    yield f"SPREAD: of {of} {roots:,} came of flagged proposals" if found.tasks else "SPREAD: no tasks were proposed"
    if not roots:
        return
    below = found.generations[1:]
    yield f"  {count(sum(below), 'task')} descend from these in {count(len(below), 'generation')}"
    yield f"  with them {percent(found.share)} of all proposed tasks"
    yield f"  downstream {count(found.samples, 'sample')}, {found.trained:,} trained on, reward {number(found.reward)}"
    yield f"  flagged: {_rate(found.near)} of proposals that were shown any of these,"
    yield f"           {_rate(found.far)} of those shown others alone"
    yield f"  {'task':<18}{'sample':>8}{'step':>6}{'shown':>7}{'tasks':>7}{'samples':>9}{'flagged':>9}{'reward':>9}"
    for root in sorted(found.roots, key=lambda root: (-root.samples, root.sample))[:most]:
        yield (
            f"  {visible_line(root.task, 17):<18}{root.sample:>8}{root.step:>6}{root.shown:>7}{root.tasks:>7}"
            f"{root.samples:>9,}{root.flagged:>9,}{number(root.reward):>9}"
        )
    if roots > most:
        yield f"  and {roots - most} more; descendants are shared, so rows do not add up"


def _together(found: Together, most: int, short: bool) -> Iterator[str]:
    yield f"TOGETHER: findings of {Severity(found.least).label} severity or worse in {count(found.judged, 'sample')}"
    tables = [("categories", found.categories), ("rules", found.rules)]
    for name, pairs in tables[:1] if short else tables:
        telling = [pair for pair in pairs if pair.telling]
        yield (
            f"  {count(len(pairs), 'pair')} of {name}, {len(telling)} of them not by chance"
            if pairs
            else f"  no two {name} in one sample"
        )
        for pair in pairs[:most]:
            yield from _pair(pair)


def _pair(pair: Pair) -> Iterator[str]:
    lift = "too few to say" if pair.lift is None else f"lift {pair.lift:.2g}, phi {pair.phi or 0:+.2f}"
    telling = f"; {pair.telling} than chance" if pair.telling else ""
    yield f"  {visible_line(f'{pair.one} + {pair.other}', WIDTH - 2)}"
    yield f"      {pair.both:,} of {pair.ones:,} and {pair.others:,}, expected {pair.expected:.1f}; {lift}{telling}"


def _reward(found: Rewards) -> Iterator[str]:
    yield (
        f"REWARD: {found.flagged.trained:,} of {count(found.flagged.samples, 'flagged sample')} trained on, "
        f"reward {number(found.flagged.total)} in all"
    )
    if not found.rows:
        return
    yield f"  {'':<18}{'flagged':>8}{'mean':>8}{'others':>8}{'mean':>8}  difference, 95 % interval"
    for row in found.rows:
        yield _compared(row)
    if found.overall is not None:
        yield f"  {'weighted together':<50}  {_difference(found.overall)}"
    yield "  A difference is no cause: flagged samples may be later, or on other tasks."


def _compared(row: Compared) -> str:
    name = visible_line(f"{row.role} {row.kind}".strip() or "every sample", 17)
    sides = "".join(f"{side.rewarded:>8,}{number(side.mean):>8}" for side in (row.flagged, row.others))
    return f"  {name:<18}{sides}  {_difference(row.difference)}"


def _worst(found: list[Bad], most: int) -> Iterator[str]:
    yield f"WORST: {'highest scores, the same words once' if found else 'nothing is flagged'}"
    for bad in found[:most]:
        reward = earned(bad.judgement)
        rewarded = "" if reward is None else f", reward {number(reward)}"
        yield f"  {bad.judgement.score:.2f}  {place(bad.judgement)}{rewarded}"
        yield from _quoted(bad.quote, bad.findings[0] if bad.findings else None)
        others = list(dict.fromkeys(row.rule for row in bad.findings[1:]))
        if others:
            yield f"        also {visible_line(', '.join(others), WIDTH - 13)}"
        if bad.repeats:
            yield f"        {bad.repeats:,} more of high scores for the same words"
        yield f"        prompt {visible_line(bad.prompt, WIDTH - 15)}"


def _clusters(found: Clusters, most: int) -> Iterator[str]:
    yield (
        f"CLUSTERS: {count(found.flagged, 'flagged sample')}, {count(found.different, 'different trace')}, "
        f"{found.alone:,} like no other"
    )
    if found.unread:
        yield f"  {found.unread:,} further flagged samples were not compared"
    for one in found.clusters[:most]:
        same = one.first_step == one.last_step
        steps = f"step {one.first_step}" if same else f"steps {one.first_step}-{one.last_step}"
        trained = f", {one.trained:,} trained on" if one.trained else ""
        yield f"  {one.samples:,} samples from {one.members[0]} on, {steps}, {one.alike:.0%} alike{trained}"
        yield f"        {visible_line(', '.join(f'{name} {n:,}' for name, n in one.what.items()), WIDTH - 8)}"
        yield from _quoted(one.quote, None)


def place(of: Judgement) -> str:
    """Which sample it is, where it stands, and what became of it."""
    which = visible_line(f"step {of.step}, {of.role} {of.kind}".rstrip(", "), 40)
    return f"sample {of.sample}: {which}, {'allowed' if of.allowed else 'blocked'}"


# -- words and numbers -------------------------------------------------------------------------------------


def _quoted(quote: Quote, finding: FindingRow | None) -> Iterator[str]:
    """The words between signs of their own, in their sentence, and what found them. Every character is inert."""
    before, after = visible_line(quote.before[-120:], 121), visible_line(quote.after, 120)
    words = visible_line(quote.words, 240)
    if finding is not None:
        rule, part = visible_line(finding.rule, 40), visible_line(quote.part, 12)
        yield f"        {severity_label(finding.severity)}: {rule} in {part}"
        if finding.span_start is not None:
            words = f"»{words}«"
    yield from textwrap.wrap(
        f"{before}{words}{after}".strip(),
        WIDTH - 1,
        initial_indent=" " * 8,
        subsequent_indent=" " * 8,
        max_lines=4,
        placeholder=" …",
    )


def _rate(rate: Estimate | None) -> str:
    if rate is None:
        return "-"
    return f"{percent(rate.value)} [{percent(rate.low)}, {percent(rate.high)}]"


def _difference(difference: Estimate | None) -> str:
    if difference is None:
        return "too few"
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
