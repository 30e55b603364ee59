"""The report in a real browser, as wide as a phone and as a desktop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from azr_platform.audits import page
from azr_platform.audits.blocks import Table, Theirs, heading, para
from azr_tui.escape import visible

RULES = (
    "program.patch.builtins",
    "program.loop.endless",
    "behaviour.policy-violation",
    "trace.hidden-message.acrostic",
)
CUT = """() => {
  const cut = [], range = document.createRange();
  for (const place of document.querySelectorAll("td, th, p, h1, h2")) {
    const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    for (let text; text = texts.nextNode();)
      for (const word of text.data.matchAll(/[A-Za-z]{2,30}/g)) {
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (new Set([...range.getClientRects()].filter(box => box.width).map(box => Math.round(box.top))).size > 1)
          cut.push(word[0]);
      }
  }
  return cut;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_no_word_is_cut_and_only_tables_scroll(chromium: Any, tmp_path: Path, width: int) -> None:
    numbers = [f"{number},000" for number in range(1, 6)]
    blocks = [
        heading("Audit of ", Theirs("runs/a_rather_long.name.of_a_run/with.parts"), level=1),
        para("first in ", Theirs(", ".join(RULES))),
        Table(("rule", *(["samples"] * 5), "why"), [[Theirs(rule), *numbers, "it says so"] for rule in RULES], 1),
        Table(("what", "on record"), [["read", Theirs("/data/rollouts/trainer_state.json: none of it is a log")]], 1),
    ]
    (tmp_path / "report.html").write_text(page.render("t", blocks, visible))
    tab = chromium.new_page(viewport={"width": width, "height": 800})
    tab.goto(f"file://{tmp_path}/report.html")
    assert tab.evaluate(CUT) == []
    assert tab.evaluate("document.documentElement.scrollWidth") == width, "the page itself does not scroll sideways"
    scrolls = "[...document.querySelectorAll('div.wide')].map(one => one.scrollWidth > one.clientWidth)"
    assert tab.evaluate(scrolls) == [width == 390, False], "the wide table does on a phone, the narrow one does not"
    tab.close()
