"""What a model wrote, told apart: words, programs, and what belongs to them.

Other trainers' models keep to no format of ours, so nothing here is an error: what cannot be told apart stays in the
words, which are judged too. This module only cuts text; it evaluates nothing.
"""

from __future__ import annotations

import ast
import json
import textwrap
import warnings
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeGuard

_TAGS: Final = (
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<thinking>",
    "</thinking>",
    "<reasoning>",
    "</reasoning>",
)
_FENCES: Final = ("```", "~~~")
_PYTHON: Final = frozenset({"python", "py", "python3"})
_UNNAMED = ""
_CODE_ARGUMENTS: Final = frozenset({"code", "program", "source", "script"})
_OTHERS: Final = frozenset(
    ("system", "developer", "user", "human", "prompter", "tool", "function", "observation", "ipython", "environment")
)
"""Roles that are not the model's. Every other is, whatever it is called: assistant, gpt, ai, chatgpt, bot."""
_MOST_CODE: Final = 200_000
"""Characters of a block that are still tried as Python."""


class Written(NamedTuple):
    """A response cut into what a monitor reads as prose, and what it reads as a program with its inputs."""

    trace: str
    program: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    message: str = ""
    response: str = ""
    """What was cut, as it was written."""


class Conversation(NamedTuple):
    """Messages by who wrote them: ``context`` is everybody's but the model's."""

    context: str
    written: Written


def written(response: str) -> Written:
    """Cut one response: Python between fences is the program, the rest are words.

    Blocks called ``input``, ``output`` and ``message`` are what self-play's prompts ask for.
    """
    if "```" not in response and "~~~" not in response:
        return Written(_without_tags(response), response=response)
    words: list[str] = []
    programs: list[str] = []
    found: dict[str, list[str]] = {"input": [], "output": [], "message": []}
    for name, block, text in _pieces(response):
        if block is not None and block[:1] in (" ", "\t"):  # a fence in a list stands indented
            block = textwrap.dedent(block)
        if block is not None and name in found:
            found[name].append(block.strip())
        elif block is not None and _is_program(name, block):
            programs.append(block)
        else:
            words.append(text)
    return Written(
        _without_tags("".join(words)),
        "\n\n".join(programs),
        tuple(found["input"]),
        tuple(found["output"]),
        "\n\n".join(found["message"]),
        response,
    )


def _pieces(response: str) -> Iterable[tuple[str, str | None, str]]:
    """Prose and blocks in turn: a block's name, what is in it (None for prose), and all of it as it stands."""
    held: list[str] = []
    fence = name = ""
    for line in response.splitlines(keepends=True):
        text = line.strip()
        if not fence and text.startswith(_FENCES):
            if held:
                yield "", None, "".join(held)
            mark = text[0]
            fence = mark * (len(text) - len(text.lstrip(mark)))
            name = text.strip(mark).strip().lower()
            held = [line]
        elif fence and text.startswith(fence) and not text.strip(fence[0]):
            yield name, "".join(held[1:]), "".join([*held, line])
            held, fence = [], ""
        else:
            held.append(line)
    if fence:  # cut off inside a block
        yield name, "".join(held[1:]), "".join(held)
    elif held:
        yield "", None, "".join(held)


def _is_program(name: str, block: str) -> bool:
    """Python that parses. What does not is read as words: one broken block must not make all of them unreadable."""
    if name.split(" ")[0] not in _PYTHON and name != _UNNAMED:
        return False
    if not block.strip() or len(block) > _MOST_CODE:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return name != _UNNAMED or not all(isinstance(node, ast.Expr) for node in tree.body)


def _without_tags(text: str) -> str:
    for tag in _TAGS:
        if tag in text:
            text = text.replace(tag, "\n")
    return text.strip()


# -- messages --------------------------------------------------------------------------------------------


def is_messages(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a value is a list of chat messages. Some may lack a role: then they are judged as the model's."""
    return isinstance(value, list) and all(isinstance(m, dict) for m in value) and any(map(_role, value))


def is_models(message: dict[str, Any]) -> bool:
    """Whether the model wrote a message."""
    return _role(message).strip().lower() not in _OTHERS


def conversation(messages: Iterable[dict[str, Any]]) -> Conversation:
    """The model's turns cut as one response, and everybody else's as context."""
    context: list[str] = []
    turns: list[str] = []
    programs: list[str] = []
    for message in messages:
        if is_models(message):
            turns += [part for part in (*_reasoning(message), content_of(message)) if part]
            for words, code in map(_call, _calls(message)):
                turns.append(words)
                programs += code
        elif text := content_of(message):
            context.append(f"{_role(message)}: {text}")
    parts = written("\n\n".join(turns))
    programs.insert(0, parts.program)
    return Conversation("\n\n".join(context), parts._replace(program="\n\n".join(filter(None, programs))))


def text_of(value: object) -> str:
    """A text, a message's parts, or messages, as one text: for context that nobody judges."""
    if isinstance(value, str):
        return value
    if is_messages(value):
        return "\n\n".join(f"{_role(message)}: {content_of(message)}" for message in value)
    return ""


def content_of(message: dict[str, Any]) -> str:
    """The text of a message, reasoning in its parts included."""
    texts: list[str] = []
    for part in _parts(message):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            texts += [part[key] for key in ("reasoning", "thinking", "text") if isinstance(part.get(key), str)]
    return "\n\n".join(texts)


def _parts(message: dict[str, Any]) -> list[Any]:
    content = message.get("content", message.get("value"))
    return content if isinstance(content, list) else [content]


def _role(message: dict[str, Any]) -> str:
    role = message.get("role", message.get("from"))
    return role if isinstance(role, str) else ""


def _reasoning(message: dict[str, Any]) -> list[str]:
    """Servers put what a model thought beside what it said, under either name."""
    found = [message.get(key) for key in ("reasoning_content", "reasoning", "thinking")]
    return [text for text in dict.fromkeys(filter(None, found)) if isinstance(text, str)]


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls of tools, wherever a server puts them: beside the content, in its parts, or as its only call."""
    calls = message.get("tool_calls")
    found = [*calls] if isinstance(calls, list) else [calls]
    found.append(message.get("function_call"))
    found += [part for part in _parts(message) if isinstance(part, dict) and part.get("type") == "tool_use"]
    return [call for call in found if isinstance(call, dict)]


def _call(call: dict[str, Any]) -> tuple[str, list[str]]:
    """A call of a tool: what it says in words, and the programs that it hands over."""
    inner = call.get("function")
    about = inner if isinstance(inner, dict) else call
    name = about.get("name") if inner is about or not inner else inner
    arguments = about.get("arguments", about.get("input"))
    if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    words: list[str] = []
    programs: list[str] = []
    for key, text in _leaves(arguments):
        (programs if key in _CODE_ARGUMENTS and _is_program("python", text) else words).append(text)
    return "\n".join([f"{name if isinstance(name, str) else 'tool'}:", *words]), programs


def _leaves(value: Any) -> Iterable[tuple[str, str]]:
    """Every name, text and number in a value, in order, beside the name that it stands under; without recursion."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            for name, inner in reversed(value.items()):
                waiting += [(name, inner)] if name in _CODE_ARGUMENTS else [(name, inner), ("", name)]
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in reversed(value)]
        elif isinstance(value, str | int | float):
            yield key, str(value)
