"""The verdicts on a run, a line each; in one or two lines where there are no more."""

from __future__ import annotations

from rich.text import Text

from azr_tui.escape import visible_line
from azr_tui.health import SIGNS, STYLES, Grade, Verdict, verdicts
from azr_tui.view import View
from azr_tui.widgets.plain import Plain


class HealthLines(Plain):
    """As many of the verdicts as it has lines, the gravest first where not all of them fit."""

    DEFAULT_CSS = """
    HealthLines { width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__(id="health")
        self._found: list[Verdict] = []

    def show(self, view: View) -> None:
        self._found = verdicts(view)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self.put(health_text(self._found, self.size.height))


def health_text(found: list[Verdict], height: int) -> Text:
    """``height`` lines; the word on every subject is always there, the reasons as far as there is room."""
    if height >= len(found):
        lines = [_whole(each) for each in found]
    else:
        lines = [Text("  ").join(_brief(each) for each in found)]
        ranked = sorted(found, key=lambda each: -each.grade if each.grade >= Grade.WATCH else 0)
        lines += [_whole(each) for each in ranked[: height - 1]]
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _brief(each: Verdict) -> Text:
    return Text(f"{SIGNS[each.grade]} {each.subject}", style=STYLES[each.grade])


def _whole(each: Verdict) -> Text:
    text = Text().append(f"{SIGNS[each.grade]} {each.subject:<10}", style=STYLES[each.grade])
    text.append(f"{each.word:<13} ", style=f"bold {STYLES[each.grade]}")
    return text.append(visible_line(each.reason, 200))
