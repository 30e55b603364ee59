"""What the objects of a program's own classes show of themselves, and what they are hashed by."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from azr_monitor.rules.syntax import words
from azr_monitor.rules.tree import Program
from azr_monitor.rules.unsteady import Value, scatters

_SHOWS = words("__repr__ __str__ __format__")
_HASHES = words("__hash__ __eq__")
_ENUMS = words("enum.Enum enum.StrEnum")
_NUMBERS = words("enum.IntEnum enum.IntFlag enum.Flag builtins.int builtins.float")
_TUPLES = words("typing.NamedTuple")


def kind_of(program: Program, definition: ast.ClassDef, given: Sequence[Value], depth: int = 0) -> str:
    """``bare``, ``shown``, ``hashed`` as in ``Value.kind``; ``member`` for the members of an enumeration;
    ``number`` for what is hashed as one; else empty.

    ``given`` is what the object is made of, by which dataclasses and named tuples are hashed.
    """
    own = {s.name for s in definition.body if isinstance(s, ast.FunctionDef)}
    own |= {
        target.id
        for s in definition.body
        if isinstance(s, ast.Assign)
        for target in s.targets
        if isinstance(target, ast.Name)
    }
    shows, hashes = not own.isdisjoint(_SHOWS), not own.isdisjoint(_HASHES)
    if definition.keywords or depth > 3:
        return ""
    if definition.decorator_list:
        return _of_dataclass(definition, given) if not hashes else ""
    for base in definition.bases:
        names = program.resolve(base) or (base.id,) if isinstance(base, ast.Name) else program.resolve(base)
        if not _ENUMS.isdisjoint(names):
            return "" if hashes or len(definition.bases) > 1 else "member"
        if not _NUMBERS.isdisjoint(names):
            return "number"
        if not _TUPLES.isdisjoint(names):
            return "" if hashes or not _has_texts(definition, given) else "hashed"
        parents = [d for d in program.all(ast.ClassDef) if d.name in names and d is not definition]
        if not parents:
            if "object" not in {name.rpartition(".")[2] for name in names}:
                return ""
            continue
        inherited = kind_of(program, parents[0], given, depth + 1)
        if inherited not in ("bare", "shown", "hashed"):
            return inherited
        shows |= inherited == "hashed"
        hashes |= inherited == "shown"
    return "" if shows and hashes else "hashed" if shows else "shown" if hashes else "bare"


def _of_dataclass(definition: ast.ClassDef, given: Sequence[Value]) -> str:
    text = " ".join(ast.unparse(decorator) for decorator in definition.decorator_list)
    if "dataclass" not in text or len(definition.decorator_list) > 1:
        return ""
    return "hashed" if "frozen=True" in text and _has_texts(definition, given) else ""


def _has_texts(definition: ast.ClassDef, given: Sequence[Value]) -> bool:
    return any(map(scatters, given)) or any(
        "str" in ast.unparse(s.annotation) for s in definition.body if isinstance(s, ast.AnnAssign)
    )
