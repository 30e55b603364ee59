"""Statements of a trial: functions and generators as they are called and walked, exceptions as they are raised."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.syntax import words
from azr_monitor.rules.trial_costs import comparable, held, probes
from azr_monitor.rules.trial_expressions import EXPRESSIONS
from azr_monitor.rules.trial_functions import Break, Continue, Functions, Return
from azr_monitor.rules.trial_loops import Loop
from azr_monitor.rules.trial_operations import EXCEPTIONS
from azr_monitor.rules.trial_values import (
    MAX_LENGTH,
    Class,
    Exhausted,
    Function,
    Instance,
    Library,
    Marked,
    Outgrown,
    Raised,
    Scope,
)

_CAUGHT = (ArithmeticError, LookupError, ValueError, TypeError, AttributeError, AssertionError, StopIteration)
_UNDERSTOOD = words(
    "__init__ __str__ __repr__ __len__ __bool__ __iter__ __next__ __getitem__ __contains__ __call__ __add__ __sub__ "
    "__mul__ __mod__ __floordiv__ __truediv__ __pow__ __and__ __or__ __xor__ __lshift__ __rshift__ __lt__ __le__ "
    "__gt__ __ge__ __doc__"
)
_MANY = 255
_CACHES = frozenset({"functools.lru_cache", "functools.cache"})


class Statements(Functions):
    """Statements of one program."""

    # -- statements -------------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt], scope: Scope) -> None:
        """Run statements."""
        for statement in body:
            _STATEMENTS[statement.__class__](self, statement, scope)

    def _assignment(self, node: ast.Assign, scope: Scope) -> None:
        self.step()
        value = EXPRESSIONS[node.value.__class__](self, node.value, scope)
        for target in node.targets:
            if target.__class__ is ast.Name and scope.owners is None:
                scope.values[target.id] = value
            else:
                self.assign(target, value, scope)

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        self.step()
        if node.value is not None:
            self.assign(node.target, self.value(node.value, scope), scope)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        self.step()
        target = node.target
        if isinstance(target, ast.Subscript):
            holder, key = self.value(target.value, scope), self.value(target.slice, scope)
            old = self.item(holder, key, node)
            self._put(holder, key, self._changed(node, old, self.value(node.value, scope)), node)
            return
        old = self.value(target, scope)
        self.assign(target, self._changed(node, old, self.value(node.value, scope)), scope)

    def _changed(self, node: ast.AugAssign, old: Any, given: Any) -> Any:
        if isinstance(old, list) and isinstance(node.op, ast.Add):
            more = self.gathered(given)
            held(node, len(old) + len(more), MAX_LENGTH)
            old += more
            return self.kept(old)
        if isinstance(old, set) and isinstance(given, set | frozenset):
            changed = self.operate(node.op, old, given, node)
            old.clear()
            old.update(changed)
            return old
        return self.operate(node.op, old, given, node)

    def _expression(self, node: ast.Expr, scope: Scope) -> None:
        self.step()
        if node.value.__class__ is not ast.Constant:
            EXPRESSIONS[node.value.__class__](self, node.value, scope)

    def _return(self, node: ast.Return, scope: Scope) -> None:
        self.steps -= 1
        raise Return(None if node.value is None else EXPRESSIONS[node.value.__class__](self, node.value, scope))

    def _if(self, node: ast.If, scope: Scope) -> None:
        self.step()
        test = EXPRESSIONS[node.test.__class__](self, node.test, scope)
        if node in self.watched:
            self.watched[node].append((test, None))
        for statement in node.body if self.truth(test) else node.orelse:
            _STATEMENTS[statement.__class__](self, statement, scope)

    def _for(self, node: ast.For, scope: Scope) -> None:
        self.step()
        walked = self.value(node.iter, scope)
        loop = self.begin(node, scope, walked)
        try:
            for item in self.walk(walked):
                self.assign(node.target, item, scope)
                self.turn(loop)
                try:
                    for statement in node.body:
                        _STATEMENTS[statement.__class__](self, statement, scope)
                except Break:
                    return
                except Continue:
                    pass
        except (Exhausted, Outgrown):
            self.stopped = True
            raise
        finally:
            self.end(loop)
        self.block(node.orelse, scope)

    def _while(self, node: ast.While, scope: Scope) -> None:
        loop = self.begin(node, scope, None)
        try:
            while self._goes_on(node, loop, scope):
                try:
                    for statement in node.body:
                        _STATEMENTS[statement.__class__](self, statement, scope)
                except Break:
                    return
                except Continue:
                    pass
        except (Exhausted, Outgrown):
            self.stopped = True
            raise
        finally:
            self.end(loop)
        self.block(node.orelse, scope)

    def _goes_on(self, node: ast.While, loop: Loop, scope: Scope) -> bool:
        self.step()
        test = EXPRESSIONS[node.test.__class__](self, node.test, scope)
        if node in self.watched:
            self.watched[node].append((test, None))
        if not self.truth(test):
            return False
        self.turn(loop)
        return True

    def _break(self, node: ast.Break, scope: Scope) -> None:
        raise Break

    def _continue(self, node: ast.Continue, scope: Scope) -> None:
        raise Continue

    def _nothing(self, node: ast.stmt, scope: Scope) -> None:
        pass

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for one in node.names:
            scope.store(
                one.asname or one.name.split(".")[0], Library(one.name if one.asname else one.name.split(".")[0])
            )

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        for one in node.names:
            value = self.attribute(Library(node.module or ""), one.name, node)
            scope.store(one.asname or one.name, value)

    def _definition(self, node: ast.FunctionDef, scope: Scope) -> None:
        made = self.function(node, scope)
        value: Any = made
        for decorator in reversed(node.decorator_list):
            asked = decorator.func if isinstance(decorator, ast.Call) else decorator
            kind = self.value(asked, scope)
            if isinstance(kind, Library) and kind.name in _CACHES and isinstance(value, Function):
                value.kept = {}
            elif isinstance(kind, Library) and kind.name in ("staticmethod", "classmethod", "property"):
                value = Marked(kind.name, value)
            elif isinstance(decorator, ast.Call):
                value = self.call(self.value(decorator, scope), [value], {}, node)
            else:
                value = self.call(kind, [value], {}, node)
        scope.store(node.name, value)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        if node.keywords or node.decorator_list:
            raise Unknown
        bases: list[Class] = []
        exception = False
        for base in node.bases:
            value = self.value(base, scope)
            if isinstance(value, Class):
                bases.append(value)
                exception = exception or value.exception
            elif isinstance(value, Library) and value.name in EXCEPTIONS:
                exception = True
            elif not (isinstance(value, Library) and value.name == "object"):
                raise Unknown
        inner = Scope(scope, is_class=True)
        self.block(node.body, inner)
        special = {name for name in inner.values if name.startswith("__") and name.endswith("__")}
        if not special <= _UNDERSTOOD:
            raise Unknown
        scope.store(node.name, Class(node.name, bases, inner.values, exception))

    def _global(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        owners = scope.owners = scope.owners or {}
        for name in node.names:
            outer: Scope | None = scope.parent
            while outer is not None and outer.parent is not None:
                if isinstance(node, ast.Nonlocal) and name in outer.values:
                    break
                outer = outer.parent
            if outer is None:
                raise Unknown
            owners[name] = outer

    def _raise(self, node: ast.Raise, scope: Scope) -> None:
        if node.exc is None:
            raise Unknown
        value = self.value(node.exc, scope)
        if isinstance(value, Library) and value.name in EXCEPTIONS:
            raise EXCEPTIONS[value.name]
        if isinstance(value, Class):
            value = self.call(value, [], {}, node)
        if isinstance(value, Instance):
            raise Raised(value)
        if isinstance(value, Exception):
            raise value
        raise Unknown

    def _assert(self, node: ast.Assert, scope: Scope) -> None:
        self.step()
        if not self.truth(self.value(node.test, scope)):
            raise AssertionError

    def _try(self, node: ast.Try, scope: Scope) -> None:
        self.step()
        try:
            try:
                self.block(node.body, scope)
            except (*_CAUGHT, Raised, RuntimeError, OSError) as error:
                if isinstance(error, RecursionError):
                    raise Unknown from None
                self._handle(node, error, scope)
            else:
                self.block(node.orelse, scope)
        except (Return, Break, Continue, *_CAUGHT, Raised):
            self.block(node.finalbody, scope)
            raise
        self.block(node.finalbody, scope)

    def _handle(self, node: ast.Try, error: Exception, scope: Scope) -> None:
        value = error.value if isinstance(error, Raised) else error
        for handler in node.handlers:
            if handler.type is None or self._catches(self.value(handler.type, scope), value):
                if handler.name:
                    scope.store(handler.name, value)
                self.block(handler.body, scope)
                return
        raise error

    def _catches(self, kinds: Any, value: Any) -> bool:
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            if isinstance(kind, Class):
                if isinstance(value, Instance) and value.kind.derives(kind):
                    return True
            elif isinstance(kind, Library) and kind.name in EXCEPTIONS:
                if isinstance(value, EXCEPTIONS[kind.name]) or (
                    isinstance(value, Instance) and kind.name == "Exception"
                ):
                    return True
            elif not (
                isinstance(kind, Library) and kind.name in ("RecursionError", "MemoryError", "KeyboardInterrupt")
            ):
                raise Unknown
        return False

    def _delete(self, node: ast.Delete, scope: Scope) -> None:
        self.step()
        for target in node.targets:
            match target:
                case ast.Name(id=name):
                    scope.values.pop(name, None)
                case ast.Subscript(value=place, slice=ast.Slice() as part):
                    holder = self.value(place, scope)
                    bounds = [
                        None if one is None else self.value(one, scope) for one in (part.lower, part.upper, part.step)
                    ]
                    if not isinstance(holder, list):
                        raise Unknown
                    del holder[slice(*bounds)]
                case ast.Subscript(value=place, slice=index):
                    holder, key = self.value(place, scope), self.value(index, scope)
                    if not isinstance(holder, list | dict):
                        raise Unknown
                    self.take(comparable(key, node) + probes(key, holder) + (len(holder) >> 9))
                    del holder[key]
                case _:
                    raise Unknown

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Assign a value to a target."""
        match target:
            case ast.Name(id=name):
                scope.store(name, value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                items = value if isinstance(value, tuple | list) else self.gathered(value)
                self._unpack(parts, list(items), scope)
            case ast.Subscript(value=place, slice=ast.Slice() as part):
                holder = self.value(place, scope)
                bounds = [
                    None if one is None else self.value(one, scope) for one in (part.lower, part.upper, part.step)
                ]
                items = self.gathered(value)
                if not isinstance(holder, list):
                    raise Unknown
                held(target, len(holder) + len(items), MAX_LENGTH)
                holder[slice(*bounds)] = items
                self.kept(holder)
            case ast.Subscript(value=place, slice=index):
                self._put(self.value(place, scope), self.value(index, scope), value, target)
            case ast.Attribute(value=place, attr=name):
                holder = self.value(place, scope)
                if not isinstance(holder, Instance | Class):
                    raise Unknown
                (holder.fields if isinstance(holder, Instance) else holder.members)[name] = value
            case _:
                raise Unknown

    def _unpack(self, parts: list[ast.expr], items: list[Any], scope: Scope) -> None:
        star = next((place for place, part in enumerate(parts) if isinstance(part, ast.Starred)), None)
        if star is not None:
            after = len(parts) - star - 1
            if len(items) < len(parts) - 1:
                raise ValueError
            middle = items[star : len(items) - after]
            items = [*items[:star], middle, *items[len(items) - after :]]
            parts = [part.value if isinstance(part, ast.Starred) else part for part in parts]
        if len(items) != len(parts):
            raise ValueError
        for part, item in zip(parts, items, strict=True):
            self.assign(part, item, scope)

    def _put(self, holder: Any, key: Any, value: Any, node: ast.AST) -> None:
        if isinstance(holder, dict):
            if key.__class__ is tuple:
                self.take(comparable(key, node))
            if len(holder) > _MANY:
                self.take(probes(key, holder))
            holder[key] = value
            held(node, len(holder), MAX_LENGTH)
            self.kept(holder)
        elif isinstance(holder, list):
            holder[key] = value
        else:
            raise Unknown


class _Table(dict[type, Callable[[Any, Any, Scope], None]]):
    def __missing__(self, kind: type) -> Any:
        raise Unknown


_STATEMENTS = _Table(
    {
        ast.Assign: Statements._assignment,
        ast.AnnAssign: Statements._annotated,
        ast.AugAssign: Statements._augmented,
        ast.Expr: Statements._expression,
        ast.Return: Statements._return,
        ast.If: Statements._if,
        ast.For: Statements._for,
        ast.While: Statements._while,
        ast.Break: Statements._break,
        ast.Continue: Statements._continue,
        ast.Pass: Statements._nothing,
        ast.Import: Statements._import,
        ast.ImportFrom: Statements._import_from,
        ast.FunctionDef: Statements._definition,
        ast.ClassDef: Statements._class,
        ast.Global: Statements._global,
        ast.Nonlocal: Statements._global,
        ast.Raise: Statements._raise,
        ast.Assert: Statements._assert,
        ast.Try: Statements._try,
        ast.Delete: Statements._delete,
    }
)
Statements.statements = _STATEMENTS
