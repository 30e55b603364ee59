"""Examples beside the rules: for files of rules that somebody else keeps, and in ast-grep's own form of tests.

id: sealed_envelope
catch: [put it in the sealed envelope]     # ast-grep says invalid
spare: [an envelope and a stamp]           # ast-grep says valid
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from azr_monitor.documents import DocumentError, read_documents
from azr_monitor.engines.base import EngineError, EngineRule, Source
from azr_monitor.fields import nearest


class _Examples(BaseModel):
    """Texts that one rule must catch and must spare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    catch: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("catch", "invalid"))
    spare: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("spare", "valid"))


def with_examples(rules: Sequence[EngineRule], sources: Sequence[Source]) -> tuple[EngineRule, ...]:
    """The rules, each with the examples that the files have for it beside its own.

    Raises:
        EngineError: a file is malformed, or has examples for no rule or for one of several.
    """
    known = {rule.id: rule for rule in rules}
    for source in sources:
        for examples, place in _read(source):
            # A rule's own name will do: whoever wrote it knows of no other.
            meant = [rule for rule in known if rule == examples.id or rule.rpartition(".")[2] == examples.id]
            if len(meant) != 1:
                which = f"several rules, {', '.join(meant)}" if meant else f"no rule{nearest(examples.id, list(known))}"
                raise EngineError(f"{place}: {examples.id!r} is the name of {which}; name one")
            rule = known[meant[0]]
            known[meant[0]] = msgspec.structs.replace(
                rule, catch=(*rule.catch, *examples.catch), spare=(*rule.spare, *examples.spare)
            )
    return tuple(known.values())


def _read(source: Source) -> list[tuple[_Examples, str]]:
    try:
        documents = [document for document in read_documents(source.text, source.place) if document.data is not None]
    except DocumentError as error:
        raise EngineError(str(error)) from error
    found: list[tuple[_Examples, str]] = []
    for document in documents:
        place = f"{source.place}:{document.lines.get(('id',), document.lines.get((), 1))}"
        try:
            found.append((_Examples.model_validate(document.data), place))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"]) or "the examples"
            raise EngineError(f"{place}: {where}: {first['msg']}; give id, catch and spare") from error
    return found
