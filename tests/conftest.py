"""For all tests: their order, one torch thread, reproducible property tests, and folders for runs."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Before anything imports torch: its threads would fight over the cores with the jails.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# The same examples every time, and no verdict on how busy the machine is.
settings.register_profile("azr", derandomize=True, deadline=None)
settings.load_profile("azr")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules come first: whole runs, then what is marked slow, then those of many tests. A module is one worker's
    work, and whoever got a long one last would leave the others idle."""
    sizes = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.parent.name != "e2e", item.path not in slow, -sizes[item.path], item.path))


@pytest.fixture(scope="session")
def glances() -> Callable[[Callable[[], object], str], float]:
    """How long an act on a text takes, in units that mean the same on every machine: one unit is a glance at each of
    the text's characters. What is linear stays below some hundreds; what is quadratic is far above."""

    def measure(act: Callable[[], object], text: str) -> float:
        begun = time.process_time()
        sum(map(ord, "x" * 1_000_000))
        looked = time.process_time()
        act()
        return (time.process_time() - looked) / (looked - begun) * 1_000_000 / len(text)

    return measure


@pytest.fixture(scope="session")
def rules_alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the default policy's rules, without its classifiers, which take long to load."""
    file = tmp_path_factory.mktemp("policy") / "rules.yaml"
    off = "".join(f"  - {{name: {name}, enabled: false}}\n" for name in ("embedded", "structure", "detoxify"))
    file.write_text(f"name: rules\nextends: default\nclassifiers:\n{off}")
    return str(file)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real browser, headless. For a module: its tools keep an event loop of their own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    quiet = (
        "--no-sandbox",  # as root Chromium starts with no other; it opens our own page alone
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    )
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=found, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder for a run, with the mode that runs have."""
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    yield run
