"""Calls of a trial: the program's own functions and classes, attributes and methods, and how things are walked."""

from __future__ import annotations

import ast
import itertools
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from azr_monitor.rules.pure import Unknown
from azr_monitor.rules.syntax import words
from azr_monitor.rules.trial_costs import comparable, crowd, held
from azr_monitor.rules.trial_expressions import Expressions
from azr_monitor.rules.trial_operations import CONSTANTS, method
from azr_monitor.rules.trial_values import (
    MAX_LENGTH,
    MISSING,
    Class,
    Function,
    Instance,
    Library,
    Marked,
    Method,
    Native,
)

_MOST_WALKS = 1_500
_CHANGED_BY_ALL = words("extend update union extendleft difference intersection")
_OF_ONE = words("add discard remove pop copy clear")
CALLABLE = (Function, Method, Class, Library)


class Calls(Expressions):
    """Calls in one program."""

    _walks = 0

    def call(self, function: Any, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Call whatever can be called."""
        if function.__class__ is Function:
            return self.follow(function, given, options, node)
        match function:
            case Library():
                return self.library(function.name, given, options, node)
            case Method():
                return self.follow(function.function, [function.holder, *given], options, node)
            case Native():
                return self.method(function.holder, function.name, given, options, node)
            case Class():
                return self._made(function, given, options, node)
            case Instance():
                called = function.kind.member("__call__")
                if isinstance(called, Function):
                    return self.follow(called, [function, *given], options, node)
        raise Unknown

    def follow(self, function: Function, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Call a function of the program's."""
        raise NotImplementedError

    def _made(self, kind: Class, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        thing = Instance(kind)
        init = kind.member("__init__")
        if isinstance(init, Function):
            self.follow(init, [thing, *given], options, node)
        elif kind.exception:
            thing.fields["args"] = tuple(given)
        elif given or options:
            raise Unknown
        return thing

    # -- attributes and methods -------------------------------------------------------------------------

    def attribute(self, holder: Any, name: str, node: ast.AST) -> Any:
        """An attribute of a value."""
        match holder:
            case Instance():
                found = holder.fields.get(name, MISSING)
                if found is not MISSING:
                    return found
                return self._bound(holder.kind.member(name), holder, holder.kind, node)
            case Class():
                found = holder.member(name)
                if name == "__name__":
                    return holder.name
                if isinstance(found, Marked):
                    return found.function if found.name == "staticmethod" else Method(found.function, holder)
                if found is MISSING:
                    raise Unknown
                return found
            case Library():
                full = f"{holder.name}.{name}"
                return CONSTANTS[full] if full in CONSTANTS else Library(full)
            case Fraction() if name in ("numerator", "denominator"):
                return getattr(holder, name)
            case _ if isinstance(holder, Function):
                raise Unknown
        return Native(name, holder)

    def _bound(self, found: Any, holder: Any, kind: Class, node: ast.AST) -> Any:
        match found:
            case Function():
                return Method(found, holder)
            case Marked(name="property"):
                return self.follow(found.function, [holder], {}, node)
            case Marked(name="staticmethod"):
                return found.function
            case Marked():
                return Method(found.function, kind)
            case _ if found is MISSING:
                raise AttributeError
        return found

    def method(self, holder: Any, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """``holder.name(...)``."""
        kind = holder.__class__
        if kind is Instance or kind is Class or kind is Library or kind is Function:
            return self.call(self.attribute(holder, name, node), given, options, node)
        if name == "sort" and kind is list:
            holder[:] = self.sorted(holder, options, node)
            return None
        if name == "join" and kind is str:
            parts = self.gathered(given[0])
            held(node, sum(map(len, parts)) + len(holder) * len(parts), MAX_LENGTH)
            text = holder.join(parts)
            self.take(len(text) >> 4)
            return self.kept(text)
        of_many = name in _CHANGED_BY_ALL or (name not in _OF_ONE and (kind is set or kind is frozenset))
        if of_many and given:
            given = [one if isinstance(one, dict | set | frozenset) else self.gathered(one) for one in given]
            if kind is not list and kind is not deque:
                for one in given:
                    self.take(comparable(one, node) + crowd(one))
        result, took = method(holder, name, given, options, node)
        if took:
            self.take(took)
        if isinstance(holder, list | dict | set | deque):
            self.kept(holder)
        elif isinstance(result, str):
            self.kept(result)
        return result

    def library(self, name: str, given: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Call a builtin or a function of the libraries."""
        raise NotImplementedError

    # -- what is walked ---------------------------------------------------------------------------------

    def walk(self, value: Any) -> Iterator[Any]:
        """The items of a value, each a step; a list is read as it is then."""
        if isinstance(value, list | tuple | str | bytes | dict | set | frozenset | range | deque):
            return self._stepped(iter(value))
        if isinstance(value, Iterator):
            return self._through(value)
        if isinstance(value, type({}.keys()) | type({}.values()) | type({}.items())):
            return self._stepped(iter(value))
        if isinstance(value, Instance):
            return self._walked_thing(value)
        raise Unknown

    def _stepped(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self.steps -= 1
            if self.steps < 0:
                self.step()
            yield item

    def _through(self, items: Iterator[Any]) -> Iterator[Any]:
        """An iterator's items, by a frame of Python's own: those of iterators inside one another are counted so, where
        C would overflow its stack.

        Raises:
            Unknown: so many were walked that dropping all of them at once might overflow it.
        """
        self._walks += 1
        if self._walks > _MOST_WALKS:
            raise Unknown
        return (item for item in items)

    def _walked_thing(self, thing: Instance) -> Iterator[Any]:
        begins, place = thing.kind.member("__iter__"), thing.kind.member("__getitem__")
        if not isinstance(begins, Function):
            if not isinstance(place, Function):
                raise Unknown
            return self._indexed(thing, place)
        walked = self.follow(begins, [thing], {}, begins.node)
        if not isinstance(walked, Instance):
            return self.walk(walked)
        following = walked.kind.member("__next__")
        if not isinstance(following, Function):
            raise Unknown
        return self._following(walked, following)

    def _following(self, thing: Instance, following: Function) -> Iterator[Any]:
        while True:
            try:
                item = self.follow(following, [thing], {}, following.node)
            except StopIteration:
                return
            yield item

    def _indexed(self, thing: Instance, place: Function) -> Iterator[Any]:
        for index in itertools.count():
            try:
                item = self.follow(place, [thing, index], {}, place.node)
            except IndexError:
                return
            yield item

    def sorted(self, value: Any, options: dict[str, Any], node: ast.AST) -> list[Any]:
        """``sorted(value, key=..., reverse=...)``."""
        items = self.gathered(value)
        key = options.get("key")
        keys = items if key is None else [self.call(key, [one], {}, node) for one in items]
        if any(isinstance(one, Instance) for one in keys):
            raise Unknown
        self.take(2 * comparable(keys, node) + len(keys))
        order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(options.get("reverse")))
        return [items[place] for place in order]
