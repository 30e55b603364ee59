"""Which expressions are sets, of texts or of numbers, and whether their order leaves the function."""

from __future__ import annotations

import ast
import re

from azr_monitor.rules.syntax import own_nodes, returned, words
from azr_monitor.rules.tree import Program

_ORDERLESS = words(
    "sorted len sum min max set frozenset any all bool Counter isinstance dict sort union intersection difference "
    "issubset issuperset isdisjoint issubset symmetric_difference add update discard fsum prod count fromkeys"
)
_TEXT_METHODS = words(
    "lower upper strip lstrip rstrip title capitalize replace join format casefold swapcase zfill ljust rjust center"
)
_TEXT_LISTS = words("split splitlines rsplit")
_COMBINED = words("union intersection difference symmetric_difference copy")
_KEEP_ORDER = words("islice combinations permutations product accumulate pairwise chain starmap filter map filterfalse")
"""What gives the items of a set in the order that it has, or others made of them."""
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
        case ast.Name(id=name) if _is_parameter(program, node):
            return name in program.given and program.given[name].is_set
        case ast.Name() | ast.Attribute():
            values = _values(program, node)
            return bool(values) and all(is_set(program, value, depth + 1) for value in values)
        case ast.Call(func=ast.Attribute(value=whole, attr=attr)) if attr in _COMBINED:
            return is_set(program, whole, depth + 1)
        case ast.Call():
            made = _made(program, node)
            return bool(made) and all(is_set(program, value, depth + 1) for value in made)
        case _:
            return False


def holds_texts(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression is a set in which texts are: numbers keep their order from run to run."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Set(elts=items):
            return any(
                _gives_texts(program, item.value) if isinstance(item, ast.Starred) else is_text(program, item)
                for item in items
            )
        case ast.SetComp(elt=element):
            return is_text(program, element) or _has_an_address_for_hash(program, element)
        case ast.Call(func=ast.Name(id="set" | "frozenset"), args=[given]):
            return _gives_texts(program, given)
        case ast.BinOp(left=left, right=right):
            return is_set(program, node) and (
                holds_texts(program, left, depth + 1) or holds_texts(program, right, depth + 1)
            )
        case ast.Name(id=name) if _is_parameter(program, node):
            return name in program.given and program.given[name] == (True, True)
        case ast.Name() | ast.Attribute():
            values = _values(program, node)
            return bool(values) and all(holds_texts(program, value, depth + 1) for value in values)
        case ast.Call(func=ast.Attribute(value=whole, attr=attr)) if attr in _COMBINED:
            return holds_texts(program, whole, depth + 1)
        case ast.DictComp(generators=[first, *_]):
            return holds_texts(program, first.iter, depth + 1)
        case ast.Call(func=ast.Name(id=walk) | ast.Attribute(attr=walk), args=[*walked]) if walk in _KEEP_ORDER:
            return any(holds_texts(program, one, depth + 1) for one in walked)
        case ast.Call():
            made = _made(program, node)
            return bool(made) and all(holds_texts(program, value, depth + 1) for value in made)
        case _:
            return False


def _has_an_address_for_hash(program: Program, node: ast.AST) -> bool:
    """Whether an object has no hash of its own: it is put where its address says."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return False
    return any(
        isinstance(one, ast.ClassDef)
        and not one.bases
        and not one.decorator_list
        and not any(isinstance(s, ast.FunctionDef) and s.name in ("__hash__", "__eq__") for s in one.body)
        for one in program.meaning.objects(node.func)
    )


def _made(program: Program, call: ast.Call) -> list[ast.expr]:
    """What a function of the program's returns, where a call can only be of it."""
    if not isinstance(call.func, ast.Name):
        return []
    functions = program.meaning.objects(call.func)
    if len(functions) != 1 or not isinstance(functions[0], ast.FunctionDef):
        return []
    return [value for value in returned(functions[0]) if value is not None]


def _is_parameter(program: Program, name: ast.Name) -> bool:
    bindings, _ = program.meaning.names.lookup(name)
    return bool(bindings) and all(binding.kind == "parameter" for binding in bindings)


def _gives_texts(program: Program, node: ast.AST, depth: int = 0) -> bool:
    """Whether walking over an expression gives texts."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return is_text(program, element, depth + 1)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return any(is_text(program, item, depth + 1) for item in items)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _gives_texts(program, left, depth + 1) or _gives_texts(program, right, depth + 1)
        case ast.Call(func=ast.Attribute(value=held, attr="items" | "keys" | "values"), args=[]):
            return _is_given_text(program, held)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="str" | "repr" | "chr"), *_]):
            return True
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in _TEXT_LISTS or attr in _TEXT_METHODS
        case _:
            return is_text(program, node, depth + 1) or _is_given_text(program, node)


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
            return _is_item_of_texts(program, whole, depth + 1) or is_text(program, whole, depth + 1)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if depth < _MAX_DEPTH:
            return is_text(program, left, depth + 1) or is_text(program, right, depth + 1)
        case ast.Tuple(elts=items) if depth < _MAX_DEPTH:
            return any(is_text(program, item, depth + 1) for item in items)
        case ast.Name() if depth < _MAX_DEPTH:
            if _is_item_of_texts(program, node, depth + 1):
                return True
            values = _values(program, node)
            return bool(values) and all(is_text(program, value, depth + 1) for value in values)
        case _:
            return False


def _is_item_of_texts(program: Program, name: ast.Name, depth: int) -> bool:
    """Whether a name stands for the items of what holds texts."""
    bindings, _ = program.meaning.names.lookup(name)
    return bool(bindings) and all(b.kind == "each" and _gives_texts(program, b.node, depth) for b in bindings)


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
    if node.id in program.given:
        return program.given[node.id].texts
    for argument in program.all(ast.arg):
        if argument.arg == node.id and argument.annotation is not None:
            return "str" in ast.unparse(argument.annotation)
    if _TEXT_NAMES.fullmatch(node.id):
        return True
    return any(
        isinstance(asked.value, ast.Name) and asked.value.id == node.id and asked.attr in _ASKED_OF_TEXTS
        for asked in program.all(ast.Attribute)
    )


def _values(program: Program, name: ast.Name | ast.Attribute) -> list[ast.AST]:
    """What is assigned to a name, when plain assignments are all that binds it, or to an attribute of that name."""
    if isinstance(name, ast.Attribute):
        stores = [s for s in program.all(ast.Attribute) if s.attr == name.attr and isinstance(s.ctx, ast.Store)]
        kept = [parent.value for s in stores if isinstance(parent := program.parents.get(s), ast.Assign)]
        return list(kept) if len(kept) == len(stores) else []
    bindings, _ = program.meaning.names.lookup(name)
    found = [binding.node for binding in bindings if binding.kind == "value"]
    return found if len(found) == len(bindings) else []


def walks_set(program: Program, node: ast.AST) -> bool:
    match node:
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            pass
        case _:
            return False
    match first.iter:
        case ast.Call(func=ast.Name(id="enumerate" | "iter"), args=[walked, *_]) | walked:
            return is_set(program, walked)


def leaves(program: Program, node: ast.AST) -> bool:
    """Whether a value leaves its function, or a name that is returned holds it, with its order."""
    function = next((o for o in program.syntax.around(node) if isinstance(o, ast.FunctionDef | ast.Lambda)), None)
    if not isinstance(function, ast.FunctionDef):
        return False
    parent = _outermost(program, node)
    match parent:
        case ast.Return():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name_leaves(program, parent, name)
        case _:
            return False


def _outermost(program: Program, node: ast.AST) -> ast.AST | None:
    """The statement that the order of a value reaches; None where it is lost on the way: counted, compared, sorted."""
    parent = program.parents.get(node)
    while isinstance(parent, ast.expr | ast.keyword | ast.comprehension):
        if isinstance(parent, ast.Compare | ast.Lambda | ast.Set | ast.SetComp):
            return None
        if isinstance(parent, ast.Subscript) and parent.slice is node:
            return None
        if (isinstance(parent, ast.IfExp) and parent.test is node) or (
            isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
        ):
            return None  # whether there is anything in it
        if isinstance(parent, ast.comprehension) and isinstance(
            program.parents.get(parent), ast.SetComp | ast.DictComp
        ):
            return None
        if isinstance(parent, ast.Call) and _callee(parent) in _ORDERLESS and parent.func is not node:
            return None
        node, parent = parent, program.parents.get(parent)
    return parent


def name_leaves(program: Program, place: ast.AST, name: str) -> bool:
    """Whether what a name holds is returned as it is, and nowhere put in order before."""
    function = next((o for o in program.syntax.around(place) if isinstance(o, ast.FunctionDef)), None)
    if function is None:
        return False
    loads: list[ast.Name] = []
    for node in own_nodes(function):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=given), attr="sort")) if given == name:
                return False
            case ast.Assign(targets=[ast.Name(id=given)], value=ast.Call(func=ast.Name(id="sorted"))) if given == name:
                return False
            case ast.Name(id=given, ctx=ast.Load()) if given == name:
                loads.append(node)
            case _:
                pass
    return any(_is_returned(program, load) for load in loads)


def _is_returned(program: Program, node: ast.AST) -> bool:
    return isinstance(_outermost(program, node), ast.Return)


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
