"""Which expressions are sets, of texts or of numbers, and whether their order leaves the function."""

from __future__ import annotations

import ast
import re

from azr_monitor.rules.syntax import own_nodes, words
from azr_monitor.rules.tree import Program

_ORDERLESS = words(
    "sorted len sum min max set frozenset any all bool Counter isinstance dict sort union intersection difference "
    "issubset issuperset isdisjoint issubset symmetric_difference add update discard fsum prod count fromkeys"
)
_TEXT_METHODS = words(
    "lower upper strip lstrip rstrip title capitalize replace join format casefold swapcase zfill ljust rjust center"
)
_TEXT_LISTS = words("split splitlines rsplit")
_MAX_DEPTH = 6


def is_set(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression is a set, as far as it can be seen."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() | ast.Sub() | ast.BitXor(), right=right):
            return is_set(program, left, depth + 1) or (
                not isinstance(node.op, ast.Sub) and is_set(program, right, depth + 1)
            )
        case ast.Name():
            values = _values(program, node)
            return bool(values) and all(is_set(program, value, depth + 1) for value in values)
        case _:
            return False


def holds_texts(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression is a set in which texts are: numbers keep their order from run to run."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Set(elts=items):
            return any(is_text(program, item) for item in items)
        case ast.SetComp(elt=element):
            return is_text(program, element)
        case ast.Call(func=ast.Name(id="set" | "frozenset"), args=[given]):
            return _gives_texts(program, given)
        case ast.BinOp(left=left, right=right):
            return is_set(program, node) and (
                holds_texts(program, left, depth + 1) or holds_texts(program, right, depth + 1)
            )
        case ast.Name():
            values = _values(program, node)
            return bool(values) and all(holds_texts(program, value, depth + 1) for value in values)
        case _:
            return False


def _gives_texts(program: Program, node: ast.AST) -> bool:
    """Whether walking over an expression gives texts."""
    match node:
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return is_text(program, element)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return any(is_text(program, item) for item in items)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="str" | "repr" | "chr"), *_]):
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in _TEXT_LISTS or attr in _TEXT_METHODS
        case _:
            return is_text(program, node) or _is_given_text(program, node)


def is_text(program: Program, node: ast.AST, depth: int = 0) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.Call(func=ast.Name(id="str" | "chr" | "repr")):
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in _TEXT_METHODS
        case ast.Subscript(value=ast.Call(func=ast.Attribute(attr=attr))):
            return attr in _TEXT_LISTS or attr in _TEXT_METHODS
        case ast.Subscript(value=ast.Name() as whole) if depth < _MAX_DEPTH:
            return _is_item_of_texts(program, whole) or is_text(program, whole, depth + 1)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if depth < _MAX_DEPTH:
            return is_text(program, left, depth + 1) or is_text(program, right, depth + 1)
        case ast.Name() if depth < _MAX_DEPTH:
            values = _values(program, node)
            return bool(values) and all(is_text(program, value, depth + 1) for value in values)
        case _:
            return False


def _is_item_of_texts(program: Program, name: ast.Name) -> bool:
    """Whether a name stands for the items of a parameter that holds texts."""
    bindings, _ = program.meaning.names.lookup(name)
    return bool(bindings) and all(b.kind == "each" and _is_given_text(program, b.node) for b in bindings)


_TEXT_NAMES = re.compile(
    r"(?:words?|names?|letters|texts?|tokens|strings?|chars|tags|sentence|input_string|labels|s|string_list)"
)
_ASKED_OF_TEXTS = _TEXT_METHODS | _TEXT_LISTS | words("isalpha isdigit islower isupper startswith endswith isalnum")


def _is_given_text(program: Program, node: ast.AST) -> bool:
    """Whether a parameter is a text, or holds some: it says so, is named so, or is asked what only texts answer."""
    if not isinstance(node, ast.Name):
        return False
    bindings, _ = program.meaning.names.lookup(node)
    if not bindings or any(binding.kind != "parameter" for binding in bindings):
        return False
    for argument in program.all(ast.arg):
        if argument.arg == node.id and argument.annotation is not None:
            return "str" in ast.unparse(argument.annotation)
    if _TEXT_NAMES.fullmatch(node.id):
        return True
    return any(
        isinstance(asked.value, ast.Name) and asked.value.id == node.id and asked.attr in _ASKED_OF_TEXTS
        for asked in program.all(ast.Attribute)
    )


def _values(program: Program, name: ast.Name) -> list[ast.AST]:
    """What is assigned to a name, when plain assignments are all that binds it."""
    bindings, _ = program.meaning.names.lookup(name)
    found = [binding.node for binding in bindings if binding.kind == "value"]
    return found if len(found) == len(bindings) else []


def walks_set(program: Program, node: ast.AST) -> bool:
    return isinstance(node, ast.GeneratorExp | ast.ListComp) and is_set(program, node.generators[0].iter)


def leaves(program: Program, node: ast.AST) -> bool:
    """Whether a value leaves its function, or a name that is returned holds it, with its order."""
    function = next((o for o in program.syntax.around(node) if isinstance(o, ast.FunctionDef | ast.Lambda)), None)
    if not isinstance(function, ast.FunctionDef):
        return False
    parent = program.parents.get(node)
    while isinstance(parent, ast.expr | ast.keyword | ast.comprehension):
        if isinstance(parent, ast.Compare | ast.Lambda | ast.Set | ast.SetComp):
            return False
        if isinstance(parent, ast.Subscript) and parent.slice is node:
            return False
        if isinstance(parent, ast.comprehension) and isinstance(
            program.parents.get(parent), ast.SetComp | ast.DictComp
        ):
            return False
        if isinstance(parent, ast.Call) and _callee(parent) in _ORDERLESS and parent.func is not node:
            return False
        node, parent = parent, program.parents.get(parent)
    match parent:
        case ast.Return():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name_leaves(program, parent, name)
        case _:
            return False


def name_leaves(program: Program, place: ast.AST, name: str) -> bool:
    """Whether what a name holds is returned as it is, and nowhere put in order before."""
    function = next((o for o in program.syntax.around(place) if isinstance(o, ast.FunctionDef)), None)
    if function is None:
        return False
    nodes = list(own_nodes(function))
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=given), attr="sort")) if given == name:
                return False
            case _:
                pass
    for node in nodes:
        match node:
            case ast.Return(value=ast.Name(id=given)) if given == name:
                return True
            case ast.Return(value=ast.Subscript(value=ast.Name(id=given))) if given == name:
                return True
            case ast.Return(value=ast.Call(func=ast.Attribute(attr="join"), args=[ast.Name(id=given)])):
                if given == name:
                    return True
            case _:
                pass
    return False


def _callee(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def holds_numbers(program: Program, given: ast.AST, depth: int = 0) -> bool:
    """Whether a set plainly holds numbers."""
    match given:
        case ast.Set(elts=items):
            return all(isinstance(item, ast.Constant) and isinstance(item.value, int | float) for item in items)
        case ast.SetComp(elt=ast.BinOp(op=op)):
            return not isinstance(op, ast.Add)
        case ast.Call(func=ast.Name(id="set" | "frozenset"), args=[ast.Call(func=ast.Name(id="range"))]):
            return True
        case ast.Name() if depth < _MAX_DEPTH:
            values = _values(program, given)
            return bool(values) and all(holds_numbers(program, value, depth + 1) for value in values)
        case _:
            return False
