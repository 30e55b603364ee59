"""A policy: which findings matter and what is done about them. YAML in, frozen typed models out.

load_policy("default")            one of the shipped policies
load_policy("my/policy.yaml")     your own, on top of what it ``extends``; an unknown key is refused with a suggestion
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from azr_monitor.categories import CATEGORIES
from azr_monitor.documents import DocumentError, read_yaml
from azr_monitor.engines.base import Engine, EngineError, EngineRule, Source
from azr_monitor.engines.examples import with_examples
from azr_monitor.engines.load import compiled
from azr_monitor.evidence import Curve, curve
from azr_monitor.extends import Merged, Place, read
from azr_monitor.extends import Source as PolicySource
from azr_monitor.fields import ActionName, Model, SeverityName, nearest
from azr_monitor.metrics import MetricRule
from azr_monitor.problems import described
from azr_monitor.records import NOTES, SLOW, Action, Part, Severity
from azr_monitor.rules import behaviour, programs
from azr_monitor.rules.base import ProgramRule
from azr_monitor.rules.traces import RulePackError, TraceRule, compile_packs, shipped_rules
from azr_monitor.scopes import CATEGORY, LIFTED, Scope, lookup, means
from azr_monitor.sections import ClassifierSettings, Imports, Leave, Limits, Rate, Rules, Unsure

POLICIES = ("default", "strict", "observe")
"""The shipped policies, package data of ``azr_policies``."""
METRICS: Final = "metrics.yaml"
_JUDGES = (
    ("azr_monitor", "rules", ".py"),
    ("azr_monitor", "engines", ".py"),
    ("azr_monitor", "classifiers/embedded", ".py"),
    ("azr_monitor", "classifiers/embedded/weights", ".json"),  # it says what the weights' digest must be
    ("azr_policies", "rules", ".yaml"),
)
"""What judges beside the policy itself: package, folder and ending of the files."""


class PolicyError(ValueError):
    """A policy cannot be used; the message names the file, the place in it and the remedy."""


class Policy(Model):
    """A whole policy."""

    name: str = Field(min_length=1)
    description: str = ""
    rules: Rules = Rules()
    imports: Imports = Imports()
    limits: Limits = Limits()
    actions: dict[SeverityName, ActionName] = Field(description="what a finding of each severity calls for")
    unsure: Unsure = Unsure()
    rates: tuple[Rate, ...] = Field(default=(), description="what repeated findings call for")
    metrics: tuple[MetricRule, ...] = Field(default=(), description="rules on the run's metrics")
    rollback: Leave = Leave()
    cooldown_steps: int = Field(
        default=0, ge=0, description="steps after an act in which the same does not bring the run to a halt again"
    )
    classifiers: tuple[ClassifierSettings, ...] = ()
    scopes: tuple[Scope, ...] = Field(default=(), description="what holds for some samples only; the later one holds")
    folder: str = Field(default="", exclude=True, description="where relative paths begin; set by load_policy")
    _here: tuple[Scope, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _actions_rise(self) -> Policy:
        missing = [severity.label for severity in Severity if severity not in self.actions]
        if missing:
            raise ValueError(f"actions: {', '.join(missing)} not given; name an action for every severity")
        ordered = [self.actions[severity] for severity in Severity]
        if ordered != sorted(ordered):
            raise ValueError("actions: a worse severity must not call for a weaker action")
        return self

    @model_validator(mode="after")
    def _metric_rules_once(self) -> Policy:
        names = [rule.name for rule in self.metrics]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"metrics: {twice} is given twice; keep one of them, or give it another name")
        return self

    def within(self, role: str, kind: str) -> Policy:
        """This policy as it holds for samples of a role and a kind: the scopes that cover them are in force."""
        if not self.scopes:
            return self
        policy = self.model_copy()
        policy._here = tuple(scope for scope in self.scopes if scope.covers(role, kind))
        return policy

    def action_for(self, rule: str, severity: Severity, part: Part | None = None) -> Action:
        """What a finding of ``rule`` at ``severity`` calls for."""
        for scope in self._scopes(part):
            if (action := lookup(scope.actions, rule)) is not None:
                return Action(action)
        override = lookup(self.rules.actions, rule)
        if override is not None:
            return Action(override)
        # Somebody should hear of it, whatever is done about infos.
        return max(Action.ALERT, self.actions[severity]) if rule == SLOW else self.actions[severity]

    def names(self, rule: str, part: Part | None = None) -> bool:
        """Whether the policy has an action of its own for a rule, whatever the severity; None: in any part."""
        here = self._here if part is None else self._scopes(part)
        tables = (self.rules.actions, *(scope.actions for scope in here))
        return any(table and lookup(table, rule) is not None for table in tables)

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """What classifiers' values weigh, by ``name.category``, for every category that has thresholds here.

        Thresholds for some parts only do not count: a value is the highest of all parts.
        """
        drawn = {}
        for entry in self.classifiers:
            scoped = (scope.thresholds.get(entry.name, {}) for scope in self._here)
            for category in dict.fromkeys((*entry.thresholds, *(name for steps in scoped for name in steps))):
                rule, steps = f"{entry.name}.{category}", self.steps(entry, category, None)
                if steps and self.applies_to(rule, None):
                    drawn[rule] = curve(entry.name, steps)
        return drawn

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Policy:
        """A policy with other settings, which draws its own curves."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("curves", None)
        return copied

    def severity_of(self, rule: str, own: Severity, part: Part | None = None) -> Severity:
        """The severity a rule's findings have under this policy."""
        for scope in self._scopes(part):
            if (severity := lookup(scope.severities, rule)) is not None:
                return Severity(severity)
        override = lookup(self.rules.severities, rule)
        return own if override is None else override

    def steps(self, entry: ClassifierSettings, category: str, part: Part | None) -> dict[Severity, float]:
        """The values from which a classifier's category has a severity."""
        for scope in self._scopes(part):
            if category in (thresholds := scope.thresholds.get(entry.name, {})):
                return thresholds[category]
        return entry.thresholds.get(category, {})

    def applies(self, rule: str) -> bool:
        """Whether a rule is in force for any sample."""
        if any(means(pattern, rule) for pattern in self.rules.enabled):
            return True
        return not any(means(pattern, rule) for pattern in self.rules.disabled)

    def applies_to(self, rule: str, part: Part | None) -> bool:
        """Whether a rule's findings on a part count for the samples that this policy was narrowed to."""
        here = self._scopes(part)
        if not self.applies(rule) or any(means(pattern, rule) for scope in here for pattern in scope.disabled):
            return False
        bound = any(scope.names(rule) for scope in self.scopes)
        return not bound or any(scope.names(rule) for scope in here)

    def _scopes(self, part: Part | None) -> list[Scope]:
        """The scopes in force for a part, the one that holds first."""
        return [scope for scope in reversed(self._here) if scope.reaches(part)]

    def trace_rules(self) -> tuple[TraceRule, ...]:
        """The trace rules in force, the policy's own packs included.

        Raises:
            PolicyError: a pack of the policy is missing or malformed.
        """
        return tuple(rule for rule in _all_trace_rules(self) if self.applies(rule.id))

    def place_of(self, rule: str) -> str:
        """``file:line`` of a trace rule in a pack of the policy's own; empty for a shipped one."""
        for source in _files(self, "packs", self.rules.packs):
            found = re.search(rf"\bid:\s*['\"]?{re.escape(rule)}\b(?![.-])", source.text)
            if found is not None:
                return f"{source.place}:{source.text.count(chr(10), 0, found.start()) + 1}"
        return ""

    def program_rules(self) -> tuple[ProgramRule, ...]:
        """The program rules in force."""
        return tuple(rule for rule in programs.RULES if self.applies(rule.id))

    def engine_rules(self) -> tuple[EngineRule, ...]:
        """The rules of YARA and ast-grep in force.

        Raises:
            PolicyError: an engine is not installed, or a file of its rules is missing or does not compile.
        """
        rules = [rule for engine in self.engines() for rule in engine.rules]
        try:
            rules = list(with_examples(rules, _files(self, "examples", self.rules.examples)))
        except EngineError as error:
            raise PolicyError(f"policy {self.name}: {error}") from error
        return tuple(rule for rule in rules if self.applies(rule.id))

    def engines(self) -> tuple[Engine, ...]:
        """The engines that the policy has rules for, those rules compiled.

        Raises:
            PolicyError: as for ``engine_rules``.
        """
        try:
            return compiled(*self.engine_sources())
        except EngineError as error:
            raise PolicyError(f"policy {self.name}: {error}") from error

    def engine_sources(self) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
        """The files of YARA rules, and those of ast-grep rules.

        Raises:
            PolicyError: one cannot be read.
        """
        yara, ast_grep = (_files(self, key, getattr(self.rules, key)) for key in ("yara", "ast_grep"))
        return yara, ast_grep

    def behaviour_rules(self) -> tuple[behaviour.BehaviourRule, ...]:
        """The behaviour rules in force."""
        return tuple(rule for rule in behaviour.RULES if self.applies(rule.id))

    def metric_rules(self) -> tuple[MetricRule, ...]:
        """The metric rules in force, with the severity and the action that each has under this policy."""
        return tuple(self._settled(rule) for rule in self.metrics if self.applies(rule.name))

    def _settled(self, rule: MetricRule) -> MetricRule:
        severity = self.severity_of(rule.name, rule.severity)
        own = self.actions[severity] if rule.action is None else rule.action
        override = lookup(self.rules.actions, rule.name)
        # There is no sample to hold or drop: what is as grave as that should be heard of.
        chosen = own if override is None else override
        action = Action.ALERT if chosen in (Action.HOLD, Action.DROP) else chosen
        return rule.model_copy(update={"severity": severity, "action": action})

    def fingerprint(self) -> str:
        """A short digest of everything that judges under this policy, rules included, for the record."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for package, room, ending in _JUDGES:
            folder = resources.files(package).joinpath(room)
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
                if entry.name.endswith(ending):
                    digest.update(entry.read_bytes())
        yara, ast_grep = self.engine_sources()
        for source in (*_files(self, "packs", self.rules.packs), *yara, *ast_grep):
            digest.update(source.text.encode())
        for package, sources in (("yara-x", yara), ("ast-grep-py", ast_grep)):
            digest.update(version(package).encode() if sources else b"")
        return digest.hexdigest()[:16]


def _files(policy: Policy, key: str, names: Sequence[str]) -> tuple[Source, ...]:
    """The texts of files that a policy names under ``rules``."""
    found: list[Source] = []
    for name in names:
        path = Path(policy.folder, name)
        here = Path.cwd()
        place = str(path.relative_to(here) if path.is_relative_to(here) else path)
        try:
            found.append(Source(place, path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(f"policy {policy.name}: rules.{key}: cannot read {place}: {error}") from error
    return tuple(found)


def _all_trace_rules(policy: Policy) -> tuple[TraceRule, ...]:
    own = {source.place: source.text for source in _files(policy, "packs", policy.rules.packs)}
    try:
        if not own:
            return shipped_rules()
        return (*shipped_rules(), *compile_packs(own))
    except RulePackError as error:
        raise PolicyError(f"policy {policy.name}: {error}") from error


# -- loading --------------------------------------------------------------------------------------------


def load_policy(name_or_path: str | Path) -> Policy:
    """Load a shipped policy by name, or a policy file by path, on top of what it extends.

    Raises:
        PolicyError: unknown name, unreadable file, or anything in it that is not exactly right.
    """
    try:
        merged = read(str(name_or_path), _source)
    except DocumentError as error:
        raise PolicyError(str(error)) from error
    if "folder" in merged.data:
        raise PolicyError(f"{merged.source.place}: 'folder' is not a setting; remove it")
    try:
        policy = Policy.model_validate({**merged.data, "folder": merged.source.folder})
    except ValidationError as error:
        raise PolicyError("; and ".join(described(problem, merged, Policy) for problem in error.errors())) from error
    policy = _with_shipped_metrics(policy)
    _check_rule_ids(policy, merged)
    return policy


@lru_cache(maxsize=1)
def shipped_metric_rules() -> tuple[MetricRule, ...]:
    """The metric rules that come with the package."""
    text = resources.files("azr_policies").joinpath(METRICS).read_text(encoding="utf-8")
    return tuple(MetricRule.model_validate(rule) for rule in read_yaml(text, METRICS).data["metrics"])


def _with_shipped_metrics(policy: Policy) -> Policy:
    """The shipped metric rules apply unless disabled, as all shipped rules do; a policy's own takes one's place by its
    name."""
    own = {rule.name for rule in policy.metrics}
    shipped = (rule for rule in shipped_metric_rules() if rule.name not in own)
    return policy.model_copy(update={"metrics": (*shipped, *policy.metrics)})


def _source(name: str) -> PolicySource:
    if name in POLICIES:
        text = resources.files("azr_policies").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        return PolicySource(text, f"{name}.yaml", "")
    path = Path(name)
    if not path.is_file():
        hint = nearest(name, POLICIES)
        raise PolicyError(f"policy {name!r}: no such file, and no shipped policy{hint}; shipped: {', '.join(POLICIES)}")
    try:
        return PolicySource(path.read_text(encoding="utf-8"), str(path), str(path.resolve().parent))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"policy {path}: cannot be read: {error}") from error


@lru_cache(maxsize=1)
def _fixed_ids() -> tuple[str, ...]:
    return (
        *(rule.id for rule in programs.RULES),
        *(rule.id for rule in behaviour.RULES),
        programs.UNPARSABLE,
        programs.TOO_COMPLEX,
        LIFTED,
        *NOTES,
    )


def rule_ids(policy: Policy) -> list[str]:
    """Every rule a policy can speak of, its own packs included; disabled ones too."""
    metrics = (rule.name for rule in policy.metrics)
    policy.engine_rules()  # whatever is wrong with their examples is said here
    foreign = (rule.id for engine in policy.engines() for rule in engine.rules)
    return sorted({*_fixed_ids(), *(rule.id for rule in _all_trace_rules(policy)), *foreign, *metrics})


def _check_rule_ids(policy: Policy, merged: Merged) -> None:
    """Refuse a rule id or pattern that means no rule, or it would silently do nothing."""
    known = rule_ids(policy)
    own = [entry.name for entry in policy.classifiers]
    classified = re.compile(rf"(?:{'|'.join(map(re.escape, ['detoxify', *own]))})\.\S+")
    for pattern, path in _named_rules(policy):
        where = f"{merged.line(path)}: {'.'.join(map(str, path[:3] if path[0] == 'scopes' else path[:2]))}"
        if pattern.startswith(CATEGORY):
            if (category := pattern.removeprefix(CATEGORY)) not in CATEGORIES:
                hint = nearest(category, CATEGORIES)
                raise PolicyError(f"{where}: no category {category!r}{hint}; known: {', '.join(CATEGORIES)}")
        elif not any(fnmatchcase(rule, pattern) for rule in known) and not classified.fullmatch(pattern):
            raise PolicyError(
                f"{where}: no rule {pattern!r}{nearest(pattern, known)}; `policy show --rules` lists them"
            )
    for at, scope in enumerate(policy.scopes):
        for name in scope.thresholds:
            if name not in own:
                where = f"{merged.line(('scopes', at, 'thresholds', name))}: scopes.{at}.thresholds"
                raise PolicyError(f"{where}: no classifier {name!r}{nearest(name, own)}; add it under classifiers")


def _named_rules(policy: Policy) -> Iterator[tuple[str, Place]]:
    """Every rule id or pattern that a policy names, and where."""
    for holder, path in (
        (policy.rules, ("rules",)),
        *((scope, ("scopes", at)) for at, scope in enumerate(policy.scopes)),
    ):
        for key in ("only", "disabled", "enabled"):
            yield from ((pattern, (*path, key, at)) for at, pattern in enumerate(getattr(holder, key, ())))
        for key in ("severities", "actions"):
            yield from ((pattern, (*path, key, pattern)) for pattern in getattr(holder, key))
    for at, entry in enumerate(policy.rules.allow):
        yield entry.rule, ("rules", "allow", at, "rule")
