"""The whole audit of a batch, before anything runs and after it ran.

    inspect:   subjects ─► limits ─► rules on programs, traces ─► engines ─► classifiers ─► scopes ─► decide ─► verdicts
                             │               │                       │            │
                             └───────────────┴─ a part that raises ──┴────────────┴─► that subject is blocked

    conclude:  verdict + executions ─► behaviour rules ─► decide ─► verdict (never milder than before)

Nothing a model wrote is evaluated here: programs are parsed, prose is matched and scored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

from azr_monitor.classifiers.base import Classifier, ClassifierUnavailable
from azr_monitor.decide import decide
from azr_monitor.engines.reader import EngineReader
from azr_monitor.policy import Policy, PolicyError
from azr_monitor.records import FAILURE, LIMIT, PARTS, Finding, Part, Score, Severity, Subject, Verdict, failure
from azr_monitor.rules import behaviour, programs
from azr_monitor.rules.literals import is_plain_call
from azr_monitor.rules.programs_texts import said, speaks
from azr_monitor.rules.syntax import walked
from azr_monitor.rules.traces import TraceRules
from azr_monitor.rules.tree import Program, Unparsable
from azr_monitor.scopes import UNREAD, lift
from azr_monitor.scoring import Evidence, Scorer, heard
from azr_sandbox.execution import Execution

_MEMO = 8192


class Auditor:
    """Judges subjects under one policy.

    Attributes:
        policy: the policy in force.
        notices: one line for each thing the policy asked for and this machine lacks.
    """

    def __init__(
        self,
        policy: Policy,
        classifiers: Sequence[Classifier] = (),
        notices: Sequence[str] = (),
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """Judge by ``policy`` with these loaded classifiers; each takes its settings from the policy by name.
        Exemptions end on the day after their last one, as ``today`` tells it.

        Raises:
            PolicyError: rules of the policy cannot be used, or the policy does not know a classifier.
        """
        self.policy = policy
        self.notices = tuple(notices)
        self._today = today
        self._within = lru_cache(maxsize=256)(policy.within)
        self._spotless = lru_cache(maxsize=256)(lambda role, kind: decide(policy.within(role, kind), ()))
        self._trace_rules = TraceRules(policy.trace_rules())
        self._program_rules = programs.ProgramRules(policy.program_rules(), policy.imports.names)
        self._behaviour_rules = policy.behaviour_rules()
        self._engines = EngineReader(policy)
        self._classifiers = tuple(classifiers)
        known = {entry.name: entry for entry in policy.classifiers}
        missing = [classifier.name for classifier in classifiers if classifier.name not in known]
        if missing:
            raise PolicyError(f"policy {policy.name}: classifiers: no settings for {', '.join(missing)}; add an entry")
        self._scorers = [Scorer(classifier, known[classifier.name], policy.limits) for classifier in classifiers]
        self._memo: OrderedDict[tuple[str, ...], tuple[Finding, ...]] = OrderedDict()
        self._step: int | None = None

    @classmethod
    def from_policy(cls, policy: Policy) -> Auditor:
        """Build an auditor with every classifier the policy enables and this machine has.

        Raises:
            ClassifierUnavailable: one that the policy marks as required cannot be loaded.
            PolicyError: as for the constructor.
        """
        from azr_monitor.classifiers.load import load_classifier

        loaded: list[Classifier] = []
        notices: list[str] = []
        for entry in policy.classifiers:
            if not entry.enabled:
                continue
            try:
                loaded.append(load_classifier(entry, policy.folder))
            except ClassifierUnavailable as error:
                if entry.required:
                    raise
                notices.append(f"{entry.name} is not in use: {error.reason}; {error.remedy}")
                continue
            if idle := [category for category in entry.thresholds if category not in loaded[-1].categories]:
                scored = ", ".join(loaded[-1].categories)
                notices.append(f"{entry.name}: thresholds of {', '.join(idle)} do nothing; it scores {scored}")
        return cls(policy, loaded, notices)

    def under(self, policy: Policy) -> Auditor:
        """An auditor with the same classifiers, which judges by another policy."""
        return Auditor(policy, self._classifiers, self.notices, self._today)

    # -- before anything runs ---------------------------------------------------------------------------

    def inspect(self, subjects: Sequence[Subject], step: int | None = None) -> list[Verdict]:
        """One verdict for each subject, in order. Never raises on what a subject holds; what fails blocks.

        ``step`` is the run's, for classifiers with so many calls a step; without it each batch is a step.
        """
        if step is None or step != self._step:
            self._step = step
            for scorer in self._scorers:
                scorer.begin_step()
        batch = [Evidence(subject, self._within(subject.role, subject.kind), [], {}) for subject in subjects]
        for evidence in batch:
            evidence.findings.extend(_guarded("rules", lambda s=evidence.subject: self._read(s)))  # type: ignore[misc]
        for scorer in self._scorers:
            scorer.read(batch)
        return [self._decide(evidence) for evidence in batch]

    def conclude(self, subject: Subject, verdict: Verdict, executions: Sequence[Execution]) -> Verdict:
        """The verdict on a subject after it ran: as before, with what its behaviour adds. Never milder."""
        added = _guarded("behaviour rules", lambda: behaviour.examine(executions, self._behaviour_rules))
        if not added:
            return verdict
        policy = self._within(subject.role, subject.kind)
        final = decide(policy, [*verdict.findings, *self._settled(policy, subject, added)], verdict.scores)
        if verdict.allowed or not final.allowed:
            return final
        return verdict

    def _decide(self, evidence: Evidence) -> Verdict:
        if not evidence.findings and not evidence.scores:
            return self._spotless(evidence.subject.role, evidence.subject.kind)
        scores = [Score(name, category, value) for (name, category), value in sorted(evidence.scores.items())]
        settled = self._settled(evidence.policy, evidence.subject, evidence.findings)
        return decide(evidence.policy, settled, scores)

    def _settled(self, policy: Policy, subject: Subject, findings: Sequence[Finding]) -> list[Finding]:
        """The findings that count for this subject, with the severities and the exemptions that its policy gives them.
        What was not read counts everywhere; a failure's severity is never lowered."""
        settled = []
        for finding in findings:
            if finding.rule not in UNREAD and not policy.applies_to(finding.rule, finding.part):
                continue
            severity = policy.severity_of(finding.rule, finding.severity, finding.part)
            if finding.rule in (FAILURE, LIMIT):
                severity = max(severity, finding.severity)
            settled.append(finding if severity == finding.severity else _with_severity(finding, severity))
        return lift(settled, policy.rules.allow, subject, self._today())

    # -- rules ------------------------------------------------------------------------------------------

    def _read(self, subject: Subject) -> list[Finding]:
        """Everything the rules find on one subject."""
        findings: list[Finding] = []
        for part in PARTS:
            text = subject.text(part)
            if not text:
                continue
            limit = self.policy.limits.of(part)
            if len(text) > limit:
                why = f"{part} has {len(text)} characters, at most {limit} are read"
                findings.append(Finding(LIMIT, Severity.MEDIUM, part, None, why))
                continue
            findings.extend(self._read_part(subject, part, text))
        return findings

    def _read_part(self, subject: Subject, part: Part, text: str) -> list[Finding]:
        is_program = part == "program" or (part == "answer" and subject.kind == "induction")
        if is_program:
            try:
                findings = [_on(part, f) for f in self._once("program", text, self._read_program)]
                if self._scorers:
                    heard(text)  # what they will ask for, while the tree is at hand
                return [*findings, *self._called(subject, part)]
            finally:
                walked.cache_clear()  # a tree that outlives its program is in the way of the next one's
        if part == "input":
            findings = []
            base = 0
            for call in subject.calls:
                findings.extend(_on(part, f, base) for f in self._once("call", call, self._read_call))
                base += len(call) + 1
            return findings
        findings = [_on(part, finding) for finding in self._once("prose", text, self._read_prose)]
        if part == "answer" and subject.role != "propose":
            # An answer is a value or the arguments of a call; code in it is an attempt to have it run.
            findings.extend(
                _on(part, f) for f in self._once("call", text, self._read_call) if f.rule != programs.UNPARSABLE
            )
        return findings

    def _called(self, subject: Subject, part: Part) -> tuple[Finding, ...]:
        """What a proposed program does only because of the inputs it comes with."""
        calls = tuple(dict.fromkeys(subject.calls)) if part == "program" else ()
        if not calls or len(subject.text("input")) > self.policy.limits.of("input"):
            return ()
        program = subject.program
        return self._remembered(
            ("called", program, *calls),
            lambda: _guarded("program rules", lambda: self._program_rules.examine_calls(program, calls)),
        )

    def _once(self, kind: str, text: str, read: Callable[[str], list[Finding]]) -> tuple[Finding, ...]:
        """Read a text unless the same text was read before: batches repeat programs and inputs often."""
        return self._remembered(
            (kind, text),
            lambda: [
                *_guarded(f"{kind} rules", lambda: read(text)),
                *_guarded("rule engines", lambda: self._engines.findings(kind, text)),
            ],
        )

    def _remembered(self, key: tuple[str, ...], read: Callable[[], list[Finding]]) -> tuple[Finding, ...]:
        known = self._memo.get(key)
        if known is None:
            known = tuple(read())
            if not any(finding.rule == FAILURE for finding in known):
                self._memo[key] = known
                if len(self._memo) > _MEMO:
                    self._memo.popitem(last=False)
        return known

    def _read_program(self, text: str) -> list[Finding]:
        try:
            program = Program(text)
            return [*self._program_rules.examine(program), *self._heard(program, "program")]
        except Unparsable as error:
            return [programs.unparsable(error, "program"), *self._trace_rules.examine(text, "program")]

    def _heard(self, program: Program, part: Part) -> list[Finding]:
        """What the rules on prose find in whatever a program says."""
        findings: list[Finding] = []
        for start, end in program.prose:
            findings.extend(self._trace_rules.examine(program.readable[start:end], part, start))
        for text, place, most in said(program):
            span = place if isinstance(place, tuple) else program.span(place)
            for finding in self._trace_rules.examine(text, part):
                findings.append(Finding(finding.rule, min(finding.severity, most), part, span, finding.why))
        return findings

    def _read_call(self, text: str) -> list[Finding]:
        plain = is_plain_call(text)
        if plain and not speaks(text):
            return []
        try:
            program = Program.call(text)
            found = [] if plain else self._program_rules.examine(program, "input")
            return [*found, *self._heard(program, "input")]
        except Unparsable as error:
            return [programs.unparsable(error, "input"), *self._trace_rules.examine(text, "input")]

    def _read_prose(self, text: str) -> list[Finding]:
        return self._trace_rules.examine(text, "trace")


def _guarded(part: str, read: Callable[[], list[Finding]]) -> list[Finding]:
    """Run one part of the audit; whatever it raises becomes the finding that blocks."""
    try:
        return read()
    except Exception as error:  # fail closed, whatever went wrong
        return [failure(part, error, "program")]


def _on(part: Part, finding: Finding, base: int = 0) -> Finding:
    """A remembered finding, placed in the part at hand."""
    if part == finding.part and not base:
        return finding
    span = None if finding.span is None else (finding.span[0] + base, finding.span[1] + base)
    return Finding(finding.rule, finding.severity, part, span, finding.why)


def _with_severity(finding: Finding, severity: Severity) -> Finding:
    return Finding(finding.rule, severity, finding.part, finding.span, finding.why)
