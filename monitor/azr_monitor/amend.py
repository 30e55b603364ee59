"""One change to a policy that is in force: what it may be, what it is refused for, and the policy that it makes.

A change speaks of one rule, or of one category of a classifier, by its whole name, and says one thing of it: whether it
applies, what its findings call for, or from which values a category has a severity. It carries the whole of what it
says, so that any changes in any order make a policy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from azr_monitor.fields import nearest
from azr_monitor.policy import Policy, PolicyError, rule_ids
from azr_monitor.records import NOTES, Action, Amendment, Severity, printable
from azr_monitor.scopes import UNREAD, Scope, lookup, means, rising
from azr_monitor.sections import ClassifierSettings

_FIXED: Final = (*UNREAD, "policy.", "supervisor.", "review.")
"""What was not read, what failed, and what is said of people's own words: no policy decides about it."""


class Change(NamedTuple):
    """What an amendment does: the setting, what it was and what it becomes, as JSON; and what stays as it is all the
    same, empty for nothing."""

    setting: str
    before: str
    after: str
    note: str = ""


def amended(policy: Policy, amendment: Amendment) -> Policy:
    """The policy with a change in it, also where it is so already.

    Raises:
        PolicyError: the change is none that may be made (see `change_of`).
    """
    _checked(policy, amendment)
    rules = policy.rules
    if amendment.enabled is not None:
        return policy.model_copy(update={"rules": rules.model_copy(update=_switched(policy, amendment))})
    if amendment.action:
        actions = {amendment.rule: Action[amendment.action.upper()]}
        kept = {rule: action for rule, action in rules.actions.items() if rule != amendment.rule}
        return policy.model_copy(update={"rules": rules.model_copy(update={"actions": {**actions, **kept}})})
    entry, category = _category(policy, amendment.rule)
    thresholds = {**entry.thresholds, category: _steps(entry, category, amendment.thresholds)}
    changed = entry.model_copy(update={"thresholds": thresholds})
    entries = tuple(changed if other is entry else other for other in policy.classifiers)
    return policy.model_copy(update={"classifiers": entries})


def change_of(policy: Policy, amendment: Amendment) -> Change:
    """What the amendment would change.

    Raises:
        PolicyError: it names no rule, says nothing, more than one thing or what is so already, has a value that cannot
            be, or would weaken what no policy may weaken.
    """
    change = _checked(policy, amendment)
    if change.before == change.after:
        raise PolicyError(f"{amendment.rule}: {change.setting} is {change.after} already")
    return change


def categories(policy: Policy) -> list[str]:
    """Every ``classifier.category`` that has thresholds under the policy."""
    return [f"{entry.name}.{category}" for entry in policy.classifiers for category in entry.thresholds]


def _checked(policy: Policy, amendment: Amendment) -> Change:
    rule, shown = amendment.rule, printable(amendment.rule)
    said = [amendment.enabled is not None, bool(amendment.action), bool(amendment.thresholds)]
    if sum(said) != 1:
        raise PolicyError(f"{shown}: say one thing of it: on or off, an action, or thresholds")
    if rule.startswith(_FIXED):
        raise PolicyError(f"{shown} cannot be changed: what fails or is not read is blocked under every policy")
    known = [*rule_ids(policy), *categories(policy)]
    if rule not in known:
        raise PolicyError(f"no rule {shown!r}{nearest(rule, known)}; `azr-platform policy show --rules` lists them")
    if amendment.enabled is not None:
        return _switch(policy, rule, amendment.enabled)
    if amendment.action:
        return _action(policy, rule, amendment.action)
    entry, category = _category(policy, rule)
    before, after = entry.thresholds.get(category, {}), _steps(entry, category, amendment.thresholds)
    return Change("thresholds", _named(before), _named(after), _scoped(policy, rule, "thresholds"))


def _switch(policy: Policy, rule: str, enabled: bool) -> Change:
    if not enabled and rule in NOTES:
        raise PolicyError(f"{rule} cannot be turned off: it says what the monitor did, and of what it did not")
    return Change("enabled", json.dumps(policy.applies(rule)), json.dumps(enabled), _scoped(policy, rule, "disabled"))


def _switched(policy: Policy, amendment: Amendment) -> dict[str, tuple[str, ...]]:
    """``disabled`` and ``enabled`` of the rules, with this one's word in them."""
    disabled = tuple(name for name in policy.rules.disabled if name != amendment.rule)
    enabled = tuple(name for name in policy.rules.enabled if name != amendment.rule)
    if not amendment.enabled:
        disabled = (*disabled, amendment.rule)
    elif any(means(pattern, amendment.rule) for pattern in disabled):
        enabled = (*enabled, amendment.rule)
    return {"disabled": disabled, "enabled": enabled}


def _action(policy: Policy, rule: str, name: str) -> Change:
    names = [action.label for action in Action]
    if name not in names:
        raise PolicyError(f"{printable(name)!r} is no action{nearest(name, names)}; there are {', '.join(names)}")
    own = lookup(policy.rules.actions, rule)
    before = None if own is None else Action(own).label
    return Change("action", json.dumps(before), json.dumps(name), _scoped(policy, rule, "actions"))


def _category(policy: Policy, rule: str) -> tuple[ClassifierSettings, str]:
    """The classifier that a rule belongs to, and the category."""
    for entry in policy.classifiers:
        name, _, category = rule.partition(".")
        if name == entry.name and category in entry.thresholds:
            return entry, category
    raise PolicyError(f"{printable(rule)} has no thresholds: only a classifier's categories have")


def _steps(entry: ClassifierSettings, category: str, given: Mapping[str, float]) -> dict[Severity, float]:
    """A category's thresholds with those that are given."""
    names = [severity.label for severity in Severity]
    for name in given:
        if name not in names:
            raise PolicyError(f"{printable(name)!r} is no severity{nearest(name, names)}; there are {', '.join(names)}")
    steps = {**entry.thresholds[category], **{Severity[name.upper()]: float(value) for name, value in given.items()}}
    try:
        rising({category: steps})
    except ValueError as error:
        raise PolicyError(f"{entry.name}.{error}") from error
    return dict(sorted(steps.items()))


def _named(steps: Mapping[Severity, float]) -> str:
    return json.dumps({severity.label: steps[severity] for severity in sorted(steps)})


def _scoped(policy: Policy, rule: str, key: str) -> str:
    """Said where a scope holds something else of the rule for some samples: the change does not reach there."""

    def speaks(scope: Scope) -> bool:
        if key == "thresholds":
            name, _, category = rule.partition(".")
            return category in scope.thresholds.get(name, {})
        if key == "actions":
            return lookup(scope.actions, rule) is not None
        return any(means(pattern, rule) for pattern in (*scope.disabled, *scope.only))

    return "a scope of the policy says otherwise for some samples, and goes on to" * any(map(speaks, policy.scopes))
