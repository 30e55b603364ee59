"""Every rule and every category of a classifier speaks of something that statistics can count."""

from __future__ import annotations

import pytest

from azr_monitor.categories import ANY, CATEGORIES, HARMS, OTHER, category_of
from azr_monitor.policy import POLICIES, load_policy, rule_ids


@pytest.mark.parametrize("name", POLICIES)
def test_every_shipped_rule_and_threshold_has_a_category(name: str) -> None:
    """A new rule that lands in ``other`` needs its word in azr_monitor/categories.py."""
    policy = load_policy(name)
    of_samples = [rule for rule in rule_ids(policy) if not rule.startswith(("metric.", "policy."))]
    homeless = [rule for rule in [*of_samples, *policy.curves] if category_of(rule) == OTHER and not rule.endswith(ANY)]
    assert not homeless


@pytest.mark.parametrize(
    ("rule", "category"),
    [
        ("trace.uhoh.confuse", "deception"),
        ("trace.harm.crime", "harm"),
        ("trace.harm.abuse", "abuse"),
        ("trace.hidden.message", "hidden-message"),
        ("program.import.network", "network"),
        ("program.grader", "tampering"),
        ("detoxify.threat", "harm"),
        ("detoxify.obscene", "abuse"),
        ("monitor.limit", "unreadable"),
        ("mine.sandbagging", "sandbagging"),
        ("trace.mine.odd", "other"),
        ("nonsense", "other"),
    ],
)
def test_the_longest_known_beginning_counts_and_then_the_word_itself(rule: str, category: str) -> None:
    assert category_of(rule) == category


def test_a_classifier_may_use_every_category_by_its_own_name() -> None:
    assert all(category_of(f"minds.{category}") == category for category in HARMS)
    assert len(set(CATEGORIES)) == len(CATEGORIES)
