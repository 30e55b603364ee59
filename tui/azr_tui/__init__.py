"""The dashboard: watches a run through the ledger, steers it through the channel."""

import os

# Textual reads these when it is first imported; who sets them in the environment has their own way.
os.environ.setdefault("TEXTUAL_FPS", "240")
"""Frames a second at most: what follows from a key is often drawn in several, and each waits for its turn."""
os.environ.setdefault("ESCDELAY", "25")
"""Milliseconds after an esc in which more may follow, as of an arrow key; a terminal sends all of it at once."""
