"""The questions by their names, asked of a ledger: what an audit, or the run itself, made of the selected samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

import msgspec

from azr_platform.audits.clusters import Clusters, clusters
from azr_platform.audits.first import Firsts, first, with_words
from azr_platform.audits.flags import LEAST
from azr_platform.audits.reward import Rewards, rewards
from azr_platform.audits.selection import EVERYTHING, Selection, judgements
from azr_platform.audits.spread import Spread, spread
from azr_platform.audits.timeline import Timeline, timeline
from azr_platform.audits.together import MILD, Together, together
from azr_platform.audits.worst import MOST, Bad, worst
from azr_platform.ledger.judgements import LIVE, Judgement
from azr_platform.ledger.reader import LedgerReader

T = TypeVar("T")


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


def answers(reader: LedgerReader, asked: Asked, *questions: Question) -> Answers:
    """Ask some questions, or all of them. Each goes over the samples by itself, and holds counts, not samples."""

    def of(question: Question, ask: Callable[[LedgerReader, Asked], T]) -> T | None:
        return ask(reader, asked) if not questions or question in questions else None

    return Answers(
        first=of(Question.FIRST, _first),
        timeline=of(Question.TIMELINE, _timeline),
        spread=of(Question.SPREAD, _spread),
        together=of(Question.TOGETHER, _together),
        reward=of(Question.REWARD, _reward),
        worst=of(Question.WORST, _worst),
        clusters=of(Question.CLUSTERS, _clusters),
    )


def _of(reader: LedgerReader, asked: Asked) -> Iterator[Judgement]:
    return judgements(reader, asked.audit, asked.selection)


def _least(asked: Asked, otherwise: int = LEAST) -> int:
    return otherwise if asked.least is None else asked.least


def _first(reader: LedgerReader, asked: Asked) -> Firsts:
    return with_words(first(_of(reader, asked), _least(asked)), reader)


def _timeline(reader: LedgerReader, asked: Asked) -> Timeline:
    # Who asks of one branch asks of all of it, whether or not the run went on from its end.
    line = [] if asked.selection.filter.branch is not None else reader.lineage()
    return timeline(_of(reader, asked), line, _least(asked))


def _spread(reader: LedgerReader, asked: Asked) -> Spread:
    return spread(_of(reader, asked), reader.shown(1, reader.newest_sample()), _least(asked))


def _together(reader: LedgerReader, asked: Asked) -> Together:
    return together(_of(reader, asked), _least(asked, MILD))


def _reward(reader: LedgerReader, asked: Asked) -> Rewards:
    return rewards(_of(reader, asked), _least(asked))


def _worst(reader: LedgerReader, asked: Asked) -> list[Bad]:
    return worst(_of(reader, asked), reader, asked.most, _least(asked))


def _clusters(reader: LedgerReader, asked: Asked) -> Clusters:
    return clusters(_of(reader, asked), reader, asked.most, _least(asked))
