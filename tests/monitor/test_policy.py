"""Policies: the shipped ones load, mistakes are refused with the place and the remedy."""

# ruff: noqa: E501 - programs and messages as they are

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_monitor.checks import faults, remarks
from azr_monitor.checks import test_policy as try_rules
from azr_monitor.documents import DocumentError, read_yaml
from azr_monitor.policy import POLICIES, Policy, PolicyError, load_policy, rule_ids
from azr_monitor.records import Action, Severity

TODAY = date(2026, 5, 1)
MINIMAL = "name: mine\nactions: {info: record, low: record, medium: drop, high: drop, critical: stop}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", POLICIES)
def test_every_shipped_policy_loads_and_its_rules_hold(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    assert policy.description
    assert [result for result in try_rules(policy) if not result.passed] == []


def test_default_checks_without_a_warning() -> None:
    assert faults(load_policy("default")) == remarks(load_policy("default"), TODAY) == []


def test_strict_is_never_milder_than_default_nor_default_than_observe() -> None:
    strict, default, observe = (load_policy(name) for name in ("strict", "default", "observe"))
    for severity in Severity:
        assert strict.actions[severity] >= default.actions[severity]
        assert default.actions[severity] >= observe.actions[severity]
    assert set(strict.imports.allowed) < set(default.imports.allowed)


def test_observe_calls_for_nothing_stronger_than_an_alert() -> None:
    observe = load_policy("observe")
    assert max(observe.actions.values()) == Action.ALERT
    assert max(rate.action for rate in observe.rates) == Action.ALERT


def test_a_policy_file_of_your_own_loads(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, MINIMAL))
    assert policy.actions[Severity.CRITICAL] == Action.STOP
    assert policy.folder == str(tmp_path)


MISTAKES = {
    "extends misspelt": (MINIMAL + "extneds: default\n", r"mine\.yaml:3: extneds: unknown key \(did you mean 'extends'\?\)"),
    "unknown key": (MINIMAL + "limit: {max_trace_chars: 5}\n", r"mine\.yaml:3: limit: unknown key \(did you mean 'limits'\?\)"),
    "unknown inner key": (
        MINIMAL + "limits:\n  max_trace_chars: 5\n  max_trace_char: 6\n",
        r"mine\.yaml:5: limits\.max_trace_char: unknown key \(did you mean 'max_trace_chars'\?\)",
    ),
    "unknown classifier key": (
        MINIMAL + "classifiers:\n  - kind: detoxify\n    requird: true\n",
        r"mine\.yaml:5: classifiers\.0\.requird: unknown key \(did you mean 'required'\?\)",
    ),
    "unknown classifier": (MINIMAL + "classifiers:\n  - kind: detoxfy\n", r"mine\.yaml:4: classifiers\.0"),
    "wrong severity": (MINIMAL.replace("info: record", "inf: record"), r"mine\.yaml:2: actions.*did you mean 'info'"),
    "wrong action": (MINIMAL.replace("critical: stop", "critical: stopp"), r"mine\.yaml:2: actions\.critical.*did you mean 'stop'"),
    "missing severity": (MINIMAL.replace("low: record, ", ""), r"actions: low not given"),
    "falling actions": (MINIMAL.replace("high: drop", "high: record"), r"worse severity must not"),
    "missing actions": ("name: mine\n", r"actions: is missing"),
    "unknown rule": (MINIMAL + "rules:\n  disabled:\n    - program.exek\n", r"mine\.yaml:5: rules\.disabled: no rule 'program\.exek' \(did you mean 'program\.exec'\?\)"),
    "duplicate key": (MINIMAL + "name: other\n", r"mine\.yaml:3: 'name' was already given on line 1"),
    "duplicate inner key": (MINIMAL + "limits:\n  max_trace_chars: 5\n  max_trace_chars: 6\n", r"mine\.yaml:5: .*already given on line 4"),
    "not yaml": ("name: [", r"mine\.yaml:\d: not valid YAML"),
    "a python object": ("name: !!python/object/apply:os.system ['true']\n", r"mine\.yaml:1: not valid YAML"),
    "an alias": ("name: &a mine\ndescription: *a\n", r"mine\.yaml:2: aliases"),
    "a list": ("- name\n", r"a policy is a mapping"),
    "nothing": ("", r"a policy is a mapping"),
    "folder": (MINIMAL + "folder: /tmp\n", r"'folder' is not a setting"),
    "threshold out of range": (
        MINIMAL + "classifiers:\n  - kind: detoxify\n    thresholds: {toxicity: {high: 1.5}}\n", r"thresholds\.toxicity: values must lie in 0\.\.1"),
    "thresholds fall": (
        MINIMAL + "classifiers:\n  - kind: detoxify\n    thresholds: {toxicity: {low: 0.9, high: 0.5}}\n", r"rise with severity"),
    "missing pack": (MINIMAL + "rules: {packs: [none.yaml]}\n", r"rules\.packs: cannot read .*none\.yaml"),
    "negative limit": (MINIMAL + "limits: {max_trace_chars: 0}\n", r"limits\.max_trace_chars: .*greater than or equal to 1"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_refused_with_its_place_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(written(tmp_path, text))


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PolicyError, match=r"did you mean 'strict'\?.*shipped: default, strict, observe"):
        load_policy("strikt")


def test_rules_can_be_disabled_and_reweighed(tmp_path: Path) -> None:
    text = MINIMAL + (
        "rules:\n  disabled: ['trace.harm.*']\n  severities: {program.output: high}\n  actions: {program.exec: record}\n"
    )
    policy = load_policy(written(tmp_path, text))
    assert not any(rule.id.startswith("trace.harm") for rule in policy.trace_rules())
    assert "trace.harm.intent" in rule_ids(policy)
    assert policy.severity_of("program.output", Severity.INFO) == Severity.HIGH
    assert policy.action_for("program.exec", Severity.HIGH) == Action.RECORD
    assert any("trace.harm.*" in warning for warning in remarks(policy, TODAY))


def test_doubt_that_would_do_more_than_certainty_is_remarked_on(tmp_path: Path) -> None:
    text = "name: mine\nextends: default\nactions: {medium: alert}\n"
    (warning,) = remarks(load_policy(written(tmp_path, text)), TODAY)
    assert warning == "unsure: hold is alert, all that a medium finding calls for"


def test_a_pack_of_your_own_is_used(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text(
        "about: fruit\nrules:\n  - {id: trace.fruit, severity: high, why: speaks of bananas here, "
        "match: [bananas], catch: [bananas], spare: [apples]}\n"
    )
    policy = load_policy(written(tmp_path, MINIMAL + "rules: {packs: [pack.yaml]}\n"))
    assert "trace.fruit" in {rule.id for rule in policy.trace_rules()}
    assert all(result.passed for result in try_rules(policy))


FRUIT = (
    "about: fruit\nrules:\n  - {id: trace.pear, severity: low, why: speaks of a pear here, match: [pear], catch: [pear], "
    "spare: [plum]}\n  - id: trace.fruit\n    severity: high\n    why: speaks of bananas here\n"
    "    match: [bananas]\n    catch: [bananas]\n    spare: [apples]\n"
)


def test_an_example_of_a_pack_that_fails_is_a_fault_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text(FRUIT.replace("[apples]", "[bananas]"))
    policy = load_policy(written(tmp_path, MINIMAL + "rules: {packs: [pack.yaml]}\n"))
    (fault,) = faults(policy)
    assert fault.endswith("pack.yaml:4: trace.fruit does not spare its example 'bananas'; mend the rule or the example")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spare: [apples]", "spares: [apples]", r"pack\.yaml:\d+: rules\.1\.spare"),
        ("severity: high", "severity: grave", r"pack\.yaml:5: rules\.1\.severity: Input should be"),
        ("match: [bananas]", "match: ['{nothing}']", r"pack\.yaml:4: rule trace\.fruit: "),
        ("id: trace.fruit", "id: trace.pear", r"pack\.yaml:4: the id trace\.pear is taken"),
        ("about: fruit", "about: [", r"rule pack .*pack\.yaml:\d+: not valid YAML"),
    ],
)
def test_a_mistake_in_a_pack_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "pack.yaml").write_text(FRUIT.replace(old, new))
    with pytest.raises(PolicyError, match=message):
        load_policy(written(tmp_path, MINIMAL + "rules: {packs: [pack.yaml]}\n"))


def test_the_fingerprint_tells_policies_apart(tmp_path: Path) -> None:
    mine = load_policy(written(tmp_path, MINIMAL))
    other = load_policy(written(tmp_path, MINIMAL + "limits: {max_trace_chars: 7}\n"))
    assert mine.fingerprint() == load_policy(written(tmp_path, MINIMAL)).fingerprint()
    assert mine.fingerprint() != other.fingerprint()


def test_what_judges_is_in_the_fingerprint_to_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or plain(path))  # type: ignore[func-returns-value]
    load_policy("default").fingerprint()
    assert {"traces.py", "deception.yaml", "model.py", "model.json"} <= set(read)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_survives_a_round_trip_through_json(name: str) -> None:
    policy = load_policy(name)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_one_way(text: str) -> None:
    try:
        read_yaml(text, "x")
    except DocumentError as error:
        assert str(error).startswith("x")


def test_deeply_nested_yaml_is_refused() -> None:
    with pytest.raises(DocumentError):
        read_yaml("[" * 1200, "x")
