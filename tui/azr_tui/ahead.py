"""What the first questions need and takes long to be there: loaded while nobody asks, after the first look."""

from __future__ import annotations

import threading


def load_ahead() -> None:
    """In a thread that nobody waits for, also when the dashboard is left."""
    threading.Thread(target=_load, name="ahead", daemon=True).start()


def _load() -> None:
    import azr_platform.config.schema  # noqa: F401 by which a sample's reward is worked out
    from azr_monitor.catalogue import entries  # with every rule
    from azr_monitor.policy import load_policy

    entries(load_policy("default"))
