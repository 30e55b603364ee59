"""Every rule of a policy as people look at it, also those that are off, and the categories of its classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from azr_monitor.categories import category_of
from azr_monitor.evidence import certainty
from azr_monitor.policy import Policy
from azr_monitor.records import Action, Severity


class Entry(NamedTuple):
    """One rule under a policy. ``action``: what its findings call for at ``severity``; ``thresholds`` of a classifier's
    category, by the names of severities, where ``severity`` is the mildest of them."""

    rule: str
    sort: str
    severity: Severity
    action: Action
    enabled: bool
    category: str
    why: str
    catch: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = {}


def entries(policy: Policy) -> list[Entry]:
    """Every rule, by name. What scopes say for some samples only is left aside.

    Raises:
        PolicyError: files of the policy's own rules cannot be read.
    """
    # All of them: what is off is in the list too.
    whole = policy.model_copy(update={"rules": policy.rules.model_copy(update={"disabled": ()})})
    found = [*_rules(whole, policy), *_metrics(whole, policy), *_categories(policy)]
    return sorted(found, key=lambda entry: entry.rule)


def _rules(whole: Policy, policy: Policy) -> Iterator[Entry]:
    sorts: Sequence[tuple[str, Sequence[object]]] = (
        ("program", whole.program_rules()),
        ("trace", whole.trace_rules()),
        ("behaviour", whole.behaviour_rules()),
        ("engine", whole.engine_rules()),
    )
    for sort, rules in sorts:
        for rule in rules:
            name, why = str(getattr(rule, "id")), str(getattr(rule, "why"))  # noqa: B009 four kinds of rule, alike in this
            severity = policy.severity_of(name, getattr(rule, "severity"))  # noqa: B009
            catch, spare = (tuple(map(_text, getattr(rule, which))) for which in ("catch", "spare"))
            yield Entry(
                name,
                sort,
                severity,
                policy.action_for(name, severity),
                policy.applies(name),
                category_of(name),
                why,
                catch,
                spare,
            )


def _metrics(whole: Policy, policy: Policy) -> Iterator[Entry]:
    for rule in whole.metric_rules():
        catch, spare = (tuple(str(list(series)) for series in given) for given in (rule.catch, rule.spare))
        action = rule.action if rule.action is not None else Action.RECORD
        why = f"{rule.why} (reads {rule.metric})"
        yield Entry(
            rule.name,
            "metric",
            rule.severity,
            action,
            policy.applies(rule.name),
            category_of(rule.name),
            why,
            catch,
            spare,
        )


def _categories(policy: Policy) -> Iterator[Entry]:
    for classifier in policy.classifiers:
        for category, steps in classifier.thresholds.items():
            name = f"{classifier.name}.{category}"
            severity = min(steps, default=certainty(policy.unsure.at_least))
            yield Entry(
                name,
                "classifier",
                severity,
                policy.action_for(name, severity),
                policy.applies(name) and classifier.enabled,
                category_of(name),
                f"a category of the classifier {classifier.name}, whose values lie in 0..1",
                thresholds={level.label: steps[level] for level in sorted(steps)},
            )


def _text(example: object) -> str:
    """A program or a text as it is; of behaviour the outcome's name."""
    return str(getattr(example, "value", example))
