"""The policy of a run as its ledger has it: the one it was taken up with, and the changes that people made to it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
from pydantic import ValidationError

from azr_monitor.amend import amended
from azr_monitor.policy import Policy, PolicyError
from azr_monitor.records import Amendment
from azr_platform.ledger.records import PolicyRow


def settings_of(policy: Policy) -> str:
    """All of a policy as JSON, for the record."""
    return json.dumps({**policy.model_dump(mode="json"), "folder": policy.folder})


def base_on_record(rows: Sequence[PolicyRow]) -> Policy | None:
    """The policy that the run was last taken up with; None for a run of a version that put none on record.

    Raises:
        PolicyError: this version of the package understands it no longer.
    """
    taken_up = [row for row in rows if not row.rule]
    if not taken_up:
        return None
    try:
        return Policy.model_validate(json.loads(taken_up[-1].settings))
    except (ValueError, ValidationError) as error:
        raise PolicyError(f"the policy on record is not understood by this version: {error}") from error


def changes(rows: Sequence[PolicyRow]) -> list[PolicyRow]:
    """The changes among the rows."""
    return [row for row in rows if row.rule]


def amendment_of(row: PolicyRow) -> Amendment:
    """The change that a row holds, whole.

    Raises:
        ValueError, msgspec.ValidationError: the row holds none.
    """
    return msgspec.convert({"rule": row.rule, row.setting: json.loads(row.after)}, Amendment)


def with_changes(policy: Policy, rows: Sequence[PolicyRow]) -> tuple[Policy, list[str]]:
    """The policy with these changes, and a line for each that means nothing in it any more."""
    idle = []
    for row in rows:
        try:
            policy = amended(policy, amendment_of(row))
        except (PolicyError, ValueError, msgspec.ValidationError) as error:
            idle.append(f"the change of {row.rule} by {row.who} does nothing any more: {error}")
    return policy, idle
