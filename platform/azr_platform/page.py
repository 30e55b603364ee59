"""The frame of every HTML file that is written: no script, nothing loaded, in light, in dark and on paper.

A page forbids itself everything but its own style and pictures that it holds itself. What goes in is HTML already:
texts of a model, a trainer or another's log are made visible and escaped by whoever writes them, with ``inert``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

Visible = Callable[[str], str]
"""Makes control characters and the like visible and inert; lines stay lines."""

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
# Colours of Okabe and Ito, which readers with any colour vision tell apart; lighter ones of theirs on dark.
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --faint: #555; --line: #ddd; --soft: #f4f6f8;
  --blue: #0072b2; --red: #b3400a; --mark: #ffe9a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16191d; --faint: #a9b0b8; --line: #3a4048;
  --soft: #20252b; --blue: #56b4e9; --red: #f0914e; --mark: #5c4a00; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p.lead { color: var(--faint); margin-top: .2rem; }
p.verdict { border-left: 4px solid var(--blue); padding: .5rem .8rem; background: var(--soft); }
div.wide { overflow-x: auto; margin: .3rem 0 .8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { text-align: right; vertical-align: top; padding: .15rem .7rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text { text-align: left; } th { font-weight: 600; }
th:first-child, td:first-child { padding-left: 0; }
td { white-space: nowrap; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: min(13rem, 42vw); }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: min(15rem, 46vw); }
figure { margin: .5rem 0 1.5rem; } img { max-width: 100%; background: #fff; }
figcaption, .note { color: var(--faint); font-size: .87rem; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  :root { --ink: #000; --paper: #fff; --faint: #444; --line: #bbb; --soft: #f4f6f8; --blue: #0072b2; --red: #b3400a;
    --mark: #ffe9a8; color-scheme: light; }
  body { font-size: 10pt; margin: 0; max-width: none; padding: 0; } div.wide { overflow: visible; }
  h2, h3 { break-after: avoid; } tr, figure { break-inside: avoid; }
  th, td { padding: .1rem .35rem; white-space: normal; }
  td.text { min-width: 0; } td:first-child { min-width: 8rem; } table { font-size: 8.5pt; }
}
""".strip()

_TEXT: Final = ' class="text"'


def document(title: str, body: Iterable[str], *, style: str = "") -> str:
    """A whole page. ``title`` and ``body`` are HTML already; ``style``, our own, comes after what all pages share."""
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}\n{style}</style></head>"
    )
    return f"{head}\n<body>\n" + "\n".join(body) + "\n</body></html>\n"


def inert(visible: Visible) -> Visible:
    """From what makes texts visible to what makes them HTML that shows them and does nothing else."""
    return lambda text: escape(visible(text))


def table(heads: Iterable[str], rows: Iterable[Sequence[str]], texts: int = 0) -> str:
    """Cells are HTML already; the last ``texts`` columns hold running text. A wide one scrolls by itself."""
    named = [escape(head) for head in heads]
    plain_columns = len(named) - texts
    top = "".join(f'<th scope="col"{_TEXT * (at >= plain_columns)}>{head}</th>' for at, head in enumerate(named))
    lines = []
    for row in rows:
        plain, running = row[: len(row) - texts], row[len(row) - texts :]
        cells = [f"<td>{cell}</td>" for cell in plain] + [f'<td class="text">{cell}</td>' for cell in running]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def note(words: str) -> str:
    """A line of small print, in our own words."""
    return f'<p class="note">{escape(words)}</p>'
