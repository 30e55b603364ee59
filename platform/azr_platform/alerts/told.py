"""What is told of a run, and the shapes it is posted in.

No text of a model's is in it unless ``alerts.quote`` put it there, and then as ``visible_line`` left it. The shapes for
chats also keep it from being markup, a mention, or a link that somebody follows.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

Shape = Literal["json", "slack", "discord"]

# Discord's markdown, and what its mentions, links and time stamps begin with.
_DISCORD_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|>~<:@])")
_DISCORD_SUPPRESS_EMBEDS = 1 << 2


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``name`` is an alert's rule, or a state.

    ``times`` counts the same since it was told last; ``untold``, the alerts for which there was no room since the
    last message. ``head`` is the hex digest of the ledger's newest row then (``audit --verify --head``).
    """

    type: Literal["alert", "state"]
    run: str
    time: float
    branch: int
    step: int
    name: str
    severity: str = ""
    times: int = 1
    untold: int = 0
    head: str = ""
    quote: str = ""


def headline(told: Told) -> str:
    """It in one line, without what is quoted."""
    what = f"{told.severity} alert {told.name}" if told.type == "alert" else told.name
    more = f", {told.times} more times" if told.times > 1 else ""
    untold = f"; {told.untold} other alerts were not told" if told.untold else ""
    return f"azr-platform {told.run}: {what} at step {told.step} of branch {told.branch}{more}{untold}"


def as_json(told: Told) -> bytes:
    """The ``json`` shape: plain ASCII, one object."""
    fields: dict[str, Any] = {"text": headline(told), **msgspec.to_builtins(told)}
    return _ascii(fields)


def body(told: Told, shape: Shape) -> bytes:
    """What is posted."""
    if shape == "json":
        return as_json(told)
    head = f"\nledger head {told.head}" if told.type == "state" and told.head else ""
    if shape == "slack":
        # plain_text has no markup and no mentions. `text` is for notifications, and has both: no quote goes there.
        plain = _unlinked(headline(told) + (f"\n{told.quote}" if told.quote else "") + head)
        text = headline(told).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        block = {"type": "section", "text": {"type": "plain_text", "text": plain[:3000], "emoji": False}}
        return _ascii({"text": text, "blocks": [block]})
    lines = [headline(told), *([told.quote] if told.quote else []), *([head.strip()] if head else [])]
    content = "\n".join(_DISCORD_MARKS.sub(r"\\\1", _unlinked(line)) for line in lines)
    return _ascii({"content": content[:2000], "allowed_mentions": {"parse": []}, "flags": _DISCORD_SUPPRESS_EMBEDS})


def _unlinked(text: str) -> str:
    return text.replace("://", "[:]//")


def _ascii(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode("ascii")
