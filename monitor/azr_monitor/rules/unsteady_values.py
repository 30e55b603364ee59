"""What an expression gives, in the reading of a program that ``unsteady_runs`` does."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from azr_monitor.rules.names import targets
from azr_monitor.rules.syntax import Function, walk, words
from azr_monitor.rules.tree import Program
from azr_monitor.rules.unsteady import (
    NOTHING,
    NUMBER,
    TEXT,
    Level,
    Mark,
    Sure,
    Value,
    a_set,
    is_alone,
    joined,
    worse,
)
from azr_monitor.rules.unsteady_calls import (
    ORDER,
    PLACES,
    a_list,
    as_text,
    handled,
    kept,
    nested,
    ordered,
    picked,
)
from azr_monitor.rules.unsteady_kinds import kind_of

_MAX_STEPS = 1_500
_MAX_NESTED = 60


class Walked(NamedTuple):
    """What a loop walks over: the value, whether in an order of chance, and what stands at each place of an item."""

    value: Value
    shuffled: bool
    places: tuple[Value, ...] = ()


class Values(ABC):
    """Expressions, in the state that the statements before them have left."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.env: dict[str, Value] = {}
        self.fields: dict[str, Value] = {}
        self.returns: list[tuple[Value, ast.AST]] = []
        self.control: Mark | None = None
        self.turning = 0
        self.compared = 0
        self.tied = 0
        self.inside: tuple[Function, ...] = ()
        self.changed: set[str] = set()
        self.left = _MAX_STEPS
        self._depth = 0
        self.functions: dict[str, ast.FunctionDef] = {}
        self.methods: dict[str, list[ast.FunctionDef]] = {}
        self.classes = {definition.name: definition for definition in program.all(ast.ClassDef)}
        for definition in program.all(ast.FunctionDef):
            if program.parents.get(definition).__class__ is ast.ClassDef:
                self.methods.setdefault(definition.name, []).append(definition)
            else:
                self.functions[definition.name] = definition

    @abstractmethod
    def call(self, node: ast.Call) -> Value:
        """What a call gives."""

    @abstractmethod
    def run(self, function: Function, given: Sequence[Value], named: Mapping[str, Value], call: ast.Call) -> Value:
        """What a function of the program's gives."""

    @abstractmethod
    def store(self, place: ast.expr, given: Value, source: ast.expr) -> None:
        """Assign a value."""

    @abstractmethod
    def change(self, whole: ast.expr, value: Value) -> None:
        """Change what something holds in place."""

    # -- expressions ------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Value:
        """What an expression gives; nothing is known of what is too deep inside others."""
        if self._depth > _MAX_NESTED:
            return NOTHING
        self._depth += 1
        try:
            return self._value(node)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr) -> Value:
        match node:
            case ast.Name(id=name):
                return self._named(name)
            case ast.Constant(value=value):
                return TEXT if isinstance(value, str | bytes) else NUMBER if isinstance(value, int | float) else NOTHING
            case ast.Call():
                self.left -= 1
                return NOTHING if self.left < 0 else self.call(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(node, self.value(left), op, self.value(right))
            case ast.Compare():
                return self._compare(node)
            case ast.JoinedStr(values=parts):
                return self._together(
                    as_text([self.value(part.value) for part in parts if isinstance(part, ast.FormattedValue)]),
                    [part.value for part in parts if isinstance(part, ast.FormattedValue)],
                )
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return self._comprehension(node)
            case ast.Tuple(elts=items):
                return self._tuple(node, [self.value(item) for item in items])
            case ast.List(elts=items):
                return self._list(items)
            case ast.Set(elts=items):
                return a_set(joined(self._spread(item) for item in items))
            case ast.Dict():
                return self._table(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                asked = self.value(test)
                either = joined((self.value(body), self.value(orelse)))
                return either.marked(worse(either.mark, asked.mark if asked.level == Level.CHANCE else None))
            case ast.BoolOp(values=values):
                return joined(map(self.value, values))
            case ast.UnaryOp(op=op, operand=operand):
                inner = handled(self.value(operand))
                fixed = isinstance(op, ast.Not) and inner.level in (Level.ORDER, Level.SHUFFLED)
                return NUMBER.marked(None if fixed else inner.mark)
            case ast.NamedExpr(target=target, value=inner_node):
                given = self.value(inner_node)
                self.store(target, given, inner_node)
                return given
            case ast.Lambda():
                return Value("bare")
            case ast.Starred(value=inner_node):
                return self.value(inner_node)
            case ast.Yield(value=ast.expr() as inner_node):
                given = self.value(inner_node)
                one = Value("iterator", ordered(given.mark), kept(given))
                self.returns.append((one if given.level in (2, 4) else one.marked(None), node))
                return NOTHING
            case _:
                return NOTHING

    def _named(self, name: str) -> Value:
        known = self.env.get(name)
        if known is not None:
            return known
        if name in self.functions:
            return Value("bare")
        return Value("hashed") if name in self.classes or name in _TYPES else NOTHING

    def _is_enumeration(self, node: ast.expr) -> bool:
        definition = self.classes.get(node.id) if isinstance(node, ast.Name) else None
        return definition is not None and kind_of(self.program, definition, ()) == "member"

    def _attribute(self, node: ast.Attribute) -> Value:
        if self._is_enumeration(node.value):
            return Value("hashed")
        whole = self.value(node.value)
        if node.attr in self.methods and any(m.decorator_list for m in self.methods[node.attr]):
            call = ast.copy_location(ast.Call(node, [node.value], []), node)
            return joined(self.run(method, [whole], {}, call) for method in self.methods[node.attr][:2])
        known = self.fields.get(node.attr, NOTHING)
        return known.marked(worse(known.mark, nested(whole.mark)) if whole.level in (2, 4) else known.mark)

    def _subscript(self, node: ast.Subscript) -> Value:
        whole, key = self.value(node.value), self.value(node.slice)
        key = key if whole.kind == "table" else handled(key)
        asked = nested(key.mark) if key.level in (Level.ITEM, Level.CHANCE) else None
        if whole.kind == "table" or (whole.level == Level.ORDER and whole.kind != "list"):
            held = whole.held or NOTHING
            chance = whole.mark if whole.level == Level.CHANCE else None
            return held.marked(worse(worse(chance, asked), held.mark))
        if isinstance(node.value, ast.Name) and node.value.id in self.classes:
            return (
                Value("hashed", asked)
                if kind_of(self.program, self.classes[node.value.id], ()) == "member"
                else NOTHING
            )
        if isinstance(node.slice, ast.Slice):
            mark = whole.mark.by_chance(PLACES) if whole.mark and whole.level == Level.SHUFFLED else whole.mark
            return whole.marked(mark)
        match node.slice:
            case ast.Constant(value=int(at)) if -len(whole.parts) <= at < len(whole.parts):
                part = whole.parts[at]
                return part.marked(worse(part.mark, whole.mark if whole.level in (2, 4) else None))
        taken = (
            picked(whole, PLACES)
            if whole.level == Level.SHUFFLED
            else whole.inner().marked(worse(whole.inner().mark, nested(whole.mark)))
        )
        return taken.marked(worse(taken.mark, asked))

    def _binary(self, node: ast.BinOp, left: Value, op: ast.operator, right: Value) -> Value:
        if isinstance(op, ast.Mod) and (left.kind == "text" or isinstance(node.left, ast.JoinedStr)):
            shown = right.parts if right.kind == "tuple" and right.parts else (right,)
            return self._together(as_text([left, *shown]), [node.right])
        if "set" in (left.kind, right.kind) and isinstance(op, _SET_OPERATORS):
            if isinstance(op, ast.Sub | ast.BitAnd) and is_alone(left):
                return left
            made = a_set(joined((left.inner().marked(None), right.inner().marked(None))))
            chance = worse(left.mark, right.mark)
            return made.marked(worse(made.mark, chance) if chance is not None and chance.level in (2, 4) else made.mark)
        left, right = handled(left), handled(right)
        mark = worse(left.mark, right.mark)
        if {"list", "iterator"} & {left.kind, right.kind} and isinstance(op, ast.Add | ast.Mult):
            return Value("list", mark, joined((left.inner(), right.inner())))
        if not left.kind and not right.kind and not isinstance(op, ast.Add | ast.Mod | _SET_OPERATORS):
            return self._together(NUMBER.marked(nested(mark)), [node.left, node.right])
        kind = (
            "text"
            if "text" in (left.kind, right.kind)
            else "count"
            if "count" in (left.kind, right.kind)
            else left.kind
        )
        mark = nested(mark)
        return self._together(Value(kind or right.kind, mark), [node.left, node.right])

    def _together(self, made: Value, parts: Sequence[ast.expr]) -> Value:
        """``(i, w)``: how many came before, beside the item that came then."""
        if made.level == Level.ITEM and made.mark is not None and self.turning:
            read = {n.id for part in parts for n in walk(part) if isinstance(n, ast.Name)}
            return made.marked(made.mark.by_chance(PLACES)) if "count" in (self._named(n).kind for n in read) else made
        return made

    def _compare(self, node: ast.Compare) -> Value:
        sides = [self.value(side) for side in (node.left, *node.comparators)]
        kind = "count" if any(side.kind == "count" for side in sides) else "number"
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            left, right = sides[0], sides[1]
            asked = left.mark if left.level in (Level.ITEM, Level.CHANCE) else None
            return NUMBER.marked(worse(asked, right.mark if right.level in (Level.ITEM, Level.CHANCE) else None))
        if isinstance(node.ops[0], ast.Is | ast.IsNot):
            return NUMBER
        if all(side.kind == "handle" for side in sides):
            same = isinstance(node.ops[0], ast.Eq | ast.NotEq)
            return NUMBER if same else handled(sides[0])
        mark: Mark | None = None
        for side in map(handled, sides):
            own = side.mark
            if own is not None and own.level is Level.SHUFFLED:
                own = own.by_chance(sure=False)
            mark = worse(mark, None if side.level == Level.ORDER else own)
        return Value(kind, mark)

    # -- what holds others ------------------------------------------------------------------------------

    def _tuple(self, node: ast.Tuple, parts: list[Value]) -> Value:
        mark: Mark | None = None
        for part in parts:
            mark = worse(mark, nested(part.mark))
        return self._together(Value("tuple", mark, parts=tuple(parts)), node.elts)

    def _spread(self, item: ast.expr) -> Value:
        return self.value(item.value).inner() if isinstance(item, ast.Starred) else self.value(item)

    def _list(self, items: Sequence[ast.expr]) -> Value:
        made = a_list([self.value(item) for item in items if not isinstance(item, ast.Starred)])
        mark, item = made.mark, made.item or NOTHING
        for starred in items:
            if isinstance(starred, ast.Starred):
                whole = self.value(starred.value)
                mark = worse(mark, ordered(whole.mark))
                item = joined((item, whole.inner()))
        return Value("list", mark, item)

    def _table(self, node: ast.Dict) -> Value:
        keys = [self.value(key) for key in node.keys if key is not None]
        held = [self.value(value) for value in node.values]
        mark: Mark | None = None
        for value in held:
            mark = worse(mark, nested(value.mark))
        for key, inner in zip(node.keys, held, strict=True):
            if key is None:
                mark = worse(mark, inner.mark)
        for key_value in keys:
            if handled(key_value).level == Level.CHANCE:
                mark = worse(mark, key_value.mark)
        return Value("table", mark, joined(key.marked(None) for key in keys), joined(map(kept, held)))

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp) -> Value:
        names = [name for part in node.generators for name in targets(part.target)]
        before = {name: self.env.get(name) for name in names}
        mark: Mark | None = None
        turning = 0
        for part in node.generators:
            walked = self.walked(part.iter)
            self.bind(part.target, walked)
            if walked.shuffled:
                turning += 1
                self.turning += 1
                mark = worse(mark, walked.value.mark and Mark(Level.SHUFFLED, ORDER, walked.value.mark.sure))
            elif walked.value.level in (Level.ITEM, Level.CHANCE) and walked.value.mark is not None:
                mark = worse(mark, walked.value.mark)
            for test in part.ifs:
                asked = self.value(test)
                if asked.level == Level.CHANCE or (asked.kind == "count" and turning):
                    mark = worse(mark, asked.mark or Mark(Level.CHANCE, PLACES))
        if isinstance(node, ast.DictComp):
            made = self._table_made(node, mark)
        else:
            item = self.value(node.elt)
            made = self._made(node, item, mark)
        self.turning -= turning
        for name, value in before.items():
            if value is None:
                self.env.pop(name, None)
            else:
                self.env[name] = value
        return made

    def _made(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, item: Value, mark: Mark | None) -> Value:
        own = item.mark
        own = None if own is not None and own.level is Level.ITEM and self.turning else own
        if isinstance(node, ast.SetComp):
            chance = worse(mark, nested(own))
            made = a_set(kept(item))
            return made.marked(chance) if chance is not None and chance.level in (2, 4) else made
        kind = "iterator" if isinstance(node, ast.GeneratorExp) else "list"
        return Value(kind, worse(mark, nested(own)), kept(item))

    def _table_made(self, node: ast.DictComp, mark: Mark | None) -> Value:
        key, held = handled(self.value(node.key)), self.value(node.value)
        if mark is not None and mark.level is Level.SHUFFLED:
            mark = Mark(Level.ORDER, mark.why, mark.sure)
        for inner in (key, handled(held)):
            if (chance := nested(inner.mark)) is not None and chance.level is Level.CHANCE:
                mark = worse(mark, chance)
        if self.turning and key.level == Level.ITEM and held.kind == "count":
            mark = worse(mark, Mark(Level.CHANCE, PLACES))
        if key.kind == "count" and held.level == Level.ITEM and self.turning:
            mark = worse(mark, Mark(Level.CHANCE, PLACES))
        same = (Value("number"),) if isinstance(node.value, ast.Constant) else ()
        return Value("table", mark, key.marked(None), kept(held), same)

    # -- loops ------------------------------------------------------------------------------------------

    def walked(self, node: ast.expr) -> Walked:
        """What a loop over an expression walks over."""
        match node:
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
                value = self.value(inner)
                if value.level in (Level.ORDER, Level.SHUFFLED) and value.mark is not None:
                    return Walked(value, True, (Value("count"), self.item_of(value)))
                places = (NUMBER, value.inner().marked(worse(value.inner().mark, nested(value.mark))))
                return Walked(value, False, places)
            case ast.Call(func=ast.Name(id="zip"), args=[*walked]) if len(walked) > 1:
                values = [self.value(one) for one in walked]
                if any(value.level in (Level.ORDER, Level.SHUFFLED) for value in values):
                    whole = self.value(node)
                    if whole.level == Level.CHANCE:
                        return Walked(whole, True, tuple(self._beside(value) for value in values))
                    return Walked(whole, True, tuple(self.item_of(value) for value in values))
        value = self.value(node)
        if (
            isinstance(node, ast.Subscript)
            and value.item is not None
            and is_alone(value.item)
            and value.mark is not None
        ):
            # Of the letters that a table sorts into sets there often is but one in each.
            value = value.marked(value.mark._replace(sure=min(value.mark.sure, Sure.MAYBE)))
        return Walked(value, value.level in (Level.ORDER, Level.SHUFFLED))

    @staticmethod
    def item_of(value: Value) -> Value:
        """An item of what is walked over."""
        inner = value.inner()
        if value.mark is None or value.level not in (Level.ORDER, Level.SHUFFLED):
            return inner
        return inner.marked(worse(inner.mark, Mark(Level.ITEM, value.mark.why, value.mark.sure)))

    def _beside(self, value: Value) -> Value:
        if value.level in (Level.ORDER, Level.SHUFFLED):
            return self.item_of(value)
        return value.inner()._replace(kind="count")

    def bind(self, target: ast.expr, walked: Walked) -> None:
        """Let the names of a loop stand for an item."""
        if walked.places and isinstance(target, ast.Tuple | ast.List) and len(target.elts) == len(walked.places):
            for place, value in zip(target.elts, walked.places, strict=True):
                self._bind(place, value)
            return
        item = self.item_of(walked.value)
        if walked.value.level in (Level.ITEM, Level.CHANCE):
            item = item.marked(worse(item.mark, walked.value.mark))
        self._bind(target, item)

    def _bind(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(id=name):
                self.env[name] = value
            case ast.Tuple(elts=places) | ast.List(elts=places):
                parts = value.parts if len(value.parts) == len(places) else (value.inner(),) * len(places)
                for place, part in zip(places, parts, strict=True):
                    self._bind(place, part.marked(worse(part.mark, value.mark if value.level in (2, 4) else None)))
            case ast.Starred(value=inner):
                self._bind(inner, Value("list", nested(value.mark), value.item))
            case _:
                pass


_SET_OPERATORS = ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor
_TYPES = words("int str float list dict set tuple bool bytes complex object type")
