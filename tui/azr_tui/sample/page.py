"""One sample as a document in sections: its verdict, what was found, each text with that marked and explained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]
from pygments.token import Token  # type: ignore[import-untyped]

from azr_monitor.records import Action, Severity
from azr_platform.ledger.records import ExecutionRow, FindingRow, SampleDetail
from azr_tui import wording
from azr_tui.document import Line, Span, split
from azr_tui.escape import visible, visible_line
from azr_tui.sample.attempts import attempt_lines
from azr_tui.sample.dossier import Dossier
from azr_tui.sample.kin import kin_lines
from azr_tui.sample.reward import reward_lines

LONGEST_COLOURED = 20_000
"""Programs above this many characters are shown without syntax colours."""
LONGEST_SHOWN = 2_000_000
_QUOTE = 160
_PARTS = {"trace": "reasoning"}
"""What findings call a part that the ledger keeps under another name."""
_TOKEN_STYLES = (
    (Token.Keyword, "keyword"),
    (Token.Operator.Word, "keyword"),
    (Token.Literal.String, "string"),
    (Token.Literal.Number, "number"),
    (Token.Comment, "comment"),
    (Token.Name.Builtin, "name"),
    (Token.Name.Function, "name"),
    (Token.Name.Class, "name"),
)


class Page(NamedTuple):
    """The document, and on which of its lines each section begins."""

    lines: list[Line]
    sections: dict[str, int]


def sample_lines(dossier: Dossier, *, width: int = 100, keys: bool = True) -> list[Line]:
    """The whole page, top to bottom; without the ``keys`` that decide where there are none."""
    return sample_page(dossier, width=width, keys=keys).lines


def sample_page(dossier: Dossier, *, width: int, keys: bool = True) -> Page:
    """The page for a window of that many cells, with its sections by name."""
    detail = dossier.detail
    texts = {
        "reasoning": detail.reasoning,
        "program": detail.program,
        "input": detail.input,
        "message": detail.message,
        "answer": detail.answer,
    }
    lines = list(_head(detail, keys))
    sections: dict[str, int] = {}

    def add(name: str, new: Sequence[Line]) -> None:
        if new:
            sections.setdefault(name, len(lines) + 1)  # the title, below the blank line before it
            lines.extend(new)

    add("found", [*_findings(detail.findings, texts), *_alerts(dossier), *_scores(detail)])
    for part, text in texts.items():
        if text:
            add({"reasoning": "trace", "program": "code"}.get(part, "input"), _section(part, text, detail.findings))
        if part == "program":
            add("runs", _executions(detail.executions))
    add("attempts", _titled(attempt_lines(dossier, width)))
    add("reward", [*_title("Reward"), *reward_lines(dossier)])
    add("kin", _titled(kin_lines(dossier)))
    for part, text in (("prompt", detail.prompt), ("response", detail.response)):
        add("prompt", _section(part, text, detail.findings))
    return Page(lines, sections)


def _titled(lines: list[Line]) -> list[Line]:
    """Lines of which the first is a title."""
    return [*_title(lines[0].text), *lines[1:]] if lines else []


def _alerts(dossier: Dossier) -> list[Line]:
    """What was raised about the sample, and what people made of it."""
    if not dossier.alerts:
        return []
    lines = _title(wording.count(len(dossier.alerts), "alert"))
    for alert in dossier.alerts:
        state = alert.outcome or ("seen" if alert.acknowledged else "open")
        label = wording.severity_label(alert.severity)
        said = f"{label}  {visible_line(alert.rule, 60)}  alert {alert.id}: {visible_line(state, 20)}"
        lines.append(Line(said, colours=(Span(0, len(label), severity_mark(alert.severity)),)))
    return lines


def _title(text: str) -> list[Line]:
    return [Line(""), Line(f"── {text} ──", style="heading")]


def _head(detail: SampleDetail, keys: bool) -> Iterable[Line]:
    row, verdict = detail.sample, detail.verdict
    place = f"branch {row.branch}, step {row.step}, {row.phase}"
    yield Line(visible_line(f"Sample {row.id}   {row.role} {row.kind}   {place}"), style="heading")
    if verdict is None:
        yield Line("? no verdict on record: it was used for nothing", style="bad")
    elif verdict.allowed:
        yield Line(f"● allowed   score {verdict.score:.2f}   {wording.severity_label(verdict.severity)}", style="good")
    elif verdict.action == Action.HOLD.value:
        severity = wording.severity_label(verdict.severity)
        yield Line(f"‖ HELD for a person   score {verdict.score:.2f}   {severity}", style="number")
    else:
        yield Line(
            f"✖ BLOCKED ({wording.action_label(verdict.action)})   score {verdict.score:.2f}   "
            f"{wording.severity_label(verdict.severity)}",
            style="bad",
        )
    if verdict is not None and verdict.reason:
        yield Line(visible_line(verdict.reason, 1000))
    if keys and verdict is not None and verdict.action != Action.RECORD.value and not detail.decisions:
        yield Line("A allow   B block   F false alarm", style="dim")
    for decision in detail.decisions:
        note = f": {decision.note}" if decision.note else ""
        said = f"☞ {decision.decision} said {decision.who} after step {decision.step}{note}"
        yield Line(visible_line(said, 1000), style="heading")
    if row.phase:
        facts = [f"{row.tokens} tokens", "well formed" if row.well_formed else "malformed"]
    else:  # of another trainer's log, which says neither: where it stood
        facts = [row.uid]
    if row.correct is not None:
        facts.append("correct" if row.correct else "not correct")
    if row.outcome:
        facts.append(f"outcome {row.outcome}")
    if row.problem:
        facts.append(row.problem)
    if row.task:
        facts.append(f"task {row.task}")
    yield Line(visible_line(", ".join(facts)), style="dim")
    if row.reward is not None:
        advantage = "" if row.advantage is None else f"   advantage {row.advantage:+.3f}"
        yield Line(f"reward {row.reward:+.3f}{advantage}", style="dim")


def _findings(findings: list[FindingRow], texts: dict[str, str]) -> list[Line]:
    if not findings:
        return []
    lines = _title(wording.count(len(findings), "finding"))
    for finding in sorted(findings, key=lambda each: -each.severity):
        label = wording.severity_label(finding.severity)
        head = f"{label}  {visible_line(finding.rule, 60)}"
        style = severity_mark(finding.severity)
        lines.append(Line(head, colours=(Span(0, len(label), style),), name=f"to {_name(finding)}"))
        lines.append(Line(f"{visible_line(finding.why, 600)} (in the {visible_line(finding.part, 20)})", "    "))
        quote = _quoted(finding, texts)
        if quote:
            lines.append(Line(quote, "    ", marks=(Span(1, len(quote) - 1, "mark"),)))
    return lines


def severity_mark(severity: int) -> str:
    """The style of a severity's word in a document."""
    if severity >= Severity.HIGH:
        return "bad"
    return "number" if severity == Severity.MEDIUM else "name"


def _span(finding: FindingRow, text: str) -> tuple[int, int] | None:
    """The finding's span if it lies within ``text`` (both ends count characters)."""
    start, end = finding.span_start, finding.span_end
    if start is None or end is None or not 0 <= start < end <= len(text):
        return None
    return start, end


def _quoted(finding: FindingRow, texts: dict[str, str]) -> str:
    text = texts.get(_PARTS.get(finding.part, finding.part), "")
    span = _span(finding, text)
    return f"“{visible_line(text[slice(*span)], _QUOTE)}”" if span else ""


def _scores(detail: SampleDetail) -> list[Line]:
    if not detail.scores:
        return []
    shown = (f"{score.classifier}/{score.category} {score.value:.2f}" for score in detail.scores)
    return [*_title("Classifier scores (0 to 1, higher is worse)"), Line(visible_line(", ".join(shown), 4000))]


def _section(part: str, text: str, findings: list[FindingRow]) -> list[Line]:
    found = [
        (span, finding)
        for finding in findings
        if _PARTS.get(finding.part, finding.part) == part and (span := _span(finding, text))
    ]
    marks = [Span(*span, "mark") for span, _ in found]
    title = _title(part.capitalize())
    if not text:
        return [*title, Line("empty", style="dim")]
    cut = max(LONGEST_SHOWN, *(mark.end for mark in marks)) if marks else LONGEST_SHOWN
    shown = visible(text[:cut])
    numbered = part == "program"
    colours = python_colours(shown) if numbered else []
    lines = [*title, *_explained(split(shown, colours=colours, marks=marks, numbered=numbered), found)]
    if len(text) > cut:
        lines.append(Line(f"… {len(text) - cut:,} more characters are in the ledger", style="bad"))
    return lines


def _explained(lines: list[Line], found: list[tuple[tuple[int, int], FindingRow]]) -> list[Line]:
    """The lines, and below the row in which a marked place ends why it is marked."""
    if not found:
        return lines
    waiting = sorted(found, key=lambda pair: pair[0][1])
    explained: list[Line] = []
    start = 0
    for line in lines:
        explained.append(line)
        end = start + len(line.text) + 1
        while waiting and waiting[0][0][1] <= end:
            (_, last), finding = waiting.pop(0)
            explained.append(_note(finding, max(0, last - 1 - start), " " * len(line.gutter)))
        start = end
    return explained


def _note(finding: FindingRow, at: int, gutter: str) -> Line:
    label = wording.severity_label(finding.severity)
    text = f"└ {label}  {visible_line(finding.rule, 60)}: {visible_line(finding.why, 300)}"
    colours = (Span(2, 2 + len(label), severity_mark(finding.severity)),)
    return Line(text, gutter, "dim", colours, note_at=at, name=_name(finding))


def _name(finding: FindingRow) -> str:
    return f"{finding.rule} {finding.part} {finding.span_start}"


def python_colours(program: str) -> list[Span]:
    """Syntax colours of a program by its tokens; it is read as text and never compiled."""
    if len(program) > LONGEST_COLOURED:
        return []
    spans: list[Span] = []
    for start, token, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens_unprocessed(program):
        style = next((style for kind, style in _TOKEN_STYLES if token in kind), "")
        if style and text:
            spans.append(Span(start, start + len(text), style))
    return spans


def _executions(executions: list[ExecutionRow]) -> list[Line]:
    lines = _title(wording.count(len(executions), "execution"))
    if not executions:
        lines.append(Line("nothing was run", style="dim"))
    for row in executions:
        good = row.outcome == "ok"
        label = f"{'✔' if good else '✖'} {visible_line(row.outcome, 24)}"
        head = f"{label}  f({visible_line(row.input, 200)})"
        if row.value is not None:
            head += f" = {visible_line(row.value, 200)}"
        lines.append(Line(head, f"{row.position + 1:>2} ", colours=(Span(0, len(label), "good" if good else "bad"),)))
        cost = f"cpu {row.cpu_ms:.1f} ms, wall {row.wall_ms:.1f} ms, memory {row.memory_kb / 1024:.1f} MB"
        detail = f"   {visible_line(row.detail, 300)}" if row.detail else ""
        lines.append(Line(f"{cost}{detail}", "   ", style="dim"))
    return lines
