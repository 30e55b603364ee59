"""What a literal is made of once it is read: plain scalars and four classes that no text can imitate."""

from __future__ import annotations

from typing import TypeAlias

Scalar: TypeAlias = "bool | int | float | complex | str | bytes | None"
Node: TypeAlias = "Scalar | ListNode | TupleNode | SetNode | DictNode"


class NotALiteral(ValueError):
    """The text is not an acceptable literal; the message says where and why, never quoting the text."""


class ListNode:
    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        self.items = items


class TupleNode:
    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        self.items = items


class SetNode:
    __slots__ = ("frozen", "items")

    def __init__(self, items: list[Node], frozen: bool) -> None:
        self.items = items
        self.frozen = frozen


class DictNode:
    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[Node, Node]]) -> None:
        self.pairs = pairs


_SCALARS = {bool, int, float, complex, str, bytes, type(None)}


def hashable(node: Node) -> bool:
    if type(node) in _SCALARS:
        return True
    match node:
        case SetNode():
            return node.frozen
        case TupleNode():
            return all(map(hashable, node.items))
        case _:
            return False
