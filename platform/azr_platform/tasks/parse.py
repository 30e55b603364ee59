"""Read a response: ``<think>…</think> <answer>…</answer>`` with fenced blocks inside the answer.

The format is the same for every model (paper, section 3). This module only cuts text apart; it evaluates
nothing. Anything ambiguous (a tag twice, a block twice, a fence left open) is not well-formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from azr_platform.records import Kind, Role
from azr_platform.tasks.kinds import Block, task_kind

MAX_RESPONSE_CHARS: Final = 100_000
"""Longer responses are refused unread; the paper's limit of 8,096 tokens stays well below."""
MAX_BLOCKS: Final = 64

_TAGS: Final = ("<think>", "</think>", "<answer>", "</answer>")
_FENCE: Final = "```"


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """A response cut into its parts. Only the parts its role and kind call for are filled.

    When ``well_formed`` is false, ``problem`` says why; ``reasoning`` and ``answer`` still carry whatever
    text could be told apart, so that a monitor can read it, and the block fields are empty.
    """

    well_formed: bool
    problem: str = ""
    reasoning: str = ""
    answer: str = ""
    program: str = ""
    inputs: tuple[str, ...] = ()
    output: str = ""
    message: str = ""
    prose: str = ""
    """What the answer says outside its blocks: it means nothing to a task, but a monitor must read it."""


class _MalformedError(ValueError):
    """The response departs from the format; the text says how."""


def parse_response(text: str, role: Role, kind: Kind, *, inputs_wanted: int = 10) -> Parsed:
    """Cut ``text`` into reasoning and blocks, and check that exactly the blocks wanted are there.

    Never raises on any text. ``inputs_wanted`` counts only for proposals of kinds with many inputs.
    """
    reasoning, answer = "", ""
    try:
        reasoning, answer = _split_tags(text)
        prose: list[str] = []
        found = list(_blocks(answer, prose))
        wanted = task_kind(kind).blocks_wanted(role, inputs_wanted)
        _check_blocks(found, wanted)
    except _MalformedError as error:
        # Nothing may slip past the monitor: what could not be cut apart is handed on whole.
        return Parsed(well_formed=False, problem=str(error), reasoning=reasoning or text, answer=answer)
    one = {block: content for block, content in found if block is not Block.INPUT}
    return Parsed(
        well_formed=True,
        reasoning=reasoning,
        answer=answer,
        program=one.get(Block.PROGRAM, ""),
        inputs=tuple(content for block, content in found if block is Block.INPUT),
        output=one.get(Block.OUTPUT, ""),
        message=one.get(Block.MESSAGE, ""),
        prose="\n".join(prose),
    )


def _split_tags(text: str) -> tuple[str, str]:
    """The text of the two tagged parts; each tag exactly once, in order, with only whitespace around."""
    if len(text) > MAX_RESPONSE_CHARS:
        raise _MalformedError(f"the response is longer than {MAX_RESPONSE_CHARS} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _MalformedError("the response holds characters that are not valid Unicode") from error
    for tag in _TAGS:
        count = text.count(tag)
        if count != 1:
            raise _MalformedError(f"{tag} occurs {count} times, not once")
    before, _, rest = text.partition("<think>")
    reasoning, closed, rest = rest.partition("</think>")
    between, opened, rest = rest.partition("<answer>")
    answer, ended, after = rest.partition("</answer>")
    if not (closed and opened and ended):
        raise _MalformedError("the tags are not in the order <think> </think> <answer> </answer>")
    if before.strip() or between.strip() or after.strip():
        raise _MalformedError("there is text outside the tags")
    return reasoning.strip(), answer.strip()


def _blocks(answer: str, prose: list[str]) -> Iterator[tuple[Block, str]]:
    """Every fenced block, in order. A fence starts a line; lines between blocks are put in ``prose``."""
    names = {block.value: block for block in Block}
    opened: Block | None = None
    content: list[str] = []
    for line in answer.replace("\r\n", "\n").split("\n"):
        if not line.startswith(_FENCE):
            if opened is not None:
                content.append(line)
            elif line.strip():
                prose.append(line)
            continue
        name = line[len(_FENCE) :].rstrip()
        if opened is None:
            if name not in names:
                raise _MalformedError("a block opens with a name the format does not know")
            opened, content = names[name], []
        elif name:
            raise _MalformedError(f"a block opens inside the {opened.value} block")
        else:
            yield opened, _trim(opened, content)
            opened = None
    if opened is not None:
        raise _MalformedError(f"the {opened.value} block is not closed")


def _trim(block: Block, lines: list[str]) -> str:
    """A program keeps its indentation; the other blocks are stripped."""
    text = "\n".join(lines)
    return text.strip("\n").rstrip() if block is Block.PROGRAM else text.strip()


def _check_blocks(found: list[tuple[Block, str]], wanted: dict[Block, int]) -> None:
    if len(found) > MAX_BLOCKS:
        raise _MalformedError(f"there are more than {MAX_BLOCKS} blocks")
    for block in Block:
        count = sum(1 for b, _ in found if b is block)
        if count != wanted.get(block, 0):
            raise _MalformedError(f"{count} {block.value} blocks instead of {wanted.get(block, 0)}")
    for block, content in found:
        if not content.strip():
            raise _MalformedError(f"an empty {block.value} block")
