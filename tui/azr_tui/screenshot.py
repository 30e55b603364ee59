"""``python -m azr_tui.screenshot RUN OUT.svg [--size 120x36] [--pane overview]``: a picture of the dashboard."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from azr_tui import keymap
from azr_tui.app import AzrApp

_PANES = keymap.pane_digits()


async def take(run: Path, out: Path, size: tuple[int, int], pane: str = "overview", patience: float = 20.0) -> None:
    """Draw a pane of the dashboard for ``run`` into an SVG file.

    Raises:
        TimeoutError: the ledger could not be read within ``patience`` seconds; the text says why.
    """
    app = AzrApp(run)
    async with app.run_test(size=size) as pilot:
        deadline = time.monotonic() + patience
        while app.view.snapshot is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{run}: nothing to draw ({app.view.trouble or 'no answer from the ledger'})")
            await pilot.pause(0.1)
        await pilot.press(_PANES[pane])
        await pilot.pause(0.5)
        out.write_text(app.export_screenshot(title=f"azr-platform: {run.name}"), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m azr_tui.screenshot", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="120x36", help="columns x rows (120x36)")
    parser.add_argument("--pane", default="overview", choices=sorted(_PANES))
    given = parser.parse_args()
    try:
        width, height = (int(part) for part in given.size.lower().split("x"))
        asyncio.run(take(given.run, given.out, (width, height), given.pane))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
