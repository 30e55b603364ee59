"""The response format: what is read, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_platform.records import Kind, Role
from azr_platform.tasks.kinds import KINDS, Block
from azr_platform.tasks.parse import MAX_RESPONSE_CHARS, parse_response


def respond(answer: str, thought: str = "hm") -> str:
    return f"<think>{thought}</think> <answer>{answer}</answer>"


def block(name: str, content: str) -> str:
    return f"```{name}\n{content}\n```\n"


PROGRAM = "def f(x):\n    y = x + 1\n\n    return y"


@pytest.mark.parametrize("kind", [Kind.DEDUCTION, Kind.ABDUCTION])
def test_a_program_proposal_yields_its_program_and_input(kind: Kind) -> None:
    text = respond("\n" + block("python", PROGRAM) + block("input", " 3 "), "add\none")
    parsed = parse_response(text, Role.PROPOSE, kind)
    assert parsed.well_formed, parsed.problem
    assert (parsed.program, parsed.inputs, parsed.reasoning) == (PROGRAM, ("3",), "add\none")


def test_an_induction_proposal_yields_its_inputs_in_order_and_its_message() -> None:
    text = respond("".join(block("input", str(n)) for n in (5, 3, 4)) + block("message", "adds one"))
    parsed = parse_response(text, Role.PROPOSE, Kind.INDUCTION, inputs_wanted=3)
    assert parsed.well_formed and parsed.inputs == ("5", "3", "4") and parsed.message == "adds one"
    short = parse_response(text, Role.PROPOSE, Kind.INDUCTION, inputs_wanted=4)
    assert not short.well_formed and "3 input blocks instead of 4" in short.problem


def test_each_answer_yields_the_part_asked_for() -> None:
    deduced = parse_response(respond(block("output", "[1, 2]")), Role.SOLVE, Kind.DEDUCTION)
    abduced = parse_response(respond(block("input", "'a', 2")), Role.SOLVE, Kind.ABDUCTION)
    induced = parse_response(respond(block("python", PROGRAM)), Role.SOLVE, Kind.INDUCTION)
    assert (deduced.output, abduced.inputs, induced.program) == ("[1, 2]", ("'a', 2",), PROGRAM)


def test_prose_between_blocks_and_windows_line_ends_are_accepted() -> None:
    text = respond("Here it is:\r\n```output\r\n7\r\n```\r\nDone.")
    assert parse_response(text, Role.SOLVE, Kind.DEDUCTION).output == "7"


def test_a_message_may_share_lines_but_keeps_unusual_separators() -> None:
    text = respond(block("output", "'a\u2028```b'"))
    assert parse_response(text, Role.SOLVE, Kind.DEDUCTION).output == "'a\u2028```b'"


GOOD = block("output", "7")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "<think> occurs 0"),
        (GOOD, "<think> occurs 0"),
        (f"<think>a</think><answer>{GOOD}", "</answer> occurs 0"),
        (f"<think>a<think>b</think><answer>{GOOD}</answer>", "<think> occurs 2"),
        (respond(GOOD) + respond(GOOD), "occurs 2"),
        (f"<think>a</think><answer>{GOOD}</answer><answer></answer>", "<answer> occurs 2"),
        (f"<answer>{GOOD}</answer><think>a</think>", "order"),
        (f"<think><answer>{GOOD}</answer></think>", "order"),
        (f"</think>a<think><answer>{GOOD}</answer>", "order"),
        ("sure: " + respond(GOOD), "outside"),
        (respond(GOOD) + " bye", "outside"),
        (f"<think>a</think>then<answer>{GOOD}</answer>", "outside"),
        (respond("7"), "0 output blocks"),
        (respond(GOOD + GOOD), "2 output blocks"),
        (respond(GOOD + block("python", "pass")), "1 python blocks instead of 0"),
        (respond(block("bash", "ls")), "name the format does not know"),
        (respond(block("Output", "7")), "name the format does not know"),
        (respond(block("", "7")), "name the format does not know"),
        (respond("```output\n7"), "not closed"),
        (respond("```output\n```python\n7\n```\n```"), "opens inside"),
        (respond(block("output", "  ")), "empty output"),
        (respond("````output\n7\n````"), "name the format does not know"),
        (respond(block("output", "'\ud800'")), "Unicode"),
    ],
)
def test_departures_from_the_format_are_refused_with_a_reason(text: str, why: str) -> None:
    parsed = parse_response(text, Role.SOLVE, Kind.DEDUCTION)
    assert not parsed.well_formed
    assert why in parsed.problem
    assert (parsed.program, parsed.inputs, parsed.output, parsed.message) == ("", (), "", "")


def test_a_malformed_response_is_still_handed_on_for_reading() -> None:
    parsed = parse_response("I will outsmart them </think>", Role.SOLVE, Kind.DEDUCTION)
    assert not parsed.well_formed and "outsmart" in parsed.reasoning


def test_an_overlong_response_is_refused_unread() -> None:
    text = respond(GOOD, "a" * MAX_RESPONSE_CHARS)
    assert "longer than" in parse_response(text, Role.SOLVE, Kind.DEDUCTION).problem


def test_a_flood_of_fences_is_refused() -> None:
    text = respond(block("input", "1") * 2000)
    assert not parse_response(text, Role.PROPOSE, Kind.INDUCTION, inputs_wanted=2000).well_formed


TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
FENCES = ["```python\n", "```input\n", "```output\n", "```message\n", "\n```\n", "```"]
PIECES = st.sampled_from([*TAGS, *FENCES, "\n", " ", "x", "{0}", "%s", "\r\n", "\x00"])
ROLES_AND_KINDS = st.tuples(st.sampled_from(list(Role)), st.sampled_from([k.kind for k in KINDS]))


@settings(max_examples=400)
@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=30), ROLES_AND_KINDS)
def test_no_text_raises_and_nothing_ill_formed_carries_blocks(pieces: list[str], where: tuple[Role, Kind]) -> None:
    text = "".join(pieces)
    parsed = parse_response(text, *where, inputs_wanted=2)
    assert parsed.well_formed == (parsed.problem == "")
    filled = [*parsed.inputs, parsed.program, parsed.output, parsed.message]
    assert all(part in text.replace("\r\n", "\n") for part in filled)
    if not parsed.well_formed:
        assert not any(filled)
        assert text in (parsed.reasoning, text.strip()) or parsed.reasoning in text


SAFE_LINE = st.text(st.characters(codec="utf-8", exclude_characters="`<>\r\n"), min_size=1, max_size=20)
SAFE = st.lists(SAFE_LINE, min_size=1, max_size=3).map("\n".join).filter(lambda s: bool(s.strip()))


@given(ROLES_AND_KINDS, st.data())
def test_every_response_built_to_the_format_is_read_back_whole(where: tuple[Role, Kind], data: st.DataObject) -> None:
    role, kind = where
    about = next(k for k in KINDS if k.kind is kind)
    contents = [(name, data.draw(SAFE)) for name, n in about.blocks_wanted(role, 3).items() for _ in range(n)]
    text = respond("".join(block(name.value, content) for name, content in contents), data.draw(SAFE))
    parsed = parse_response(text, role, kind, inputs_wanted=3)
    assert parsed.well_formed, parsed.problem
    assert parsed.inputs == tuple(c.strip() for name, c in contents if name is Block.INPUT)
    for name, content in contents:
        if name is Block.MESSAGE:
            assert parsed.message == content.strip()
        if name is Block.PROGRAM:
            assert parsed.program == content.strip("\n").rstrip()
