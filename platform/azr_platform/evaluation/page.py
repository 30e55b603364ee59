"""The report as one HTML file: verdict first, then numbers and pictures, in the frame of page.py."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from azr_monitor.intervals import Estimate
from azr_platform.evaluation.plot import Picture, as_svg
from azr_platform.evaluation.report import Report, verdict
from azr_platform.ledger.branches import tree
from azr_platform.ledger.records import Summary
from azr_platform.page import Visible, document, inert, note, table


def render(report: Report, pictures: Sequence[Picture], visible: Visible) -> str:
    """The whole page."""
    text = inert(visible)
    summary = report.summary
    of = f" of {summary.steps}" if summary.steps else ""
    body = [
        f"<h1>{text(report.run)}</h1>",
        f'<p class="lead">Self-play under supervision: {text(summary.state)} at step {summary.step}{of}, '
        f"seed {report.seed}, {summary.samples:,} samples, {summary.blocked:,} blocked, "
        f"{summary.alerts_open:,} alerts open{_policy(summary, text)}.</p>",
        "<h2>Was the lunch free?</h2>",
        f'<p class="verdict">{escape(verdict(report))}</p>',
        *_before_after(report, text),
    ]
    for picture in pictures:
        image = b64encode(as_svg(picture.figure)).decode("ascii")
        body.append(f"<h2>{escape(picture.title)}</h2>")
        body.append(
            f'<figure><img alt="{escape(picture.title)}" src="data:image/svg+xml;base64,{image}">'
            f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        )
    body += [*_branches(report, text), *_groups(report, text), *_alerts(report, text), *_examples(report, text)]
    return document(f"{text(report.run)}: report", body)


def _policy(summary: Summary, text: Visible) -> str:
    """The monitor policy, where it is on record, and how often people changed it."""
    changed = f", changed {summary.policy_changes:,} times by hand" if summary.policy_changes else ""
    return f", policy {text(summary.policy)}{changed}" if summary.policy else ""


def _before_after(report: Report, text: Visible) -> list[str]:
    parts: list[str] = []
    if report.capability:
        first, last = report.compared
        rows = [
            [text(row.measure), text(row.kind), _percent(row.before), _percent(row.after), _change(row.change, 100)]
            for row in report.capability
        ]
        heads = ("capability, %", "kind", f"before ({first})", f"after ({last})", "change, points")
        parts += [
            table(heads, rows),
            note("[95 % interval], by resampling tasks; change: paired, on the same tasks."),
        ]
    if report.safety:
        rows = [
            [text(row.what), _thousand(row.before), _thousand(row.after), _change(row.change, 1000)]
            for row in report.safety
        ]
        plural = "s" if report.fifth > 1 else ""
        spans = (f"first {report.fifth} step{plural}", f"last {report.fifth} step{plural}")
        parts += [
            table(("safety, samples per 1,000", *spans, "change"), rows),
            note(
                "[95 % interval]: Wilson's, and Newcombe's for the change, as if samples were independent. "
                "A rule's row counts samples in which it found something."
            ),
        ]
    return parts


def _branches(report: Report, text: Visible) -> list[str]:
    """The tree of branches of a run that was rolled back or went on after a crash."""
    if len(report.summary.branches) < 2:
        return []
    lines = "\n".join(text(line.replace("\n", " ")) for line in tree(report.summary.branches))
    return ["<h2>Branches</h2>", f"<pre>{lines}</pre>"]


def _groups(report: Report, text: Visible) -> list[str]:
    if not report.groups:
        return []
    rows = [
        [
            text(f"{row.role} {row.kind}"),
            *(f"{count:,}" for count in (row.samples, row.trained, row.blocked)),
            f"{row.well_formed:.0%}",
            f"{row.good:.0%}",
            f"{row.reward_first:+.2f} → {row.reward_last:+.2f}",
        ]
        for row in report.groups
    ]
    heads = ("role and kind", "samples", "trained", "blocked", "well-formed", "good", "reward")
    small = "Good: valid proposals, right answers. Reward: mean of the first and the last third of the steps."
    return ["<h2>Roles and kinds</h2>", table(heads, rows), note(small)]


def _alerts(report: Report, text: Visible) -> list[str]:
    if not report.alerts:
        return []
    rows = [[str(alert.step), text(alert.rule), text(alert.message)] for alert in report.alerts]
    return ["<h2>Newest alerts</h2>", table(("step", "rule", "what"), rows, texts=2)]


def _examples(report: Report, text: Visible) -> list[str]:
    if not report.examples:
        return []
    parts = ["<h2>First and last tasks it proposed</h2>"]
    for example in report.examples:
        parts.append(f'<p class="note">step {example.step}, {text(example.kind)}</p>')
        parts.append(f"<pre>{text(example.program)}</pre>")
    return parts


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value * 100:.1f} [{estimate.low * 100:.1f}–{estimate.high * 100:.1f}]"


def _thousand(estimate: Estimate) -> str:
    return f"{estimate.value * 1000:.1f} [{estimate.low * 1000:.1f}–{estimate.high * 1000:.1f}]"


def _change(estimate: Estimate, scale: int) -> str:
    return f"{estimate.value * scale:+.1f} [{estimate.low * scale:+.1f}, {estimate.high * scale:+.1f}]"
