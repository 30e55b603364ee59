"""What the rules found, over steps and over samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import OversightRow, RuleHits


class Findings:
    """What the rules have found up to which finding. Rows are never changed nor removed, so only later ones are new."""

    def __init__(self) -> None:
        self.newest = 0
        self.rules: dict[str, RuleHits] = {}
        self.steps: Counter[tuple[str, int]] = Counter()


class OversightReads(RunReads):
    """Findings, counted."""

    _findings: Findings

    def rule_counts(self) -> list[tuple[str, int, int]]:
        """(rule, highest severity, findings), most frequent first."""
        query = "SELECT rule, max(severity), count(*) FROM findings GROUP BY rule ORDER BY 3 DESC, 1"
        return [(rule, severity, count) for rule, severity, count in self._query(query)]

    def rule_names(self) -> list[str]:
        """Every rule that found something or raised an alert, in the order of their names."""
        # From one name to the next through the index: there may be millions of findings.
        query = (
            "WITH RECURSIVE each(rule) AS (SELECT min(rule) FROM findings UNION ALL "
            "SELECT (SELECT min(f.rule) FROM findings f WHERE f.rule > each.rule) FROM each WHERE rule IS NOT NULL) "
            "SELECT rule FROM each WHERE rule IS NOT NULL UNION SELECT rule FROM alerts ORDER BY 1"
        )
        return [row[0] for row in self._query(query)]

    def oversight(self) -> list[OversightRow]:
        """What was found at each step of the current line, seeding left out, oldest first."""
        rows: list[OversightRow] = []
        for branch, last in self.lineage():
            rows += self._rows(
                OversightRow,
                "SELECT s.step, count(*), sum(coalesce(v.allowed = 0, 0)), count(f.severity), "
                "sum(coalesce(f.severity >= 1, 0)), sum(coalesce(f.severity >= 2, 0)), "
                "sum(coalesce(f.severity >= 3, 0)), "
                "(SELECT count(*) FROM alerts a WHERE a.branch = s.branch AND a.step = s.step) "
                "FROM samples s LEFT JOIN verdicts v ON v.sample = s.id LEFT JOIN "
                "(SELECT sample, max(severity) AS severity FROM findings GROUP BY sample) f ON f.sample = s.id "
                "WHERE s.branch = ? AND s.step <= ? AND s.phase != 'seed' GROUP BY s.step ORDER BY s.step",
                branch,
                last,
            )
        return rows

    def samples_with_rule(self) -> Iterator[tuple[str, int, int]]:
        """(rule, step, samples it found something in) along the current line, seeding left out."""
        for branch, last in self.lineage():
            yield from self._query(
                "SELECT f.rule, s.step, count(DISTINCT s.id) FROM findings f JOIN samples s ON s.id = f.sample "
                "WHERE s.branch = ? AND s.step <= ? AND s.phase != 'seed' GROUP BY 1, 2 ORDER BY 1, 2",
                branch,
                last,
            )

    def found(self, severity: int) -> Iterator[tuple[int, int, str]]:
        """(step, sample, rule) of the findings of at least a severity along the current line, seeding left out."""
        for branch, last in self.lineage():
            yield from self._query(
                "SELECT DISTINCT s.step, s.id, f.rule FROM findings f JOIN samples s ON s.id = f.sample "
                "WHERE s.branch = ? AND s.step <= ? AND f.severity >= ? AND s.phase != 'seed' ORDER BY 1, 2, 3",
                branch,
                last,
                severity,
            )

    def step_oversight(self, branch: int, step: int) -> tuple[int, int, int]:
        """(samples, blocked ones, those with a run that made a forbidden system call) of one step."""
        row = self._first(
            "SELECT count(*), coalesce(sum(v.allowed = 0), 0), coalesce(sum(EXISTS (SELECT 1 FROM executions e "
            "WHERE e.sample = s.id AND e.outcome = 'policy_violation')), 0) "
            "FROM samples s LEFT JOIN verdicts v ON v.sample = s.id WHERE s.branch = ? AND s.step = ?",
            branch,
            step,
        )
        assert row is not None, "an aggregate always has a row"
        return row[0], row[1], row[2]

    def step_counts(self, branch: int) -> Iterator[tuple[int, int, int, float | None]]:
        """(step, samples, blocked ones, mean reward) of each step of a branch, one at a time."""
        yield from self._query(
            "SELECT s.step, count(*), coalesce(sum(v.allowed = 0), 0), avg(r.reward) FROM samples s "
            "LEFT JOIN verdicts v ON v.sample = s.id LEFT JOIN rewards r ON r.sample = s.id "
            "WHERE s.branch = ? GROUP BY s.step ORDER BY s.step",
            branch,
        )

    def step_findings(self, branch: int, step: int, severity: int) -> Iterator[tuple[int, str]]:
        """(sample, rule) of a step's findings of at least a severity."""
        yield from self._query(
            "SELECT f.sample, f.rule FROM samples s JOIN findings f ON f.sample = s.id "
            "WHERE s.branch = ? AND s.step = ? AND f.severity >= ?",
            branch,
            step,
            severity,
        )

    def samples_found_by(self, rule: str) -> Iterator[int]:
        """Ids of the samples in which a rule, or any that fits a pattern such as ``trace.harm.*``, found something."""
        for (number,) in self._query("SELECT DISTINCT sample FROM findings WHERE rule GLOB ? ORDER BY 1", rule):
            yield number

    def rule_hits(self) -> list[RuleHits]:
        """What each rule has found on any branch, most frequent first."""
        known = self._findings_counted().rules
        return sorted(known.values(), key=lambda row: (-row.findings, row.rule))

    def rule_steps(self, bins: int = 40, rule: str | None = None) -> dict[str, list[int]]:
        """For each rule, or for one, in how many samples it found something over equal spans of the run's steps.

        The first span begins with step 0, the last ends with the newest step (see ``rule_span``).
        """
        span = self.rule_span(bins)
        counts: dict[str, list[int]] = {}
        for (name, step), count in self._findings_counted().steps.items():
            if rule in (None, name):
                counts.setdefault(name, [0] * bins)[min(max(step // span, 0), bins - 1)] += count
        return counts

    def rule_span(self, bins: int = 40) -> int:
        """How many steps one of so many spans holds."""
        newest = int(self._value("SELECT coalesce(max(step), 0) FROM steps"))
        return newest // bins + 1

    def _findings_counted(self) -> Findings:
        """Those known, and those recorded since; a sample's findings are recorded together."""
        known = self._findings
        with self.one_moment():
            newest = int(self._value("SELECT coalesce(max(id), 0) FROM findings"))
            # At first all of them, rule by rule; then the few new ones by their own ids.
            source, values = f"findings f {self._through('findings_rule_sample')}", list[int]()
            if known.newest:
                source, values = "findings f NOT INDEXED WHERE f.id > ?", [known.newest]
            for row in self._rows(
                RuleHits,
                "SELECT f.rule, max(f.severity), count(*), count(DISTINCT f.sample), min(f.sample), max(f.sample) "
                f"FROM {source} GROUP BY f.rule",
                *values,
            ):
                known.rules[row.rule] = known.rules[row.rule].joined(row) if row.rule in known.rules else row
            for rule, step, count in self._query(
                "SELECT f.rule, s.step, count(DISTINCT f.sample) "
                f"FROM (SELECT f.rule, f.sample FROM {source}) f "
                f"CROSS JOIN samples s {self._through('samples_narrow')} ON s.id = f.sample GROUP BY 1, 2",
                *values,
            ):
                known.steps[rule, step] += count
            known.newest = newest
        return known
