"""The policies that judged, and what people made of what the rules found."""

from __future__ import annotations

from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import PolicyRow


class PolicyReads(RunReads):
    """Policies, and decisions by rule."""

    def policies(self) -> list[PolicyRow]:
        """The policies that the run was taken up with and the changes to them, oldest first."""
        return self._rows(
            PolicyRow,
            "SELECT id, time, branch, step, name, fingerprint, settings, rule, setting, before, after, who, why "
            "FROM policies ORDER BY id",
        )

    def policy_name(self) -> str:
        """The newest policy's name and fingerprint; empty where none is on record."""
        row = self._first("SELECT name || ' ' || fingerprint FROM policies ORDER BY id DESC LIMIT 1")
        return str(row[0]) if row is not None else ""

    def rule_decisions(self) -> dict[str, tuple[int, int]]:
        """For each rule: samples it found something in that people decided about, and those of them that were called
        false alarms; the last word on a sample counts."""
        query = (
            "SELECT f.rule, count(DISTINCT f.sample), "
            "count(DISTINCT CASE WHEN d.decision = 'false-alarm' THEN f.sample END) "
            "FROM decisions d JOIN findings f ON f.sample = d.sample "
            "WHERE d.id IN (SELECT max(id) FROM decisions GROUP BY sample) GROUP BY f.rule"
        )
        return {rule: (decided, false) for rule, decided, false in self._query(query)}

    def steps_of(self, samples: list[int]) -> dict[int, int]:
        """The step of each of these samples."""
        found = {}
        for number in samples:
            if (row := self._first("SELECT step FROM samples WHERE id = ?", number)) is not None:
                found[number] = int(row[0])
        return found
