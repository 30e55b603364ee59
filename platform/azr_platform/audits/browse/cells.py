"""How Datasette shows a value of a ledger: texts as text, whatever is in them, and numbers of samples as links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from datasette import hookimpl
from markupsafe import Markup, escape

from azr_platform.audits.browse.questions import DATABASE

_MOST: Final = 20_000
"""Characters of a text that a page shows."""
_STYLE: Final = "white-space:pre-wrap;overflow-wrap:anywhere;display:block;max-height:18rem;overflow-y:auto"


class Cells:
    """A plugin. Datasette would make links of what looks like an address; here nothing leads outside."""

    __name__ = "azr_platform.cells"

    def __init__(self, inert: Callable[[str], str]) -> None:
        """``inert`` makes a text visible and HTML."""
        self._inert = inert

    @hookimpl  # type: ignore[untyped-decorator]
    def render_cell(self, row: Any, value: Any, column: str, table: str | None, database: str, datasette: Any) -> Any:
        """HTML for a value; None leaves it to Datasette."""
        if database != DATABASE:
            return None
        if column == "sample" and isinstance(value, int):
            link = datasette.urls.row(DATABASE, "samples", str(value))
            return Markup(f'<a href="{escape(link)}">{value}</a>')  # noqa: S704 a number of ours
        if not isinstance(value, str):
            return None
        more = f" … (of {len(value):,} characters; whole as JSON)" if len(value) > _MOST else ""
        return Markup(f'<span style="{_STYLE}">{self._inert(value[:_MOST])}{more}</span>')  # noqa: S704 made inert above
