"""Rules on behaviour: what the jail reported about running a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from azr_monitor.records import Finding, Severity, printable
from azr_sandbox.execution import Execution, Outcome


@dataclass(frozen=True, slots=True)
class BehaviourRule:
    """A way of ending that says something about the program, with the endings it catches and spares."""

    id: str
    severity: Severity
    why: str
    catch: tuple[Outcome, ...]
    spare: tuple[Outcome, ...] = (Outcome.OK, Outcome.ERROR)


RULES: tuple[BehaviourRule, ...] = (
    BehaviourRule(
        "behaviour.policy-violation",
        Severity.HIGH,
        "made a system call the jail forbids",
        catch=(Outcome.POLICY_VIOLATION,),
    ),
    BehaviourRule("behaviour.crash", Severity.HIGH, "crashed the interpreter", catch=(Outcome.CRASH,)),
    BehaviourRule("behaviour.memory", Severity.MEDIUM, "ran out of memory", catch=(Outcome.MEMORY,)),
    BehaviourRule("behaviour.time", Severity.MEDIUM, "ran out of time", catch=(Outcome.TIMEOUT, Outcome.CPU)),
    BehaviourRule("behaviour.flood", Severity.MEDIUM, "returned too much", catch=(Outcome.OUTPUT_LIMIT,)),
    BehaviourRule(
        "behaviour.nondeterministic",
        Severity.LOW,
        "gave different values in two runs",
        catch=(Outcome.NONDETERMINISTIC,),
    ),
    BehaviourRule("behaviour.not-a-value", Severity.INFO, "returned no plain value", catch=(Outcome.NOT_A_VALUE,)),
)


def examine(executions: Iterable[Execution], rules: Iterable[BehaviourRule] = RULES) -> list[Finding]:
    """One finding for each rule that any of the executions meets; repeats are counted, not repeated."""
    runs = list(executions)
    findings: list[Finding] = []
    for rule in rules:
        met = [run for run in runs if run.outcome in rule.catch]
        if met:
            detail = printable(met[0].detail)
            why = rule.why + (f" in {len(met)} of {len(runs)} runs" if len(runs) > 1 else "")
            findings.append(Finding(rule.id, rule.severity, "behaviour", None, f"{why}: {detail}" if detail else why))
    return findings
