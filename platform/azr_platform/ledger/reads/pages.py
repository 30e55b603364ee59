"""Pages of samples under any filter, quick also when there are millions of them.

A filter that is rare has an index in the order of the samples: what that offers is sifted by the other parts. When
every part is frequent, all samples are gone through from one end, in an index that holds the narrow columns alone, and
the page is soon full. Only the rows of the page itself are read whole.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Final, NamedTuple

import msgspec

from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import SampleRow

COLUMNS: Final = """
    s.id, s.time, s.branch, s.step, s.phase, s.role, s.kind, s.uid, s.task, s.tokens, s.well_formed, s.correct,
    s.outcome, s.problem, v.allowed, v.severity, v.action, v.score, v.reason, r.reward, r.advantage
"""
FROM: Final = """
    FROM samples s LEFT JOIN verdicts v ON v.sample = s.id LEFT JOIN rewards r ON r.sample = s.id
"""
_RARE: Final = 20_000
"""So many samples are fetched from an index in another order and sorted; more are frequent."""
_FIRST_SIFT, _LAST_SIFT = 256, 8192
"""Candidates that are sifted at once: few at first, since most pages are full soon."""

_JUDGED: Final = {
    Judged.ALLOWED: "EXISTS (SELECT 1 FROM verdicts v WHERE v.sample = s.id AND v.allowed = 1)",
    Judged.BLOCKED: "EXISTS (SELECT 1 FROM verdicts v WHERE v.sample = s.id AND v.allowed = 0)",
    Judged.HELD: "EXISTS (SELECT 1 FROM verdicts v WHERE v.sample = s.id AND v.action = 6)",
    Judged.FLAGGED: "EXISTS (SELECT 1 FROM findings f WHERE f.sample = s.id)",
    # What a person's word is waited for: the monitor's doubts, and what it found in texts. Not what nobody can allow.
    Judged.WAITING: """
        EXISTS (SELECT 1 FROM verdicts v WHERE v.sample = s.id AND v.action > 0 AND (v.action = 6 OR EXISTS (
            SELECT 1 FROM findings f WHERE f.sample = s.id AND f.severity > 0 AND NOT f.rule GLOB 'behaviour.*')))
        AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.sample = s.id)
        AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.sample = s.id AND (
            f.rule IN ('monitor.failure', 'monitor.limit', 'program.too-complex')
            OR f.rule GLOB 'supervisor.*' OR f.rule GLOB 'review.*'))""",
}
_OF_ONE_VERDICT: Final = {
    Judged.HELD: "SELECT sample FROM verdicts WHERE action = 6",
    Judged.WAITING: "SELECT sample FROM verdicts WHERE action > 0",
    Judged.BLOCKED: "SELECT sample FROM verdicts WHERE allowed = 0",
    Judged.FLAGGED: "SELECT sample FROM findings WHERE 1",
}
"""Those that have an index of their own, rarest first."""

_EACH_RULE: Final = """
    WITH RECURSIVE each(rule) AS (
        SELECT min(rule) FROM findings
        UNION ALL SELECT (SELECT min(f.rule) FROM findings f WHERE f.rule > each.rule) FROM each WHERE rule IS NOT NULL)
"""
"""Every rule that has found something, without going through all findings."""
_OF_STEPS: Final = """
    WITH RECURSIVE each(branch) AS (
        SELECT min(branch) FROM samples
        UNION ALL SELECT (SELECT min(s.branch) FROM samples s WHERE s.branch > each.branch) FROM each
        WHERE branch IS NOT NULL)
    SELECT s.id FROM each CROSS JOIN samples s USING (branch) WHERE step BETWEEN ? AND ?
"""
"""The branches one after the other, since the index of steps begins with the branch."""


class _Condition(NamedTuple):
    sql: str
    values: tuple[object, ...] = ()


class PageReads(RunReads):
    """Lists of samples."""

    def samples(
        self,
        *,
        limit: int = 200,
        before: int | None = None,
        role: str | None = None,
        kind: str | None = None,
        step: int | None = None,
        blocked_only: bool = False,
        flagged_only: bool = False,
        waiting_only: bool = False,
        held_only: bool = False,
    ) -> list[SampleRow]:
        """A page of samples, newest first; pass the last id as ``before`` for the next page. ``waiting_only``: those
        that a person's decision is waited for."""
        chosen = {
            Judged.HELD: held_only,
            Judged.WAITING: waiting_only,
            Judged.BLOCKED: blocked_only,
            Judged.FLAGGED: flagged_only,
        }
        judged = [each for each, wanted in chosen.items() if wanted]
        first = judged[0] if judged else None
        wanted = SampleFilter(role=role, kind=kind, judged=first, first_step=step, last_step=step)
        also = [_Condition(_JUDGED[each]) for each in judged[1:]]
        return self.sample_rows(list(islice(self._chosen(wanted, before, None, also), limit)))

    def samples_page(
        self,
        wanted: SampleFilter,
        *,
        limit: int = 200,
        beyond: int | None = None,
        among: Iterable[int] | None = None,
    ) -> list[SampleRow]:
        """A page of the samples that a filter lets pass; pass the last id as ``beyond`` for the next page.

        The filter's text is the search index's to answer (search.py): ``among`` are the samples it found, in order.
        """
        return self.sample_rows(self.numbers_page(wanted, limit=limit, beyond=beyond, among=among))

    def numbers_page(
        self,
        wanted: SampleFilter,
        *,
        limit: int,
        beyond: int | None = None,
        among: Iterable[int] | None = None,
    ) -> list[int]:
        """As ``samples_page``, and only the ids."""
        return list(islice(self._chosen(wanted, beyond, among), limit))

    def waiting_page(
        self, wanted: SampleFilter, *, held_only: bool, limit: int = 200, beyond: int | None = None
    ) -> list[SampleRow]:
        """A page of the samples that a person's decision is waited for, or of the held ones among them."""
        wanted = msgspec.structs.replace(wanted, judged=Judged.HELD if held_only else Judged.WAITING)
        also = [_Condition(_JUDGED[Judged.WAITING])] if held_only else []
        return self.sample_rows(list(islice(self._chosen(wanted, beyond, None, also), limit)))

    def begin_of_steps(self, wanted: SampleFilter) -> int | None:
        """The id beyond which the filter's steps begin, seen from its end; None where they rule nothing out there."""
        bound, where, order = wanted.last_step, "s.step <= ?", "DESC"
        if wanted.oldest_first:
            bound, where, order = wanted.first_step, "s.step >= ?", ""
        if bound is None:
            return None
        found = next(self._ids(f"WHERE {where} ORDER BY s.id {order} LIMIT 1", [_Condition(where, (bound,))]), None)
        return None if found is None else found - 1 if wanted.oldest_first else found + 1

    def sample_rows(self, numbers: Sequence[int]) -> list[SampleRow]:
        """These samples, in this order; unknown ones are left out."""
        query = f"SELECT {COLUMNS} {FROM} WHERE s.id IN (SELECT value FROM json_each(?))"
        found = {row.id: row for row in self._rows(SampleRow, query, json.dumps(numbers))}
        return [found[number] for number in numbers if number in found]

    # -- inside ------------------------------------------------------------------------------------------

    def _chosen(
        self,
        wanted: SampleFilter,
        beyond: int | None,
        among: Iterable[int] | None,
        also: Sequence[_Condition] = (),
    ) -> Iterator[int]:
        """Ids of the samples that pass, in order, found as they are asked for."""
        conditions = [*_conditions(wanted, self._rules_like(wanted.rule)), *also]
        candidates = self._candidates(wanted, beyond) if among is None else among
        if candidates is not None:
            return self._sifted(candidates, conditions)
        side, order = ("s.id > ?", "") if wanted.oldest_first else ("s.id < ?", "DESC")
        if beyond is not None:
            conditions.append(_Condition(side, (beyond,)))
        return self._ids(f"{_where(conditions)} ORDER BY s.id {order}", conditions)

    def _candidates(self, wanted: SampleFilter, beyond: int | None) -> Iterator[int] | None:
        """Ids that an index of a rare part of the filter offers, in order; None when all samples must be looked at."""
        if wanted.rule is not None:
            query = f"SELECT sample FROM findings {self._through('findings_rule_sample')} WHERE rule = ?"
            found = [self._in_order(query, wanted, beyond, rule) for rule in self._rules_like(wanted.rule)]
            return _once(heapq.merge(*found, reverse=not wanted.oldest_first))
        if wanted.task is not None:
            return self._rare("SELECT id FROM samples WHERE task = ?", wanted, beyond, wanted.task)
        if wanted.judged in (Judged.HELD, Judged.WAITING):
            return self._in_order(_OF_ONE_VERDICT[wanted.judged], wanted, beyond)
        if wanted.first_step is not None or wanted.last_step is not None:
            steps = (0 if wanted.first_step is None else wanted.first_step, _end(wanted.last_step))
            if (rare := self._rare(_OF_STEPS, wanted, beyond, *steps)) is not None:
                return rare
        if "rewards_reward" in self._indexes and (wanted.least_reward, wanted.most_reward) != (None, None):
            query = "SELECT sample FROM rewards WHERE reward BETWEEN ? AND ?"
            if (rare := self._rare(query, wanted, beyond, *_rewards(wanted))) is not None:
                return rare
        if "verdicts_score" in self._indexes and (wanted.least_score, wanted.most_score) != (None, None):
            query = "SELECT sample FROM verdicts WHERE score BETWEEN ? AND ?"
            if (rare := self._rare(query, wanted, beyond, *_scores(wanted))) is not None:
                return rare
        if wanted.judged in _OF_ONE_VERDICT:
            return _once(self._in_order(_OF_ONE_VERDICT[wanted.judged], wanted, beyond))
        return None

    def _in_order(self, query: str, wanted: SampleFilter, beyond: int | None, *values: object) -> Iterator[int]:
        side, order = ("sample > ?", "") if wanted.oldest_first else ("sample < ?", "DESC")
        start = _before_all(wanted) if beyond is None else beyond
        for (number,) in self._query(f"{query} AND {side} ORDER BY sample {order}", *values, start):
            yield number

    def _rare(self, query: str, wanted: SampleFilter, beyond: int | None, *values: object) -> Iterator[int] | None:
        found = [row[0] for row in self._query(f"{query} LIMIT {_RARE + 1}", *values)]
        if len(found) > _RARE:
            return None
        start = _before_all(wanted) if beyond is None else beyond
        left = {number for number in found if (number > start if wanted.oldest_first else number < start)}
        return iter(sorted(left, reverse=not wanted.oldest_first))

    def _sifted(self, candidates: Iterable[int], conditions: Sequence[_Condition]) -> Iterator[int]:
        """Those candidates that pass all conditions, in their order."""
        left, size = iter(candidates), _FIRST_SIFT
        where = [_Condition("s.id IN (SELECT value FROM json_each(?))"), *conditions]
        while chunk := list(islice(left, size)):
            where[0] = where[0]._replace(values=(json.dumps(chunk),))
            passed = set(self._ids(_where(where), where))
            yield from (number for number in chunk if number in passed)
            size = min(2 * size, _LAST_SIFT)

    def _ids(self, rest: str, conditions: Sequence[_Condition]) -> Iterator[int]:
        values = [value for condition in conditions for value in condition.values]
        for (number,) in self._query(f"SELECT s.id FROM samples s {self._through('samples_narrow')} {rest}", *values):
            yield number

    def _rules_like(self, rule: str | None) -> list[str]:
        """The rules on record that a name, or a pattern with ``*``, stands for."""
        if rule is None or not any(sign in rule for sign in "*?["):
            return [] if rule is None else [rule]
        return [row[0] for row in self._query(f"{_EACH_RULE} SELECT rule FROM each WHERE rule GLOB ?", rule)]


def _conditions(wanted: SampleFilter, rules: Sequence[str]) -> list[_Condition]:
    """A filter as conditions on a sample ``s``, all of which must hold."""
    found = []
    for sql, value in (
        ("s.role = ?", wanted.role),
        ("s.kind = ?", wanted.kind),
        ("s.branch = ?", wanted.branch),
        ("s.id IN (SELECT id FROM samples WHERE task = ?)", wanted.task),
        ("s.step >= ?", wanted.first_step),
        ("s.step <= ?", wanted.last_step),
    ):
        if value is not None:
            found.append(_Condition(sql, (value,)))
    if wanted.judged is not None:
        found.append(_Condition(_JUDGED[wanted.judged]))
    if wanted.rule is not None:
        holds = "f.rule IN (SELECT value FROM json_each(?))"
        found.append(
            _Condition(f"EXISTS (SELECT 1 FROM findings f WHERE f.sample = s.id AND {holds})", (json.dumps(rules),))
        )
    if (wanted.least_reward, wanted.most_reward) != (None, None):
        between = "EXISTS (SELECT 1 FROM rewards r WHERE r.sample = s.id AND r.reward BETWEEN ? AND ?)"
        found.append(_Condition(between, _rewards(wanted)))
    if (wanted.least_score, wanted.most_score) != (None, None):
        between = "EXISTS (SELECT 1 FROM verdicts v WHERE v.sample = s.id AND v.score BETWEEN ? AND ?)"
        found.append(_Condition(between, _scores(wanted)))
    return found


def _where(conditions: Sequence[_Condition]) -> str:
    return f"WHERE {' AND '.join(condition.sql for condition in conditions)}" if conditions else ""


def _rewards(wanted: SampleFilter) -> tuple[float, float]:
    least = -1e308 if wanted.least_reward is None else wanted.least_reward
    return least, 1e308 if wanted.most_reward is None else wanted.most_reward


def _scores(wanted: SampleFilter) -> tuple[float, float]:
    least = -1e308 if wanted.least_score is None else wanted.least_score
    return least, 1e308 if wanted.most_score is None else wanted.most_score


def _end(step: int | None) -> int:
    return 2**62 if step is None else step


def _before_all(wanted: SampleFilter) -> int:
    return 0 if wanted.oldest_first else 2**62


def _once(numbers: Iterable[int]) -> Iterator[int]:
    """Each number once; equal ones stand together."""
    return (number for number, _ in groupby(numbers))
