"""What was done to the run: commands, notices."""

from __future__ import annotations

from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import ControlRow, NoticeRow

_CONTROL = "SELECT id, time, who, action, arguments, why, outcome FROM controls"
_NOTICE = "SELECT time, source, message, id FROM notices"


class ControlReads(RunReads):
    """Controls and notices."""

    def controls(self, limit: int = 200) -> list[ControlRow]:
        return self._rows(ControlRow, f"{_CONTROL} ORDER BY id DESC LIMIT ?", limit)

    def controls_page(
        self, *, limit: int = 200, beyond: int | None = None, who: str | None = None, oldest_first: bool = False
    ) -> list[ControlRow]:
        """A page of what was asked of the run; pass the last id as ``beyond`` for the next page."""
        rest, values = _paged("who", who, beyond, oldest_first)
        return self._rows(ControlRow, f"{_CONTROL} {rest}", *values, limit)

    def notices(self, limit: int = 200) -> list[NoticeRow]:
        """The newest, oldest of them first."""
        return self._rows(NoticeRow, f"{_NOTICE} ORDER BY id DESC LIMIT ?", limit)[::-1]

    def notices_page(
        self, *, limit: int = 200, beyond: int | None = None, source: str | None = None, oldest_first: bool = False
    ) -> list[NoticeRow]:
        """A page of what the run had to say; pass the last id as ``beyond`` for the next page."""
        rest, values = _paged("source", source, beyond, oldest_first)
        return self._rows(NoticeRow, f"{_NOTICE} {rest}", *values, limit)


def _paged(column: str, value: str | None, beyond: int | None, oldest_first: bool) -> tuple[str, list[object]]:
    side, order = (">", "") if oldest_first else ("<", "DESC")
    start = (0 if oldest_first else 2**62) if beyond is None else beyond
    only, values = (f"AND {column} = ?", [value]) if value is not None else ("", [])
    return f"WHERE id {side} ? {only} ORDER BY id {order} LIMIT ?", [start, *values]
