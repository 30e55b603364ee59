"""The questions by their names, asked of a ledger: what an audit, or the run itself, made of the selected samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

import msgspec

from azr_platform.audits.clusters import Clusters, clusters
from azr_platform.audits.first import Firsts, first, with_words
from azr_platform.audits.flags import LEAST
from azr_platform.audits.reward import Rewards, rewards
from azr_platform.audits.selection import EVERYTHING, Selection, judgements
from azr_platform.audits.spread import Spread, spread
from azr_platform.audits.timeline import Timeline, events, timeline
from azr_platform.audits.together import MILD, Together, together
from azr_platform.audits.worst import MOST, Bad, worst
from azr_platform.ledger.judgements import LIVE, Judgement
from azr_platform.ledger.reader import LedgerReader

T = TypeVar("T")
_TOLD: Final = 4096


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
    """Ask some questions, or all of them. Each goes over the samples by itself, and holds counts, not samples; ``told``
    hears now and then how many more judgements were read."""
    source = Source(reader, asked, told)
    most, least = asked.most, source.least()

    def of(question: Question, ask: Callable[[Source], T]) -> T | None:
        return ask(source) if not questions or question in questions else None

    return Answers(
        first=of(Question.FIRST, _first),
        timeline=of(Question.TIMELINE, _timeline),
        spread=of(Question.SPREAD, _spread),
        together=of(Question.TOGETHER, _together),
        reward=of(Question.REWARD, lambda source: rewards(source.judgements(), least)),
        worst=of(Question.WORST, lambda source: worst(source.judgements(), reader, most, least)),
        clusters=of(Question.CLUSTERS, lambda source: clusters(source.judgements(), reader, most, least)),
    )


class Source(NamedTuple):
    """Where the judgements come from, as often as they are asked for."""

    reader: LedgerReader
    asked: Asked
    told: Callable[[int], object]

    def judgements(self) -> Iterator[Judgement]:
        number = 0
        for number, judgement in enumerate(judgements(self.reader, self.asked.audit, self.asked.selection), 1):
            yield judgement
            if number % _TOLD == 0:
                self.told(_TOLD)
        self.told(number % _TOLD)

    def least(self, otherwise: int = LEAST) -> int:
        return otherwise if self.asked.least is None else self.asked.least


def _first(source: Source) -> Firsts:
    return with_words(first(source.judgements(), source.least()), source.reader)


def _timeline(source: Source) -> Timeline:
    branch = source.asked.selection.filter.branch
    # Who asks of one branch asks of all of it, whether or not the run went on from its end.
    line = source.reader.lineage() if branch is None else [(branch, 2**62)]
    found = timeline(source.judgements(), line, source.least())
    happened = events(source.reader, line, policies=source.asked.audit == LIVE)
    return msgspec.structs.replace(found, events=happened if found.axis == "step" else [])


def _spread(source: Source) -> Spread:
    reader = source.reader
    return spread(source.judgements(), reader.shown(1, reader.newest_sample()), source.least())


def _together(source: Source) -> Together:
    return together(source.judgements(), source.least(MILD))
