"""The whole audit of a batch, before anything runs and after it ran.

    inspect:   subjects ─► limits ─► rules on programs, traces ─► engines ─► classifiers ─► scopes ─► decide ─► verdicts
                             │               │                       │            │
                             └───────────────┴─ a part that raises ──┴────────────┴─► that subject is blocked

    conclude:  verdict + executions ─► behaviour rules ─► decide ─► verdict (never milder than before)

Nothing a model wrote is evaluated here: programs are parsed, prose is matched and scored.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from azr_monitor.classifiers.base import Classifier, ClassifierUnavailable
from azr_monitor.decide import decide
from azr_monitor.engines.reader import EngineReader
from azr_monitor.policy import Policy, PolicyError
from azr_monitor.records import FAILURE, LIMIT, PARTS, Finding, Part, Score, Severity, Subject, Verdict, printable
from azr_monitor.rules import behaviour, programs
from azr_monitor.rules.traces import TraceRules
from azr_monitor.rules.tree import Program, Unparsable, is_plain_call
from azr_monitor.scopes import UNREAD, lift
from azr_monitor.sections import ClassifierSettings
from azr_sandbox.execution import Execution

_MEMO = 8192
_PROSE_WORD = re.compile(r"[^\W\d_]{2,}")


class _Evidence(NamedTuple):
    """What is known about one subject while its batch is judged, and the policy as it holds for it."""

    subject: Subject
    policy: Policy
    findings: list[Finding]
    scores: dict[tuple[str, str], float]


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
        self._trace_rules = TraceRules(policy.trace_rules())
        self._program_rules = policy.program_rules()
        self._behaviour_rules = policy.behaviour_rules()
        self._engines = EngineReader(policy)
        self._allowed = policy.imports.names
        known = {entry.name: entry for entry in policy.classifiers}
        missing = [classifier.name for classifier in classifiers if classifier.name not in known]
        if missing:
            raise PolicyError(f"policy {policy.name}: classifiers: no settings for {', '.join(missing)}; add an entry")
        self._classifiers = [(classifier, known[classifier.name]) for classifier in classifiers]
        self._memo: OrderedDict[tuple[str, str], tuple[Finding, ...]] = OrderedDict()
        self._scored: OrderedDict[tuple[str, str], dict[str, float]] = OrderedDict()

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
        return cls(policy, loaded, notices)

    # -- before anything runs ---------------------------------------------------------------------------

    def inspect(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """One verdict for each subject, in order. Never raises on what a subject holds; what fails blocks."""
        batch = [_Evidence(subject, self._within(subject.role, subject.kind), [], {}) for subject in subjects]
        for evidence in batch:
            evidence.findings.extend(_guarded("rules", lambda s=evidence.subject: self._read(s)))  # type: ignore[misc]
        for classifier, settings in self._classifiers:
            self._classify(classifier, settings, batch)
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

    def _decide(self, evidence: _Evidence) -> Verdict:
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
            return [_on(part, finding) for finding in self._once("program", text, self._read_program)]
        if part == "input":
            findings: list[Finding] = []
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

    def _once(self, kind: str, text: str, read: Callable[[str], list[Finding]]) -> tuple[Finding, ...]:
        """Read a text unless the same text was read before: batches repeat programs and inputs often."""
        key = (kind, text)
        known = self._memo.get(key)
        if known is None:
            known = (
                *_guarded(f"{kind} rules", lambda: read(text)),
                *_guarded("rule engines", lambda: self._engines.findings(kind, text)),
            )
            if not any(finding.rule == FAILURE for finding in known):
                self._memo[key] = known
                if len(self._memo) > _MEMO:
                    self._memo.popitem(last=False)
        return known

    def _read_program(self, text: str) -> list[Finding]:
        try:
            program = Program(text)
        except Unparsable as error:
            return [programs.unparsable(error, "program"), *self._trace_rules.examine(text, "program")]
        findings = programs.examine(program, self._program_rules, self._allowed)
        for start, end in program.prose:
            findings.extend(self._trace_rules.examine(text[start:end], "program", start))
        return findings

    def _read_call(self, text: str) -> list[Finding]:
        if is_plain_call(text):
            return []
        try:
            program = Program.call(text)
        except Unparsable as error:
            return [programs.unparsable(error, "input"), *self._trace_rules.examine(text, "input")]
        findings = programs.examine(program, self._program_rules, self._allowed, "input")
        for start, end in program.prose:
            findings.extend(self._trace_rules.examine(text[start:end], "input", start))
        return findings

    def _read_prose(self, text: str) -> list[Finding]:
        return self._trace_rules.examine(text, "trace")

    # -- classifiers ------------------------------------------------------------------------------------

    def _classify(self, classifier: Classifier, settings: ClassifierSettings, batch: Sequence[_Evidence]) -> None:
        """Score the prose of a whole batch at once; a failure blocks every subject that had prose to score."""
        wanted = [self._prose(evidence.subject, settings) for evidence in batch]
        try:
            windows = {text: classifier.windows(text) for texts in wanted for _, _, text in texts}
            new = dict.fromkeys(
                text[start:end]
                for text, ranges in windows.items()
                for start, end in ranges
                if (classifier.name, text[start:end]) not in self._scored
            )
            self._remember(classifier, list(new))
            for texts, evidence in zip(wanted, batch, strict=True):
                for part, base, text in texts:
                    ranges = windows[text]
                    if settings.max_windows and len(ranges) > settings.max_windows:
                        most = settings.max_windows
                        why = f"{part} needs {len(ranges)} windows, {classifier.name} reads at most {most}"
                        evidence.findings.append(Finding(LIMIT, Severity.MEDIUM, part, None, why))
                    for start, end in ranges:
                        values = self._scored[classifier.name, text[start:end]]
                        self._weigh(classifier, settings, values, (part, base + start, base + end), evidence)
        except Exception as error:  # whatever a model library raises, unread prose must not pass
            for texts, evidence in zip(wanted, batch, strict=True):
                if texts:
                    evidence.findings.append(_failure(classifier.name, error, texts[0][0]))
        while len(self._scored) > _MEMO:
            self._scored.popitem(last=False)

    def _prose(self, subject: Subject, settings: ClassifierSettings) -> list[tuple[Part, int, str]]:
        """The texts of a subject that the classifier reads: (part, offset in the part, text)."""
        found: list[tuple[Part, int, str]] = []
        for part in settings.parts:
            text = subject.text(part)
            if not text or len(text) > self.policy.limits.of(part):
                continue
            if part == "program" or (part == "answer" and subject.kind == "induction"):
                pieces = _comments(text)
            else:
                pieces = [(0, len(text))]
            for start, end in pieces:
                piece = text[start:end]
                words = _PROSE_WORD.finditer(piece)
                if sum(1 for _, _ in zip(range(settings.min_words), words, strict=False)) >= settings.min_words:
                    found.append((part, start, piece))
        return found

    def _remember(self, classifier: Classifier, texts: list[str]) -> None:
        """Score texts and keep the values, refusing answers that are not one number in 0..1 a category."""
        if not texts:
            return
        values = classifier.score(texts)
        if len(values) != len(texts):
            raise ValueError(f"{len(values)} scores for {len(texts)} texts")
        for text, scores in zip(texts, values, strict=True):
            if set(scores) != set(classifier.categories) or not all(0.0 <= v <= 1.0 for v in scores.values()):
                raise ValueError("scores that are not one number in 0..1 for each category")
            self._scored[classifier.name, text] = scores

    def _weigh(
        self,
        classifier: Classifier,
        settings: ClassifierSettings,
        values: dict[str, float],
        place: tuple[Part, int, int],
        evidence: _Evidence,
    ) -> None:
        """Keep each category's highest value, and find where it passes a threshold."""
        part, start, end = place
        for category, value in values.items():
            key = (classifier.name, category)
            evidence.scores[key] = max(value, evidence.scores.get(key, 0.0))
            steps = evidence.policy.steps(settings, category, part)
            passed = [severity for severity, least in steps.items() if value >= least]
            if passed:
                rule = f"{classifier.name}.{category}"
                why = f"{classifier.name} scores {category} {value:.2f}"
                evidence.findings.append(Finding(rule, max(passed), part, (start, end), why))


def _guarded(part: str, read: Callable[[], list[Finding]]) -> list[Finding]:
    """Run one part of the audit; whatever it raises becomes the finding that blocks."""
    try:
        return read()
    except Exception as error:  # fail closed, whatever went wrong
        return [_failure(part, error, "program")]


def _failure(part: str, error: Exception, where: Part) -> Finding:
    why = f"{part} failed: {type(error).__name__}: {printable(str(error), 200)}"
    return Finding(FAILURE, Severity.HIGH, where, None, why)


def _on(part: Part, finding: Finding, base: int = 0) -> Finding:
    """A remembered finding, placed in the part at hand."""
    if part == finding.part and not base:
        return finding
    span = None if finding.span is None else (finding.span[0] + base, finding.span[1] + base)
    return Finding(finding.rule, finding.severity, part, span, finding.why)


def _with_severity(finding: Finding, severity: Severity) -> Finding:
    return Finding(finding.rule, severity, finding.part, finding.span, finding.why)


def _comments(text: str) -> list[tuple[int, int]]:
    try:
        return Program(text).prose
    except Unparsable:
        return [(0, len(text))]
