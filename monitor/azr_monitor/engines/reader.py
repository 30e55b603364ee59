"""What an auditor asks of the engines: the findings on one text."""

from __future__ import annotations

from azr_monitor.engines.process import EngineProcess
from azr_monitor.policy import Policy
from azr_monitor.records import Finding, Part

_PARTS: dict[str, Part] = {"program": "program", "call": "input", "prose": "trace"}
_DISGUISED = ", in look-alike letters or with invisible ones between"


class EngineReader:
    """Reads texts with the YARA and ast-grep rules of a policy."""

    def __init__(self, policy: Policy) -> None:
        """Take the engine rules of ``policy``.

        Raises:
            PolicyError: an engine is not installed, or its rules do not compile.
        """
        self._rules = [engine.rules for engine in policy.engines()]
        self._in_force = {rule.id for rule in policy.engine_rules()}
        self._process = EngineProcess(*policy.engine_sources(), policy.rules.engine_seconds)

    def findings(self, kind: str, text: str) -> list[Finding]:
        """Everything the engines find in a ``program``, the arguments of a ``call``, or ``prose``.

        Raises:
            EngineFailed: the text could not be read.
        """
        if not self._in_force:
            return []
        found: list[Finding] = []
        for engine, hit in self._process.read(kind, text):
            rule = self._rules[engine][hit.rule]
            if rule.id in self._in_force:
                why = rule.why + (_DISGUISED if hit.disguised else "")
                found.append(Finding(rule.id, rule.severity, _PARTS[kind], hit.span, why))
        return found

    def close(self) -> None:
        """End the engines' process."""
        self._process.close()
