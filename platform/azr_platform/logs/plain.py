"""Plain rows: {prompt, completion}, chat messages, and our own {trace}, {program, input}."""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.records import Entry
from azr_platform.logs.text import conversation, is_messages, text_of, written

RESPONSES: Final = ("completion", "response", "generation", "generated_text", "completions", "responses")
REASONING: Final = ("reasoning_content", "reasoning", "thinking", "thoughts", "chain_of_thought", "cot")
"""Where rows keep what a model thought beside what it said."""
_MESSAGES: Final = ("messages", "conversation", "conversations", "trajectory")
_PROMPTS: Final = ("prompt", "question", "instruction", "query", "problem")
_REWARDS: Final = ("reward", "score")
_KNOWN: Final = frozenset(
    (
        *RESPONSES,
        *REASONING,
        *_MESSAGES,
        *_PROMPTS,
        *_REWARDS,
        "id",
        "step",
        "trace",
        "program",
        "input",
        "inputs",
        "output",
        "outputs",
        "message",
        "role",
        "kind",
        "imports",
    )
)


class Plain:
    """Names that most people give to these things."""

    name = "plain"

    def looks(self, row: dict[str, Any]) -> str:
        for name in ("trace", "program"):
            if isinstance(row.get(name), str):
                return f'rows with "{name}"'
        for name in _MESSAGES:
            if is_messages(row.get(name)):
                return f'chat messages in "{name}"'
        for name in (*RESPONSES, *REASONING):
            if _responses(row.get(name)):
                return f'rows with "{name}"'
        return ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        """A case for whatever a model may have written, under every name: one name says nothing about the others."""
        cases = [_own(row)] if "trace" in row or "program" in row else []
        cases += [response_entry(row, row[name], None) for name in _MESSAGES if is_messages(row.get(name))]
        prompt = next((row[name] for name in (*_PROMPTS, *_MESSAGES) if name in row), None)
        for name in RESPONSES:
            said = {(case.trace, case.program) for case in cases}  # many rows say the same under two names
            found = [response_entry(row, response, prompt) for response in _responses(row.get(name))]
            cases += [case for case in found if (case.trace, case.program) not in said]
        if not cases and _thoughts(row):
            cases.append(response_entry(row, "", prompt))
        if not cases:
            raise ValueError(f"none of {', '.join(RESPONSES[:3])}, messages, trace or program")
        return cases


def response_entry(row: dict[str, Any], response: Any, prompt: Any) -> Entry:
    """A case of a response, a text or messages, with what most rows call its id, step and reward."""
    context = text_of(prompt)
    if isinstance(response, str):
        parts = written(response)
    else:
        talk = conversation(response)
        parts, context = talk.written, "\n\n".join(filter(None, (context, talk.context)))
    return Entry(
        id=fields.identity(row.get("id")),
        prompt=context,
        response="\n\n".join(filter(None, (*_thoughts(row), parts.response))),
        trace="\n\n".join(filter(None, (*_thoughts(row), parts.trace))),
        program=parts.program,
        inputs=parts.inputs,
        outputs=parts.outputs,
        message=parts.message,
        reward=next((found for name in _REWARDS if (found := fields.number(row.get(name))) is not None), None),
        step=fields.step(row.get("step")),
        extra=fields.rest(row, _KNOWN),
    )


def _own(row: dict[str, Any]) -> Entry:
    for name in ("trace", "program"):
        if not isinstance(row.get(name), str | None):
            raise ValueError(f'"{name}" is not a text')
    return Entry(
        id=fields.identity(row.get("id")),
        prompt=text_of(row.get("prompt")),
        trace="\n\n".join(filter(None, (*_thoughts(row), fields.text(row.get("trace"))))),
        program="\n".join((*fields.texts(row.get("imports")), fields.text(row.get("program")))),
        inputs=fields.texts(row.get("inputs", row.get("input"))),
        outputs=fields.texts(row.get("outputs", row.get("output"))),
        message=fields.text(row.get("message")),
        role=fields.text(row.get("role")),
        kind=fields.text(row.get("kind")),
        reward=next((found for name in _REWARDS if (found := fields.number(row.get(name))) is not None), None),
        step=fields.step(row.get("step")),
        extra=fields.rest(row, _KNOWN),
    )


def _thoughts(row: dict[str, Any]) -> list[str]:
    return [text for name in REASONING for text in fields.texts(row.get(name))]


def _responses(value: Any) -> list[Any]:
    """One response or several, each a text or messages."""
    if isinstance(value, str) or is_messages(value):
        return [value]
    if is_messages([value]):
        return [[value]]
    return [response for item in value for response in _responses(item)] if isinstance(value, list) else []
