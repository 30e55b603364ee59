"""What a run tells to people who do not watch it (docs/alerts.md)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from azr_platform.config.section import Section

_WEBHOOK = r"^(json|slack|discord):[A-Za-z_][A-Za-z0-9_]*$"


def _explain(value: object) -> object:
    if isinstance(value, str) and not re.search(_WEBHOOK, value):
        raise ValueError(
            "write SHAPE:VARIABLE, where SHAPE is json, slack or discord, and VARIABLE the name of the environment "
            "variable that holds the address; addresses are secrets, and settings are kept with the run"
        )
    return value


Webhook = Annotated[str, Field(pattern=_WEBHOOK), BeforeValidator(_explain)]
TellableState = Literal["running", "pausing", "paused", "rolling back", "stopping", "stopped", "finished", "failed"]


class AlertsConfig(Section):
    """Alerts and states that leave the terminal. Addresses may hold secrets, so none ever stands in here."""

    webhooks: Annotated[tuple[Webhook, ...], Field(strict=False)] = ()
    """``SHAPE:VARIABLE`` each: the environment variable that holds the address, and what is posted to it: ``json``,
    ``slack`` or ``discord``."""
    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """A program and its arguments, run without a shell; it gets the JSON on its standard input."""
    terminal: Literal["off", "bell", "notify"] = "off"
    """On the terminal that the run was started from: ring its ``bell``, or also ``notify`` the desktop (OSC 9)."""
    least: Literal["info", "low", "medium", "high", "critical"] = "high"
    """Least severity of an alert that is told."""
    states: Annotated[tuple[TellableState, ...], Field(strict=False)] = ("paused", "stopped", "finished", "failed")
    """States of the run that are told."""
    quote: bool = False
    """Also tell what an alert or a state's reason says, escaped; it may quote what the model wrote."""
    repeat_seconds: Annotated[float, Field(gt=0)] = 300.0
    """The same rule, or state, is told once in so many seconds; meanwhile it is counted."""
    per_minute: Annotated[int, Field(gt=0)] = 6
    """Most alerts told in a minute, each way; what is too much waits, and then is counted. States always go."""
    attempts: Annotated[int, Field(gt=0, le=20)] = 6
    """How often one message is tried, with twice the wait after each, from one second to a minute."""
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """How long one attempt may take, and how long the run's end waits for what is still to be told."""
