"""The report of an audit as one HTML file, in the frame of azr_platform/page.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from azr_platform.audits import drawing
from azr_platform.audits.blocks import Block, Heading, Panel, Para, Table, Words
from azr_platform.page import Visible, document, inert, note, table

_STYLE = f"""
{drawing.STYLE}
p.verdict {{ font-weight: 600; }}
p.broken {{ border-left: 4px solid var(--red); padding: .5rem .8rem; background: var(--soft); font-weight: 600; }}
article {{ border-top: 1px solid var(--line); padding: .3rem 0; break-inside: avoid; }}
article p {{ margin: .2rem 0; }} article pre {{ margin: .3rem 0; }} article h3 {{ margin-top: .4rem; }}
mark {{ background: var(--mark); color: inherit; }}
""".strip()

_JOINTS: Final = re.compile(r"([./_:])(?=[A-Za-z])")
"""Where the name of a rule, or a path, may go on in the next line rather than within a word."""


def render(title: str, blocks: Iterable[Block], visible: Visible) -> str:
    """The whole page. Every text in it, whoever wrote it, is made inert."""
    text = inert(visible)
    body: list[str] = []
    # What stands under a heading of the third level is kept together on paper.
    for article, group in groupby(_under(blocks), key=lambda pair: pair[0]):
        inside = [_drawn(block, text) for _, block in group]
        body += ["<article>", *inside, "</article>"] if article else inside
    return document(text(title), body, style=_STYLE)


def _under(blocks: Iterable[Block]) -> Iterable[tuple[int, Block]]:
    """Each block with the number of the third-level heading that it stands under; 0 for none."""
    number, here = 0, 0
    for block in blocks:
        if isinstance(block, Heading):
            number += block.level == 3
            here = number if block.level == 3 else 0
        yield here, block


def _drawn(block: Block, text: Visible) -> str:
    match block:
        case Heading(parts, level):
            return f"<h{level}>{_joined(parts, text)}</h{level}>"
        case Para(parts, kind):
            said = _joined(parts, text)
            return f"<p>{said}</p>" if kind == "plain" else f'<p class="{kind}">{said}</p>'
        case Table(heads, rows, texts, of):
            more = note(f"The first {len(rows):,} of {of:,}; the JSON form has all.") if of > len(rows) else ""
            return table(heads, [[_foldable(text(cell)) for cell in row] for row in rows], texts) + more
        case Words(before, words, after):
            marked = f"<mark>{text(words)}</mark>" if before or after else text(words)
            return f"<pre>{text(before)}{marked}{text(after)}</pre>"
        case Panel(timeline, track, parts):
            picture = drawing.picture(timeline, track, text(f"{track.what} along the run"))
            return f'<figure class="track"><figcaption>{_joined(parts, text)}</figcaption>{picture}</figure>'


def _joined(parts: Iterable[str], text: Visible) -> str:
    return "".join(_foldable(text(part)) for part in parts)


def _foldable(html: str) -> str:
    """The same, with places at which a long name may be folded. Entities hold none of the signs."""
    return _JOINTS.sub(r"\1<wbr>", html)
