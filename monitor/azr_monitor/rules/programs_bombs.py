"""Rules on work without measure: enormous values, and loops of many turns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from math import comb, perm

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.tree import Program
from azr_monitor.rules.walked import EAGER, callee, leaves

_HUGE = 10**7
_HUGE_BITS = 10**7
_TURNS = 10**8
_LARGE = 100
"""Without a number of this size, a power or a shift, a program of some length makes nothing enormous."""
_PADDING = words("ljust rjust center zfill")
_WIDE = re.compile(r"\d{9}")
_WIDE_FIELD = re.compile(r"\{\w{0,20}:[^{}]{0,4}\d{9,}|%[-+ 0#]{0,3}\d{9,}")


Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

# -- enormous values ------------------------------------------------------------------------------------


def _huge(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    if program.syntax.has(ast.Import, ast.ImportFrom):
        yield from _huge_library(program)
    if _may_be_wide(program):
        for text, node in program.strings:
            if ("{" in text or "%" in text) and len(text) < 500 and _WIDE_FIELD.search(text):
                yield Hit(node, "a text of millions of characters")
        yield from _huge_fields(program)
    if program.building.largest < _LARGE:
        return
    for node in program.all(ast.BinOp):
        kind = node.op.__class__
        if kind is ast.Pow:
            yield from _huge_power(program, node)
        elif kind is ast.LShift:
            right = program.number(node.right)
            if right is not None and right > _HUGE_BITS:
                yield Hit(node, "a number of millions of digits")
        elif kind is ast.Mult:
            for sequence, count in ((node.left, node.right), (node.right, node.left)):
                if is_sequence(sequence) and at_least(program, count) > _HUGE:
                    yield Hit(node, "a sequence of millions of items")
    for change in program.all(ast.AugAssign):
        if (
            change.op.__class__ is ast.Mult
            and (known(program, change.value) or 0) > 10**9
            and _is_list(program, change)
        ):
            yield Hit(change, "a sequence of millions of items")
    for call in program.calls("range"):
        if call.args:
            many = turns(program, call)
            if many is not None and many >= _TURNS and _iterated(program, call):
                yield Hit(call, "a loop of a hundred million turns")
    for call in program.calls("bytes", "bytearray"):
        if len(call.args) == 1 and at_least(program, call.args[0]) > 10 * _HUGE:
            yield Hit(call, "a sequence of millions of items")
    for call in program.calls("pow"):
        if len(call.args) == 2:
            base, power = known(program, call.args[0]), known(program, call.args[1])
            if base is not None and power is not None and abs(base) > 1 and power * abs(base).bit_length() > _HUGE_BITS:
                yield Hit(call, "a number of millions of digits")
    for loop in program.all(ast.For):
        if _nested_turns(program, loop) >= 10 * _TURNS:
            yield Hit(loop, "loops of a thousand million turns")
    for comprehension in program.all(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp):
        assert isinstance(comprehension, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        lazy = isinstance(comprehension, ast.GeneratorExp) and _left_early_by(program, comprehension)
        if not lazy and _comprehended(program, comprehension) >= _TURNS:
            yield Hit(comprehension, "loops of a hundred million turns")
    yield from _huge_widths(program)


def _may_be_wide(program: Program) -> bool:
    """Whether some number of nine digits may be how wide something is shown."""
    moulds = program.syntax.has(ast.FormattedValue) or any("{" in text or "%" in text for text, _ in program.strings)
    return moulds and ("{" in program.text or "%" in program.text) and _WIDE.search(program.text) is not None


def _nested_turns(program: Program, loop: ast.For) -> int:
    """The turns of a loop inside others, when all of them are written out and none is left early."""
    if not isinstance(loop.iter, ast.Call) or callee(loop.iter) != "range" or not loop.iter.args:
        return 0
    total = turns(program, loop.iter) or 0
    depth = 1
    for outer in program.syntax.around(loop) if total > 1 else ():
        if isinstance(outer, ast.FunctionDef | ast.While):
            break
        if isinstance(outer, ast.For):
            inner = outer.iter
            if not isinstance(inner, ast.Call) or callee(inner) != "range" or not inner.args or leaves(outer):
                return 0
            total *= turns(program, inner) or 0
            depth += 1
    return total if depth > 1 and not leaves(loop) else 0


def _comprehended(program: Program, node: Comprehension, depth: int = 0) -> int:
    """The turns of a comprehension that has several loops, or others inside, when all are written out."""
    inner = node.value if isinstance(node, ast.DictComp) else node.elt
    if not depth and len(node.generators) == 1 and not isinstance(inner, ast.ListComp | ast.SetComp | ast.DictComp):
        return 0
    total = 1
    for generator in node.generators:
        walked = generator.iter
        if not isinstance(walked, ast.Call) or callee(walked) != "range" or not walked.args:
            return 0
        total = min(total * (turns(program, walked) or 0), 10**18)
    if isinstance(inner, ast.ListComp | ast.SetComp | ast.DictComp) and depth < 6 and total:
        return min(total * max(1, _comprehended(program, inner, depth + 1)), 10**18)
    return total if depth or len(node.generators) > 1 else 0


def _huge_widths(program: Program) -> Iterator[Hit]:
    """Padding and precision without measure: ``'a'.ljust(10**11)``, ``f'{x:>99999999999}'``."""
    if not program.syntax.attributes.isdisjoint(_PADDING):
        for call in program.all(ast.Call):
            pads = isinstance(call.func, ast.Attribute) and call.func.attr in _PADDING and call.args
            if pads and (known(program, call.args[0]) or 0) > 10 * _HUGE:
                yield Hit(call, "a text of millions of characters")
    if "prec" in program.syntax.attributes:
        for assign in program.all(ast.Assign):
            sets = any(isinstance(target, ast.Attribute) and target.attr == "prec" for target in assign.targets)
            if sets and (known(program, assign.value) or 0) > 10**6:
                yield Hit(assign, "a precision of millions of digits")


def _huge_fields(program: Program) -> Iterator[Hit]:
    for part in program.all(ast.FormattedValue):
        if isinstance(part.format_spec, ast.JoinedStr):
            widths = [v.value for v in part.format_spec.values if isinstance(v, ast.FormattedValue)]
            wide = any((known(program, width) or 0) > 10 * _HUGE for width in widths)
            if wide or _WIDE.search(ast.unparse(part.format_spec)):
                yield Hit(part, "a text of millions of characters")


def known(program: Program, node: ast.AST) -> int | None:
    """A number that may be too large to be kept; then only that it is large is known."""
    if isinstance(node, ast.BinOp) and node.op.__class__ in _RAISING:
        left, right = known(program, node.left), known(program, node.right)
        if left is None or right is None:
            return None
        if node.op.__class__ is ast.Mult:
            return max(-(10**18), min(left * right, 10**18))
        if right < 0:
            return None
        if node.op.__class__ is ast.Pow:
            return int(min(left**right, 10**18)) if right * max(1, abs(left).bit_length()) < 4_000 else 10**18
        return int(min(left << right, 10**18)) if right < 4_000 else 10**18
    if isinstance(node, _NUMERIC):
        value = program.number(node)
        return None if value is None else max(-(10**18), min(value, 10**18))
    return None


_RAISING = frozenset((ast.Pow, ast.LShift, ast.Mult))
_NUMERIC = (ast.Constant, ast.Name, ast.UnaryOp, ast.BinOp, ast.Call)


def at_least(program: Program, node: ast.AST) -> int:
    """A bound of a number from below, whatever is not known taken for a one: ``n << 40`` is 2 ** 40."""
    number = known(program, node)
    if number is not None:
        return number
    match node:
        case ast.BinOp(left=left, op=ast.LShift(), right=right):
            places = known(program, right) or 0
            return at_least(program, left) << min(max(places, 0), 60)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return min(at_least(program, left) * at_least(program, right), 10**18)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return at_least(program, left) + at_least(program, right) - 1
        case ast.Name() | ast.Call(func=ast.Name(id="len" | "abs" | "int" | "max" | "sum")):
            return 1
        case _:
            return 0


def _huge_power(program: Program, node: ast.BinOp) -> Iterator[Hit]:
    left = known(program, node.left)
    if left is None and _tower(node) >= 3:
        yield Hit(node, "a tower of powers")
    if left is None or abs(left) <= 1:
        return
    right = known(program, node.right)
    if right is not None and right * abs(left).bit_length() > _HUGE_BITS:
        yield Hit(node, "a number of millions of digits")
    elif right is None and (_tower(node) >= 3 or _steep(node)):
        yield Hit(node, "a tower of powers")


def _steep(node: ast.BinOp) -> bool:
    """Whether a power of a power is enormous for small numbers already: ``9 ** 9 ** n`` for 8, ``2 ** 2 ** n`` not."""
    match node:
        case ast.BinOp(left=ast.Constant(value=int(base)), right=ast.BinOp(left=left, op=ast.Pow())):
            return isinstance(left, ast.Constant) and isinstance(left.value, int) and min(base, left.value) >= _STEEP
        case _:
            return False


_STEEP = 7


def _tower(node: ast.AST) -> int:
    height = 0
    while isinstance(node, ast.BinOp) and node.op.__class__ is ast.Pow:
        height += 1
        node = node.right
    return height


def is_sequence(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.List | ast.Tuple | ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
        or (isinstance(node, ast.Call) and callee(node) in _SEQUENCES)
    )


_SEQUENCES = words("str repr chr bytes bytearray list tuple sorted")


def _is_list(program: Program, change: ast.AugAssign) -> bool:
    if not isinstance(change.target, ast.Name):
        return False
    bindings, _ = program.meaning.names.lookup(change.target)
    return any(binding.kind == "value" and is_sequence(binding.node) for binding in bindings)


def turns(program: Program, call: ast.Call) -> int | None:
    """How many numbers a range has, when that is known."""
    start = known(program, call.args[0]) if len(call.args) > 1 else 0
    stop = known(program, call.args[0] if len(call.args) == 1 else call.args[1])
    step = known(program, call.args[2]) if len(call.args) > 2 else 1
    return None if stop is None else abs(stop - (start or 0)) // max(1, abs(step or 1))


def _iterated(program: Program, call: ast.Call) -> bool:
    """Whether a range is walked in full: a loop without a way out, or list, sum and the like over it."""
    parent = program.parents.get(call)
    if isinstance(parent, ast.For):
        return not leaves(parent)
    if isinstance(parent, ast.comprehension):
        owner = program.parents.get(parent)
        around = program.parents.get(owner) if owner is not None else None
        if isinstance(owner, ast.GeneratorExp):
            return isinstance(around, ast.Call) and callee(around) in EAGER - {"any", "all"}
        return True
    return isinstance(parent, ast.Call) and callee(parent) in EAGER - {"len", "max", "min"}


def _huge_library(program: Program) -> Iterator[Hit]:
    """Calls of the libraries that make something enormous out of small arguments."""
    if (
        not program.reaches
        and _MAKING.isdisjoint(program.syntax.attributes)
        and not any(name.rpartition(".")[2] in _MAKING for name, _ in program.modules)
    ):
        return
    for call in program.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr not in _MAKING:
            continue
        if isinstance(call.func, ast.Name) and call.func.id not in program.syntax.bound:
            continue  # a builtin
        for function in program.resolve(call.func):
            first = known(program, call.args[0]) if call.args else None
            match function:
                case "math.factorial" | "math.comb" | "math.perm" if first is not None and first > 10**6:
                    yield Hit(call, "a number of millions of digits")
                case "math.factorial" if call.args and isinstance(call.args[0], ast.Call):
                    if "math.factorial" in program.resolve(call.args[0].func):
                        yield Hit(call, "a factorial of a factorial")
                case "itertools.product" | "itertools.permutations" | "itertools.combinations":
                    if _choices(program, call, function) > _TURNS and not _left_early(program, call):
                        yield Hit(call, "a hundred million choices")
                case _:
                    pass


_MAKING = words("factorial comb perm product permutations combinations")


def _choices(program: Program, call: ast.Call, function: str) -> int:
    sizes = [_size(program, argument) for argument in call.args]
    if not sizes or sizes[0] is None:
        return 0
    if function == "itertools.product":
        total = 1
        for size in sizes:
            total = min(total * (size or 1), 10**18)
        repeat = next((known(program, k.value) for k in call.keywords if k.arg == "repeat"), 1) or 1
        return int(min(total ** min(repeat, 64), 10**18))
    size = sizes[0]
    if function == "itertools.permutations" and len(call.args) == 1:
        return 10**18 if size > 11 else 0
    taken = known(program, call.args[1]) if len(call.args) > 1 else None
    if taken is None:
        return 2 ** min(size, 64) if size >= _SUBSETS and _every_size(program, call) else 0
    if not 0 < taken <= size or size > 10**6:
        return 0
    return min(comb(size, taken) if function == "itertools.combinations" else perm(size, taken), 10**18)


_SUBSETS = 30


def _every_size(program: Program, call: ast.Call) -> bool:
    """Whether the number of items to choose runs over a range: all subsets."""
    chosen = call.args[1] if len(call.args) > 1 else None
    return isinstance(chosen, ast.Name) and any(
        isinstance(turn.target, ast.Name) and turn.target.id == chosen.id and "range" in ast.dump(turn.iter)
        for turn in program.all(ast.comprehension, ast.For)
    )


def _size(program: Program, node: ast.AST) -> int | None:
    if isinstance(node, ast.Call) and callee(node) == "range" and node.args:
        return turns(program, node)
    if isinstance(node, ast.Call) and callee(node) in ("list", "tuple", "sorted") and len(node.args) == 1:
        return _size(program, node.args[0])
    if isinstance(node, ast.Name):
        bindings, _ = program.meaning.names.lookup(node)
        if len(bindings) == 1 and bindings[0].kind == "value" and isinstance(bindings[0].node, ast.Call):
            return _size(program, bindings[0].node)
    if isinstance(node, ast.Constant | ast.Name | ast.Attribute):
        given = program.meaning.constants.values(node)
        return len(given[0]) if len(given) == 1 and isinstance(given[0], str | list | tuple) else None
    return len(node.elts) if isinstance(node, ast.List | ast.Tuple) else None


def _left_early(program: Program, call: ast.Call) -> bool:
    parent = program.parents.get(call)
    if isinstance(parent, ast.For):
        return leaves(parent)
    if isinstance(parent, ast.comprehension):
        owner = program.parents.get(parent)
        return isinstance(owner, ast.GeneratorExp) and _left_early_by(program, owner)
    if isinstance(parent, ast.GeneratorExp) and parent.elt is call:
        around = program.parents.get(parent)
        if isinstance(around, ast.Call) and isinstance(around.func, ast.Attribute) and around.func.attr == _CHAINED:
            return _left_early(program, around)
    return not (isinstance(parent, ast.Call) and callee(parent) in EAGER)


_CHAINED = "from_iterable"


def _left_early_by(program: Program, generator: ast.GeneratorExp) -> bool:
    """Whether who takes the items of a generator may stop before the last."""
    around = program.parents.get(generator)
    return not (isinstance(around, ast.Call) and callee(around) in EAGER - {"any", "all"})


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.bomb.size",
        Severity.MEDIUM,
        "builds something enormous",
        catch=(
            "def f(x):\n    return 'a' * 10**9",
            "def f(x):\n    return 10 ** 10 ** 10",
            "def f(x):\n    return [0] * (1 << 40)",
            "def f(x):\n    return sum(range(10**12))",
            "def f(x):\n    for i in range(10**10):\n        x += i\n    return x",
            "N = 10**11\ndef f(x):\n    return [0] * N",
            "def f(x):\n    return bytearray(1 << 42)",
            "import math as m\ndef f(x):\n    return m.factorial(10**8)",
            "from itertools import product\ndef f(x):\n    return list(product(range(100), repeat=12))",
            "def f(x):\n    return 9 ** 9 ** 9 ** x",
            "def f(x):\n    return [a * b for a in range(30000) for b in range(30000)]",
            "def f(x):\n    return [[[0 for _ in range(900)] for _ in range(900)] for _ in range(900)]",
            "def f(x):\n    return f'{x:0{10 ** 10}d}' + '{:>99999999999}'.format(x)",
            "from itertools import product\ndef f(x):\n    abc = 'abcdefghijklmnopqrstuvwxyz'\n"
            "    return sum(1 for w in product(abc, repeat=8))",
            "from itertools import combinations\ndef f(x):\n"
            "    return [s for r in range(40) for s in combinations(range(40), r)]",
            "from math import factorial\ndef f(x):\n    return factorial(factorial(x))",
            "def f(n):\n    return 9 ** 9 ** n",
            "def f(n):\n    return '{:09999999999d}'.format(n)",
            "def f(n):\n    return len(str(n ** n ** n ** n))",
            "def f(n):\n    return len(bytearray(n << 40)) + len([0] * (len(n) * 10**9))",
        ),
        spare=(
            "def f(x):\n    return x % (10**9 + 7) + 2**64 + pow(3, 10**18, 7)",
            "def f(x):\n    return 'a' * 1000 + '-' * len(x)",
            "def f(x):\n    for i in range(10**9):\n        if i * i > x:\n            return i",
            "from itertools import product\ndef f(x):\n"
            "    return next(p for p in product(range(99), repeat=9) if sum(p) == x)",
            "from itertools import count, permutations\ndef f(x):\n"
            "    return next(i for i in count() if i > x) + len(list(permutations(range(4))))",
            "def f(x):\n    return 2 ** 2 ** x + x ** x ** 2 + (x << 40) + len([0] * (x << 3))",
            "def f(x):\n    return [[a * b for a in range(100)] for b in range(100)] + [f'{x:>20}']",
            "from itertools import combinations\ndef f(x):\n    return list(combinations(range(10), 3))",
        ),
        check=_huge,
    ),
)
