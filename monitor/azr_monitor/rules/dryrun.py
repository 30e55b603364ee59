"""A dry run: how much a program would make and how long it would turn, without making or turning it.

Values are kept while they are small; of a number that grows only its bits are kept, of a sequence only its length and
how many cells it has inside. Loops of known length are run for a few turns and the rest is counted, calls of the
program's own functions are followed and remembered, so that ``fib(90)`` costs ninety looks and comes to 2**90 calls.
Whatever hangs on an unknown value is unknown; whatever may end early counts for nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from itertools import takewhile
from math import log
from typing import Any

from azr_monitor.rules.estimates import STEPS, TOO_MANY_BITS, TOO_MANY_CELLS, Looks
from azr_monitor.rules.functions import parameters
from azr_monitor.rules.inside import BUILDS, LEAVES, LOOPS
from azr_monitor.rules.nearing import growth
from azr_monitor.rules.outcomes import Env, Imported, Known, Leave, Return, Spent, Uncertain
from azr_monitor.rules.syntax import walk
from azr_monitor.rules.things import kind_of
from azr_monitor.rules.volumes import ENDLESS, UNKNOWN, Walk, bits, count, truth_of
from azr_monitor.rules.walked import leaves
from azr_monitor.rules.whiles import INNER_TURNS, Whiles

_TURNS = 48
_OUTER_TURNS = 6
_FEW = 8
"""Turns of a loop that are really looked at: of one that stands alone, of one with others inside, of those inside."""
_KEPT = 500
_WIDE = 128
"""Bits that no number has after some turns of adding up."""
_FUNCTIONS = 8
"""Functions of one program that are each looked at with all the steps there are; more share those of so many."""
_LEAST_STEPS = 1_000
"""Steps that a statement outside of all loops has, whatever those in front of it took."""


class DryRun(Whiles):
    """One program's functions, run dry one after the other; ``found`` is what came out.

    Given a ``call`` of ``f``, that is run alone, with what it hands over, for so many ``steps``.
    """

    def __init__(
        self, tree: ast.AST, call: ast.Call | None = None, steps: int = STEPS, looks: Looks | None = None
    ) -> None:
        super().__init__(looks)
        body = getattr(tree, "body", [])
        self._alone(tree, steps, lambda: self._attempt(body, self._globals))
        if call is not None:
            self.found.clear()
            self._globals.setdefault("f", UNKNOWN)
            # What is written out in the call costs nothing, however long.
            self._alone(call, steps + len(walk(call)), lambda: self._value(call, {}))
            return
        called = {n.func.id for n in walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)} - {"f"}
        functions = [one for one in body if isinstance(one, ast.FunctionDef) and one.name not in called]
        for one in functions:
            given = dict.fromkeys(parameters(one), UNKNOWN)
            each = min(steps, steps * _FUNCTIONS // len(functions))
            self._alone(one, each, lambda body=one.body, given=given: self._attempt(body, given))  # type: ignore[misc]

    def _alone(self, node: ast.AST, steps: int, run: Callable[[], Any]) -> None:
        """Look at something by itself; what was found stays found, however it ends."""
        self.turns = 0.0
        self._steps = steps
        try:
            run()
        except Uncertain:
            pass
        except (Spent, RecursionError, OverflowError) as error:
            self._given_up(node, error)

    # -- statements -------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], env: Env) -> None:
        for statement in body:
            if (self._depth <= 1 and not self._nested) or isinstance(statement, ast.For | ast.While):
                self._apart(statement, env)
            else:
                self._statement(statement, env)

    def _apart(self, node: ast.stmt, env: Env) -> None:
        """A loop, or a statement outside of all loops, takes half of the steps there are at most. Where these are not
        enough, or Python itself gives up on it, what it may have changed is unknown, and what follows is looked at."""
        floor = self._floor
        share = max(self._steps - max(floor, 0), 0) // 2
        if not self._nested:
            share = max(share, _LEAST_STEPS)
        self._floor = max(floor, self._steps - share)
        try:
            self._statement(node, env)
            return
        except (Spent, RecursionError, OverflowError) as error:
            if isinstance(error, Spent) and self._steps <= floor:
                raise
            self._given_up(node, error)
        finally:
            self._floor = floor
        self._forget([node], env)
        if not LEAVES.isdisjoint(self._inside(node).kinds):
            raise Uncertain

    def _given_up(self, node: ast.AST, error: Exception) -> None:
        """What is too much to be looked at is told: but for a recursion, of which that is common, and a number that
        Python itself finds too large, which is the program's own mistake."""
        if isinstance(error, RecursionError):
            self._excess(node, "nested too deeply to be looked at", sure=False)
        elif isinstance(error, Spent) and error.depth <= 1:
            self._excess(node, "more than can be looked at", sure=False)

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
            case ast.ClassDef(name=name):
                env[name] = kind_of(node, env) or UNKNOWN
            case ast.Pass() | ast.Import():
                pass
            case ast.Raise() | ast.Assert() | ast.Global() | ast.Nonlocal():
                raise Uncertain
            case _:
                self._forget([node], env)
                if not LEAVES.isdisjoint(self._inside(node).kinds):
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
            case ast.Attribute():
                self._put(target, given, env)
            case ast.Subscript(value=holder, slice=ast.Slice(lower=lower, upper=None, step=None)):
                kept, first = self._value(holder, env), 0 if lower is None else self._value(lower, env)
                if isinstance(kept, list) and isinstance(given, list | tuple | str) and first == len(kept):
                    self._grow(kept, list(given), target)
                else:
                    self._lose(kept)
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
            self._attempt(body, self._copied(env))
        self._forget([node], env)
        if not (LEAVES | {ast.Yield}).isdisjoint(self._inside(node).kinds):
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
        lengths = [self._lengths(node, env)]
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
                lengths.append(self._lengths(node, env))
        except Uncertain:
            self._swells(node, lengths, many)
            self._forget([node], env)
            self.turns = began
            return
        except Spent:
            if seen and not leaves(node):
                self._count(node, (self.turns - began) / seen * ((count(walked) or 0) - seen))
            raise
        finally:
            self._nested -= 1
        total = count(walked) or 0
        self._swells(node, lengths, total)
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
        for name in env.keys() & self._inside(node).stored:
            wide = bits(env[name]) or 0
            if wide > _WIDE and wide * times > TOO_MANY_BITS / 10:
                self._excess(node, "a number of millions of digits")

    def _lengths(self, node: ast.For, env: Env) -> dict[str, float | None]:
        """How long the things are that a loop changes, of those that are still kept whole."""
        held = {name: env.get(name) for name in self._inside(node).changed}
        return {name: count(value) if isinstance(value, list | tuple | str) else None for name, value in held.items()}

    def _swells(self, node: ast.For, lengths: list[dict[str, float | None]], turns: float) -> None:
        """What has grown by a factor with each turn goes on so in the turns in which it is too large to be kept."""
        for name in lengths[0]:
            known = list(takewhile(lambda one: one is not None, (turn[name] for turn in lengths)))
            factor = growth([size or 0.0 for size in known])
            if (
                factor
                and not leaves(node)
                and (turns - len(known)) * log(factor) > log(TOO_MANY_CELLS / (known[-1] or 1))
            ):
                self._excess(node, "what grows by a factor with every turn of a loop")

    def _limit(self, node: ast.For, many: float) -> int:
        if self._nested:
            return INNER_TURNS if many > _FEW else _FEW
        kinds = self._inside(node).body
        holds_others = not LOOPS.isdisjoint(kinds) or (many > _TURNS and not BUILDS.isdisjoint(kinds))
        return _OUTER_TURNS if holds_others else _TURNS
