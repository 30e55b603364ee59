"""One sample as a document: verdict, findings with the words they quote, then every text with the findings marked."""

from __future__ import annotations

from collections.abc import Iterable

from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]
from pygments.token import Token  # type: ignore[import-untyped]

from azr_monitor.records import Action, Severity
from azr_platform.ledger.records import ExecutionRow, FindingRow, SampleDetail
from azr_tui import wording
from azr_tui.document import Line, Span, split
from azr_tui.escape import visible, visible_line

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


def sample_lines(detail: SampleDetail, *, keys: bool = True) -> list[Line]:
    """The whole page, top to bottom; without the ``keys`` that decide where there are none."""
    texts = {
        "reasoning": detail.reasoning,
        "program": detail.program,
        "input": detail.input,
        "message": detail.message,
        "answer": detail.answer,
    }
    lines = [*_head(detail, keys), *_findings(detail.findings, texts), *_scores(detail)]
    for part, text in texts.items():
        if text:
            lines += _section(part, text, detail.findings)
        if part == "program":
            lines += _executions(detail.executions)
    for part, text in (("prompt", detail.prompt), ("response", detail.response)):
        lines += _section(part, text, detail.findings)
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
    facts = [f"{row.tokens} tokens", "well formed" if row.well_formed else "malformed"]
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
        lines.append(Line(head, colours=(Span(0, len(label), _severity_style(finding.severity)),)))
        lines.append(Line(f"{visible_line(finding.why, 600)} (in the {visible_line(finding.part, 20)})", "    "))
        quote = _quoted(finding, texts)
        if quote:
            lines.append(Line(quote, "    ", marks=(Span(1, len(quote) - 1, "mark"),)))
    return lines


def _severity_style(severity: int) -> str:
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
    marks = [
        Span(*span, "mark")
        for finding in findings
        if _PARTS.get(finding.part, finding.part) == part and (span := _span(finding, text))
    ]
    title = _title(part.capitalize())
    if not text:
        return [*title, Line("empty", style="dim")]
    cut = max(LONGEST_SHOWN, *(mark.end for mark in marks)) if marks else LONGEST_SHOWN
    shown = visible(text[:cut])
    numbered = part == "program"
    colours = python_colours(shown) if numbered else []
    lines = [*title, *split(shown, colours=colours, marks=marks, numbered=numbered)]
    if len(text) > cut:
        lines.append(Line(f"… {len(text) - cut:,} more characters are in the ledger", style="bad"))
    return lines


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
