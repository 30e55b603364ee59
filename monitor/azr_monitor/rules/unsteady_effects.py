"""What a call gives, and what it changes, in the reading of a program that ``unsteady_runs`` does."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from azr_monitor.rules.syntax import walk, words
from azr_monitor.rules.unsteady import NOTHING, Level, Mark, Value, a_set, joined, worse
from azr_monitor.rules.unsteady_calls import (
    FIRST,
    JOINED,
    LEFT,
    ORDER,
    PLACES,
    as_text,
    extreme,
    kept,
    nested,
    of_builtin,
    of_method,
    ordered,
    tied,
)
from azr_monitor.rules.unsteady_kinds import kind_of
from azr_monitor.rules.unsteady_values import Values

_MAX_COUNTED = 2_000
_ADDERS = words("append add insert appendleft put push extend extendleft update")
_CHANGES = _ADDERS | words("pop popleft sort clear")
_SETS = words("set frozenset")


class Effects(Values):
    """Calls: of the program's functions, of builtins, of methods."""

    def call(self, node: ast.Call) -> Value:
        """What a call gives, and what it does."""
        given = [self.value(argument) for argument in node.args]
        named = {keyword.arg: self.value(keyword.value) for keyword in node.keywords if keyword.arg}
        keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        match node.func:
            case ast.Name(id=name):
                return self._called(node, name, given, named, keywords)
            case ast.Attribute(value=whole, attr=attr):
                return self._method(node, whole, attr, given, named, keywords)
            case ast.Lambda() as function:
                return self.run(function, given, named, node)
            case _:
                return _passed_on(given)

    def _called(
        self, node: ast.Call, name: str, given: list[Value], named: dict[str, Value], keywords: dict[str, ast.expr]
    ) -> Value:
        if name in self.functions:
            return self.run(self.functions[name], given, named, node)
        if name in self.classes:
            return self._instance(node, self.classes[name], given, named)
        if name == "print":
            target = keywords.get("file")
            if target is not None:
                self.change(target, Value("", worse(self.value(target).mark, as_text(given).mark)))
            return NOTHING
        if name == "map" and node.args and isinstance(node.args[0], ast.Lambda | ast.Name) and len(given) > 1:
            return self._mapped(node, given)
        if name == "reduce" and len(given) > 1:
            return self._reduced(node, given)
        if name in ("min", "max") and len(given) == 1 and "key" in keywords:
            settled = self._is_tied(given[0], keywords["key"], name == "max")
            if settled is not None:
                return extreme(given[0], keywords["key"] if settled else None, sure=True)
        if name == "len" and self.turning and self._grows(node):
            return Value("count")
        made = of_builtin(node, name, given, keywords)
        return _passed_on(given) if made is None else made

    def _grows(self, node: ast.Call) -> bool:
        """Whether a length is that of something which the program fills: it tells how many came before."""
        match node.args:
            case [ast.Name(id=name)]:
                return name in self.changed
            case [ast.Attribute(attr=attr)]:
                return attr in self.fields
            case _:
                return False

    def _is_tied(self, walked: Value, key: ast.expr, most: bool) -> bool | None:
        """Whether several items have the same count, where what is counted is known."""
        match key:
            case ast.Attribute(value=ast.Name() as counted, attr="get"):
                return True if self.value(counted).parts and self.value(counted).kind == "table" else None
            case ast.Attribute(value=ast.Name() as counted, attr="count"):
                literal = self.value(counted).literal
            case ast.Lambda(body=ast.Call(func=ast.Attribute(value=ast.Name() as counted, attr="count"))):
                literal = self.value(counted).literal
            case _:
                return None
        return None if literal is None or len(literal) > _MAX_COUNTED else tied(literal, most)

    def _mapped(self, node: ast.Call, given: list[Value]) -> Value:
        walked = given[1]
        item = self.item_of(walked)
        function = node.args[0]
        if isinstance(function, ast.Name):
            name = function.id
            call = ast.copy_location(ast.Call(function, [node.args[1]], []), node)
            made = (
                self.run(self.functions[name], [item], {}, call)
                if name in self.functions
                else of_builtin(call, name, [item], {}) or _passed_on([item])
            )
        else:
            made = self.run(function, [item], {}, node) if isinstance(function, ast.Lambda) else NOTHING
        own = made.mark if made.level == Level.CHANCE else None
        return Value("iterator", worse(own, ordered(walked.mark)), kept(made))

    def _reduced(self, node: ast.Call, given: list[Value]) -> Value:
        walked = given[1]
        mark = walked.mark
        if mark is not None and mark.level in (Level.ORDER, Level.SHUFFLED):
            adds_texts = len(given) > 2 and given[2].kind == "text"
            mark = mark.by_chance(JOINED) if adds_texts or _hangs_on_order(node.args[0]) else None
        return Value("", mark)

    def _instance(self, node: ast.Call, definition: ast.ClassDef, given: list[Value], named: dict[str, Value]) -> Value:
        for method in definition.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                self.run(
                    method,
                    [NOTHING, *given],
                    named,
                    ast.copy_location(ast.Call(node.func, [node.func, *node.args], []), node),
                )
        kind = kind_of(self.program, definition, given)
        if definition.decorator_list or any(isinstance(s, ast.AnnAssign) for s in definition.body):
            fields = [
                s.target.id for s in definition.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
            ]
            for name, value in [*zip(fields, given, strict=False), *named.items()]:
                self.fields[name] = joined((self.fields.get(name, NOTHING), kept(value)))
        mark = joined(Value(mark=nested(value.mark)) for value in (*given, *named.values())).mark
        return Value("hashed" if kind == "member" else kind, mark if mark and mark.level in (2, 4) else None)

    def _method(
        self,
        node: ast.Call,
        whole: ast.expr,
        name: str,
        given: list[Value],
        named: dict[str, Value],
        keywords: dict[str, ast.expr],
    ) -> Value:
        if name in self.methods:
            receiver = self.value(whole)
            call = ast.copy_location(ast.Call(node.func, [whole, *node.args], []), node)
            made = joined(self.run(method, [receiver, *given], named, call) for method in self.methods[name][:2])
            return made.marked(worse(made.mark, receiver.mark if receiver.level in (2, 4) else None))
        root = whole.value if isinstance(whole, ast.Attribute) else whole
        if isinstance(root, ast.Name) and root.id not in self.env and name not in _ADDERS and name != "format":
            found = of_builtin(node, name, given, keywords)
            if found is None and isinstance(whole, ast.Name) and whole.id in _SETS:
                found = a_set(joined(value.inner() for value in given))
            if found is not None:
                return found
        receiver = self.value(whole)
        if name in _CHANGES:
            return self._changed_by(node, whole, name, receiver, given, keywords)
        made_of = of_method(receiver, name, given, None)
        if made_of is not None:
            if name == "setdefault" and receiver.kind in ("table", ""):
                self._set_default(node, whole, receiver, given)
            return made_of
        if name in ("write", "writelines"):
            self.change(whole, Value("", worse(receiver.mark, as_text(given).mark)))
        if name == "__hash__":
            return of_builtin(node, "hash", [receiver], {}) or NOTHING
        return _passed_on([receiver, *given])

    def _set_default(self, node: ast.Call, whole: ast.expr, receiver: Value, given: list[Value]) -> None:
        """``first.setdefault(len(w), w)``: whatever comes first stays."""
        if len(given) < 2:
            return
        key, value = given[0], given[1]
        mark = receiver.mark
        if key.level == Level.ITEM:
            mark = worse(mark, Mark(Level.ORDER, ORDER))
        if self.turning and value.kind == "count" and key.level == Level.ITEM:
            mark = worse(mark, Mark(Level.CHANCE, PLACES))
        if value.level == Level.ITEM and value.mark is not None and not isinstance(node.args[0], ast.Name):
            mark = worse(mark, value.mark.by_chance(FIRST))
        if key.level == Level.CHANCE:
            mark = worse(mark, key.mark)
        item = joined((receiver.item or NOTHING, key.marked(None)))
        self.change(whole, Value("table", mark, item, joined((receiver.held or NOTHING, kept(value)))))

    def _changed_by(
        self,
        node: ast.Call,
        whole: ast.expr,
        name: str,
        receiver: Value,
        given: list[Value],
        keywords: dict[str, ast.expr],
    ) -> Value:
        match name:
            case "pop" | "popleft" if not given or receiver.kind != "table":
                return self._drawn(node, whole, receiver)
            case "pop":
                return receiver.held or NOTHING
            case "sort":
                self.change(whole, of_builtin(node, "sorted", [receiver], keywords) or receiver)
            case "clear":
                self.change(whole, receiver.marked(None))
            case _ if given:
                self._added(whole, name, receiver, given[-1])
            case _:
                pass
        return NOTHING

    def _drawn(self, node: ast.Call, whole: ast.expr, receiver: Value) -> Value:
        inner = receiver.inner()
        mark = receiver.mark
        if mark is None or mark.level in (Level.ITEM, Level.CHANCE) or self._is_single(whole):
            return inner.marked(worse(inner.mark, None if mark is None else nested(mark)))
        if self.turning:
            return inner.marked(Mark(Level.ITEM, ORDER, mark.sure, node))
        self.change(whole, receiver.marked(mark.by_chance(LEFT)))
        return inner.marked(mark.by_chance(FIRST))

    def _is_single(self, whole: ast.expr) -> bool:
        """Whether a program asks if there is just one: ``s.pop() if len(s) == 1 else None``."""
        name = ast.dump(whole)
        for asked in self.program.all(ast.Compare):
            match asked:
                case ast.Compare(
                    left=ast.Call(func=ast.Name(id="len"), args=[counted]), comparators=[ast.Constant(value=1 | 2)]
                ):
                    if ast.dump(counted) == name and self.program.parents.get(asked).__class__ is not ast.While:
                        return True
        return False

    def _added(self, whole: ast.expr, name: str, receiver: Value, given: Value) -> None:
        mark = receiver.mark
        several = name in ("extend", "extendleft", "update")
        if several:
            own = given.mark if given.level == Level.CHANCE else ordered(given.mark)
            item = given.inner()
        else:
            own = nested(given.mark)
            own = ordered(own) if own is not None and own.level is Level.ITEM else own
            item = given
        if self.control is not None:
            own = worse(own, self.control)
        if receiver.kind in ("set", "table") or name == "add":
            if receiver.kind == "table":
                own = None if own is None or own.level is Level.SHUFFLED else own
                self.change(whole, receiver.marked(worse(mark, own)))
                return
            made = a_set(joined((receiver.item or NOTHING, item.marked(None))))
            chance = own if own is not None and own.level is Level.CHANCE else None
            self.change(whole, made.marked(worse(worse(made.mark, mark), chance)))
            return
        held = joined((receiver.item or NOTHING, kept(item)))
        self.change(whole, Value(receiver.kind or "list", worse(mark, own), held, None, ()))


def _passed_on(given: Sequence[Value]) -> Value:
    """What something unknown gives for what differs."""
    mark: Mark | None = None
    for value in given:
        if value.level in (Level.ITEM, Level.CHANCE):
            mark = worse(mark, value.mark)
    return NOTHING.marked(mark)


def _hangs_on_order(fold: ast.expr) -> bool:
    """Whether a fold gives something else in another order: texts put together, what is scaled and added up."""
    match fold:
        case ast.Lambda(args=ast.arguments(args=[ast.arg(arg=first), ast.arg(arg=second)]), body=body):
            pass
        case _:
            return False
    inside = [node for node in walk(body) if isinstance(node, ast.BinOp)]
    scaled = any(
        isinstance(node.op, ast.Mult | ast.Sub | ast.LShift | ast.FloorDiv | ast.Pow)
        and any(isinstance(n, ast.Name) and n.id == first for n in walk(node))
        for node in inside
    )
    adds = any(isinstance(node.op, ast.Add | ast.BitXor) for node in inside)
    texts = any(isinstance(n, ast.Constant) and isinstance(n.value, str) for n in walk(body))
    match body:
        case ast.BinOp(left=ast.Name(id=left), op=ast.Add(), right=ast.Name(id=right)):
            return {left, right} == {first, second}
    return (scaled and adds) or texts
