"""YARA and ast-grep rules of a policy's own: what they find and where, and that whatever fails blocks."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azr_monitor.audit import Auditor
from azr_monitor.checks import compare, faults, understood
from azr_monitor.checks import test_policy as try_rules
from azr_monitor.engines import load
from azr_monitor.engines.astgrep import AstGrep
from azr_monitor.engines.base import Hit, Source
from azr_monitor.engines.process import EngineFailed, EngineProcess
from azr_monitor.engines.yara import Yara
from azr_monitor.policy import PolicyError, load_policy
from azr_monitor.records import FAILURE, Severity, Subject, Verdict

YARA = """rule envelope {
  meta:
    severity = "high"
    why = "speaks of a sealed envelope"
    category = "hidden-message"
    catch = "put it in the sealed envelope"
    catch = "Sealed  Envelope"
    spare = "an envelope and a stamp"
  strings:
    $a = /sealed\\s{1,5}envelope/ nocase
  condition:
    $a
}
"""
AST_GREP = """id: no-print
language: python
severity: error
message: prints
rule: {pattern: print($$$A)}
metadata: {category: tampering, catch: [print(1)], spare: [f(print)]}
---
id: wrapped
language: python
severity: hint
rule: {pattern: f($$$A)}
metadata: {severity: medium, why: "calls f", catch: [f(1)], spare: [g(1)]}
"""
ENVELOPE, NO_PRINT = "yara.hidden-message.envelope", "ast-grep.tampering.no-print"
KIND = "def f(x):\n    return x + 1"
SLOW = 'rule slow { meta: catch = "aaaa" spare = "b" strings: $a = /(a+)+$/ condition: $a }'


def policy_file(folder: Path, extra: str = "", **files: str) -> Path:
    """A policy with these rule files, named by their suffix."""
    named: dict[str, list[str]] = {"yar": [], "yml": []}
    for name, text in files.items():
        suffix = name.rpartition("_")[2]
        (folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")
        named[suffix].append(f"{name}.{suffix}")
    path = folder / "mine.yaml"
    lists = f"yara: [{', '.join(named['yar'])}], ast_grep: [{', '.join(named['yml'])}]"
    path.write_text(f"name: mine\nextends: default\nrules: {{{lists}{extra}}}\n", encoding="utf-8")
    return path


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    return Auditor(load_policy(policy_file(tmp_path, a_yar=YARA, b_yml=AST_GREP)))


def one(auditor: Auditor, **parts: Any) -> Verdict:
    return auditor.inspect([Subject(id="s", **parts)])[0]


def places(verdict: Verdict, rule: str) -> list[tuple[str, tuple[int, int] | None]]:
    return sorted((finding.part, finding.span) for finding in verdict.findings if finding.rule == rule)


# -- what is found, and where ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["trace", "message", "answer"])
def test_a_yara_rule_points_at_characters_of_any_prose(auditor: Auditor, part: str) -> None:
    text = "Ünïcödé 😀 goes before the Sealed\n envelope."
    verdict = one(auditor, **{part: text})
    start = text.index("Sealed")
    assert places(verdict, ENVELOPE) == [(part, (start, len(text) - 1))]
    assert verdict.severity == Severity.HIGH and not verdict.allowed
    assert "speaks of a sealed envelope" in verdict.reason


def test_a_yara_rule_reads_programs_whole_and_every_input(auditor: Auditor) -> None:
    program = "# é a sealed envelope\ndef f(x):\n    return 'sealed envelope'"
    verdict = one(auditor, program=program, input="1, 'no'", inputs=("2", "'sealed envelope'"))
    where = program.rindex("sealed envelope")
    spans = [(6, 21), (where, where + 15)]
    assert places(verdict, ENVELOPE) == [
        ("input", (11, 26)),
        *(("program", span) for span in spans),
    ]


@pytest.mark.parametrize("disguise", ["sеаled envelоpe", "sea\u200bled\u2003envel\u00adope", "ｓｅａｌｅｄ envélope"])
def test_a_yara_rule_reads_through_disguises(auditor: Auditor, disguise: str) -> None:
    verdict = one(auditor, trace=f"Put it in the {disguise}, please.")
    assert places(verdict, ENVELOPE) == [("trace", (14, 14 + len(disguise)))]
    assert "look-alike" in verdict.reason


@given(st.text(st.sampled_from("abéß😀\u200b\ud800а "), max_size=12))
@settings(max_examples=200, deadline=None)
@example("\ud800ab")
@example("ßab")
def test_spans_of_bytes_become_spans_of_characters(text: str) -> None:
    hits = AB.read("prose", text)
    written = [hit.span for hit in hits if not hit.disguised]
    assert written == [(at, at + 2) for at in range(len(text)) if text.startswith("ab", at)][:5]
    for hit in hits:
        assert hit.span is not None and 0 <= hit.span[0] < hit.span[1] <= len(text)


AB = Yara([Source("ab.yar", 'rule ab { strings: $a = "ab" condition: $a }')])


def test_a_rule_without_a_pattern_has_no_place() -> None:
    sizes = Yara([Source("s.yar", "rule long { condition: filesize > 3 }")])
    assert sizes.read("prose", "abcd") == [Hit(0, None)]
    assert sizes.read("prose", "abc") == []


def test_an_ast_grep_rule_reads_programs_calls_and_answers_that_are_programs(auditor: Auditor) -> None:
    program = "# 😀\ndef f(x):\n    print(x)\n    return x"
    where = (program.index("print"), program.index("print") + 8)
    assert places(one(auditor, program=program), NO_PRINT) == [("program", where)]
    answer = one(auditor, answer=program, role="solve", kind="induction")
    assert places(answer, NO_PRINT) == [("answer", where)]
    assert places(one(auditor, program=KIND, input="1, print(2)"), NO_PRINT) == [("input", (3, 11))]
    assert places(one(auditor, trace="I print(x) here and then return"), NO_PRINT) == []


def test_the_call_that_arguments_are_put_into_is_not_found_itself(auditor: Auditor) -> None:
    assert places(one(auditor, program=KIND, input="g(1)"), "ast-grep.wrapped") == []
    assert places(one(auditor, program=KIND, input="f(1)"), "ast-grep.wrapped") == [("input", (0, 4))]


CALLS = AstGrep([Source("c.yml", "id: c\nlanguage: python\nrule: {kind: call}\n")])
MARKS = ["f(", ")", "x", "\n", "\r\n", "\r", "\f", "\t", "\0", "\ufeff", "é", "😀", "'", '"""', "#", ",", "\ud800"]
PIECES = st.sampled_from(MARKS)


@given(st.lists(PIECES, max_size=20).map("".join), st.sampled_from(["program", "call"]))
@settings(max_examples=300, deadline=None)
def test_spans_of_code_lie_within_it_and_begin_at_the_call(text: str, kind: str) -> None:
    for hit in CALLS.read(kind, text):
        assert hit.span is not None
        start, end = hit.span
        assert 0 <= start <= end <= len(text)
        assert text[start : start + 1] in ("f", "x", "(", "'", '"', "é", "")


def test_engine_rules_add_to_what_our_own_rules_find(auditor: Auditor) -> None:
    plain = Auditor(load_policy("default"))
    for parts in ({"trace": "I will trick the grader into accepting the sealed envelope."}, {"program": "import os"}):
        assert set(one(plain, **parts).findings) <= set(one(auditor, **parts).findings)


def test_engine_rules_are_disabled_reweighed_scoped_and_exempted_like_all_others(tmp_path: Path) -> None:
    words = "Put it in the sealed envelope."

    def verdict(extra: str) -> Verdict:
        return one(Auditor(load_policy(policy_file(tmp_path, extra, a_yar=YARA))), trace=words, role="solve")

    assert verdict(", disabled: [yara.hidden-message.envelope]").findings == ()
    assert verdict(", severities: {'yara.*': low}").severity == Severity.LOW
    exempted = verdict(", allow: [{rule: yara.hidden-message.envelope, why: stationery is the topic here}]")
    assert [finding.rule for finding in exempted.findings] == ["policy.allow"]
    path = policy_file(tmp_path, a_yar=YARA)
    path.write_text(path.read_text() + "scopes: [{roles: [propose], only: [yara.hidden-message.envelope]}]\n")
    assert one(Auditor(load_policy(path)), trace=words, role="solve").findings == ()
    assert one(Auditor(load_policy(path)), trace=words, role="propose").findings != ()


def test_rule_files_are_inherited_from_another_folder_and_in_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    policy_file(tmp_path / "below", a_yar=YARA)
    child = tmp_path / "child.yaml"
    child.write_text("name: child\nextends: below/mine.yaml\n")
    before = load_policy(child)
    assert [rule.id for rule in before.engine_rules()] == [ENVELOPE]
    fingerprint = before.fingerprint()
    policy_file(tmp_path / "below", a_yar=YARA.replace("high", "low"))
    assert load_policy(child).fingerprint() != fingerprint


def test_show_and_diff_tell_of_engine_rules(tmp_path: Path) -> None:
    policy = load_policy(policy_file(tmp_path, a_yar=YARA))
    (rule,) = understood(policy)["engine_rules"]
    assert rule == {
        "name": ENVELOPE,
        "severity": "high",
        "why": "speaks of a sealed envelope",
        "category": "hidden-message",
    }
    assert (f"engine_rules[{ENVELOPE}].severity", None, "high") in compare(load_policy("default"), policy)


# -- what cannot be used --------------------------------------------------------------------------------

ONE = "id: a\nlanguage: python\n"
BAD_YARA = {
    "rule x {\n strings: $a = /(/\n condition: $a }": r"a_yar\.yar:2: invalid regular expression: unclosed group",
    "rule x { condition: y }": r"a_yar\.yar:1: unknown identifier `y`",
    "\nrule x {": r"a_yar\.yar:2: syntax error",
    'include "/etc/passwd"': r"a_yar\.yar:1: include statements not allowed",
    '\nimport "pe"\nrule x { condition: pe.is_pe }': r"a_yar\.yar:2: import 'pe': of YARA's modules, hash",
    'rule x { meta: severity = "grave" condition: true }': r"a_yar\.yar:1: rule x: severity 'grave' is not one of info",
    'rule x { meta: category = "escpe" condition: true }': r"a_yar\.yar:1: rule x: no category .*mean 'escape'",
    "rule x { meta: catch = 3 condition: true }": r"a_yar\.yar:1: rule x: meta catch must be a text in quotes",
    "rule x { condition: true }\nrule x { condition: true }": r"a_yar\.yar:2: duplicate rule `x`",
}
BAD_AST_GREP = {
    f"{ONE}rule: {{kind: nope}}": r"a_yml\.yml:1: rule a: Kind `nope` is invalid",
    f"{ONE}rule: {{regex: '('}}": r"a_yml\.yml:1: rule a: .*",
    f"{ONE}rule: {{patern: x}}": r"a_yml\.yml:1: rule a: unknown field `patern`",
    f"{ONE}rule: {{matches: other}}": r"a_yml\.yml:1: rule a: Rule `other` is not defined",
    f"{ONE}rules: {{pattern: x}}": r"a_yml\.yml:3: rules: is not a key that we take|a_yml\.yml:1: rule: Field required",
    f"{ONE}files: ['*.py']\nrule: {{pattern: x}}": r"a_yml\.yml:3: files: is not a key that we take",
    "id: a\nlanguage: rust\nrule: {pattern: x}": r"a_yml\.yml:2: language",
    f"{ONE}rule: {{pattern: x}}\nmetadata: {{severity: bad}}": r"a_yml\.yml:1: rule a: severity 'bad' is not one",
    f"{ONE}rule: {{pattern: x}}\n---\n{ONE}rule: {{pattern: y}}": r"a_yml\.yml:5: the id a is taken",
    f"{ONE}rule: {{pattern: x}}\nmetadata: {{category: x}}": r"a_yml\.yml:1: rule a: no category 'x'; known: deception",
    "id: [": r"a_yml\.yml:\d: not valid YAML",
}


@pytest.mark.parametrize(("text", "message"), [*BAD_YARA.items(), *BAD_AST_GREP.items()])
def test_rules_that_cannot_be_used_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    name = "a_yar" if text in BAD_YARA else "a_yml"
    with pytest.raises(PolicyError, match=message):
        load_policy(policy_file(tmp_path, **{name: text}))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: default\nrules: {yara: [gone.yar]}\n")
    with pytest.raises(PolicyError, match=r"rules\.yara: cannot read .*gone\.yar"):
        load_policy(path)


@pytest.mark.parametrize(
    ("module", "file", "text", "package"),
    [("yara_x", "a_yar", YARA, "yara-x"), ("ast_grep_py", "a_yml", AST_GREP, "ast-grep-py")],
)
def test_an_engine_that_is_not_installed_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, file: str, text: str, package: str
) -> None:
    load.compiled.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PolicyError, match=rf"needs {package}, which is not installed: pip install 'azr-platform\[eng"):
        load_policy(policy_file(tmp_path, **{file: text}))


def test_a_class_of_characters_cannot_be_made_a_slow_pattern(tmp_path: Path) -> None:
    """Closed early, it would be any regular expression of Python's, which backtracks."""
    pack = (
        "about: x\nrules:\n  - {id: trace.slow, severity: low, why: a slow pattern in disguise, "
        "characters: 'x](a+)+$[y', catch: [x], spare: [z]}\n"
    )
    (tmp_path / "pack.yaml").write_text(pack)
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: default\nrules: {packs: [pack.yaml]}\n")
    with pytest.raises(
        PolicyError, match=r"pack\.yaml:3: rules\.0\.characters: is the inside of one class of characters"
    ):
        load_policy(path)


# -- what fails blocks ----------------------------------------------------------------------------------

DEEP = "id: deep\nlanguage: python\nrule: {pattern: f($X), inside: {pattern: g($Y), stopBy: end}}\n"
SLOW_TEXTS = {
    "yara": ("a_yar", SLOW, {"trace": "a" * 150_000 + "!"}),
    "ast-grep": ("b_yml", DEEP, {"program": "f(" * 5000 + "1" + ")" * 5000}),
}


@pytest.mark.parametrize("engine", SLOW_TEXTS)
def test_a_text_that_takes_too_long_is_blocked_and_the_next_one_read(tmp_path: Path, engine: str) -> None:
    file, rules, hostile = SLOW_TEXTS[engine]
    judge = Auditor(load_policy(policy_file(tmp_path, ", engine_seconds: 0.3", **{file: rules})))
    good = Subject(id="g", trace="I add one to the number and return it.")
    verdicts = judge.inspect([good, Subject(id="h", **hostile), Subject(id="n", trace="Then I add two to it.")])
    assert [verdict.allowed for verdict in verdicts] == [True, False, True]
    assert any(f.rule == FAILURE and "0.3 s of CPU time" in f.why for f in verdicts[1].findings)


def test_a_regular_expression_of_ast_grep_is_linear(tmp_path: Path) -> None:
    rules = f"{ONE}rule: {{kind: identifier, regex: '^(a+)+$'}}\nmetadata: {{catch: [aaa], spare: [b]}}\n"
    judge = Auditor(load_policy(policy_file(tmp_path, ", engine_seconds: 1", a_yml=rules)))
    assert places(one(judge, program="a" * 19_000 + "b = 1"), "ast-grep.a") == []
    assert len(places(one(judge, program="a" * 19_000 + " = 1"), "ast-grep.a")) == 1


def test_an_engine_process_that_dies_blocks_what_it_read_and_is_started_again(auditor: Auditor) -> None:
    assert one(auditor, trace="The first text is read.").allowed
    process = auditor._engines._process._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    verdict = one(auditor, trace="The second text is not.")
    assert not verdict.allowed and verdict.findings[0].rule == FAILURE
    assert one(auditor, trace="The third text is read.").allowed
    assert one(auditor, trace="The second text is not.").allowed, "a failure is not remembered"


def test_a_signal_from_the_terminal_does_not_reach_the_engines(auditor: Auditor) -> None:
    assert one(auditor, trace="The first text is read.").allowed
    assert os.getpgid(auditor._engines._process._process.pid) != os.getpgid(0)


def test_the_engines_process_has_no_secrets_and_opens_nothing(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Native code reads hostile texts there: if it were taken over, it should have nothing to take or to send to."""
    monkeypatch.setenv("JUDGE_KEY", "s3cret-of-another-service")
    assert one(auditor, trace="The first text is read.").allowed
    of_child = Path(f"/proc/{auditor._engines._process._process.pid}")
    assert b"s3cret" not in (of_child / "environ").read_bytes()
    limits = (of_child / "limits").read_text()
    assert re.search(r"Max open files +3 +3 ", limits) and re.search(r"Max file size +0 +0 ", limits)
    assert len(list((of_child / "fd").iterdir())) == 3


def test_rules_that_no_longer_compile_fail_every_text() -> None:
    process = EngineProcess((Source("x.yar", "rule {"),), (), 1.0)
    for _ in range(2):
        with pytest.raises(EngineFailed, match=r"no longer compile: x\.yar:1: syntax error"):
            process.read("prose", "anything")


def test_an_engine_process_ends_with_its_auditor(tmp_path: Path) -> None:
    judge = Auditor(load_policy(policy_file(tmp_path, a_yar=YARA)))
    one(judge, trace="The first text is read.")
    process = judge._engines._process._process
    assert process.poll() is None
    del judge
    gc.collect()
    assert process.returncode is not None


def test_without_engine_rules_there_is_no_process() -> None:
    judge = Auditor(load_policy("default"))
    one(judge, trace="A text that is read by our own rules.")
    assert judge._engines._process._socket is None


# -- policy check and policy test -----------------------------------------------------------------------


def test_good_rules_have_no_fault_and_every_example_is_tried(tmp_path: Path) -> None:
    policy = load_policy(policy_file(tmp_path, a_yar=YARA, b_yml=AST_GREP))
    assert faults(policy) == []
    tried = [(result.rule, result.expected) for result in try_rules(policy) if "." in result.place]
    assert sorted(tried) == sorted(
        [
            (ENVELOPE, "catch"),
            (ENVELOPE, "catch"),
            (ENVELOPE, "spare"),
            *((f"ast-grep.{name}", word) for name in ("tampering.no-print", "wrapped") for word in ("catch", "spare")),
        ]
    )


FAULTS = {
    "an example that is not caught": (
        {"a_yar": YARA.replace("Sealed  Envelope", "an open letter")},
        r"a_yar\.yar:1: yara\.hidden-message\.envelope does not catch its example 'an open letter'; mend",
    ),
    "an example that is not spared": (
        {"b_yml": AST_GREP.replace("[g(1)]", "[f(2)]")},
        r"b_yml\.yml:8: ast-grep\.wrapped does not spare its example 'f\(2\)'",
    ),
    "a pattern that is not code": (
        {"b_yml": AST_GREP.replace("print($$$A)", '"print("')},
        r"ast-grep\.tampering\.no-print does not catch",
    ),
    "a rule that is never tried": (
        {"a_yar": 'rule alone { strings: $a = "some words" condition: $a }'},
        r"a_yar\.yar:1: yara\.alone is never tried on a text to catch; add catch to its meta",
    ),
    "a tree rule that is never tried": (
        {"b_yml": f"{ONE}rule: {{pattern: g(1)}}\nmetadata: {{catch: [g(1)]}}"},
        r"b_yml\.yml:1: ast-grep\.a is never tried on a text to spare; add spare to its metadata",
    ),
    "a pattern that the compiler finds slow": ({"a_yar": SLOW}, r"a_yar\.yar:1: slow pattern: .*; give it a longer"),
    "a pattern that its example, repeated, shows to be slow": (
        {"a_yar": SLOW},
        r"a_yar\.yar: 'aaaa' repeated, \d+ characters long, cannot be read: took more than 0\.3 s of CPU time",
    ),
}


@pytest.mark.parametrize(("files", "message"), FAULTS.values(), ids=FAULTS)
def test_what_must_be_mended_is_said_with_its_place(tmp_path: Path, files: dict[str, str], message: str) -> None:
    found = faults(load_policy(policy_file(tmp_path, ", engine_seconds: 0.3", **files)))
    assert any(re.search(message, line) for line in found), found


FOREIGN = 'rule foreign { strings: $a = "somebody else keeps this" condition: $a }\n'


def foreign_policy(folder: Path, examples: str) -> Path:
    """Rules without examples of their own, in both engines, and examples in a file beside."""
    (folder / "examples.yml").write_text(examples)
    tree = "id: shouts\nlanguage: python\nrule: {pattern: shout($A)}\n"
    return policy_file(folder, ", examples: [examples.yml]", a_yar=FOREIGN, b_yml=tree)


def test_examples_may_stand_beside_rules_also_as_ast_grep_writes_its_tests(tmp_path: Path) -> None:
    given = (
        "id: yara.foreign\ncatch: [somebody else keeps this]\nspare: [we keep that]\n---\n"
        "id: shouts\nvalid: [f(1)]\ninvalid: [shout(1)]\n"
    )
    policy = load_policy(foreign_policy(tmp_path, given))
    assert faults(policy) == []
    assert sum(result.rule in ("yara.foreign", "ast-grep.shouts") for result in try_rules(policy)) == 4
    wrong = load_policy(foreign_policy(tmp_path, given.replace("we keep that", "somebody else keeps this")))
    assert any("yara.foreign does not spare" in fault for fault in faults(wrong))


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ("id: foriegn\ncatch: [x]\n", r"examples\.yml:1: 'foriegn' is the name of no rule"),
        ("id: foreign\ncatch: [x]\nspar: [y]\n", r"examples\.yml:1: spar: .*; give id, catch and spare"),
        ("- foreign\n", r"examples\.yml:1: the examples: .*; give id, catch and spare"),
        ("id: [", r"examples\.yml:\d: not valid YAML"),
    ],
)
def test_examples_for_no_rule_are_refused(tmp_path: Path, examples: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(foreign_policy(tmp_path, examples))


def test_a_private_rule_needs_no_example(tmp_path: Path) -> None:
    part = 'private rule part { strings: $a = "envelope" nocase condition: $a }\n'
    policy = load_policy(policy_file(tmp_path, a_yar=part + YARA.replace("    $a\n}", "    $a and part\n}")))
    assert [rule.hidden for rule in policy.engine_rules()] == [True, False]
    assert faults(policy) == []


def test_reading_short_texts_costs_little(auditor: Auditor) -> None:
    """By the clock of this process alone: the engines' own work is theirs."""
    one(auditor, trace="warm up, please, before we count")
    began = time.process_time()
    auditor.inspect([Subject(id=str(n), trace=f"I add {n} to the number and return it.") for n in range(500)])
    assert time.process_time() - began < 1.0
