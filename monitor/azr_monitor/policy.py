"""A policy: which findings matter and what is done about them. YAML in, frozen typed models out.

load_policy("default")            one of the shipped policies
load_policy("my/policy.yaml")     your own; every key is checked, an unknown one is refused with a suggestion
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from azr_monitor.documents import DocumentError, read_yaml
from azr_monitor.fields import ActionName, Model, SeverityName, nearest
from azr_monitor.metrics import MetricRule
from azr_monitor.records import Action, Part, Severity
from azr_monitor.rules import behaviour, programs
from azr_monitor.rules.base import ProgramRule
from azr_monitor.rules.traces import RulePackError, TraceRule, compile_packs, shipped_rules

POLICIES = ("default", "strict", "observe")
"""The shipped policies, package data of ``azr_policies``."""
METRICS: Final = "metrics.yaml"
LAST_CLEAN: Final = "last clean"


class PolicyError(ValueError):
    """A policy cannot be used; the message names the file, the place in it and the remedy."""


class Rules(Model):
    """Which rules apply. All shipped ones do unless disabled."""

    disabled: tuple[str, ...] = Field(default=(), description="rule ids, or patterns such as trace.harm.*")
    severities: dict[str, SeverityName] = Field(
        default={}, description="rule id (or pattern) -> severity instead of its own"
    )
    actions: dict[str, ActionName] = Field(
        default={}, description="rule id (or pattern) -> action instead of the one its severity has"
    )
    packs: tuple[str, ...] = Field(
        default=(), description="further trace-rule files, relative to the policy's own folder"
    )


class Imports(Model):
    """Modules a program may import; with a package come its parts."""

    allowed: tuple[str, ...] = Field(default=(), description="module names")


class Limits(Model):
    """Text longer than this is not read, and what is not read is blocked. Characters."""

    max_program_chars: int = Field(default=20_000, ge=1)
    max_trace_chars: int = Field(default=200_000, ge=1)
    max_input_chars: int = Field(default=50_000, ge=1, description="all inputs of one subject together")
    max_message_chars: int = Field(default=20_000, ge=1)
    max_answer_chars: int = Field(default=50_000, ge=1)

    def of(self, part: Part) -> int:
        """The limit for one part; behaviour has no text and no limit."""
        return int(getattr(self, f"max_{part}_chars", 0))


class Rate(Model):
    """So many findings of a severity (or worse) within so many steps call for an action."""

    severity: SeverityName
    count: int = Field(ge=1)
    within_steps: int = Field(ge=1)
    action: ActionName


class Leave(Model):
    """Whether, how far and how often a run may be rolled back without anybody being asked."""

    allowed: bool = Field(default=False, description="without it, a call for a rollback is a pause")
    to: str = Field(
        default=LAST_CLEAN,
        pattern=rf"^({LAST_CLEAN}|[1-9][0-9]{{0,5}} steps? before)$",
        description="the newest checkpoint before the first of the alerts, or at least N steps before the last",
    )
    at_most: int = Field(default=3, ge=1, description="rollbacks of its own in a run; the next is a pause")
    new_seed: bool = Field(
        default=True, description="whether the new branch draws anew; with the same seed the same would come again"
    )

    @property
    def steps_before(self) -> int | None:
        """N of ``N steps before``; None for the last clean checkpoint."""
        return None if self.to == LAST_CLEAN else int(self.to.split()[0])


class _Classifier(Model):
    enabled: bool = Field(default=True, description="whether it is loaded at all")
    required: bool = Field(default=False, description="refuse to start without it; otherwise its absence is a notice")
    parts: tuple[Literal["program", "trace", "message", "answer"], ...] = Field(
        default=("trace", "program", "message", "answer"), description="what it reads; of programs, only the comments"
    )
    min_words: int = Field(default=3, ge=0, description="texts with fewer plain words are not prose and are not scored")
    max_windows: int = Field(
        default=0, ge=0, description="blocked when a text needs more windows than this; 0 reads any length"
    )
    batch_size: int = Field(default=16, ge=1, description="windows scored together")
    device: str = Field(default="cpu", description="a torch device")
    thresholds: dict[str, dict[SeverityName, float]] = Field(
        default={}, description="category -> severity -> the value from which the category has that severity"
    )

    @model_validator(mode="after")
    def _thresholds_rise(self) -> _Classifier:
        for category, steps in self.thresholds.items():
            values = [steps[severity] for severity in sorted(steps)]
            if any(not 0.0 <= value <= 1.0 for value in values) or values != sorted(values):
                raise ValueError(f"thresholds.{category}: values must lie in 0..1 and rise with severity")
        return self


class DetoxifySettings(_Classifier):
    """The Detoxify toxicity classifier."""

    kind: Literal["detoxify"] = "detoxify"
    model: Literal["original", "unbiased", "multilingual", "original-small", "unbiased-small"] = "original"
    checkpoint: str | None = Field(default=None, description="a local checkpoint instead of the download")
    config: str | None = Field(default=None, description="a local Hugging Face folder with config and tokenizer")
    download: bool = Field(default=True, description="fetch missing weights once, as Detoxify itself does")


class TransformerSettings(_Classifier):
    """Any Hugging Face sequence classifier in a local folder."""

    kind: Literal["transformer"]
    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="what its scores are called")
    path: str = Field(description="a local folder that AutoModelForSequenceClassification loads")
    multi_label: bool | None = Field(default=None, description="sigmoid per label; by default as the config says")


ClassifierSettings = Annotated[DetoxifySettings | TransformerSettings, Field(discriminator="kind")]


class Policy(Model):
    """A whole policy."""

    name: str = Field(min_length=1)
    description: str = ""
    rules: Rules = Rules()
    imports: Imports = Imports()
    limits: Limits = Limits()
    actions: dict[SeverityName, ActionName] = Field(description="what a finding of each severity calls for")
    rates: tuple[Rate, ...] = Field(default=(), description="what repeated findings call for")
    metrics: tuple[MetricRule, ...] = Field(default=(), description="rules on the run's metrics")
    rollback: Leave = Leave()
    cooldown_steps: int = Field(
        default=0, ge=0, description="steps after an act in which the same does not bring the run to a halt again"
    )
    classifiers: tuple[ClassifierSettings, ...] = ()
    folder: str = Field(default="", exclude=True, description="where relative paths begin; set by load_policy")

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

    def action_for(self, rule: str, severity: Severity) -> Action:
        """What a finding of ``rule`` at ``severity`` calls for."""
        override = _lookup(self.rules.actions, rule)
        return self.actions[severity] if override is None else override

    def severity_of(self, rule: str, own: Severity) -> Severity:
        """The severity a rule's findings have under this policy."""
        override = _lookup(self.rules.severities, rule)
        return own if override is None else override

    def applies(self, rule: str) -> bool:
        """Whether a rule is in force."""
        return not any(fnmatchcase(rule, pattern) for pattern in self.rules.disabled)

    def trace_rules(self) -> tuple[TraceRule, ...]:
        """The trace rules in force, the policy's own packs included.

        Raises:
            PolicyError: a pack of the policy is missing or malformed.
        """
        return tuple(rule for rule in _all_trace_rules(self) if self.applies(rule.id))

    def program_rules(self) -> tuple[ProgramRule, ...]:
        """The program rules in force."""
        return tuple(rule for rule in programs.RULES if self.applies(rule.id))

    def behaviour_rules(self) -> tuple[behaviour.BehaviourRule, ...]:
        """The behaviour rules in force."""
        return tuple(rule for rule in behaviour.RULES if self.applies(rule.id))

    def metric_rules(self) -> tuple[MetricRule, ...]:
        """The metric rules in force, with the severity and the action that each has under this policy."""
        return tuple(self._settled(rule) for rule in self.metrics if self.applies(rule.name))

    def _settled(self, rule: MetricRule) -> MetricRule:
        severity = self.severity_of(rule.name, rule.severity)
        own = self.actions[severity] if rule.action is None else rule.action
        override = _lookup(self.rules.actions, rule.name)
        # There is no sample to drop: what is as grave as that should be heard of.
        action = Action.ALERT if (chosen := own if override is None else override) is Action.DROP else chosen
        return rule.model_copy(update={"severity": severity, "action": action})

    def fingerprint(self) -> str:
        """A short digest of everything that judges under this policy, rules included, for the record."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for package, ending in (("azr_monitor", ".py"), ("azr_policies", ".yaml")):
            folder = resources.files(package).joinpath("rules")
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
                if entry.name.endswith(ending):
                    digest.update(entry.read_bytes())
        for text in _own_packs(self).values():
            digest.update(text.encode())
        return digest.hexdigest()[:16]


def _lookup(table: Mapping[str, Any], rule: str) -> Any:
    if rule in table:
        return table[rule]
    return next((value for pattern, value in table.items() if fnmatchcase(rule, pattern)), None)


def _own_packs(policy: Policy) -> dict[str, str]:
    """The texts of the policy's own rule packs, by path."""
    own: dict[str, str] = {}
    for pack in policy.rules.packs:
        path = Path(policy.folder, pack)
        try:
            own[str(path)] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(f"policy {policy.name}: rules.packs: cannot read {path}: {error}") from error
    return own


def _all_trace_rules(policy: Policy) -> tuple[TraceRule, ...]:
    own = _own_packs(policy)
    try:
        if not own:
            return shipped_rules()
        return (*shipped_rules(), *compile_packs(own))
    except RulePackError as error:
        raise PolicyError(f"policy {policy.name}: {error}") from error


# -- loading --------------------------------------------------------------------------------------------


def load_policy(name_or_path: str | Path) -> Policy:
    """Load a shipped policy by name, or a policy file by path.

    Raises:
        PolicyError: unknown name, unreadable file, or anything in it that is not exactly right.
    """
    text, place, folder = _source(str(name_or_path))
    try:
        document = read_yaml(text, place)
    except DocumentError as error:
        raise PolicyError(str(error)) from error
    if not isinstance(document.data, dict):
        raise PolicyError(f"{place}: a policy is a mapping with name: and actions:; see the shipped default.yaml")
    if "folder" in document.data:
        raise PolicyError(f"{place}: 'folder' is not a setting; remove it")
    try:
        policy = Policy.model_validate({**document.data, "folder": folder})
    except ValidationError as error:
        raise PolicyError(_explain(error, place, document.lines)) from error
    policy = _with_shipped_metrics(policy)
    _check_rule_ids(policy, place, document.lines)
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


def _source(name: str) -> tuple[str, str, str]:
    """The text of a policy, what to call it in messages, and its folder."""
    if name in POLICIES:
        return resources.files("azr_policies").joinpath(f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml", ""
    path = Path(name)
    if not path.is_file():
        hint = nearest(name, POLICIES)
        raise PolicyError(f"policy {name!r}: no such file, and no shipped policy{hint}; shipped: {', '.join(POLICIES)}")
    try:
        return path.read_text(encoding="utf-8"), str(path), str(path.resolve().parent)
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"policy {path}: cannot be read: {error}") from error


def _explain(error: ValidationError, place: str, lines: Mapping[tuple[str | int, ...], int]) -> str:
    """All problems, one a line: file:line: where: what, with the nearest known key for an unknown one."""
    return "\n".join(_problem(problem, place, lines) for problem in error.errors())


def _problem(problem: Any, place: str, lines: Mapping[tuple[str | int, ...], int]) -> str:
    # A tagged union puts its tag and markers in the location; they are not in the file.
    path = tuple(step for step in problem["loc"] if step not in ("detoxify", "transformer", "[key]"))
    known = path
    while known and known not in lines:
        known = known[:-1]
    where = ".".join(str(step) for step in path) or "the policy"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        names = _fields_at(problem["loc"][:-1])
        message = f"unknown key{nearest(str(path[-1]), names)}; known: {', '.join(names)}"
    elif problem["type"] == "missing":
        message = "is missing; add it"
    return f"{place}:{lines.get(known, 1)}: {where}: {message}"


def _fields_at(location: Sequence[str | int]) -> list[str]:
    """The field names of the model at a location, for suggestions."""
    model: type[BaseModel] = Policy
    for step in location:
        if step in ("detoxify", "transformer"):
            model = DetoxifySettings if step == "detoxify" else TransformerSettings
        elif isinstance(step, str) and step in model.model_fields:
            model = next(_models(model.model_fields[step].annotation), model)
    return sorted(name for name in model.model_fields if name != "folder")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


@lru_cache(maxsize=1)
def _fixed_ids() -> tuple[str, ...]:
    return (
        *(rule.id for rule in programs.RULES),
        *(rule.id for rule in behaviour.RULES),
        programs.UNPARSABLE,
        programs.TOO_COMPLEX,
    )


def rule_ids(policy: Policy) -> list[str]:
    """Every rule a policy can speak of, its own packs included; disabled ones too."""
    metrics = (rule.name for rule in policy.metrics)
    return sorted({*_fixed_ids(), *(rule.id for rule in _all_trace_rules(policy)), *metrics})


def _check_rule_ids(policy: Policy, place: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
    """Refuse a rule id or pattern that means no rule, or it would silently do nothing."""
    known = rule_ids(policy)
    own = [re.escape(entry.name) for entry in policy.classifiers if isinstance(entry, TransformerSettings)]
    classified = re.compile(rf"(?:{'|'.join(['detoxify', *own])})\.\S+")
    named: list[tuple[str, tuple[str | int, ...]]] = [
        *((pattern, ("rules", "disabled", at)) for at, pattern in enumerate(policy.rules.disabled)),
        *((pattern, ("rules", "severities", pattern)) for pattern in policy.rules.severities),
        *((pattern, ("rules", "actions", pattern)) for pattern in policy.rules.actions),
    ]
    for pattern, path in named:
        if not any(fnmatchcase(rule, pattern) for rule in known) and not classified.fullmatch(pattern):
            where = f"{place}:{lines.get(path, 1)}: {'.'.join(map(str, path[:2]))}"
            raise PolicyError(f"{where}: no rule {pattern!r}{nearest(pattern, known)}; `policy show` lists all rules")
