"""The rule on attributes whose names are only known at run time, and what bounds such a name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.objects import INNER_MODULES, ITSELF, Instance
from azr_monitor.rules.outside import INNER_ATTRIBUTES
from azr_monitor.rules.programs_reflection import FRAMES
from azr_monitor.rules.tree import Program

_INNER = INNER_ATTRIBUTES | INNER_MODULES | FRAMES
"""Attributes that lead to the interpreter, besides those between double underscores."""
_OTHER_STORES = words(
    "vars locals globals exec eval type __dict__ __setattr__ __getattr__ __getattribute__ __setstate__ "
    "__getstate__ __reduce__ __reduce_ex__ __prepare__ make_dataclass new_class Enum"
)
"""By these an attribute is stored, or answered for, without being written as one, or a class gets names of choice."""

_SPECIAL = re.compile(r"__[^_].*__", re.DOTALL)


def _computed_attribute(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for call, position in program.attribute_calls:
        name = call.args[position]
        if isinstance(name, ast.Constant):
            continue
        texts = program.texts(name)
        if texts and not isinstance(name, ast.Name) and _is_disguised(name):
            yield Hit(call, f"the name {texts[0]}, put together from pieces", Severity.MEDIUM)
        elif not texts and not _on_own_object(program, call, position):
            bounded = _is_slot(program, call, name) or (
                position == 1 and not program.resolve(call.args[0]) and _leads_nowhere(_beginning(name) or "")
            )
            yield Hit(call, "an attribute name computed at run time", Severity.INFO if bounded else None)


def _beginning(name: ast.expr) -> str | None:
    """The text that a name begins with, whatever follows: ``area_`` of ``f"area_{kind}"``; None of other names."""
    match name:
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text
        case ast.BinOp(op=ast.Add(), left=left):
            return _beginning(left)
        case ast.Constant(value=str(text)):
            return text
        case _:
            return None


def _leads_nowhere(beginning: str) -> bool:
    """Whether no name that begins so is one of the interpreter's own: ``area_`` is none, ``gi_`` may become one."""
    return beginning[:1].isalpha() and not any(
        inner.startswith(beginning) or beginning.startswith(inner) for inner in _INNER
    )


def _is_slot(program: Program, call: ast.Call, name: ast.expr) -> bool:
    """Whether a descriptor reads the place that it chose when it got its name: ``getattr(obj, self._slot)``.

    The place must come from nowhere else: it is stored in ``__set_name__`` alone, which nobody calls, and is the name
    that the class gives it, behind a beginning of the descriptor's.
    """
    match name:
        case ast.Attribute(value=ast.Name(id="self"), attr=slot):
            pass
        case _:
            return False
    owner = next((outer for outer in program.syntax.around(call) if isinstance(outer, ast.ClassDef)), None)
    if owner is None or owner.bases or owner.keywords or owner.decorator_list:
        return False
    if not _OTHER_STORES.isdisjoint(program.syntax.mentioned):
        return False
    naming = [s for s in owner.body if isinstance(s, ast.FunctionDef) and s.name == "__set_name__"]
    stores = [n for n in program.all(ast.Attribute) if n.attr == slot and not isinstance(n.ctx, ast.Load)]
    return (
        len(naming) == 1
        and program.text.count("__set_name__") == 1
        and not _is_bound(program, slot)
        and all(_sets_a_slot(program, n, name) for n in program.all(ast.Name) if n.id == "setattr")
        and bool(stores)
        and all(_chooses(program, naming[0], program.parents.get(store), slot) for store in stores)
    )


def _is_bound(program: Program, name: str) -> bool:
    """Whether anything but a parameter goes by a name, as what a class holds does."""
    return (
        any(node.id == name and not isinstance(node.ctx, ast.Load) for node in program.all(ast.Name))
        or any(node.name == name for node in program.all(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        or any(name in (a.name, a.asname) for node in program.all(ast.Import, ast.ImportFrom) for a in node.names)
    )


def _sets_a_slot(program: Program, setter: ast.Name, name: ast.expr) -> bool:
    """Whether ``setattr`` stores in that very place: ``setattr(obj, self._slot, value)``."""
    call = program.parents.get(setter)
    return isinstance(call, ast.Call) and len(call.args) == 3 and ast.dump(call.args[1]) == ast.dump(name)


def _chooses(program: Program, naming: ast.FunctionDef, store: ast.AST | None, slot: str) -> bool:
    """Whether a store stands in ``__set_name__`` and keeps the last parameter behind some beginning, and nothing in the
    program has a name with which that comes to one of the interpreter's, or to the descriptor's own."""
    if not isinstance(store, ast.Assign) or store not in naming.body or len(naming.args.args) != 3:
        return False
    match store.value:
        case (
            ast.JoinedStr(values=[ast.Constant(value=str(begins)), ast.FormattedValue(value=ast.Name(id=given))])
            | ast.BinOp(left=ast.Constant(value=str(begins)), op=ast.Add(), right=ast.Name(id=given))
        ):
            places = {begins + bound for bound in program.syntax.bound}
        case _:
            return False
    return (
        given == naming.args.args[2].arg
        and slot not in places
        and places.isdisjoint(_INNER)
        and not any(_SPECIAL.fullmatch(place) for place in places)
    )


def _is_disguised(name: ast.AST) -> bool:
    """Whether a constant name is written in a way that only hides it: pieces, codes, reversals."""
    match name:
        case ast.BinOp(op=ast.Add() | ast.Mod(), left=left, right=right):
            return all(isinstance(side, ast.Constant | ast.BinOp | ast.Call | ast.Subscript) for side in (left, right))
        case ast.Subscript(slice=ast.Slice()):
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in ("join", "decode", "fromhex", "translate", "replace", "format")
        case ast.Call(func=ast.Name(id=name_)):
            return name_ == "chr"
        case ast.JoinedStr(values=values):
            return all(isinstance(v, ast.Constant) or isinstance(v.value, ast.Constant) for v in values)  # type: ignore[attr-defined]
        case _:
            return False


def _on_own_object(program: Program, call: ast.Call, position: int) -> bool:
    """Whether the attribute is of ``self``, of an own class, or of what a class wraps: ``getattr(self._inner, n)``."""
    if position != 1:
        return False
    base = call.args[0]
    while isinstance(base, ast.Attribute):
        base = base.value
    if isinstance(base, ast.Name) and base.id in ITSELF:
        return True
    objects = program.meaning.objects(base)
    return bool(objects) and all(isinstance(one, ast.ClassDef | Instance) for one in objects)


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.attribute.computed",
        Severity.LOW,
        "reads or sets an attribute whose name is only known at run time",
        catch=("def f(x, n):\n    return getattr(x, n)", "def f(x, n):\n    setattr(x, n + '_', 1)\n    return x"),
        spare=("def f(x):\n    return getattr(x, 'real', 0)", "def f(x):\n    return hasattr(x, '__iter__')"),
        check=_computed_attribute,
        outside=True,
    ),
)
