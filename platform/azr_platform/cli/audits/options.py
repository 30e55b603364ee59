"""What the sub-commands of azr-platform audit have in common: which audit is asked, and about which samples."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azr_monitor.records import Severity
    from azr_platform.audits.selection import Selection
    from azr_platform.ledger.reader import LedgerReader

_MOST = 2**63 - 1  # SQLite counts no further

Audit = Annotated[
    str, typer.Option("--audit", metavar="NAME", help="What this audit made of them; newest: the last finished one.")
]
Since = Annotated[
    int | None, typer.Option("--since", metavar="STEP", min=0, max=_MOST, help="Samples from this step on.")
]
Until = Annotated[
    int | None, typer.Option("--until", metavar="STEP", min=0, max=_MOST, help="Samples up to this step.")
]
Branch = Annotated[int | None, typer.Option("--branch", metavar="N", min=1, max=_MOST, help="Samples of this branch.")]
Where = Annotated[
    str, typer.Option("--where", metavar="FILTER", help="As the dashboard's filter: 'role:solve rule:trace.* words'.")
]
Sample = Annotated[
    int, typer.Option("--sample", metavar="N", min=0, help="So many of them by lot, the same each time.")
]
FailOn = Annotated[str, typer.Option("--fail-on", metavar="SEVERITY", help="Exit with 1 if anything is this bad.")]


def severity_named(name: str, option: str = "--fail-on") -> Severity | None:
    """The severity that an option names; None without one.

    Raises:
        BadInput: there is no such severity.
    """
    from azr_monitor.records import Severity
    from azr_platform.cli.input import BadInput

    if not name:
        return None
    labels = [severity.label for severity in Severity]
    if name not in labels:
        raise BadInput(f"{option} {name}: there is no such severity; there are {', '.join(labels)}")
    return Severity(labels.index(name))


def selection(since: int | None, until: int | None, branch: int | None, where: str, sample: int) -> Selection:
    """What these options select together.

    Raises:
        BadInput: a filter that cannot be read, or steps of which there are none.
    """
    import msgspec

    from azr_platform.audits.selection import Selection
    from azr_platform.cli.input import BadInput
    from azr_tui.query import samples

    query = samples(where)
    if query.problem:
        raise BadInput(f"--where {where}: {query.problem}")
    chosen = query.filter
    first = max((step for step in (since, chosen.first_step) if step is not None), default=None)
    last = min((step for step in (until, chosen.last_step) if step is not None), default=None)
    if first is not None and last is not None and first > last:
        raise BadInput(f"steps from {first} to {last} are none; --since, --until and step: narrow each other")
    given = {"since": since, "until": until, "branch": branch, "where": query.text or None, "sample": sample or None}
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    chosen = msgspec.structs.replace(chosen, first_step=first, last_step=last, branch=branch, oldest_first=True)
    return Selection(chosen, sample, shlex.join(words))


def none_selected(reader: LedgerReader, audit: str, chosen: Selection) -> str:
    """That a selection leaves nothing, and between which bounds there is something; empty otherwise."""
    from azr_platform.audits.selection import RUN, judgements
    from azr_tui.escape import visible_line
    from azr_tui.wording import count

    if chosen.whole or next(judgements(reader, audit, chosen), None) is not None:
        return ""
    who = visible_line(audit or RUN)
    places = Counter((judgement.branch, judgement.step) for judgement in judgements(reader, audit))
    if not places:
        return f"no sample is judged by {who}"
    branches, steps = {branch for branch, _ in places}, [step for _, step in places]
    of = f"of branch{'es' * (len(branches) > 1)} {', '.join(map(str, sorted(branches)[:8]))}"
    has = f"{who} has {count(places.total(), 'sample')}, steps {min(steps)} to {max(steps)} {of}"
    return f"no sample is selected by {visible_line(chosen.words, 200)}; {has}"
