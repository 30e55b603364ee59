"""A dry run: how much a program would make and how long it would turn, without making or turning it.

Values are kept while they are small; of a number that grows only its bits are kept, of a sequence only its length and
how many cells it has inside. Loops of known length are run for a few turns and the rest is counted, calls of the
program's own functions are followed and remembered, so that ``fib(90)`` costs ninety looks and comes to 2**90 calls.
Whatever hangs on an unknown value is unknown; whatever may end early counts for nothing.
"""

from __future__ import annotations

import ast
import math
from contextlib import suppress
from typing import Any

from azr_monitor.rules.calls import Calls
from azr_monitor.rules.estimates import TOO_MANY_BITS, TOO_MANY_TURNS, is_key
from azr_monitor.rules.functions import parameters
from azr_monitor.rules.outcomes import Env, Imported, Known, Leave, Return, Spent, Uncertain
from azr_monitor.rules.syntax import COMPREHENSIONS, walk
from azr_monitor.rules.volumes import ENDLESS, UNKNOWN, Walk, bits, count, truth_of
from azr_monitor.rules.walked import leaves

_TURNS = 48
_OUTER_TURNS = 6
_INNER_TURNS = 3
_FEW = 8
"""Turns of a loop that are really looked at: of one that stands alone, of one with others inside, of those inside."""
_KEPT = 500
_FARTHEST = 10**300
_WIDE = 128
"""Bits that no number has after some turns of adding up."""
_WHILE_TURNS = 64


class DryRun(Calls):
    """One program's functions, run dry one after the other; ``found`` is what came out.

    Given a ``call`` of ``f``, that is run alone, with what it hands over.
    """

    def __init__(self, tree: ast.AST, call: ast.Call | None = None) -> None:
        super().__init__()
        body = getattr(tree, "body", [])
        try:
            if call is not None:
                self._called(body, call)
                return
            self._attempt(body, self._globals)
            called = {n.func.id for n in walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            for function in body:
                if isinstance(function, ast.FunctionDef) and function.name not in called - {"f"}:
                    self.turns = 0.0
                    self._attempt(function.body, dict.fromkeys(parameters(function), UNKNOWN))
        except (Spent, RecursionError, OverflowError):
            pass  # what was found until then stays found

    def _called(self, body: list[ast.stmt], call: ast.Call) -> None:
        self._attempt(body, self._globals)
        self.found.clear()
        self.turns = 0.0
        self._globals.setdefault("f", UNKNOWN)
        with suppress(Uncertain):
            self._value(call, {})

    def _attempt(self, body: list[ast.stmt], env: Env) -> None:
        with suppress(Uncertain, Return, Leave):
            self._block(body, env)

    # -- statements -------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], env: Env) -> None:
        for statement in body:
            self._statement(statement, env)

    def _statement(self, node: ast.stmt, env: Env) -> None:
        self._step()
        match node:
            case ast.Assign(targets=targets, value=value):
                given = self._value(value, env)
                for target in targets:
                    self._store(target, given, env)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._store(target, self._value(value, env), env)
            case ast.AugAssign(target=target, op=op, value=value):
                old = self._value(target, env)
                given = self._value(value, env)
                if isinstance(old, list) and isinstance(op, ast.Add) and isinstance(given, list | tuple | str):
                    if len(given) > _KEPT:
                        self._store(target, self._operation(op, old, given, node), env)
                        return
                    self._grow(old, list(given), node)
                    return
                self._store(target, self._operation(op, old, given, node), env)
            case ast.Expr(value=value):
                self._value(value, env)
            case ast.Return(value=value):
                raise Return(None if value is None else self._value(value, env))
            case ast.If():
                self._if(node, env)
            case ast.For():
                self._for(node, env)
            case ast.While():
                self._while(node, env)
            case ast.Break():
                raise Leave(True)
            case ast.Continue():
                raise Leave(False)
            case ast.FunctionDef(name=name, decorator_list=[]):
                env[name] = Known(node, env)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                env[name] = UNKNOWN
            case ast.ImportFrom(names=names):
                env.update({one.asname: Imported(one.name) for one in names if one.asname})
            case ast.Pass() | ast.Import() | ast.ClassDef():
                pass
            case ast.Raise() | ast.Assert() | ast.Global() | ast.Nonlocal():
                raise Uncertain
            case _:
                self._forget([node], env)
                if any(isinstance(n, ast.Return | ast.Break | ast.Continue | ast.Raise) for n in walk(node)):
                    raise Uncertain

    def _store(self, target: ast.expr, given: Any, env: Env) -> None:
        match target:
            case ast.Name(id=name):
                env[name] = given
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                if isinstance(given, Walk) and any(isinstance(part, ast.Starred) for part in parts):
                    self._take(given, target)
                known = isinstance(given, list | tuple) and len(given) == len(parts)
                for place, part in enumerate(parts):
                    self._store(part, given[place] if known else UNKNOWN, env)
            case ast.Subscript(value=holder, slice=index):
                kept, key = self._value(holder, env), self._value(index, env)
                try:
                    kept[key] = given
                except (TypeError, IndexError, KeyError):
                    self._lose(kept)
            case _:
                pass

    def _if(self, node: ast.If, env: Env) -> None:
        truth = truth_of(self._value(node.test, env))
        if truth is not None:
            self._block(node.body if truth else node.orelse, env)
            return
        self._forget([node], env)
        for body in (node.body, node.orelse):
            self._attempt(body, dict(env))
        self._forget([node], env)
        if any(
            isinstance(inner, ast.Return | ast.Break | ast.Continue | ast.Raise | ast.Yield)
            for statement in (*node.body, *node.orelse)
            for inner in walk(statement)
        ):
            raise Uncertain

    def _for(self, node: ast.For, env: Env) -> None:
        walked = self._value(node.iter, env)
        many = count(walked)
        if many is None:
            self._unknown_turns(node, env)
            return
        seen, began = 0, self.turns
        limit = self._limit(node, many)
        # What a loop feeds while it walks is read as it is then.
        items = iter(walked) if isinstance(walked, list | tuple | range | str) else iter(lambda: UNKNOWN, None)
        self._nested += 1
        try:
            while seen < min(count(walked) or 0, limit):
                self._store(node.target, next(items, UNKNOWN), env)
                self.turns += 1
                seen += 1
                try:
                    self._block(node.body, env)
                except Leave as leave:
                    if leave.whole:
                        return
        except Uncertain:
            self._forget([node], env)
            self.turns = began
            return
        finally:
            self._nested -= 1
        total = count(walked) or 0
        if isinstance(walked, list) and seen == limit and len(walked) >= many + seen:
            self._excess(node, "a loop over what grows with every turn")
        if total > seen:
            if total >= ENDLESS and leaves(node):
                raise Uncertain
            self._project(node, env, total / max(1, seen))
            self._count(node, (self.turns - began) / seen * (total - seen) if seen else 0)
            self._forget([node], env)

    def _project(self, node: ast.For, env: Env, times: float) -> None:
        """Numbers that have grown with each turn go on growing in those that are not looked at."""
        for inner in walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                wide = bits(env.get(inner.id)) or 0
                if wide > _WIDE and wide * times > TOO_MANY_BITS / 10:
                    self._excess(node, "a number of millions of digits")

    def _limit(self, node: ast.For, many: float) -> int:
        if self._nested:
            return _INNER_TURNS if many > _FEW else _FEW
        inside = any(isinstance(n, ast.For | ast.While) for s in node.body for n in walk(s))
        if not inside and many > _TURNS:
            inside = any(isinstance(n, COMPREHENSIONS) for s in node.body for n in walk(s))
        return _OUTER_TURNS if inside else _TURNS

    def _unknown_turns(self, node: ast.For | ast.While, env: Env) -> None:
        """A loop of which nothing is known: what one turn does is looked at, what it leaves is unknown."""
        self._forget([node], env)
        began = self.turns
        self._attempt(node.body, dict(env))
        self.turns = began
        self._forget([node], env)
        if any(isinstance(inner, ast.Return) for inner in walk(node)):
            raise Uncertain

    def _while(self, node: ast.While, env: Env) -> None:
        gaps: list[tuple[float, bool]] = []
        states: set[object] = set()
        read = {inner.id for inner in walk(node) if isinstance(inner, ast.Name)}
        asked = _asked(node)
        before: list[Any] = []
        limit = _INNER_TURNS if self._nested else _WHILE_TURNS
        began = self.turns
        self._nested += 1
        try:
            for _ in range(limit):
                truth = truth_of(self._value(node.test, env))
                if truth is None:
                    raise Uncertain
                if not truth:
                    return
                state = _state(env, read)
                if state in states:
                    self._excess(node, "a loop that comes back to where it was")
                    raise Uncertain
                if state is not None:
                    states.add(state)
                gaps.append(self._gap(node.test, env))
                if len(gaps) == limit - 1:
                    before = _standing(env, asked)
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
        finally:
            self._nested -= 1
        if limit == _WHILE_TURNS:
            self._judge(node, gaps, before == _standing(env, asked))
        self._forget([node], env)
        if any(isinstance(inner, ast.Return) for inner in walk(node)):
            raise Uncertain

    def _judge(self, node: ast.While, gaps: list[tuple[float, bool]], settled: bool) -> None:
        """Whether a loop that goes on nears its end: how far off it was half way and is now; where what it asks on its
        way is not ``settled``, a turn to come may do what those so far did not."""
        later = [gap for gap, _ in gaps[len(gaps) // 2 :]]
        half, now = later[0], later[-1]
        if not all(told for _, told in gaps):
            return
        last = later[len(later) // 2 :]
        if (now > half and last == sorted(last)) or (settled and now == half and len({gap for gap, _ in gaps}) == 1):
            self._excess(node, "a loop that gets no nearer to its end")
        elif settled and now == half and len(set(later)) == 1:
            self._excess(node, "a loop that seems to get no nearer to its end", sure=False)
        elif now < half and _turns_to_go([gap for gap, _ in gaps]) > TOO_MANY_TURNS:
            self._excess(node, "a loop that would turn for hours")

    def _gap(self, test: ast.expr, env: Env) -> tuple[float, bool]:
        """How far a test is from turning false, where that can be measured."""
        match test:
            case ast.Compare(left=left, ops=[ast.In()], comparators=[right]):
                held = self._value(right, env)
                return (float(len(held)), True) if isinstance(held, list | dict | set) else (0.0, False)
            case ast.Compare(left=left, ops=[_], comparators=[right]):
                one, other = self._value(left, env), self._value(right, env)
                if isinstance(one, int | float) and isinstance(other, int | float):
                    gap = abs(other - one) + 1  # exact, however large the numbers
                    return (gap, True) if gap < _FARTHEST else (0.0, False)
            case _:
                value = self._value(test, env)
                if isinstance(value, list | dict | set):
                    return float(len(value)), True
        return 0.0, False


def _asked(loop: ast.While) -> list[str]:
    """The names that the conditions inside a loop read."""
    tests = [n.test for s in loop.body for n in walk(s) if isinstance(n, ast.If | ast.IfExp)]
    return sorted({n.id for test in tests for n in walk(test) if isinstance(n, ast.Name)})


def _standing(env: Env, names: list[str]) -> list[Any]:
    """What names stand for: plain values as they are, objects by which they are."""
    return [value if is_key(value) else id(value) for value in map(env.get, names)]


def _turns_to_go(gaps: list[float]) -> float:
    """How many turns a loop takes from here on, by how fast it has come nearer, and by how much faster of late."""
    middle = len(gaps) // 2
    early = (gaps[0] - gaps[middle]) / middle
    late = (gaps[middle] - gaps[-1]) / (len(gaps) - 1 - middle)
    faster = (late - early) / middle
    if faster > 0.01 * late:
        return math.sqrt(2 * gaps[-1] / faster)
    return gaps[-1] / late


def _state(env: Env, read: set[str]) -> tuple[object, ...] | None:
    """All that a loop reads, where it begins anew; None where something is not known, or cannot be compared."""
    state: list[object] = []
    for name, value in env.items():
        if name not in read or isinstance(value, Known):
            continue
        held = tuple(value) if isinstance(value, list | set) else value
        if held is UNKNOWN or not (is_key(held) or (isinstance(held, tuple) and all(map(is_key, held)))):
            return None
        state.append((name, held))
    return tuple(state)
