"""What grows with a run, counted once and from then on added to: who polls a run of millions of samples asks often."""

from __future__ import annotations

from collections import Counter

from azr_platform.ledger.reads.run import RunReads

_OPEN = "SELECT a.id FROM alerts a WHERE a.id > ? AND NOT EXISTS (SELECT 1 FROM alert_acks k WHERE k.alert = a.id)"


class Totals:
    """What has been counted up to which row. Rows are never changed nor removed, so only later ones are new."""

    def __init__(self) -> None:
        self.samples, self.blocked = 0, 0
        self.verdict, self.alert, self.ack = 0, 0, 0
        self.open_alerts: set[int] = set()


class StepTotals:
    """How many samples, and how many blocked ones, each (branch, step) has, up to which of them."""

    def __init__(self) -> None:
        self.sample, self.verdict = 0, 0
        self.samples: Counter[tuple[int, int]] = Counter()
        self.blocked: Counter[tuple[int, int]] = Counter()


class TotalReads(RunReads):
    """Counts for the summary and for checkpoints. Ask inside ``one_moment``."""

    _totals: Totals
    _step_totals: StepTotals

    def _by_step(self) -> StepTotals:
        known = self._step_totals
        sample = int(self._value("SELECT coalesce(max(id), 0) FROM samples"))
        verdict = int(self._value("SELECT coalesce(max(id), 0) FROM verdicts"))
        narrow = f"samples s {self._through('samples_narrow')}"
        # At first all blocked ones, through their index; then the few new verdicts by their own ids.
        later = "+v.allowed = 0 AND v.id > ?" if known.verdict else "v.allowed = 0 AND +v.id > ?"
        blocked = f"verdicts v CROSS JOIN {narrow} ON s.id = v.sample WHERE {later}"
        for source, newest, counts in (
            (f"{narrow} WHERE s.id > ?", known.sample, known.samples),
            (blocked, known.verdict, known.blocked),
        ):
            query = f"SELECT s.branch, s.step, count(*) FROM {source} AND s.branch IS NOT NULL GROUP BY 1, 2"
            for branch, step, count in self._query(query, newest):
                counts[branch, step] += count
        known.sample, known.verdict = sample, verdict
        return known

    def _counted(self) -> Totals:
        known = self._totals
        # Samples are numbered without gaps, from 1.
        known.samples = int(self._value("SELECT coalesce(max(id), 0) FROM samples"))
        verdict = int(self._value("SELECT coalesce(max(id), 0) FROM verdicts"))
        # At first all of them, through the index of the blocked ones; then the few new ones by their own ids.
        later = "+allowed = 0 AND id > ?" if known.verdict else "allowed = 0 AND +id > ?"
        known.blocked += int(self._value(f"SELECT count(*) FROM verdicts WHERE {later}", known.verdict))
        known.verdict = verdict
        self._count_alerts(known)
        return known

    def _count_alerts(self, known: Totals) -> None:
        alert = int(self._value("SELECT coalesce(max(id), 0) FROM alerts"))
        ack = int(self._value("SELECT coalesce(max(id), 0) FROM alert_acks"))
        known.open_alerts -= {row[0] for row in self._query("SELECT alert FROM alert_acks WHERE id > ?", known.ack)}
        known.open_alerts |= {row[0] for row in self._query(_OPEN, known.alert)}
        known.alert, known.ack = alert, ack
