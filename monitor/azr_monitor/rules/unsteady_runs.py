"""A program read from its entry on, as it would run: which of its values differ from run to run, and what it answers.

Every statement is read in order, loops twice, both sides of a choice; functions of the program's are read where they
are called. What is not understood is taken for steady.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from azr_monitor.rules.functions import parameters
from azr_monitor.rules.names import targets
from azr_monitor.rules.syntax import Function, own_nodes, walk
from azr_monitor.rules.unsteady import NOTHING, TEXT, Level, Mark, Sure, Value, joined, worse
from azr_monitor.rules.unsteady_calls import (
    FIRST,
    JOINED,
    LEFT,
    ORDER,
    PLACES,
    TIED,
    handled,
    measures,
    nested,
    ordered,
    picked,
    shuffled_inside,
)
from azr_monitor.rules.unsteady_effects import Effects

_MAX_DEPTH = 4
_LAST = "whichever item of a set comes last"
_FOLDED = "a set, folded in the order it happens to have"


class Run(Effects):
    """One reading of a program."""

    def answers(self, entry: ast.FunctionDef, given: Mapping[str, Value]) -> list[tuple[Value, ast.AST]]:
        """What the entry point answers, each with its place."""
        for statement in getattr(self.program.tree, "body", ()):
            if isinstance(statement, ast.Assign | ast.AnnAssign | ast.ClassDef):
                self._statement(statement)
        self.env.update(given)
        self._body(entry.body)
        return self.returns

    # -- functions --------------------------------------------------------------------------------------

    def run(self, function: Function, given: Sequence[Value], named: Mapping[str, Value], call: ast.Call) -> Value:
        """What a function of the program's gives for these arguments."""
        if self.inside.count(function) > 1 or len(self.inside) >= _MAX_DEPTH:
            return NOTHING
        names = parameters(function)
        outer, returns, control, turning = self.env, self.returns, self.control, self.turning
        self.env = dict(outer)
        self.env.update(dict.fromkeys(names, NOTHING) | self._defaults(function))
        self.env.update(zip(names, given, strict=False))
        self.env.update({name: value for name, value in named.items() if name in names})
        self.returns, self.inside, self.turning = [], (*self.inside, function), 0
        if isinstance(function, ast.Lambda):
            answer = self.value(function.body)
        else:
            self._body(function.body)
            answer = joined(value for value, _ in self.returns)
        inner = self.env
        self.env, self.returns, self.control, self.turning = outer, returns, control, turning
        self.inside = self.inside[:-1]
        if not isinstance(function, ast.Lambda):
            self._carry_out(function, names, inner, call)
        return answer

    def _defaults(self, function: Function) -> dict[str, Value]:
        """What parameters are when nothing is given."""
        arguments = function.args
        last = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][::-1]
        return {name: self.value(default) for name, default in zip(last, arguments.defaults[::-1], strict=False)}

    def _carry_out(self, function: Function, names: list[str], inner: Mapping[str, Value], call: ast.Call) -> None:
        """What a function has done to what it was given, or to names around it."""
        for name, argument in zip(names, call.args, strict=False):
            if name in self.changed and isinstance(argument, ast.Name) and argument.id in self.env:
                self.env[argument.id] = inner[name]
        shared = {
            name for node in own_nodes(function) if isinstance(node, ast.Nonlocal | ast.Global) for name in node.names
        }
        own = {n.id for n in own_nodes(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} - shared
        for name in (self.changed | shared) - own - set(names):
            if name in self.env and name in inner:
                self.env[name] = inner[name]

    # -- statements -------------------------------------------------------------------------------------

    def _body(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        self.left -= 1
        if self.left < 0:
            return
        match node:
            case ast.Assign(targets=places, value=value):
                given = self._folded(node, self.value(value))
                for place in places:
                    self.store(place, given, value)
            case ast.AnnAssign(target=place, value=ast.expr() as value):
                self.store(place, self.value(value), value)
            case ast.AugAssign(target=place, op=op, value=value):
                self._add(node, place, op, self.value(value))
            case ast.Expr(value=value):
                self.value(value)
            case ast.Return(value=ast.expr() as value):
                self._answer(node, self.value(value))
            case ast.If():
                self._choice(node)
            case ast.For():
                self._loop(node)
            case ast.While():
                self._while(node)
            case ast.With(items=items, body=body):
                for item in items:
                    held = self.value(item.context_expr)
                    if item.optional_vars is not None:
                        self.store(item.optional_vars, held, item.context_expr)
                self._body(body)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
                self._body(body)
                for handler in handlers:
                    self._body(handler.body)
                self._body([*orelse, *finalbody])
            case ast.Match(subject=subject, cases=cases):
                self.value(subject)
                for case in cases:
                    self._body(case.body)
            case ast.ClassDef(body=body):
                for inner in body:
                    match inner:
                        case ast.Assign(targets=[ast.Name(id=name)], value=value):
                            self.fields[name] = self.value(value)
                        case _:
                            pass
            case _:
                pass

    def _answer(self, node: ast.stmt, value: Value) -> None:
        if self.turning and value.level == Level.ITEM and value.mark is not None:
            always = self.program.parents.get(node).__class__ is ast.For
            value = value.marked(value.mark.by_chance(FIRST, always))
        if self.control is not None:
            value = value.marked(worse(value.mark, self.control))
        self.returns.append((value, node))

    def _choice(self, node: ast.If) -> None:
        asked = self.value(node.test)
        before, compared, tied = self.control, self.compared, self.tied
        if asked.level == Level.CHANCE:
            self.control = worse(before, asked.mark)
        elif asked.level == Level.ITEM and any(isinstance(n, ast.Compare) for n in walk(node.test)):
            # Whichever comes first, the least of all is left in the end; of equal lengths it is not.
            by_size = measures(node.test) and not _compares_names(node.test)
            self.tied, self.compared = tied + by_size, compared + (not by_size)
        base = dict(self.env)
        self._body(node.body)
        one, self.env = self.env, base
        self._body(node.orelse)
        for name, value in one.items():
            if (known := self.env.get(name)) is not value:
                self.env[name] = value if known is None else joined((value, known))
        self.control, self.compared, self.tied = before, compared, tied

    def _loop(self, node: ast.For) -> None:
        walked = self.walked(node.iter)
        turning = walked.shuffled
        self.turning += turning
        for _ in range(2):
            self.bind(node.target, walked)
            self._body(node.body)
        self.turning -= turning
        if turning:
            self._settle(node, set(targets(node.target)))
        self._body(node.orelse)

    def _while(self, node: ast.While) -> None:
        self.value(node.test)
        drains = self._drains(node)
        self.turning += drains
        for _ in range(2):
            self._body(node.body)
        self.turning -= drains
        if drains:
            self._settle(node, set())
            self._leave(node)
        self._body(node.orelse)

    def _drains(self, node: ast.While) -> bool:
        """Whether a loop takes one item after another out of a set until it is empty."""
        named = {n.id for n in walk(node.test) if isinstance(n, ast.Name)}
        return any(
            isinstance(self.env.get(name), Value) and self.env[name].level in (Level.ORDER, Level.SHUFFLED)
            for name in named
        )

    def _leave(self, node: ast.While) -> None:
        """After ``while len(words) > 2: words.pop()`` there is something left."""
        match node.test:
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]), comparators=[ast.expr() as least]
            ) if not (isinstance(least, ast.Constant) and not least.value):
                value = self.env[name]
                if value.level == Level.ORDER and value.mark is not None:
                    self.env[name] = value.marked(value.mark.by_chance(LEFT))
            case _:
                pass

    def _settle(self, node: ast.For | ast.While, items: set[str]) -> None:
        """After a loop over a set, names stand for whichever item came last."""
        always = {n for s in node.body if isinstance(s, ast.Assign) for t in s.targets for n in targets(t)} | items
        for name in {n.id for n in walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}:
            value = self.env.get(name)
            if value is not None and value.level == Level.ITEM and value.mark is not None:
                ended = any(isinstance(inner, ast.Break) for inner in walk(node))
                self.env[name] = value.marked(value.mark.by_chance(_LAST, name in always and not ended))
            elif name in items and value is not None and value.mark is not None:
                self.env[name] = value.marked(None)  # how many there were

    # -- stores -----------------------------------------------------------------------------------------

    def store(self, place: ast.expr, given: Value, source: ast.expr) -> None:
        """Assign a value."""
        if self.control is not None and given.level < Level.CHANCE:
            given = given.marked(worse(given.mark, self.control))
        match place:
            case ast.Name(id=name):
                if self.compared and given.level == Level.ITEM:
                    given = given.marked(None)
                elif self.tied and given.level == Level.ITEM and given.mark is not None:
                    given = given.marked(given.mark.by_chance(TIED))
                self.env[name] = given
            case ast.Attribute(attr=attr):
                known = self.fields.get(attr)
                self.fields[attr] = given if known is None else joined((known, given))
            case ast.Tuple(elts=places) | ast.List(elts=places):
                self._unpack(places, given, source)
            case ast.Starred(value=inner):
                self.store(inner, Value("list", ordered(given.mark), given.inner()), source)
            case ast.Subscript(value=whole, slice=key):
                self.put(whole, self.value(key), key, given)
            case _:
                pass

    def _unpack(self, places: list[ast.expr], given: Value, source: ast.expr) -> None:
        if len(given.parts) == len(places) and given.kind == "tuple":
            for place, part in zip(places, given.parts, strict=True):
                mark = given.mark if given.level == Level.CHANCE and not any(p.mark for p in given.parts) else part.mark
                self.store(place, part.marked(mark), source)
            return
        for place in places:
            one = picked(given) if len(places) > 1 else given.inner()
            self.store(place, one, source)

    def put(self, whole: ast.expr, key: Value, written: ast.expr, given: Value) -> None:
        """Put a value into a table, or a list, under a key."""
        known = self.value(whole)
        mark = known.mark
        key = key if known.kind in ("table", "") else handled(key)
        if key.level == Level.CHANCE and key.mark is not None:
            mark = worse(mark, key.mark)
        elif key.level == Level.ITEM and key.mark is not None:
            mark = worse(mark, Mark(Level.ORDER, ORDER))
            plain = isinstance(written, ast.Name | ast.Tuple)
            if given.level == Level.ITEM and not plain and _is_shared(written):
                mark = worse(mark, key.mark.by_chance(_LAST))
        elif given.level == Level.ITEM and given.mark is not None and self.turning and not self.compared:
            mark = worse(mark, given.mark.by_chance(_LAST, False))
        given_mark = nested(given.mark)
        if given_mark is not None and given_mark.level is Level.CHANCE:
            mark = worse(mark, given_mark)
        if self.turning and key.level == Level.ITEM and given.kind == "count":
            mark = worse(mark, Mark(Level.CHANCE, PLACES))
        elif self.turning and key.kind == "count" and given.level == Level.ITEM:
            mark = worse(mark, Mark(Level.SHUFFLED if known.kind == "list" else Level.CHANCE, PLACES))
        item, held = known.item, known.held
        kind = known.kind or "table"
        if kind == "table":
            item = joined((item or NOTHING, key.marked(None)))
            held = joined((held or NOTHING, given.marked(given.mark if given.level == Level.ORDER else None)))
        else:
            item = joined((item or NOTHING, given.marked(None)))
        self.change(whole, known._replace(kind=kind, mark=mark, item=item, held=held))

    def change(self, whole: ast.expr, value: Value) -> None:
        """Change what a name, or a field, holds in place."""
        match whole:
            case ast.Name(id=name):
                self.env[name] = value
                self.changed.add(name)
            case ast.Attribute(attr=attr):
                self.fields[attr] = value
            case ast.Subscript(value=outer) | ast.Call(func=ast.Attribute(value=outer, attr="setdefault" | "get")):
                self._change_inside(outer, whole, value)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                asked = self.value(test)
                for side in (body, orelse):
                    if isinstance(side, ast.Name):
                        chance = worse(value.mark, asked.mark) if asked.level == Level.CHANCE else value.mark
                        self.change(side, value.marked(chance))
            case _:
                pass

    def _change_inside(self, outer: ast.expr, whole: ast.expr, value: Value) -> None:
        """``groups[len(w)].append(w)``: a list in a table; under a key of its own it has no more than one order."""
        key = (
            whole.slice if isinstance(whole, ast.Subscript) else whole.args[0] if isinstance(whole, ast.Call) else None
        )
        table = self.value(outer)
        mark = table.mark
        asked = self.value(key) if key is not None else NOTHING
        asked = asked if table.kind in ("table", "") else handled(asked)
        if asked.level == Level.CHANCE:
            mark = worse(mark, asked.mark)
        plain = value.marked(None) if value.level > Level.ORDER else value
        if value.level == Level.CHANCE:
            mark = worse(mark, value.mark)
        elif value.level == Level.SHUFFLED and value.mark is not None:
            alone = asked.level == Level.ITEM and isinstance(key, ast.Name)
            later = Sure.MAYBE if "sort" in self.program.text else Sure.YES
            plain = plain if alone else value.marked(value.mark._replace(sure=min(value.mark.sure, later)))
        if asked.level == Level.ITEM:
            mark = worse(mark, Mark(Level.ORDER, ORDER))
        kind = table.kind or "table"
        held = joined((table.held or NOTHING, plain)) if kind == "table" else table.held
        item = table.item if kind == "table" else joined((table.item or NOTHING, plain))
        if kind == "table" and asked.kind:
            item = joined((item or NOTHING, asked.marked(None)))
        self.change(outer, table._replace(kind=kind, mark=mark, held=held, item=item))

    def _add(self, node: ast.AugAssign, place: ast.expr, op: ast.operator, given: Value) -> None:
        given = handled(given)
        known = self.value(place)
        mark = given.mark
        text = given.kind == "text" or known.kind == "text"
        if isinstance(op, ast.Add) and (given.kind in ("list", "iterator") or known.kind == "list"):
            if given.kind == "set" or given.level == Level.ORDER or given.level == Level.ITEM:
                mark = ordered(mark)
            value = Value("list", worse(known.mark, mark), joined((known.item or NOTHING, given.inner().marked(None))))
        elif isinstance(op, ast.Add) and text:
            if self.turning and mark is not None and mark.level is Level.ITEM:
                mark = mark.by_chance(JOINED)
                mark = mark if given.kind else mark._replace(sure=Sure.YES)  # what is added to a text is a text
            value = TEXT.marked(worse(known.mark, mark))
        elif isinstance(op, ast.BitOr | ast.BitAnd | ast.Sub) and known.kind == "set":
            value = known.marked(worse(known.mark, nested(mark) if given.level == Level.CHANCE else mark))
        else:
            steady = mark is None or mark.level is not Level.CHANCE
            counts = self.turning and isinstance(node.value, ast.Constant) and self._counts_every_item(node)
            value = (Value("count") if counts else known).marked(known.mark if steady else worse(known.mark, mark))
        if isinstance(place, ast.Subscript):
            self.put(place.value, self.value(place.slice), place.slice, value)
        else:
            self.store(place, value, node.value)

    def _counts_every_item(self, node: ast.AugAssign) -> bool:
        return isinstance(node.target, ast.Name) and self.program.parents.get(node).__class__ is ast.For

    def _folded(self, node: ast.Assign, given: Value) -> Value:
        """``h = h * 31 + ord(c)`` over a set: another order, another sum."""
        match node.targets:
            case [ast.Name(id=name)] if self.turning and given.level == Level.ITEM and given.mark is not None:
                pass
            case _:
                return given
        if not any(isinstance(n, ast.Name) and n.id == name for n in walk(node.value)):
            return given
        inside = [n for n in walk(node.value) if isinstance(n, ast.BinOp)]
        scaled = any(
            isinstance(n.op, _SCALES) and any(isinstance(m, ast.Name) and m.id == name for m in walk(n.left))
            for n in inside
        )
        if scaled and any(isinstance(n.op, _ADDS) for n in inside):
            return given.marked(given.mark.by_chance(_FOLDED))
        if given.kind == "text":
            return given.marked(given.mark.by_chance(JOINED)._replace(sure=Sure.YES))
        if given.kind == "list":
            return given.marked(ordered(given.mark))
        return given.marked(None)


_SCALES = (ast.Mult, ast.LShift, ast.Pow, ast.FloorDiv, ast.Div)
_ADDS = (ast.Add, ast.Sub, ast.BitXor, ast.BitOr)


def _compares_names(test: ast.expr) -> bool:
    """Whether items themselves are compared, at least where what is measured is equal."""
    return any(
        isinstance(asked, ast.Compare)
        and any(isinstance(n, ast.Name) for side in (asked.left, *asked.comparators) for n in _parts(side))
        and isinstance(asked.ops[0], ast.Lt | ast.Gt | ast.LtE | ast.GtE)
        for asked in walk(test)
    )


def _parts(side: ast.expr) -> list[ast.expr]:
    return side.elts if isinstance(side, ast.Tuple) else [side]


def _is_shared(key: ast.expr) -> bool:
    """Whether several items come under one key: their length, their first letter."""
    match key:
        case ast.Call(func=ast.Name(id="len")) | ast.Subscript(slice=ast.Constant()):
            return True
        case _:
            return False


def shown(value: Value) -> Mark | None:
    """What differs in an answer, where any of it does."""
    mark = value.mark
    if mark is not None and mark.level is Level.CHANCE:
        beside = [part for part in value.parts if part.level < Level.SHUFFLED]
        open_ = any(part.level == Level.CHANCE for part in value.parts)
        # Among three things and more that an answer tells, a list in no order was forgotten, and is not the answer.
        return mark._replace(sure=min(mark.sure, Sure.MAYBE)) if len(beside) > 1 and not open_ else mark
    if value.kind == "iterator":
        mark = nested(ordered(mark))
    return mark if mark is not None and mark.level is Level.SHUFFLED else shuffled_inside(value)
