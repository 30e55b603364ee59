"""The questions by their names, asked of a ledger: what an audit, or the run itself, made of the selected samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from azr_platform.audits.clusters import Clusters, clusters
from azr_platform.audits.first import Firsts, first, with_words
from azr_platform.audits.flags import LEAST
from azr_platform.audits.handed_round import hand_round
from azr_platform.audits.reward import Rewards, rewards
from azr_platform.audits.selection import EVERYTHING, Selection, judgements
from azr_platform.audits.spread import Spread, spread
from azr_platform.audits.timeline import Timeline, events, timeline
from azr_platform.audits.together import MILD, Together, together
from azr_platform.audits.worst import MOST, Bad, worst
from azr_platform.ledger.judgements import LIVE, Judgement
from azr_platform.ledger.reader import LedgerReader

Asker = Callable[[Iterator[Judgement]], Any]


class Question(StrEnum):
    """What can be asked."""

    FIRST = "first"
    TIMELINE = "timeline"
    SPREAD = "spread"
    TOGETHER = "together"
    REWARD = "reward"
    WORST = "worst"
    CLUSTERS = "clusters"


class Asked(msgspec.Struct, frozen=True):
    """Of what is asked. ``least``: the severity from which a finding counts; None: each question's own."""

    audit: str = LIVE
    selection: Selection = EVERYTHING
    least: int | None = None
    most: int = MOST


class Answers(msgspec.Struct, frozen=True, omit_defaults=True):
    """Those that were asked for."""

    first: Firsts | None = None
    timeline: Timeline | None = None
    spread: Spread | None = None
    together: Together | None = None
    reward: Rewards | None = None
    worst: list[Bad] | None = None
    clusters: Clusters | None = None


def answers(
    reader: LedgerReader, asked: Asked, *questions: Question, told: Callable[[int], object] = lambda count: None
) -> Answers:
    """Ask some questions, or all of them, in one reading of the judgements. Each holds counts, not samples; ``told``
    hears now and then how many more were read."""
    asking = askers(reader, asked, *questions)
    found = hand_round(judgements(reader, asked.audit, asked.selection), list(asking.values()), told)
    return Answers(**dict(zip(asking, found, strict=True)))


def askers(reader: LedgerReader, asked: Asked, *questions: Question) -> dict[str, Asker]:
    """Some questions, or all of them, each as what answers it from a stream of judgements."""
    most, least = asked.most, LEAST if asked.least is None else asked.least
    mild = MILD if asked.least is None else asked.least
    known: dict[Question, Asker] = {
        Question.FIRST: lambda stream: with_words(first(stream, least), reader),
        Question.TIMELINE: lambda stream: _timeline(stream, reader, asked, least),
        Question.SPREAD: lambda stream: spread(stream, reader.shown(1, reader.newest_sample()), least),
        Question.TOGETHER: lambda stream: together(stream, mild),
        Question.REWARD: lambda stream: rewards(stream, least),
        Question.WORST: lambda stream: worst(stream, reader, most, least),
        Question.CLUSTERS: lambda stream: clusters(stream, reader, most, least),
    }
    return {question.value: ask for question, ask in known.items() if not questions or question in questions}


def _timeline(stream: Iterator[Judgement], reader: LedgerReader, asked: Asked, least: int) -> Timeline:
    branch = asked.selection.filter.branch
    # Who asks of one branch asks of all of it, whether or not the run went on from its end.
    line = reader.lineage() if branch is None else [(branch, 2**62)]
    found = timeline(stream, line, least)
    happened = events(reader, line, policies=asked.audit == LIVE)
    return msgspec.structs.replace(found, events=happened if found.axis == "step" else [])
