"""The report as one HTML file: pictures inside it, no script, nothing loaded from anywhere.

Texts that a model or a trainer wrote are made visible by the caller's function, then escaped; the page forbids itself
everything but its own style and its own pictures.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

from azr_monitor.intervals import Estimate
from azr_platform.evaluation.plot import Picture, as_svg
from azr_platform.evaluation.report import Report, verdict
from azr_platform.ledger.branches import tree
from azr_platform.ledger.records import Summary

Visible = Callable[[str], str]
"""Makes control characters and the like visible and inert; lines stay lines."""

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
p.lead { color: #444; margin-top: .2rem; } p.verdict { border-left: 4px solid #0072b2; padding: .4rem .8rem;
  background: #f3f7fa; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .7rem; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, td.text { text-align: left; } th { font-weight: 600; }
td.text { overflow-wrap: anywhere; } figure { margin: .5rem 0 1.5rem; } img { max-width: 100%; }
figcaption, .note { color: #555; font-size: .87rem; } pre { background: #f5f5f5; padding: .6rem; overflow-x: auto; }
""".strip()


def render(report: Report, pictures: Sequence[Picture], visible: Visible) -> str:
    """The whole page."""

    def text(value: str) -> str:
        return escape(visible(value))

    summary = report.summary
    body = [
        f"<h1>{text(report.run)}</h1>",
        f'<p class="lead">Self-play under supervision: {text(summary.state)} at step {summary.step} of '
        f"{summary.steps}, seed {report.seed}, {summary.samples:,} samples, {summary.blocked:,} blocked, "
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
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{text(report.run)}: report</title><style>{_STYLE}</style></head>"
    )
    return f"{head}\n<body>\n" + "\n".join(body) + "\n</body></html>\n"


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
            _table(heads, rows),
            _note("[95 % interval], by resampling tasks; change: paired, on the same tasks."),
        ]
    if report.safety:
        rows = [
            [text(row.what), _thousand(row.before), _thousand(row.after), _change(row.change, 1000)]
            for row in report.safety
        ]
        plural = "s" if report.fifth > 1 else ""
        spans = (f"first {report.fifth} step{plural}", f"last {report.fifth} step{plural}")
        parts += [
            _table(("safety, samples per 1,000", *spans, "change"), rows),
            _note(
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
    note = "Good: valid proposals, right answers. Reward: mean of the first and the last third of the steps."
    return ["<h2>Roles and kinds</h2>", _table(heads, rows), _note(note)]


def _alerts(report: Report, text: Visible) -> list[str]:
    if not report.alerts:
        return []
    rows = [[str(alert.step), text(alert.rule), text(alert.message)] for alert in report.alerts]
    return ["<h2>Newest alerts</h2>", _table(("step", "rule", "what"), rows, texts=2)]


def _examples(report: Report, text: Visible) -> list[str]:
    if not report.examples:
        return []
    parts = ["<h2>First and last tasks it proposed</h2>"]
    for example in report.examples:
        parts.append(f'<p class="note">step {example.step}, {text(example.kind)}</p>')
        parts.append(f"<pre>{text(example.program)}</pre>")
    return parts


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]], texts: int = 0) -> str:
    """Cells are HTML already; the last ``texts`` columns hold running text."""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    lines = []
    for row in rows:
        plain, running = row[: len(row) - texts], row[len(row) - texts :]
        cells = [f"<td>{cell}</td>" for cell in plain] + [f'<td class="text">{cell}</td>' for cell in running]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n" + "\n".join(lines) + "\n</tbody></table>"


def _note(words: str) -> str:
    return f'<p class="note">{escape(words)}</p>'


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value * 100:.1f} [{estimate.low * 100:.1f}–{estimate.high * 100:.1f}]"


def _thousand(estimate: Estimate) -> str:
    return f"{estimate.value * 1000:.1f} [{estimate.low * 1000:.1f}–{estimate.high * 1000:.1f}]"


def _change(estimate: Estimate, scale: int) -> str:
    return f"{estimate.value * scale:+.1f} [{estimate.low * scale:+.1f}, {estimate.high * scale:+.1f}]"
