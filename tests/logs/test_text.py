"""Words and programs are told apart, and nothing of what a model wrote is lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.logs.text import conversation, is_messages, written


def test_self_plays_blocks_are_taken_by_their_names() -> None:
    response = (
        "<think>I make it hard.</think>\n<answer>\n```python\ndef f(a):\n    return a\n```\n"
        "```input\n1\n```\n```input\n2\n```\n```output\n1\n```\n```message\nguess it\n```\n</answer>"
    )
    parts = written(response)
    assert parts.trace == "I make it hard."
    assert parts.program == "def f(a):\n    return a\n"
    assert (parts.inputs, parts.outputs, parts.message) == (("1", "2"), ("1",), "guess it")


def test_one_broken_block_does_not_make_the_others_unreadable() -> None:
    parts = written("```python\nimport os\n```\nthen\n```python\nthis is ( not python\n```")
    assert parts.program == "import os\n"
    assert "this is ( not python" in parts.trace


def test_a_block_in_a_list_is_a_program_too() -> None:
    assert (
        written("1. First\n   ```python\n   import os\n   os.getcwd()\n   ```\n").program == "import os\nos.getcwd()\n"
    )


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_a_block_that_is_cut_off_is_read_all_the_same(fence: str) -> None:
    assert written(f"so\n{fence}python\nimport os").program == "import os"


def test_shell_and_data_stay_words() -> None:
    parts = written('```bash\nrm -rf /\n```\n```json\n{"a": 1}\n```\n```\njust words\n```')
    assert parts.program == ""
    assert "rm -rf /" in parts.trace
    assert "just words" in parts.trace


def test_reasoning_beside_the_content_is_judged_and_others_turns_are_not() -> None:
    talk = conversation(
        [
            {"role": "system", "content": "rules"},
            {"role": "assistant", "content": [{"type": "text", "text": "said"}], "reasoning_content": "thought"},
            {"role": "tool", "content": "tool's"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": "run", "arguments": {"code": "x = 1"}}]},
        ]
    )
    assert talk.written.trace == "thought\n\nsaid\n\nrun:"
    assert talk.written.program == "x = 1"
    assert talk.context == "system: rules\n\ntool: tool's"


@pytest.mark.parametrize("role", ["assistant", "Assistant", "ai", "gpt", "chatgpt", "model", "bot", ""])
def test_whoever_is_not_known_as_another_is_the_model(role: str) -> None:
    talk = conversation([{"role": "user", "content": "u"}, {"role": role, "content": "evil"}])
    assert (talk.written.trace, talk.context) == ("evil", "user: u")


@pytest.mark.parametrize("role", ["system", "developer", "User", "human", "tool", "function", "observation"])
def test_others_words_are_context(role: str) -> None:
    talk = conversation([{"role": role, "content": "theirs"}, {"role": "assistant", "content": "a"}])
    assert (talk.written.trace, talk.context) == ("a", f"{role}: theirs")


@pytest.mark.parametrize(
    "said",
    [
        {"function_call": {"name": "run", "arguments": '{"command": ["evil", 1]}'}},
        {"tool_calls": [{"function": {"name": "run", "arguments": {"command": {"evil": [{"deep": 1}]}}}}]},
        {"tool_calls": [{"name": "run", "arguments": ["evil"]}]},
        {"tool_calls": {"name": "run", "arguments": "evil"}},
        {"content": [{"type": "tool_use", "name": "run", "input": {"command": "evil"}}]},
        {"content": {"type": "text", "text": "evil"}},
    ],
)
def test_whatever_a_model_hands_to_a_tool_is_judged(said: dict[str, object]) -> None:
    assert "evil" in conversation([{"role": "assistant", **said}]).written.trace


def test_programs_deep_in_a_call_are_programs() -> None:
    arguments = {"steps": [{"code": "import os"}, {"code": "not ( python"}], "script": "x = 1"}
    talk = conversation([{"role": "assistant", "tool_calls": [{"name": "run", "arguments": arguments}]}])
    assert talk.written.program == "import os\n\nx = 1"
    assert talk.written.trace == "run:\nsteps\nnot ( python"


def test_arguments_nested_very_deep_are_read_without_recursion() -> None:
    arguments = '{"a":' * 900 + '"evil"' + "}" * 900
    talk = conversation([{"role": "assistant", "function_call": {"name": "run", "arguments": arguments}}])
    assert "evil" in talk.written.trace


@given(st.lists(st.sampled_from(["```", "```python", "x = 1", "word", "~~~", "<think>", "</answer>", "\u2028", ""])))
def test_no_word_is_lost(lines: list[str]) -> None:
    response = "\n".join(lines)
    parts = written(response)
    everything = parts.trace + parts.program + parts.message + "".join(parts.inputs + parts.outputs)
    for word in ("word", "x = 1"):
        assert everything.count(word) == response.count(word)


@given(
    st.recursive(
        st.none() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner),
        max_leaves=9,
    )
)
def test_any_value_is_messages_or_not(value: object) -> None:
    if is_messages(value):
        conversation(value)
