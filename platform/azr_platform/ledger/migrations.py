"""How a ledger's file comes to have its tables: numbered migrations, applied by its writer.

A new one also goes into ``schema.KNOWN``.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from azr_platform.ledger.schema import MIGRATION_SET, TABLES

migrations = Migrations(MIGRATION_SET)

_LATER = {"alert_outcomes", "audit_ends", "audit_starts", "branch_changes", "decisions", "policies", "removals"}
"""Tables that a migration of their own creates."""

INDEXES = {
    "metrics": [["name", "branch", "step"]],
    "samples": [["branch", "step"], ["task"]],
    "tasks": [["task"]],
    "executions": [["sample"]],
    "findings": [["sample"], ["rule"]],
    "scores": [["sample"]],
    "verdicts": [["sample"]],
    "rewards": [["sample"]],
    "alerts": [["severity"]],
    "audits": [["audit"]],
    "checkpoints": [["branch", "step"]],
}


@migrations()
def m001_tables(db: Database) -> None:
    """Create every table, its indexes and the triggers that make it append-only."""
    for name, columns in TABLES.items():
        if name not in _LATER:
            _create_append_only(db, name, {"id": int, **columns})
    for name, indexes in INDEXES.items():
        for columns_ in indexes:
            db.table(name).create_index(columns_)


@migrations()
def m002_chain(db: Database) -> None:
    """Create the hash chain over all rows (see chain.py)."""
    _create_append_only(db, "chain", {"id": int, "tbl": str, "row": int, "digest": bytes})


@migrations()
def m003_no_replace(db: Database) -> None:
    """Refuse INSERT OR REPLACE too: it removes the older row without firing a delete trigger."""
    for name in [*TABLES, "chain"]:
        if name not in _LATER:
            _refuse_replace(db, name)


@migrations()
def m004_blocked(db: Database) -> None:
    """Find blocked samples without reading every verdict: the dashboard counts them at each commit."""
    db.execute("CREATE INDEX verdicts_blocked ON verdicts(sample) WHERE allowed = 0")


@migrations()
def m005_branch_changes(db: Database) -> None:
    """Create the table of what branches do otherwise than the one before: another seed, tasks left out."""
    _create_append_only(db, "branch_changes", {"id": int, **TABLES["branch_changes"]})
    _refuse_replace(db, "branch_changes")


@migrations()
def m006_removals(db: Database) -> None:
    """Create the table of the checkpoints that were removed, and why."""
    _create_append_only(db, "removals", {"id": int, **TABLES["removals"]})
    _refuse_replace(db, "removals")


@migrations()
def m007_links_together(db: Database) -> None:
    """From here on a row of the chain holds the links of several rows, and they are hashed as MessagePack (chain.py).

    The tables stay as they are; a version that knows nothing of it would take such a ledger for a damaged one.
    """


@migrations()
def m008_decisions(db: Database) -> None:
    """Create the table of what people decided about samples, and find those that wait for it without a long search."""
    _create_append_only(db, "decisions", {"id": int, **TABLES["decisions"]})
    _refuse_replace(db, "decisions")
    db.execute("CREATE INDEX decisions_sample ON decisions(sample)")
    db.execute("CREATE INDEX verdicts_noticed ON verdicts(sample) WHERE action > 0")
    db.execute("CREATE INDEX verdicts_held ON verdicts(sample) WHERE action = 6")


@migrations()
def m009_pages(db: Database) -> None:
    """Find what lists are narrowed to, and the little that they count, without reading the long texts of samples.

    Three indexes gain columns, so that their rows need not be looked up.
    """
    for replaced in ("samples_task", "findings_rule", "metrics_name_branch_step"):
        db.execute(f"DROP INDEX IF EXISTS idx_{replaced}")
    db.execute("CREATE INDEX samples_narrow ON samples(id, branch, step, phase, role, kind)")
    db.execute("CREATE INDEX samples_attempts ON samples(task, role, correct) WHERE task IS NOT NULL")
    db.execute("CREATE INDEX findings_rule_sample ON findings(rule, sample, severity)")
    db.execute("CREATE INDEX metrics_curve ON metrics(name, branch, step, value)")
    db.execute("CREATE INDEX rewards_reward ON rewards(reward, sample)")
    db.execute("CREATE INDEX tasks_kind ON tasks(kind)")
    db.execute("CREATE INDEX tasks_step ON tasks(branch, step) WHERE sample IS NOT NULL")
    # A program is found by its length and its middle: the whole of it in an index would double what tasks take.
    db.execute("CREATE INDEX tasks_program ON tasks(length(program), substr(program, length(program) / 2, 24))")
    db.execute("CREATE INDEX alert_acks_alert ON alert_acks(alert)")


@migrations()
def m010_alert_outcomes(db: Database) -> None:
    """Create the table of what alerts came to; find a sample's alerts, and samples by their score."""
    _create_append_only(db, "alert_outcomes", {"id": int, **TABLES["alert_outcomes"]})
    _refuse_replace(db, "alert_outcomes")
    db.execute("CREATE INDEX alert_outcomes_alert ON alert_outcomes(alert)")
    db.execute("CREATE INDEX alerts_sample ON alerts(sample) WHERE sample IS NOT NULL")
    db.execute("CREATE INDEX verdicts_score ON verdicts(score, sample)")


@migrations()
def m011_policies(db: Database) -> None:
    """Create the table of the policies that judge: the one that a run is taken up with, and each change to it."""
    _create_append_only(db, "policies", {"id": int, **TABLES["policies"]})
    _refuse_replace(db, "policies")


@migrations()
def m012_audits(db: Database) -> None:
    """Create the tables of audits' beginnings and ends; find what an audit made of a sample."""
    for name in ("audit_starts", "audit_ends"):
        _create_append_only(db, name, {"id": int, **TABLES[name]})
        _refuse_replace(db, name)
    db.execute("CREATE INDEX audits_sample ON audits(audit, sample)")


def _create_append_only(db: Database, name: str, columns: dict[str, type]) -> None:
    db.table(name).create(columns, pk="id")
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        )


def _refuse_replace(db: Database, name: str) -> None:
    taken = f"EXISTS (SELECT 1 FROM {name} WHERE id = NEW.id)"  # noqa: S608 our own table names
    db.execute(
        f"CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN {taken} "
        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )
