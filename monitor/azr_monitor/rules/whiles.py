"""Loops without a length in a dry run: whether they come back to where they were, and whether they near their end."""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import Any

from azr_monitor.rules.calls import Calls
from azr_monitor.rules.estimates import MAX_ITEMS, TOO_MANY_TURNS, is_key
from azr_monitor.rules.nearing import apart, turns_to_go
from azr_monitor.rules.outcomes import Env, Known, Leave, Return, Spent, Thing, Uncertain
from azr_monitor.rules.syntax import walk
from azr_monitor.rules.volumes import UNKNOWN, truth_of
from azr_monitor.rules.walked import always_true

INNER_TURNS = 3
"""Turns of a loop inside others that are really looked at."""
_WHILE_TURNS = 64
_LEAST_TURNS = 32
"""Turns of a ``while`` that are really looked at, and that are enough to judge it where more are too many steps."""


_Gap = tuple[float, bool]
"""How far something is from an end, and whether that can be told."""


class Whiles(Calls):
    """Loops without a length in one program."""

    def _attempt(self, body: list[ast.stmt], env: Env) -> None:
        with suppress(Uncertain, Return, Leave):
            self._block(body, env)

    def _unknown_turns(self, node: ast.For | ast.While, env: Env) -> None:
        """A loop of which nothing is known: what one turn does is looked at, what it leaves is unknown."""
        self._forget([node], env)
        began = self.turns
        self._attempt(node.body, self._copied(env))
        self.turns = began
        self._forget([node], env)
        if ast.Return in self._inside(node).kinds:
            raise Uncertain

    def _while(self, node: ast.While, env: Env) -> None:
        held = self._inside(node)
        steering, ways, calm = held.steering, ways_out(node), _is_calm(node)
        gaps: list[list[_Gap]] = []
        states: set[object] = set()
        before: list[Any] = []
        limit = INNER_TURNS if self._nested else _WHILE_TURNS
        began = self.turns
        self._nested += 1
        try:
            for _ in range(limit):
                truth = truth_of(self._value(node.test, env))
                if truth is None:
                    raise Uncertain
                if not truth:
                    return
                state = self._state(env, steering, calm)
                if state in states:
                    self._excess(node, "a loop that comes back to where it was")
                    raise Uncertain
                if state is not None:
                    states.add(state)
                gaps.append([self._gap(way, env) for way in ways])
                if len(gaps) == limit - 1:
                    before = _standing(env, held.asked)
                self.turns += 1
                try:
                    self._block(node.body, env)
                except Leave as leave:
                    if leave.whole:
                        return
        except Uncertain:
            self.turns = began
            self._unknown_turns(node, env)
            return
        except Spent:
            if len(gaps) >= _LEAST_TURNS:
                self._judge(node, gaps, False)
            raise
        finally:
            self._nested -= 1
        if limit == _WHILE_TURNS:
            self._judge(node, gaps, before == _standing(env, held.asked))
        self._forget([node], env)
        if ast.Return in held.kinds:
            raise Uncertain

    def _state(self, env: Env, steering: frozenset[str], calm: bool) -> tuple[object, ...] | None:
        """All that a loop steers by, where it begins anew; None where something is not known, or cannot be compared,
        or is too long for that. A loop is ``calm`` that changes nothing but names: things are the same things."""
        state: list[object] = []
        length = 0
        self._charge(len(steering))
        for name in sorted(steering):
            value = env[name] if name in env else self._globals.get(name)
            if isinstance(value, Known):
                if not self._is_closed(value):
                    return None
                continue
            if name not in env:
                if isinstance(value, list | dict | set):
                    return None  # who changes it is not known
                continue
            if calm and isinstance(value, list | set | dict | tuple | Thing):
                value = id(value)
            if isinstance(value, list | set | dict):
                length += len(value)
                if length > MAX_ITEMS:
                    return None
                self._charge(len(value))
                value = tuple(value.items()) if isinstance(value, dict) else tuple(value)
                if not all(is_key(one) or (isinstance(one, tuple) and all(map(is_key, one))) for one in value):
                    return None
            elif value is UNKNOWN or not (is_key(value) or (isinstance(value, tuple) and all(map(is_key, value)))):
                return None
            state.append((name, value))
        return tuple(state)

    def _is_closed(self, known: Known) -> bool:
        """Whether a function answers by what it is given alone."""
        if not self._nature(known.function).pure:
            return False
        held = self._inside(known.function)
        around = [{**self._globals, **known.env}.get(name) for name in held.loaded - held.stored]
        return not any(isinstance(value, list | dict | set) or value is UNKNOWN for value in around)

    def _judge(self, node: ast.While, gaps: list[list[_Gap]], settled: bool) -> None:
        """Whether a loop that goes on nears its end: how far off it was half way and is now; where what it asks on its
        way is not ``settled``, a turn to come may do what those so far did not. Of several ways out none may near."""
        ways = [list(way) for way in zip(*gaps, strict=True)]
        if not ways or not all(told for way in ways for _, told in way[len(way) // 2 :]):
            return
        if len(ways) > 1 or always_true(node.test) or isinstance(node.test, ast.Name):
            if all(_recedes([gap for gap, _ in way], settled) for way in ways):
                self._excess(node, "a loop that gets no nearer to its end")
                return
            if len(ways) > 1:
                return
        [way] = ways
        later = [gap for gap, _ in way[len(way) // 2 :]]
        half, now = later[0], later[-1]
        if _recedes([gap for gap, _ in way], settled):
            self._excess(node, "a loop that gets no nearer to its end")
        elif not all(told for _, told in way):
            return
        elif settled and now == half and len(set(later)) == 1:
            self._excess(node, "a loop that seems to get no nearer to its end", sure=False)
        elif now < half and turns_to_go([gap for gap, _ in way]) > TOO_MANY_TURNS:
            self._excess(node, "a loop that would turn for hours")

    def _compared_inside(self, test: ast.expr, env: Env) -> tuple[ast.expr, Env]:
        """What a test comes to where it asks a function or a method that only compares: ``not timer.expired()``."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as asked) | (ast.Call() as asked):
                pass
            case _:
                return test, env
        holder = self._value(asked.func.value, env) if isinstance(asked.func, ast.Attribute) else None
        called = self._method_of(holder, asked.func.attr) if isinstance(asked.func, ast.Attribute) else None
        if called is None and isinstance(asked.func, ast.Name):
            called = self._value(asked.func, env)
        match called:
            case Known(function=ast.FunctionDef(body=[ast.Return(value=ast.Compare() as compared)]) as function):
                names = self._nature(function).names
                given = [*([holder] if isinstance(holder, Thing) else []), *(self._value(a, env) for a in asked.args)]
                if len(names) == len(given):
                    return compared, {**called.env, **dict(zip(names, given, strict=True))}
            case _:
                pass
        return test, env

    def _gap(self, test: ast.expr, env: Env) -> tuple[float, bool]:
        """How far a test is from turning false, where that can be measured."""
        test, env = self._compared_inside(test, env)
        match test:
            case ast.Compare(left=left, ops=[ast.In()], comparators=[right]):
                held = self._value(right, env)
                return (float(len(held)), True) if isinstance(held, list | dict | set) else (0.0, False)
            case ast.Compare(left=left, ops=[ast.NotIn()], comparators=[right]):
                held = self._value(right, env)
                return apart(self._value(left, env), held[-1]) if isinstance(held, list) and held else (0.0, False)
            case ast.Compare(left=left, ops=[_], comparators=[right]):
                one, other = self._value(left, env), self._value(right, env)
                return apart(one, other)
            case _:
                value = self._value(test, env)
                if isinstance(value, list | dict | set):
                    return float(len(value)), True
                if isinstance(test, ast.Name) and not isinstance(value, bool):
                    return apart(value, 0)
        return 0.0, False


def _recedes(gaps: list[float], settled: bool) -> bool:
    """Whether an end gets further away from turn to turn, or stays as far off as it was while nothing else changes."""
    later = gaps[len(gaps) // 2 :]
    half, now = later[0], later[-1]
    last = later[len(later) // 2 :]
    return (now > half and last == sorted(last)) or (settled and now == half and len(set(gaps)) == 1)


def ways_out(loop: ast.While) -> list[ast.expr]:
    """The tests on which a loop ends: its own, or, where that is only a flag or nothing at all, those of what its body
    leaves by or turns the flag by; none where it is left in any other way."""
    flag = loop.test.operand if isinstance(loop.test, ast.UnaryOp) else loop.test
    if not always_true(loop.test) and not isinstance(flag, ast.Name):
        return [loop.test]
    found: list[ast.expr] = []
    for statement in loop.body:
        if not isinstance(statement, ast.If):
            if any(_ends(node, flag) for node in walk(statement)):
                return [] if always_true(loop.test) else [loop.test]
            continue
        branches = (*statement.body, *statement.orelse)
        if any(_ends(node, flag) for one in branches for node in walk(one)):
            found.append(statement.test)
    return found or [loop.test]


def _ends(node: ast.AST, flag: ast.expr) -> bool:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return isinstance(flag, ast.Name) and node.id == flag.id
    return isinstance(node, ast.Break | ast.Return | ast.Raise | ast.Yield | ast.YieldFrom)


def _is_calm(loop: ast.While) -> bool:
    nodes = [node for statement in loop.body for node in walk(statement)]
    changing = any(isinstance(n, ast.Attribute | ast.Subscript) and not isinstance(n.ctx, ast.Load) for n in nodes)
    return not changing and not any(isinstance(node, ast.Call | ast.Delete) for node in nodes)


def _standing(env: Env, names: tuple[str, ...]) -> list[Any]:
    """What names stand for: plain values as they are, objects by which they are."""
    return [value if is_key(value) else id(value) for value in map(env.get, names)]
