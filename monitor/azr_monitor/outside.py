"""What a policy takes from outside of the package: files, models, endpoints. One in somebody's record may name any."""

from __future__ import annotations

from azr_monitor.extends import FILES, PATHS
from azr_monitor.policy import Policy

_NAMES = (*PATHS, "hub", "url")


def named_outside(policy: Policy) -> list[str]:
    """Everything that would be opened or asked to judge by the policy, as ``key: name``."""
    files = [f"rules.{key}: {name}" for key in FILES for name in getattr(policy.rules, key)]
    models = [
        f"{entry.name}.{key}: {name}"
        for entry in policy.classifiers
        for key in _NAMES
        if entry.enabled and (name := getattr(entry, key, None))
    ]
    return files + models


def without_files(policy: Policy) -> Policy:
    """The policy without the files of rules that it names, so that its rules can be looked at and none is opened."""
    return policy.model_copy(update={"rules": policy.rules.model_copy(update=dict.fromkeys(FILES, ()))})
