"""A picture of the dashboard: ``python -m azr_tui.screenshot RUN OUT.svg [--size 120x40] [--pane overview] ...``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from azr_tui import keymap
from azr_tui.app import AzrApp
from azr_tui.dressed import USUAL
from azr_tui.settings import Settings
from azr_tui.themes import NAMES

_UNCHANGED = 3
"""Looks, half a second apart, after which a picture is taken to be whole."""
_PANES = keymap.pane_digits()


async def take(
    run: Path,
    out: Path,
    size: tuple[int, int],
    pane: str = "overview",
    settings: Settings = USUAL,
    patience: float = 20.0,
) -> None:
    """Draw a pane of the dashboard for ``run`` into an SVG file.

    Raises:
        TimeoutError: the ledger could not be read within ``patience`` seconds; the text says why.
    """
    app = AzrApp(run, settings=settings)
    async with app.run_test(size=size) as pilot:
        deadline = time.monotonic() + patience
        while app.view.snapshot is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{run}: nothing to draw ({app.view.trouble or 'no answer from the ledger'})")
            await pilot.pause(0.1)
        await pilot.press(_PANES[pane])
        picture, unchanged = "", 0
        while unchanged < _UNCHANGED and time.monotonic() < deadline:  # what a pane asks of the ledger takes its time
            await pilot.pause(0.5)
            before, picture = picture, app.export_screenshot(title=f"azr-platform: {run.name}")
            unchanged = unchanged + 1 if picture == before else 0
        out.write_text(picture, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m azr_tui.screenshot", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="120x40", help="columns x rows (120x40)")
    parser.add_argument("--pane", default="overview", choices=sorted(_PANES))
    parser.add_argument("--theme", default=NAMES[0], choices=NAMES)
    given = parser.parse_args()
    try:
        width, height = (int(part) for part in given.size.lower().split("x"))
        asyncio.run(take(given.run, given.out, (width, height), given.pane, USUAL.with_theme(given.theme)))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
