"""The report of a run: its numbers, its pictures, and a page that loads and runs nothing."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from azr_monitor.categories import category_of
from azr_monitor.intervals import wilson
from azr_monitor.records import Severity
from azr_platform.config.load import load
from azr_platform.evaluation.page import render
from azr_platform.evaluation.plot import as_svg, pictures, plot_run, save
from azr_platform.evaluation.records import FOLDER, store
from azr_platform.evaluation.report import gather, main_suite, verdict
from azr_platform.ledger.errors import UnknownRun
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor.runfolder import create
from azr_tui.escape import visible

Make = Any
WriteRun = Callable[..., None]

HOSTILE = (
    "</pre></table></style><script>alert(1)</script><img src=x onerror=alert(1)>"
    "<link href=https://evil.example/x.css rel=stylesheet>\"'&amp; $\\frac{ "
    "\x1b[2J\x1b]0;owned\x07 \x9b31m\u202e\u200b\0\ud800"
)


def _evaluated(run: Path, evaluation: Make) -> None:
    for step, right in ((0, 1), (5, 2), (10, 3)):
        store(evaluation(step, lambda number, right=right: right - number % 2, time=float(step)), run / FOLDER)


def test_the_safety_rows_compare_the_first_with_the_last_fifth(small_run: Path) -> None:
    report = gather(small_run)
    rows = {row.what: row for row in report.safety}
    assert report.fifth == 2
    medium = rows["finding, medium or worse"]
    assert (medium.before, medium.after) == (wilson(2, 80), wilson(12, 80))
    assert medium.change.value == pytest.approx(10 / 80)
    assert medium.change.low > 0
    assert rows["blocked"].before == wilson(2, 80)
    assert rows["rule plain"].after == wilson(12, 80)
    assert rows["finding, high or worse"].after.value == 0
    assert "the lunch was not free" in verdict(report)
    assert "Capability: not measured" in verdict(report)


def test_steps_left_behind_by_a_rollback_do_not_count(small_run: Path) -> None:
    from azr_platform.ledger.writer import LedgerWriter

    with LedgerWriter(small_run) as writer, writer.batch() as batch:
        batch.add("branches", {"created_at": 2.0, "parent": 1, "from_step": 8, "reason": "rollback"})
    report = gather(small_run)
    assert [row.step for row in report.oversight] == list(range(1, 9))
    assert report.metrics["solve_rate/deduction"].steps == list(range(1, 9))
    assert {row.what: row for row in report.safety}["finding, medium or worse"].change.value == 0


def test_findings_are_counted_by_category_in_shares_of_samples(small_run: Path) -> None:
    found = gather(small_run).findings
    assert found
    with LedgerReader(small_run) as reader:
        rows = reader.oversight()
        samples = {(category_of(rule), step, sample) for step, sample, rule in reader.found(Severity.LOW)}
    for category, shares in found.items():
        assert sum(value.count for value in shares.values) == sum(row.samples for row in rows)
        counted = sum(round(value.value * value.count) for value in shares.values)
        assert counted == sum(name == category for name, _, _ in samples)
        assert all(value.low <= value.value <= value.high for value in shares.values)


def test_evaluations_of_the_line_are_the_capability_rows(small_run: Path, evaluation: Make) -> None:
    _evaluated(small_run, evaluation)
    report = gather(small_run)
    assert [point.step for point in main_suite(report.evaluations)] == [0, 5, 10]
    assert report.compared == ("step 0", "step 10")
    change = next(row.change for row in report.capability if (row.measure, row.kind) == ("pass@1", "all"))
    assert change.value == pytest.approx(0.5)
    assert "pass@1 on the held-out tasks rose (+50.0 points" in verdict(report)


def test_an_evaluation_of_a_step_that_was_rolled_back_is_not_on_the_line(small_run: Path, evaluation: Make) -> None:
    from azr_platform.ledger.writer import LedgerWriter

    _evaluated(small_run, evaluation)
    with LedgerWriter(small_run) as writer, writer.batch() as batch:
        batch.add("branches", {"created_at": 2.0, "parent": 1, "from_step": 8, "reason": "rollback"})
    assert [point.step for point in gather(small_run).evaluations] == [0, 5]


def test_a_damaged_evaluation_is_named(small_run: Path) -> None:
    (small_run / FOLDER).mkdir()
    (small_run / FOLDER / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"x\.json"):
        gather(small_run)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownRun):
        gather(tmp_path)


@pytest.mark.slow
def test_every_picture_that_there_are_numbers_for_is_drawn(small_run: Path, evaluation: Make, tmp_path: Path) -> None:
    _evaluated(small_run, evaluation)
    drawn = pictures(gather(small_run, ceiling=evaluation(None, lambda number: 4)))
    assert [picture.stem for picture in drawn] == [
        "held-out",
        "learning",
        "proposer",
        "health",
        "values",
        "difficulty",
        "responses",
        "oversight",
        "findings",
        "time",
        "optimisation",
    ]
    for picture in drawn:
        save(picture.figure, tmp_path / "x.png")
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
        ElementTree.fromstring(as_svg(picture.figure))
        for panel in picture.figure.axes:
            if panel.get_xlabel() == "step":
                assert all(float(tick).is_integer() for tick in panel.get_xticks()), picture.stem


@pytest.mark.slow
def test_the_same_numbers_give_the_same_picture(small_run: Path) -> None:
    one, other = (as_svg(pictures(gather(small_run))[0].figure) for _ in range(2))
    assert one == other


def test_a_run_without_a_step_has_a_report_without_pictures(tmp_path: Path) -> None:
    create(tmp_path / "new", load("nano")).close()
    report = gather(tmp_path / "new")
    assert pictures(report) == []
    assert not plot_run(report, tmp_path / "x.png")
    assert "too few steps" in verdict(report)
    assert "<h1>new</h1>" in render(report, [], visible)


def test_the_pictures_leave_out_what_was_not_measured(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with create(run, load("nano")) as writer, writer.batch() as batch:
        batch.add("steps", {"branch": 1, "step": 1, "started_at": 1.0, "seconds": 1.0})
        for name, value in {"samples": 1.0, "solve_rate/question": 0.5, "loss": math.nan}.items():
            batch.add("metrics", {"branch": 1, "step": 1, "name": name, "value": value})
    assert [picture.stem for picture in pictures(gather(run))] == ["learning"]


# -- a page that loads and runs nothing ------------------------------------------------------------------


class _Tags(HTMLParser):
    """Every tag with its attributes, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


_KNOWN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre", "figure", "img", "figcaption"}
_KNOWN |= {"div", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory, evaluation: Make, write_run: WriteRun) -> str:
    run = tmp_path_factory.mktemp("hostile") / "run"
    write_run(run, HOSTILE.replace("\ud800", "\ufffe"))  # the ledger's own encoding refuses lone surrogates
    _evaluated(run, evaluation)
    report = gather(run)
    return render(report, pictures(report), visible)


@pytest.mark.slow
def test_texts_of_a_model_stay_texts(hostile_page: str) -> None:
    page = _Tags(hostile_page)
    assert {tag for tag, _ in page.tags} <= _KNOWN
    assert "<script>alert(1)</script>" in page.text, "the rule, the alert and the program are shown as they are"
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [char for char in hostile_page if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert not any(char in hostile_page for char in "\u202e\u200b\ufffe")


@pytest.mark.slow
def test_the_page_loads_nothing_and_says_so_to_the_browser(hostile_page: str) -> None:
    page = _Tags(hostile_page)
    sources = [value or "" for _, attributes in page.tags for name, value in attributes.items() if name in _LOADING]
    assert sources and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    policy = next(a["content"] or "" for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "script" not in policy
    style = hostile_page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    for source in sources:
        svg = b64decode(source.partition(",")[2]).decode()
        tree = ElementTree.fromstring(svg)
        assert not [node for node in tree.iter() if str(node.tag).endswith(("}script", "}foreignObject"))]
        links = re.findall(r'(?:href|src)="([^"]*)"', svg)
        assert all(link.startswith(("#", "data:")) for link in links)


_LOADING = ("src", "href", "srcset", "data", "action", "poster", "background", "content-src")


def test_the_four_panel_plot_draws_a_hostile_run_s_name(tmp_path: Path, write_run: WriteRun, evaluation: Make) -> None:
    run = tmp_path / "plain $\\frac{ \u202e\x07"  # a name that is no formula and has no glyphs
    write_run(run, HOSTILE.replace("\ud800", ""))
    _evaluated(run, evaluation)
    assert plot_run(gather(run), tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000
