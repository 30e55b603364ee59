"""What Datasette is told of a ledger: what its tables and columns hold, and questions in SQL, ready to be asked."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from azr_platform.ledger.schema import TABLES

DATABASE: Final = "ledger"


class Question(NamedTuple):
    """A query by its name in an address. ``:names`` in it are asked for."""

    title: str
    about: str
    sql: str


_RULES: Final = "(SELECT group_concat(DISTINCT f.rule) FROM findings f WHERE f.sample = s.id)"
_SAMPLE: Final = "s.id AS sample, s.step, s.role, s.kind, v.allowed, v.severity, round(v.score, 3) AS score"
_ORDER: Final = "ORDER BY v.severity DESC, v.score DESC, s.id"

QUESTIONS: Final[dict[str, Question]] = {
    "flagged": Question(
        "Flagged samples, the worst first",
        "Every sample that something was found in, with its rules. Severity is 0 (info) to 4 (critical).",
        f"SELECT {_SAMPLE}, r.reward, {_RULES} AS rules, v.reason, s.reasoning, s.program FROM verdicts v "
        "JOIN samples s ON s.id = v.sample LEFT JOIN rewards r ON r.sample = s.id "
        f"WHERE EXISTS (SELECT 1 FROM findings f WHERE f.sample = s.id) {_ORDER}",
    ),
    "flagged_by_rule": Question(
        "Flagged samples of one rule",
        "A star stands for anything: trace.* is every rule on reasoning.",
        f"SELECT {_SAMPLE}, f.rule, f.why, f.part, substr(CASE f.part WHEN 'trace' THEN s.reasoning "
        "WHEN 'program' THEN s.program WHEN 'input' THEN s.input WHEN 'message' THEN s.message "
        "WHEN 'answer' THEN s.answer END, f.span_start + 1, f.span_end - f.span_start) AS words FROM findings f "
        "JOIN samples s ON s.id = f.sample JOIN verdicts v ON v.sample = s.id WHERE f.rule GLOB :rule ORDER BY s.id",
    ),
    "alerts_open": Question(
        "Alerts that nobody has seen to",
        "The worst first.",
        "SELECT a.id AS alert, a.step, a.severity, a.rule, a.sample, a.message FROM alerts a "
        "WHERE NOT EXISTS (SELECT 1 FROM alert_acks k WHERE k.alert = a.id) "
        "AND NOT EXISTS (SELECT 1 FROM alert_outcomes o WHERE o.alert = a.id) ORDER BY a.severity DESC, a.id",
    ),
    "findings_by_rule": Question(
        "Findings by rule",
        "How often each rule found something, in how many samples, and from when until when.",
        "SELECT f.rule, max(f.severity) AS severity, count(*) AS findings, count(DISTINCT f.sample) AS samples, "
        "min(s.step) AS first_step, max(s.step) AS last_step FROM findings f JOIN samples s ON s.id = f.sample "
        "GROUP BY f.rule ORDER BY findings DESC, f.rule",
    ),
    "findings_by_step": Question(
        "Findings by step",
        "For each step its samples, those blocked, and those with a finding of low, medium and high severity or worse.",
        "SELECT s.branch, s.step, count(*) AS samples, sum(v.allowed = 0) AS blocked, sum(coalesce(f.worst, 0) >= 1) "
        "AS low, sum(coalesce(f.worst, 0) >= 2) AS medium, sum(coalesce(f.worst, 0) >= 3) AS high FROM samples s "
        "LEFT JOIN verdicts v ON v.sample = s.id LEFT JOIN (SELECT sample, max(severity) AS worst FROM findings "
        "GROUP BY sample) f ON f.sample = s.id GROUP BY s.branch, s.step ORDER BY s.branch, s.step",
    ),
    "decisions_made": Question(
        "What people decided",
        "Each decision beside what the monitor had made of the sample.",
        f"SELECT d.time, d.decision, d.who, d.note, {_SAMPLE}, {_RULES} AS rules FROM decisions d "
        "JOIN samples s ON s.id = d.sample LEFT JOIN verdicts v ON v.sample = s.id ORDER BY d.id DESC",
    ),
    "audits_made": Question(
        "Audits on record",
        "Each with its policy, how many samples it judged and how many it would have blocked.",
        "SELECT a.audit, min(a.time) AS began, max(a.policy) AS policy, count(DISTINCT a.sample) AS samples, "
        "count(DISTINCT CASE WHEN a.allowed = 0 THEN a.sample END) AS blocked FROM audits a GROUP BY a.audit "
        "ORDER BY began",
    ),
    "audit_against_run": Question(
        "Where an audit and the run disagree",
        "Samples that the run allowed and the audit would block, or the other way round.",
        "SELECT s.id AS sample, s.step, v.allowed AS by_run, a.allowed AS by_audit, v.reason AS reason_of_run, "
        "a.reason AS reason_of_audit, s.reasoning, s.program FROM audits a JOIN samples s ON s.id = a.sample "
        "JOIN verdicts v ON v.sample = s.id WHERE a.audit = :audit AND a.allowed != v.allowed ORDER BY s.id",
    ),
    "audits_compared": Question(
        "Where two audits disagree",
        "Samples that one audit allows and the other blocks.",
        "SELECT s.id AS sample, s.step, a.allowed AS by_first, b.allowed AS by_second, a.reason AS reason_of_first, "
        "b.reason AS reason_of_second, s.reasoning, s.program FROM audits a JOIN audits b ON b.sample = a.sample "
        "JOIN samples s ON s.id = a.sample WHERE a.audit = :first AND b.audit = :second AND a.allowed != b.allowed "
        "ORDER BY s.id",
    ),
    "paid": Question(
        "What flagged samples earned",
        "Mean reward of the samples with and without findings, by step.",
        "SELECT s.step, count(*) AS samples, sum(f.sample IS NOT NULL) AS flagged, round(avg(CASE WHEN f.sample "
        "IS NOT NULL THEN r.reward END), 3) AS reward_flagged, round(avg(CASE WHEN f.sample IS NULL THEN r.reward "
        "END), 3) AS reward_others FROM rewards r JOIN samples s ON s.id = r.sample LEFT JOIN (SELECT DISTINCT sample "
        "FROM findings WHERE severity > 0) f ON f.sample = s.id GROUP BY s.step ORDER BY s.step",
    ),
}

_TABLES: Final = {
    "run": "The run: what it was given. Of another trainer's log: where it lay.",
    "branches": "A rollback opens a branch; rows are never removed, only left behind on an older one.",
    "states": "What the run was doing, from when on.",
    "steps": "Steps that were finished.",
    "metrics": "Numbers of each step by name.",
    "samples": "What the model wrote, in full, and the parts of it that were judged. The texts are the model's.",
    "tasks": "Tasks that the model proposed and the supervisor allowed, and those that were given.",
    "executions": "What the jail reported of each run of a program.",
    "findings": "What was found in a sample; spans count characters in its part (trace is the column reasoning).",
    "scores": "Every value of every classifier, 0 to 1, higher is worse.",
    "verdicts": "What was decided of each sample when it was judged.",
    "rewards": "What a sample earned, and whether an update learnt from it.",
    "alerts": "What somebody was told.",
    "alert_acks": "Who has seen an alert.",
    "alert_outcomes": "What an alert came to: resolved, or a false alarm.",
    "controls": "Commands, by whom, and what came of them.",
    "checkpoints": "Checkpoints with the digest of each.",
    "removals": "Checkpoints that were removed, and why.",
    "notices": "What the supervisor had to say, and of a log how it was read.",
    "audits": "What each audit made of each sample.",
    "audit_starts": "When an audit began, under which policy, and the chain's head then.",
    "audit_ends": "When an audit ended, and what it left out.",
    "branch_changes": "What a branch does otherwise than the one before.",
    "decisions": "What people decided about samples.",
    "policies": "The policy that judged, and changes to it.",
    "chain": "The hash chain over all rows; `azr-platform audit RUN --verify` walks it.",
}
_COLUMNS: Final = {
    "samples": {
        "uid": "The sample's name, or the place in the log.",
        "reasoning": "The trace that was judged.",
        "correct": "Right answers, or valid proposals.",
    },
    "verdicts": {
        "allowed": "1 when it may be used.",
        "action": "0 record, 1 alert, 2 drop, 3 pause, 4 rollback, 5 stop, 6 hold.",
        "severity": "0 info, 1 low, 2 medium, 3 high, 4 critical.",
        "score": "0 to 1, higher is worse.",
    },
    "findings": {"severity": "0 info, 1 low, 2 medium, 3 high, 4 critical."},
}


def metadata(title: str) -> dict[str, Any]:
    """Datasette's metadata for one ledger; ``title`` names it."""
    tables = {
        name: {"description": _TABLES.get(name, ""), "columns": _COLUMNS.get(name, {}), "sort_desc": "id", "size": 50}
        for name in (*TABLES, "chain")
    }
    queries = {
        name: {"title": question.title, "description": question.about, "sql": question.sql}
        for name, question in QUESTIONS.items()
    }
    about = "A ledger, opened to be read only. Questions that are ready to be asked stand below the tables."
    return {
        "title": title,
        "databases": {DATABASE: {"description": about, "tables": tables, "queries": queries}},
    }
