"""The line that says what a list is narrowed to, and where it is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from azr_tui import keys
from azr_tui.escape import visible_line
from azr_tui.query import Key, Query, completion, hint
from azr_tui.questions import AskRuleNames, RuleNamesRead, Wanted
from azr_tui.widgets.field import Field
from azr_tui.widgets.plain import Plain


class _Typed(Field):
    """Tab completes, esc gives up."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.FILTER_LINE]

    def action_complete(self) -> None:
        self.action_cursor_right()

    def action_give_up(self) -> None:
        self.post_message(FilterLine.GivenUp())


class _Completed(Suggester):
    def __init__(self, known: Sequence[Key], rules: Callable[[], Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._keys = known
        self._rules = rules

    async def get_suggestion(self, value: str) -> str | None:
        return completion(value, self._keys, self._rules())


class FilterLine(Vertical):
    """One line, and a second one with help while somebody types; ``rest`` stands behind the filter."""

    DEFAULT_CSS = """
    FilterLine {
        height: auto;
        padding: 0 1;
        & .filter-row { height: 1; }
        & Plain { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & Input { height: 1; border: none; padding: 0; background: $surface; }
        & Input:focus { border: none; background: $boost; }
        & .filter-slash { width: 2; }
        & .filter-typing { display: none; }
        &.-typing .filter-typing { display: block; }
        &.-typing .filter-said { display: none; }
    }
    """

    @dataclass
    class Changed(Message):
        """Another filter is wanted; ``text`` as it was typed."""

        text: str

    class GivenUp(Message):
        """Nothing was typed after all."""

    def __init__(self, known: Sequence[Key], parse: Callable[[str], Query[Any]], *, words: str) -> None:
        super().__init__()
        self._keys = known
        self._parse = parse
        self._words = words
        self._said = Plain(classes="filter-said")
        self._help = Plain(classes="filter-typing")
        self._typed = _Typed(suggester=_Completed(known, lambda: self._rules), placeholder=f"{words}, or key:value …")
        self._text = ""
        self._rest = Text()
        self._rules: Sequence[str] = ()  # what may follow ``rule:``

    def compose(self) -> ComposeResult:
        yield self._said
        with Horizontal(classes="filter-row filter-typing"):
            yield Plain(Text("/ ", style="bold"), classes="filter-slash")
            yield self._typed
        yield self._help

    def show(self, query: Query[Any], rest: Text) -> None:
        """Say what is in force, with any problem of it, and ``rest`` behind it."""
        self._text, self._rest = query.text, rest
        text = Text("/ ", style="bold", no_wrap=True, overflow="ellipsis")
        if query.text:
            text.append(visible_line(query.text, 300), style="bold reverse")
            text.append("  esc", style="bold").append(" clears it  ", style="dim")
        else:
            text.append("filter  ", style="dim")
        if query.problem:
            text.append(f"▲ {visible_line(query.problem, 200)}  ", style="bold yellow")
        self._said.put(text.append_text(rest))

    def begin(self) -> None:
        """Let the user type."""
        self.add_class("-typing")
        self._typed.value = f"{self._text} " if self._text else ""
        self._typed.cursor_position = len(self._typed.value)
        self._explain(self._typed.value)
        self.screen.set_focus(self._typed)  # at once: what follows may not act as keys of the list
        if any(key.name == "rule" for key in self._keys):
            self.post_message(Wanted(AskRuleNames(), self.post_message))

    def on_rule_names_read(self, answer: RuleNamesRead) -> None:
        self._rules = [name for name in answer.names if visible_line(name, 200) == name]  # no other can be typed

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._explain(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.remove_class("-typing")
        self.post_message(self.Changed(event.value.strip()))

    def on_filter_line_given_up(self) -> None:
        self.remove_class("-typing")

    def _explain(self, text: str) -> None:
        """What is wrong with what is typed; else what may be typed."""
        problem = self._parse(text).problem
        if problem:
            self._help.put(Text(f"▲ {visible_line(problem, 300)}", style="bold yellow"))
            return
        line = Text("enter", style="bold").append(" filters  ", style="dim").append("tab", style="bold")
        line.append(" completes  ", style="dim").append("esc", style="bold").append(" leaves it  ", style="dim")
        self._help.put(line.append(hint(self._keys)))
