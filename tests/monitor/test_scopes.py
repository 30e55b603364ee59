"""Scopes and exemptions: what holds for some samples only, and what was let pass, why, and on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor import audit
from azr_monitor.audit import Auditor
from azr_monitor.policy import PolicyError, load_policy
from azr_monitor.records import FAILURE, LIMIT, Action, Finding, Severity, Subject, Verdict
from azr_monitor.scopes import LIFTED, UNREAD, Allow, Where, digest, lift
from azr_platform.records import Kind, Role
from azr_sandbox.execution import Execution, Outcome

SOCKET = "import socket\ndef f(x):\n    return socket.getfqdn(x)"
KIND = "def f(x):\n    return x + 1"
TODAY = date(2026, 5, 1)


def auditor(folder: Path, text: str, today: date = TODAY, classifiers: Sequence[Any] = ()) -> Auditor:
    path = folder / "mine.yaml"
    path.write_text(f"name: mine\nextends: default\n{text}", encoding="utf-8")
    return Auditor(load_policy(path), classifiers, today=lambda: today)


def one(auditor: Auditor, **parts: Any) -> Verdict:
    return auditor.inspect([Subject(id="s", **parts)])[0]


def rules(verdict: Verdict) -> set[str]:
    return {finding.rule for finding in verdict.findings}


def test_roles_and_kinds_are_the_platforms() -> None:
    every = Where(roles=tuple(Role), kinds=tuple(Kind))
    assert set(every.roles) == {role.value for role in Role} and set(every.kinds) == {kind.value for kind in Kind}


# -- exemptions -----------------------------------------------------------------------------------------

FAMILY = "rules:\n  allow:\n    - {rule: program.*, why: host names are what is studied here%s}\n"


def test_an_exemption_lifts_a_finding_and_says_so(tmp_path: Path) -> None:
    assert not one(auditor(tmp_path, ""), program=SOCKET).allowed
    verdict = one(auditor(tmp_path, FAMILY % ""), program=SOCKET)
    assert verdict.allowed and verdict.severity == Severity.INFO
    assert rules(verdict) == {LIFTED}
    assert any(
        finding.why == "program.import.network (high) is let pass: host names are what is studied here"
        and finding.span is not None
        for finding in verdict.findings
    )


@pytest.mark.parametrize(("today", "allowed"), [(date(2026, 5, 1), True), (date(2026, 5, 2), False)])
def test_an_exemption_ends(tmp_path: Path, today: date, allowed: bool) -> None:
    judge = auditor(tmp_path, FAMILY % ", until: 2026-05-01", today)
    assert one(judge, program=SOCKET).allowed is allowed


def test_an_exemption_ends_while_an_auditor_works(tmp_path: Path) -> None:
    days = [date(2026, 5, 1)]
    policy = auditor(tmp_path, FAMILY % ", until: 2026-05-01").policy
    judge = Auditor(policy, today=lambda: days[-1])
    assert one(judge, program=SOCKET).allowed
    days.append(date(2026, 5, 2))
    assert not one(judge, program=SOCKET).allowed


def test_an_exemption_by_digest_is_for_one_text(tmp_path: Path) -> None:
    judge = auditor(tmp_path, FAMILY % f", digest: '{digest(SOCKET)}'")
    assert one(judge, program=SOCKET).allowed
    assert not one(judge, program=SOCKET + "\n").allowed


def test_an_exemption_by_text_is_for_the_place_where_it_stands(tmp_path: Path) -> None:
    words = "I will trick the grader into accepting it"
    judge = auditor(tmp_path, f"rules:\n  allow:\n    - {{rule: '*', why: our own example, text: '{words}'}}\n")
    assert one(judge, trace=f"The guide warns of this: {words}.").allowed
    assert not one(judge, trace=f"The guide warns of this: {words}. Now I will deceive the reviewers about it.").allowed
    assert not one(judge, trace="I will trick the grader into accepting mine").allowed


def test_an_exemption_is_for_its_roles_kinds_and_parts(tmp_path: Path) -> None:
    judge = auditor(tmp_path, FAMILY % ", roles: [propose], kinds: [induction], parts: [program]")
    assert one(judge, program=SOCKET, role="propose", kind="induction").allowed
    assert not one(judge, program=SOCKET, role="solve", kind="induction").allowed
    assert not one(judge, program=SOCKET, role="propose", kind="deduction").allowed
    assert not one(judge, program=SOCKET).allowed
    assert not one(judge, answer=SOCKET, role="propose", kind="induction").allowed


def test_what_failed_or_was_not_read_is_never_exempted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Allow(rule="*", why="an exemption for everything", digest=digest("x"))
    subject = Subject(id="s", program="x")
    for rule in UNREAD:
        finding = Finding(rule, Severity.HIGH, "program", None, "unread")
        assert lift([finding], [entry], subject, TODAY) == [finding]
    text = f"limits: {{max_program_chars: 5}}\n{FAMILY % ''}"
    assert rules(one(auditor(tmp_path, text), program=KIND)) == {LIMIT}

    def broken(*_: Any) -> list[Finding]:
        raise RuntimeError("no rules today")

    monkeypatch.setattr(audit.programs.ProgramRules, "examine", broken)
    for pattern in ("program.*", "monitor.*"):
        try:
            judge = auditor(tmp_path, FAMILY.replace("program.*", pattern) % "")
        except PolicyError as error:
            assert "no rule 'monitor.*'" in str(error)
            continue
        verdict = one(judge, program=KIND)
        assert not verdict.allowed and rules(verdict) == {FAILURE}


def test_an_exemption_of_behaviour_holds_after_the_run(tmp_path: Path) -> None:
    text = "rules:\n  allow:\n    - {rule: behaviour.memory, why: large tables are expected, roles: [solve]}\n"
    judge = auditor(tmp_path, text)
    ran = [Execution(Outcome.MEMORY)]
    for role, found in (("solve", LIFTED), ("propose", "behaviour.memory")):
        subject = Subject(id="s", program=KIND, role=role)
        assert rules(judge.conclude(subject, judge.inspect([subject])[0], ran)) == {found}


@given(
    st.text("ab", max_size=8),
    st.text("ab", min_size=1, max_size=4),
    st.integers(0, 8),
    st.integers(0, 4),
)
def test_a_text_covers_exactly_the_spans_within_its_occurrences(whole: str, words: str, start: int, size: int) -> None:
    span = (start, min(start + size, len(whole)))
    if span[0] > span[1]:
        return
    entry = Allow(rule="trace.x", why="an exemption in a test", text=words)
    finding = Finding("trace.x", Severity.HIGH, "trace", span, "why")
    found = [at for at in range(len(whole)) if whole.startswith(words, at)]
    inside = any(at <= span[0] and span[1] <= at + len(words) for at in found)
    assert entry.lifts(finding, Subject(id="s", trace=whole), TODAY) is inside


# -- categories -----------------------------------------------------------------------------------------


def test_a_category_stands_for_all_its_rules_and_classifiers(tmp_path: Path) -> None:
    by_category = auditor(tmp_path, "rules: {actions: {category:network: record}, disabled: [category:abuse]}\n")
    assert one(by_category, program=SOCKET).allowed
    assert not one(by_category, program="import os\ndef f(x):\n    return os.system(x)").allowed
    assert not by_category.policy.applies("trace.harm.abuse") and not by_category.policy.applies("detoxify.insult")
    assert by_category.policy.applies("trace.harm.intent") and by_category.policy.applies("detoxify.threat")


def test_a_category_in_a_scope_and_in_an_exemption(tmp_path: Path) -> None:
    scoped = auditor(tmp_path, "scopes: [{roles: [solve], severities: {category:network: critical}}]\n")
    assert one(scoped, program=SOCKET, role="solve").severity == Severity.CRITICAL
    exempting = auditor(tmp_path, "rules: {allow: [{rule: category:network, why: host names are the topic}]}\n")
    assert rules(one(exempting, program=SOCKET)) == {LIFTED}


def test_a_rules_own_id_outranks_its_category(tmp_path: Path) -> None:
    judge = auditor(tmp_path, "rules: {severities: {category:network: info, program.import.network: critical}}\n")
    assert one(judge, program=SOCKET).severity == Severity.CRITICAL


def test_the_category_of_what_is_unreadable_lifts_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> list[Finding]:
        raise RuntimeError("no rules today")

    text = (
        "rules:\n  disabled: [category:unreadable]\n  actions: {category:unreadable: record}\n"
        "  severities: {category:unreadable: info}\n"
        "  allow: [{rule: category:unreadable, why: nothing is unreadable}]\n"
    )
    judge = auditor(tmp_path, text)
    monkeypatch.setattr(audit.programs.ProgramRules, "examine", broken)
    verdict = one(judge, program=KIND)
    assert not verdict.allowed and rules(verdict) == {FAILURE}


# -- scopes ---------------------------------------------------------------------------------------------


def test_a_scope_judges_its_samples_otherwise_and_no_others(tmp_path: Path) -> None:
    text = "scopes:\n  - {roles: [propose], kinds: [induction], severities: {program.import.network: low}}\n"
    judge = auditor(tmp_path, text + "    \n")
    inside = one(judge, program=SOCKET, role="propose", kind="induction")
    assert {f.severity for f in inside.findings if f.rule == "program.import.network"} == {Severity.LOW}
    for role, kind in (("solve", "induction"), ("propose", "deduction"), ("", "")):
        outside = one(judge, program=SOCKET, role=role, kind=kind)
        assert Severity.LOW not in {f.severity for f in outside.findings if f.rule == "program.import.network"}


def test_a_scope_gives_actions_by_part_and_the_later_scope_holds(tmp_path: Path) -> None:
    text = (
        "rules: {actions: {trace.*: drop}}\nscopes:\n"
        "  - {parts: [trace], actions: {trace.*: record}}\n"
        "  - {parts: [trace], roles: [solve], actions: {trace.*: stop}}\n"
    )
    judge = auditor(tmp_path, text)
    words = "I will trick the grader into accepting it."
    assert one(judge, trace=words, role="propose").action == Action.RECORD
    assert one(judge, trace=words, role="solve").action == Action.STOP
    assert one(judge, message=words, role="propose").action == Action.DROP


def test_a_rule_bound_to_a_scope_applies_nowhere_else(tmp_path: Path) -> None:
    judge = auditor(tmp_path, "scopes:\n  - {roles: [propose], only: [program.import.network]}\n")
    assert "program.import.network" in rules(one(judge, program=SOCKET, role="propose"))
    assert "program.import.network" not in rules(one(judge, program=SOCKET, role="solve"))
    assert "program.import.network" not in rules(one(judge, program=SOCKET))


def test_a_rule_disabled_in_a_scope_applies_elsewhere(tmp_path: Path) -> None:
    judge = auditor(tmp_path, "scopes:\n  - {parts: [answer], kinds: [question], disabled: ['trace.*']}\n")
    words = "I will trick the grader into accepting it."
    assert rules(one(judge, answer=words, role="propose", kind="question")) == set()
    assert rules(one(judge, answer=words, role="propose", kind="deduction")) != set()
    assert rules(one(judge, trace=words, role="propose", kind="question")) != set()


def test_a_scope_lifts_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> list[Finding]:
        raise RuntimeError("no rules today")

    judge = auditor(tmp_path, "scopes:\n  - {roles: [solve], disabled: ['*'], severities: {'*': info}}\n")
    monkeypatch.setattr(audit.programs.ProgramRules, "examine", broken)
    verdict = one(judge, program=KIND, role="solve")
    assert not verdict.allowed and rules(verdict) == {FAILURE}


class Marker:
    """A real, if simple, classifier: the share of a text's words that are 'venom'."""

    name = "detoxify"
    categories = ("toxicity",)

    def windows(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{"toxicity": text.split().count("venom") / len(text.split())} for text in texts]


def test_a_scope_gives_thresholds_and_a_classifiers_category_can_be_disabled(tmp_path: Path) -> None:
    scope = "scopes:\n  - {roles: [solve], thresholds: {detoxify: {toxicity: {high: 0.2}}}}\n"
    judge = auditor(tmp_path, scope, classifiers=[Marker()])
    words = "venom is made by snakes"
    assert one(judge, trace=words, role="solve").severity == Severity.HIGH
    assert rules(one(judge, trace=words, role="propose")) == set()
    judge = auditor(tmp_path, scope + "rules: {disabled: [detoxify.toxicity]}\n", classifiers=[Marker()])
    assert rules(one(judge, trace=words, role="solve")) == set()


MISTAKES = {
    "scopes:\n  - {severities: {program.exec: low}}\n": r"mine\.yaml:4: scopes\.0: say for which samples",
    "scopes:\n  - {roles: [solve]}\n": r"mine\.yaml:4: scopes\.0: say what holds here",
    "scopes:\n  - {roles: [solver], disabled: [program.exec]}\n": r"mine\.yaml:4: scopes\.0\.roles\.0",
    "scopes:\n  - {roles: [solve], disabled: [program.exek]}\n": r"mine\.yaml:4: scopes\.0\.disabled: no rule",
    "scopes:\n  - {roles: [solve], only: [program.exek]}\n": r"mine\.yaml:4: scopes\.0\.only: no rule",
    "scopes:\n  - {roles: [solve], actions: {program.exek: drop}}\n": r"mine\.yaml:4: scopes\.0\.actions: no rule",
    "scopes:\n  - {roles: [solve], thresholds: {detoxfy: {toxicity: {low: 0.1}}}}\n": r"did you mean 'detoxify'",
    "scopes:\n  - {roles: [solve], thresholds: {detoxify: {toxicity: {low: 0.9, high: 0.1}}}}\n": r"must lie in 0\.\.1",
    "rules: {disabled: [category:netwrk]}\n": r"mine\.yaml:3: rules\.disabled: no category 'netwrk' \(did you",
    "rules:\n  allow:\n    - {rule: program.exec}\n": r"mine\.yaml:5: rules\.allow\.0\.why: is missing",
    "rules:\n  allow:\n    - {rule: program.exec, why: ok}\n": r"mine\.yaml:5: rules\.allow\.0\.why: .*10 characters",
    "rules:\n  allow:\n    - {rule: '*', why: it is my rule}\n": r"mine\.yaml:5: rules\.allow\.0: rule: a pattern for",
    "rules:\n  allow:\n    - {rule: program.exek, why: it is my rule}\n": r"mine\.yaml:5: rules\.allow.*program\.exec",
    "rules:\n  allow:\n    - {rule: program.exec, why: it is my rule, digest: 12}\n": r"rules\.allow\.0\.digest",
    "rules:\n  allow:\n    - {rule: program.exec, why: it is my rule, until: soon}\n": r"rules\.allow\.0\.until",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items())
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        auditor(tmp_path, text)


def test_scopes_and_exemptions_are_inherited_beside_ones_own(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        f"name: base\nextends: default\n{FAMILY % ''}scopes: [{{roles: [solve], disabled: [program.exec]}}]\n"
    )
    path = tmp_path / "child.yaml"
    path.write_text(
        "name: child\nextends: base.yaml\nrules: {allow: [{rule: trace.*, why: fiction is studied here}]}\n"
        "scopes: [{roles: [propose], disabled: [program.exec]}]\n"
    )
    policy = load_policy(path)
    assert [entry.rule for entry in policy.rules.allow] == ["program.*", "trace.*"]
    assert [scope.roles for scope in policy.scopes] == [("solve",), ("propose",)]
