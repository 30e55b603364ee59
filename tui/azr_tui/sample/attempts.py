"""The answers to one task in one step: side by side where there is room, else one below the other."""

from __future__ import annotations

from typing import Final

from azr_platform.ledger.records import SampleDetail, SampleRow
from azr_platform.records import Role
from azr_tui import wording
from azr_tui.document import Line, Span, beside, split
from azr_tui.escape import visible, visible_line
from azr_tui.sample.dossier import Dossier

_NARROWEST: Final = 36
"""Cells of one of several columns."""
_LONGEST: Final = 4_000
"""Characters of a text that are shown of each."""


def attempt_lines(dossier: Dossier, width: int) -> list[Line]:
    """A title and the attempts; nothing where there is none but the sample itself."""
    own = dossier.detail.sample
    others = [one for one in dossier.attempts if one.id != own.id]
    if not others:
        return []
    right = sum(bool(one.correct) for one in dossier.attempts)
    what = "Answers to it" if own.role == Role.PROPOSE.value else "Answers to the same task"
    lines = [Line(f"{what} in this step: {right} of {len(dossier.attempts)} right")]
    blocks = [_block(answer, answer.sample.id == own.id) for answer in dossier.answers]
    columns = max(1, min(len(blocks), (width + 2) // (_NARROWEST + 2)))
    for first in range(0, len(blocks), columns):
        row = blocks[first : first + columns]
        lines += beside(row, width) if columns > 1 else row[0]
        lines.append(Line(""))
    if rest := len(dossier.attempts) - len(dossier.answers):
        lines.append(Line(f"and {wording.count(rest, 'more answer')}: k lists them", style="dim"))
    return lines


def result(row: SampleRow) -> tuple[str, str]:
    """(what came of an answer, its style)."""
    if row.allowed is not None and not row.allowed:
        return "✖ blocked", "bad"
    if not row.well_formed:
        return "✖ malformed", "bad"
    if row.correct:
        return "✔ right", "good"
    return f"✖ {visible_line(row.outcome or 'wrong', 20)}" if row.outcome not in (None, "", "ok") else "✖ wrong", "bad"


def _block(answer: SampleDetail, own: bool) -> list[Line]:
    row = answer.sample
    said, style = result(row)
    reward = "" if row.reward is None else f"  {row.reward:+.2f}"
    here = "  (this one)" if own else ""
    head = Line(f"{said}  sample {row.id}{here}", colours=(Span(0, len(said), style),))
    facts = Line(f"{row.tokens:,} tokens{reward}", style="dim")
    return [head, facts, *_text("answer", answer.answer), *_text("reasoning", answer.reasoning)]


def _text(name: str, text: str) -> list[Line]:
    if not text:
        return [Line(f"no {name}", style="dim")]
    cut = visible(text[:_LONGEST])
    more = [Line(f"… {len(text) - _LONGEST:,} more characters", style="dim")] if len(text) > _LONGEST else []
    return [Line(name, style="dim"), *split(cut, gutter="  "), *more]
