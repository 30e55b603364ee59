"""YAML as policies and rule packs use it: plain data, no duplicate keys, no anchors, and lines for error messages."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

MAX_CHARS = 1_000_000
MAX_DEPTH = 100
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # of libyaml, where it was built: seven times as fast


class DocumentError(ValueError):
    """The text is not the plain YAML we accept; the message names the file, the line and the remedy."""


class Document(NamedTuple):
    """Parsed data, and the line (from 1) on which each key or item stands, by its path."""

    data: Any
    lines: dict[tuple[str | int, ...], int]


def read_yaml(text: str, name: str) -> Document:
    """Parse ``text``, one document, safely; ``name`` stands in error messages.

    Raises:
        DocumentError: not YAML, too large, an anchor or alias, or a key given twice.
    """
    documents = read_documents(text, name)
    if len(documents) > 1:
        line = documents[1].lines[()]
        raise DocumentError(f"{name}:{line}: a second document begins here; keep one of them")
    return documents[0] if documents else Document(None, {})


def read_documents(text: str, name: str) -> list[Document]:
    """Parse every document of ``text``, parted by ``---``, safely; an empty one is None.

    Raises:
        DocumentError: as for ``read_yaml``.
    """
    if len(text) > MAX_CHARS:
        raise DocumentError(f"{name}: {len(text)} characters; at most {MAX_CHARS} are read")
    try:
        _check_events(text, name)
        loader = _LOADER(text)
        documents: list[Document] = []
        while loader.check_node():
            root = loader.get_node()
            lines: dict[tuple[str | int, ...], int] = {}
            _lines(root, (), lines, name)
            documents.append(Document(loader.construct_document(root), lines))
        return documents
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark is not None else name
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DocumentError(f"{place}: not valid YAML: {problem}") from error
    except ValueError as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(f"{name}: {error}") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what may cost far more to build than to write: aliases, and great depth."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent):
            raise DocumentError(f"{name}:{line}: aliases (*name) are not accepted; repeat the text")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise DocumentError(f"{name}:{line}: nested more than {MAX_DEPTH} deep")


def _lines(node: yaml.Node, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], name: str) -> None:
    """Note where everything stands, refusing a key given twice in one mapping."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            label = str(key.value)
            if label in seen:
                raise DocumentError(
                    f"{name}:{line}: {label!r} was already given on line {seen[label]}; keep one of them"
                )
            seen[label] = line
            lines[(*path, label)] = line
            _lines(value, (*path, label), lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _lines(value, (*path, position), lines, name)
