"""Policies that build on others: what is inherited, what is merged, and where a mistake is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from azr_monitor.policy import POLICIES, PolicyError, load_policy
from azr_monitor.records import Action, Severity

PACK = (
    "about: fruit\nrules:\n  - {id: trace.fruit, severity: high, why: speaks of bananas here, "
    "match: [bananas], catch: [bananas], spare: [apples]}\n"
)


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_adds_nothing_judges_as_the_one_it_extends(tmp_path: Path, name: str) -> None:
    mine = load_policy(written(tmp_path, "mine.yaml", f"name: mine\nextends: {name}\n"))
    base = load_policy(name)
    assert mine.name == "mine"
    assert mine.description == ""
    assert mine.model_copy(update={"name": name, "description": base.description, "folder": ""}) == base


def test_mappings_are_merged_lists_of_rates_and_rules_grow_and_classifiers_are_matched_by_name(tmp_path: Path) -> None:
    text = (
        "name: mine\nextends: default\nactions: {low: alert}\nimports: {also: [random]}\n"
        "rules: {disabled: [trace.harm.*], actions: {program.exec: stop}}\n"
        "rates:\n  - {severity: medium, count: 50, within_steps: 5, action: alert}\n"
        "classifiers:\n  - kind: detoxify\n    model: unbiased\n    thresholds: {toxicity: {high: 0.99}}\n"
        "metrics:\n  - {name: metric.short, metric: response_length/mean, why: too short for reasoning, severity: low, "
        "below: 20, catch: [[9]], spare: [[90]]}\n"
    )
    base = load_policy("default")
    mine = load_policy(written(tmp_path, "mine.yaml", text))
    assert mine.actions == {**base.actions, Severity.LOW: Action.ALERT}
    assert mine.imports.names == base.imports.names | {"random"}
    assert not mine.applies("trace.harm.intent")
    assert mine.rules.actions == {**base.rules.actions, "program.exec": Action.STOP}
    assert mine.rates[:-1] == base.rates and mine.rates[-1].count == 50
    detoxify, known = (next(c for c in p.classifiers if c.name == "detoxify") for p in (mine, base))
    assert detoxify.thresholds == {**known.thresholds, "toxicity": {Severity.HIGH: 0.99}}
    assert [c.name for c in mine.classifiers] == [c.name for c in base.classifiers]
    assert {rule.name for rule in mine.metrics} - {rule.name for rule in base.metrics} == {"metric.short"}


def test_what_is_said_last_of_a_rule_holds_over_an_inherited_pattern(tmp_path: Path) -> None:
    written(tmp_path, "base.yaml", "name: base\nextends: default\nrules: {severities: {'trace.harm.*': info}}\n")
    mine = load_policy(
        written(tmp_path, "mine.yaml", "name: mine\nextends: base.yaml\nrules: {severities: {'trace.*': low}}\n")
    )
    assert mine.severity_of("trace.harm.intent", Severity.HIGH) == Severity.LOW


def test_an_inherited_pack_is_found_in_the_folder_of_the_policy_that_names_it(tmp_path: Path) -> None:
    written(tmp_path / "house", "fruit.yaml", PACK)
    written(tmp_path / "house", "base.yaml", "name: base\nextends: default\nrules: {packs: [fruit.yaml]}\n")
    mine = load_policy(written(tmp_path / "mine", "mine.yaml", "name: mine\nextends: ../house/base.yaml\n"))
    assert "trace.fruit" in {rule.id for rule in mine.trace_rules()}


MISTAKES = {
    "nobody": ("name: mine\nextends: defualt\n", r"policy 'defualt': no such file.*did you mean 'default'\?"),
    "not a name": ("name: mine\nextends: [default, strict]\n", r"mine\.yaml:2: extends: name one policy"),
    "itself": ("name: mine\nextends: mine.yaml\n", r"extends: .*mine\.yaml -> .*mine\.yaml does not end"),
    "no name of its own": ("extends: default\n", r"mine\.yaml:1: name: is missing"),
    "own mistake": (
        "name: mine\nextends: default\nlimits:\n  max_trace_char: 6\n",
        r"mine\.yaml:4: limits\.max_trace_char",
    ),
    "own rate": (
        "name: mine\nextends: default\nrates:\n  - {severity: low, count: 0, within_steps: 1, action: stop}\n",
        r"mine\.yaml:4: rates\.3\.count",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(written(tmp_path, "mine.yaml", text))


def test_a_mistake_in_the_extended_policy_is_said_to_be_there(tmp_path: Path) -> None:
    written(tmp_path, "base.yaml", "name: base\nextends: default\nlimits:\n  max_trace_chars: -1\n")
    with pytest.raises(PolicyError, match=r"base\.yaml:4: limits\.max_trace_chars"):
        load_policy(written(tmp_path, "mine.yaml", "name: mine\nextends: base.yaml\ndescription: x\n"))


def test_a_list_that_is_replaced_forgets_the_lines_of_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"mine\.yaml:3: imports\.allowed\.1"):
        load_policy(written(tmp_path, "mine.yaml", "name: mine\nextends: default\nimports: {allowed: [math, 7]}\n"))
