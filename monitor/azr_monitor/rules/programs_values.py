"""Rules on answers that are no plain values: numbers and texts in disguise, what equals everything or nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.programs_forged import CHECKS, EQUALITY, ORDER, SHOWN, is_value
from azr_monitor.rules.syntax import returned, walk
from azr_monitor.rules.tree import Program


def _forged_subclass(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    special = EQUALITY | ORDER | CHECKS | SHOWN | {"__hash__", "__bool__", "__len__", "__class__"}
    for definition in program.all(ast.ClassDef):
        if not definition.bases or not is_value(program, definition):
            continue
        for statement in definition.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in special:
                grave = Severity.MEDIUM if _is_answer(program, definition) else None
                if grave is None and (
                    _compares_as_it_hashes(definition)
                    if statement.name in ("__eq__", "__hash__")
                    else statement.name in SHOWN and _shows_itself(statement)
                ):
                    grave = Severity.INFO
                yield Hit(statement, f"{definition.name}.{statement.name}", grave)
            elif isinstance(statement, ast.FunctionDef) and statement.name in _ARITHMETIC:
                values = returned(statement)
                if values and all(_is_fixed(value, definition) for value in values):
                    yield Hit(statement, f"{definition.name}.{statement.name} that is constant", Severity.MEDIUM)


def _is_fixed(value: ast.expr | None, definition: ast.ClassDef) -> bool:
    """A constant, or an object of the class made of constants alone."""
    match value:
        case ast.Constant(value=held):
            return held is not None
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as given):
            return name == definition.name and all(isinstance(one, ast.Constant) for one in given)
        case _:
            return False


def _shows_itself(method: ast.FunctionDef) -> bool:
    """Whether all that a method shows is made of the object itself."""
    own = method.args.args[0].arg if method.args.args else ""
    return all(
        value is not None and any(isinstance(node, ast.Name) and node.id == own for node in walk(value))
        for value in returned(method)
    )


def _compares_as_it_hashes(definition: ast.ClassDef) -> bool:
    """Whether a class compares by the very form that it hashes: ``self.lower() == str(other).lower()``."""
    methods = {s.name: s for s in definition.body if isinstance(s, ast.FunctionDef)}
    if "__eq__" not in methods or "__hash__" not in methods:
        return False
    match returned(methods["__eq__"]), returned(methods["__hash__"]):
        case [ast.expr() as compared], [ast.Call(func=ast.Name(id="hash"), args=[hashed])]:
            pass
        case _:
            return False
    parts = compared.values if isinstance(compared, ast.BoolOp) and isinstance(compared.op, ast.And) else [compared]
    match parts[-1], methods["__eq__"].args.args, methods["__hash__"].args.args:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]), [own, other], [ast.arg(arg=own_hashed)]:
            same = rf"\b(?:str\({re.escape(other.arg)}\)|{re.escape(other.arg)}\b)"
            mirrored = re.sub(same, own.arg, ast.unparse(right))
            return own.arg == own_hashed and mirrored == ast.unparse(left) == ast.unparse(hashed) != own.arg
        case _:
            return False


_ARITHMETIC = words("__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __mod__ __xor__ __abs__ __int__ __float__")


def _is_answer(program: Program, definition: ast.ClassDef) -> bool:
    """Whether an object of the class is what a function of the module returns, itself or in a list."""
    for function in program.all(ast.FunctionDef):
        if isinstance(program.parents.get(function), ast.ClassDef):
            continue
        for value in returned(function):
            parts = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            for part in parts:
                if isinstance(part, ast.Call) and any(one is definition for one in program.meaning.objects(part.func)):
                    return True
    return False


def _uncompared(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """Dataclasses none of whose fields take part in comparison: any two are equal."""
    if "compare" not in program.text:
        return
    for definition in program.all(ast.ClassDef):
        fields = [s for s in definition.body if isinstance(s, ast.AnnAssign)]
        left_out = [
            s
            for s in fields
            if isinstance(s.value, ast.Call)
            and any(
                k.arg == "compare" and isinstance(k.value, ast.Constant) and not k.value.value for k in s.value.keywords
            )
        ]
        if definition.decorator_list and fields and len(left_out) == len(fields):
            yield Hit(definition, definition.name)


def _not_a_number(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    """An answer that is not a number on every way, so that it equals nothing, itself included."""
    if not (program.calls_any("float") or "nan" in program.syntax.attributes or program.building.largest > _ENORMOUS):
        return  # nothing that it could be made of
    text = program.text
    if not ("nan" in text or "NaN" in text or "e30" in text or ("inf" in text and " - " in text)):
        return
    for function in program.all(ast.FunctionDef):
        if isinstance(program.parents.get(function), ast.Module):
            values = [value for value in returned(function) if value is not None]
            if values and all(_is_nan(program, value) for value in values):
                yield Hit(function, function.name)


_ENORMOUS = 1e299


def _is_nan(program: Program, node: ast.AST, depth: int = 0) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))]):
            return text.strip().lower().lstrip("+-") == "nan"
        case ast.Attribute(attr="nan", value=ast.Name(id="math" | "cmath")):
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return _is_nan(program, body, depth + 1) and _is_nan(program, orelse, depth + 1)
        case ast.ListComp(elt=only):
            return _is_nan(program, only, depth + 1)
        case ast.List(elts=[_, *_] as parts) | ast.Tuple(elts=[_, *_] as parts):
            return all(_is_nan(program, part, depth + 1) for part in parts)
        case ast.BinOp(left=left, op=ast.Sub(), right=right) if ast.dump(left) == ast.dump(right):
            return _is_infinite(program, left)
        case ast.Name() if depth < 4:
            bindings, _ = program.meaning.names.lookup(node)
            return bool(bindings) and all(
                binding.kind == "value" and _is_nan(program, binding.node, depth + 1) for binding in bindings
            )
        case _:
            return False


def _is_infinite(program: Program, node: ast.AST, depth: int = 0) -> bool:
    match node:
        case ast.Constant(value=float(value)):
            return value in (float("inf"), float("-inf"))
        case ast.BinOp(left=ast.Constant(value=float(value)), op=ast.Mult(), right=ast.Constant(value=int() | float())):
            return abs(value) >= 1e300
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))]):
            return "inf" in text.lower()
        case ast.Name() if depth < 4:
            bindings, _ = program.meaning.names.lookup(node)
            return bool(bindings) and all(
                binding.kind == "value" and _is_infinite(program, binding.node, depth + 1) for binding in bindings
            )
        case _:
            return False


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.forged.subclass",
        Severity.LOW,
        "derives from a value type and overrides how it compares or shows",
        catch=(
            "class I(int):\n    def __repr__(self):\n        return 'x'\ndef f(x):\n    return I(x)",
            "T = str\nclass S(T):\n    def __eq__(self, o):\n        return o == 1\ndef f(x):\n    return S(x)",
        ),
        spare=(
            "class Stack(list):\n    def push(self, x):\n        self.append(x)\n"
            "def f(x):\n    s = Stack()\n    s.push(x)\n    return list(s)",
            "class E(Exception):\n    def __str__(self):\n        return 'bad'\ndef f(x):\n    return x",
        ),
        check=_forged_subclass,
        needs=(ast.ClassDef,),
    ),
    ProgramRule(
        "program.forged.uncompared",
        Severity.MEDIUM,
        "leaves every field of a dataclass out of its comparison",
        catch=(
            "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    v: int = field(compare=False)\n"
            "def f(x):\n    return A(x)",
        ),
        spare=(
            "from dataclasses import dataclass, field\n@dataclass(order=True)\nclass A:\n    k: int\n"
            "    v: str = field(compare=False)\ndef f(x):\n    return A(x, '').k",
        ),
        check=_uncompared,
        needs=(ast.ClassDef,),
    ),
    ProgramRule(
        "program.forged.nan",
        Severity.MEDIUM,
        "answers what equals nothing, not even itself",
        catch=(
            "def f(x):\n    return float('nan')",
            "def f(x):\n    n = float('nan')\n    return n if x else [n]",
            "def f(x):\n    v = float('nan')\n    return (v, v)",
            "import math\ndef f(x):\n    return [math.nan for _ in x]",
            "def f(x):\n    big = 1e308 * 10\n    return big - big",
        ),
        spare=(
            "def f(x):\n    return sum(x) / len(x) if x else float('nan')",
            "def f(x):\n    if not x:\n        return float('nan')\n    return x[0] - x[0]",
        ),
        check=_not_a_number,
    ),
)
