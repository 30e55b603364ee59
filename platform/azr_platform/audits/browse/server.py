"""Datasette over one ledger, for whoever holds the address: read-only, on loopback, until it is interrupted."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

# No other plugin is loaded, whatever is installed beside it: what reads the ledger is what is written here.
os.environ["DATASETTE_LOAD_PLUGINS"] = ""

import uvicorn
from datasette.app import Datasette
from datasette.plugins import pm

from azr_platform.audits.browse.cells import Cells
from azr_platform.audits.browse.guard import App, guarded
from azr_platform.audits.browse.questions import metadata

HOST: Final = "127.0.0.1"
_SETTINGS: Final = {
    "allow_download": False,
    "suggest_facets": False,
    "sql_time_limit_ms": 20_000,
    "facet_time_limit_ms": 2000,
    "max_returned_rows": 2000,
    "default_cache_ttl": 0,
    "template_debug": False,
    "trace_debug": False,
}


def served(ledger: Path, title: str, token: str, inert: Callable[[str], str]) -> App:
    """The pages of one ledger below ``/TOKEN/``. ``inert`` makes a text visible and HTML.

    A ledger that nobody writes is opened as immutable, which makes no files beside it. One with rows in SQLite's log is
    read with them: a run may be going on.
    """
    log = ledger.with_name(ledger.name + "-wal")
    being_written = log.exists() and log.stat().st_size > 0
    path = str(ledger.absolute())
    pages = Datasette(
        files=[path] if being_written else [],
        immutables=[] if being_written else [path],
        metadata=metadata(title),
        settings={**_SETTINGS, "base_url": f"/{token}/"},
    )
    for plugin in pm.get_plugins():
        if isinstance(plugin, Cells):
            pm.unregister(plugin)
    pm.register(Cells(inert))
    return guarded(pages.app(), token)


def serve(ledger: Path, title: str, port: int, inert: Callable[[str], str], announce: Callable[[str], object]) -> None:
    """Serve until Ctrl-C; ``announce`` is told the address.

    Raises:
        OSError: the port cannot be had.
    """
    token = secrets.token_urlsafe(32)
    app = served(ledger, title, token, inert)
    with socket.create_server((HOST, port)) as listening:
        announce(f"http://{HOST}:{listening.getsockname()[1]}/{token}/")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])
