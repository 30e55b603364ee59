"""Loops and recursions of a trial that has run out of steps: whether they come back to where they were, near their end,
or grow with every turn; how much more the branches of a recursion cost the nearer they are to its root."""

from __future__ import annotations

import ast
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from math import log
from typing import Any

from azr_monitor.rules.estimates import TOO_MANY_TURNS
from azr_monitor.rules.functions import nature
from azr_monitor.rules.nearing import apart, growth, turns_to_go
from azr_monitor.rules.syntax import Function as Definition
from azr_monitor.rules.syntax import own, own_nodes, walk, words
from azr_monitor.rules.trial_expressions import Expressions
from azr_monitor.rules.trial_values import (
    MISSING,
    TOO_MANY,
    Counted,
    Cycle,
    Function,
    Instance,
    Method,
    Scope,
    TooMuch,
    freeze,
)
from azr_monitor.rules.trial_ways import views, ways_out
from azr_monitor.rules.volumes import count
from azr_monitor.rules.walked import leaves

_LEAST_TURNS = 12
"""Turns after which a loop is watched: most are over by then."""
_EARLY = 4
_LARGE = 48
_FEW = 6
_LAST_CHECKED = 4_096
_ENOUGH = 24
_MOST_CHOICES = 10**10
_LEVELS = 6
_DEEP = 7
"""Levels of a recursion by which its growth is told, and those over which it is told at least."""
_BRANCHING = 1.2
_PLAIN = frozenset((int, str, float, bool, type(None)))
_RECKONING = words("len min max sum abs range any all int str divmod ord chr")
_FEWEST = 3
_STEEP = 8
"""Levels that are enough where a branch costs so many times as much as those inside it."""


@dataclass(eq=False, slots=True)
class Loop:
    """A loop under way: how many turns it has taken, the largest thing made in each, what it hangs on, what was asked
    where it may be left."""

    node: ast.For | ast.While
    scope: Scope
    walked: Any
    began: int
    above: float
    turns: int = 0
    peaks: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    since: int = 0
    ahead: list[float] = field(default_factory=list)
    asked: list[list[Any]] | None = None
    before: list[tuple[ast.AST, list[Any] | None]] = field(default_factory=list)
    views: dict[str, str] | None = None
    state: Any = None


@dataclass(eq=False, slots=True)
class Level:
    """The calls of a function that are over, so many calls of it deep: how many, and the steps they took."""

    calls: int = 0
    steps: int = 0


class Loops(Expressions):
    """Loops and recursions under way in one program."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.stopped = False
        self._loops: list[Loop] = []
        self._stack: list[tuple[ast.AST, int]] = []
        self._depths: dict[ast.AST, int] = {}
        self._levels: dict[ast.AST, list[Level]] = {}
        self._outs: dict[ast.AST, list[ast.AST] | None] = {}
        self._views: dict[ast.AST, dict[str, str]] = {}
        self.spared = 0
        self._known: dict[ast.AST, dict[Any, tuple[Any, int]]] = {}
        self._reckons: dict[ast.AST, bool] = {}

    # -- loops ------------------------------------------------------------------------------------------

    def begin(self, node: ast.For | ast.While, scope: Scope, walked: Any) -> Loop:
        """A loop begins."""
        loop = Loop(node, scope, walked, self.steps, self.peak)
        self.peak = 0
        self._loops.append(loop)
        return loop

    def end(self, loop: Loop) -> None:
        """A loop ends; one that ran out of steps stays for whoever judges it."""
        if self.stopped:
            return
        self._loops.pop()
        self.peak = max(self.peak, loop.above, *loop.peaks[-2:])
        for way, asked in loop.before:
            if asked is None:
                self.watched.pop(way, None)
            else:
                self.watched[way] = asked

    def turn(self, loop: Loop) -> None:
        """A turn begins."""
        loop.turns += 1
        if loop.turns > 1:
            loop.peaks.append(self.peak)
            loop.costs.append(float(loop.since - self.steps))
            self.peak = 0
        loop.since = self.steps
        if loop.asked is None and loop.views is None and _is_due(loop):
            self._watch(loop)
        if loop.walked.__class__ is list and loop.turns >= _LEAST_TURNS:
            loop.ahead.append(float(len(loop.walked) - loop.turns + 2))
        if loop.views is not None:
            self._check(loop)

    def _watch(self, loop: Loop) -> None:
        node = loop.node
        if isinstance(node, ast.For):
            match node.iter:
                case ast.Call(func=ast.Name(id="enumerate"), args=[ast.Name(id=name)]):
                    loop.walked = loop.scope.find(name)
                case _:
                    pass
            if not isinstance(loop.walked, Cycle):
                return
        if node not in self._outs:
            self._outs[node] = ways_out(node)
            self._views[node] = views(node)
        loop.views = self._views[node]
        outs = self._outs[node]
        if outs is not None:
            loop.before = [(way, self.watched.get(way)) for way in outs]
            loop.asked = [[] for _ in outs]
            self.watched.update(zip(outs, loop.asked, strict=True))

    def _check(self, loop: Loop) -> None:
        """Whether everything a loop hangs on is as it was some turns ago."""
        state = self._state(loop)
        if state is None or loop.turns > _LAST_CHECKED:
            loop.views = None
            return
        if state == loop.state:
            raise TooMuch(loop.node, "a loop that comes back to where it was")
        if loop.turns & (loop.turns - 1) == 0 or loop.state is None:
            loop.state = state

    def _state(self, loop: Loop) -> Any:
        values: list[Any] = [loop.walked.place] if isinstance(loop.walked, Cycle) else []
        assert loop.views is not None
        for name, view in loop.views.items():
            value = loop.scope.find(name)
            if value is MISSING:
                continue
            if view == "last" and isinstance(value, list):
                value = value[-1] if value else None
            elif view == "length" and isinstance(value, list | dict | set | str):
                value = len(value)
            elif view == "called" and not isinstance(value, Function | Method | Instance):
                continue
            values.append(value)
        state, took = freeze(values)
        self.take(len(values) + took // 2)
        return state

    # -- recursions -------------------------------------------------------------------------------------

    def enter(self, function: Function) -> None:
        """A call begins."""
        node = function.node
        self._stack.append((node, self.clock))
        self._depths[node] = self._depths.get(node, 0) + 1

    def leave(self) -> None:
        """A call ends."""
        if self.stopped:
            return
        node, began = self._stack.pop()
        depth = self._depths[node] = self._depths[node] - 1
        if depth:
            self.tell(node, depth, began - self.clock)
        else:
            self._known.pop(node, None)

    @property
    def clock(self) -> int:
        """The steps that are left, those that were not taken a second time counted off."""
        return self.steps - self.spared

    def tell(self, node: ast.AST, depth: int, took: int) -> None:
        """A call so many calls deep took so many steps."""
        levels = self._levels.setdefault(node, [])
        while len(levels) <= depth:
            levels.append(Level())
        levels[depth].calls += 1
        levels[depth].steps += took

    def known(self, function: Function, given: list[Any]) -> dict[Any, tuple[Any, int]] | None:
        """What a recursion that only reckons has come to so far, by what it was given: it is not done twice."""
        node = function.node
        if not self._depths.get(node) or not all(one.__class__ in _PLAIN for one in given):
            return None
        if node not in self._reckons:
            self._reckons[node] = _only_reckons(node)
        return self._known.setdefault(node, {}) if self._reckons[node] else None

    def spare(self, steps: int, node: ast.AST) -> None:
        """So many steps would have been taken once more.

        Raises:
            TooMuch: all of them together are more than anybody can wait for.
        """
        self.spared += steps
        if self.spared > TOO_MANY_TURNS:
            raise TooMuch(node, "a recursion that does the same over and over")

    # -- judging ----------------------------------------------------------------------------------------

    def judge(self, outgrown: float) -> TooMuch | None:
        """What is beyond all measure in what was under way when the steps, or the room, ran out."""
        for loop in self._loops:
            loop.peaks.append(max(self.peak, outgrown))
            why = self._grown(loop, bool(outgrown)) or self._dearer(loop) or self._unending(loop)
            if why:
                return TooMuch(loop.node, why)
        for node, levels in self._levels.items():
            if (
                self._depths.get(node)
                and _whole(levels) > TOO_MANY_TURNS
                and not (_cut_short(node) or _remembers(node))
            ):
                return TooMuch(node, "a recursion whose branches double with every step")
        return None

    def _grown(self, loop: Loop, outgrown: bool) -> str:
        factor = growth(loop.peaks[:-1]) if len(loop.peaks) > _LEVELS - outgrown else 0.0
        if not factor:
            return ""
        left = self._left(loop, outgrown)
        if left is not None and left * log(factor) + log(max(loop.peaks[-2:])) > log(TOO_MANY):
            return "what grows by a factor with every turn of a loop"
        return ""

    def _dearer(self, loop: Loop) -> str:
        """Whether every turn of a loop of known length takes longer than the one before by a factor."""
        factor = growth(loop.costs) if isinstance(loop.node, ast.For) and len(loop.costs) >= _FEW else 0.0
        left = self._left(loop, False) if factor else None
        if left is not None and left * log(factor) + log(loop.costs[-1]) > log(TOO_MANY_TURNS):
            return "a loop whose turns take longer by a factor each"
        return ""

    def _left(self, loop: Loop, outgrown: bool) -> float | None:
        """How many turns a loop has to go; None where that is not known."""
        if isinstance(loop.node, ast.For):
            known = isinstance(loop.walked, range | list | tuple | str) and not leaves(loop.node)
            return (count(loop.walked) or 0.0) - loop.turns if known else None
        if loop.asked is None:
            return float("inf") if outgrown and ways_out(loop.node) is None else None
        least = float("inf")
        for asked in loop.asked:
            gaps = [gap for gap, told in map(_gap, asked) if told]
            lengths = any(other is None and not isinstance(one, int) for one, other in asked)
            if not asked or (gaps and lengths and not outgrown):
                return None
            if gaps and gaps[-1] < gaps[0]:
                if not _steady(gaps):
                    return None
                least = min(least, gaps[-1] / (gaps[-2] - gaps[-1]))
        return least

    def _gaps(self, loop: Loop) -> list[list[float]] | None:
        """How far a loop was from each of its ways out, turn by turn; None where that cannot be told."""
        if loop.asked is None or any(len(asked) < _ENOUGH for asked in loop.asked):
            return None
        found: list[list[float]] = []
        for asked in loop.asked:
            gaps: list[float] = []
            for sides in asked:
                gap, told = _gap(sides)
                if not told:
                    return None
                gaps.append(gap)
            found.append(gaps)
        return found

    def _unending(self, loop: Loop) -> str:
        took = loop.began - self.steps
        if loop.turns < _ENOUGH:
            return ""
        if isinstance(loop.node, ast.For):
            if loop.ahead:
                return "a loop over what grows with every turn" if _fed(loop) else ""
            if isinstance(loop.walked, Counted):
                return "a search among more choices than can be looked at" if loop.walked.many > _MOST_CHOICES else ""
            left = self._left(loop, False)
            many = left is not None and left * took / loop.turns > TOO_MANY_TURNS
            return "work of more turns than can be waited for" if many else ""
        gaps = self._gaps(loop)
        if not gaps:
            return ""
        if all(recedes(one) for one in gaps):
            return "a loop that gets no nearer to its end"
        [first, *others] = gaps
        nears = not others and first[-1] < first[len(first) // 2] < first[0]
        if nears and turns_to_go(first) * took / loop.turns > TOO_MANY_TURNS:
            return "a loop that would turn for hours"
        return ""


def _gap(sides: tuple[Any, Any]) -> tuple[float, bool]:
    """How far two sides of a comparison are apart, or something from counting as false; whether that can be told."""
    one, other = sides
    if other is None and isinstance(one, list | dict | set | str | deque):
        return float(len(one)), True
    return apart(one, 0 if other is None else other)


def _fed(loop: Loop) -> bool:
    """Whether a list gets exactly as much with every turn as the loop that walks it takes. One that gets more may be a
    list of what was not seen yet, of which there is an end."""
    later = loop.ahead[len(loop.ahead) // 2 :]
    return len(later) > _ENOUGH and len(set(later)) == 1


def _steady(gaps: list[float]) -> bool:
    """Whether a loop comes nearer to its end by about as much with each turn."""
    steps = [early - late for early, late in pairwise(gaps[-_FEW:])]
    return len(steps) > 1 and min(steps) > 0 and max(steps) <= 2 * min(steps)


def _is_due(loop: Loop) -> bool:
    """Whether a loop has turned often enough to be watched, or makes something large already."""
    return loop.turns == _LEAST_TURNS or (_EARLY <= loop.turns < _LEAST_TURNS and loop.peaks[-1] > _LARGE)


def recedes(gaps: list[float]) -> bool:
    """Whether an end gets further and further away: the nearest of each eighth of the turns is further than that of the
    one before, for the last half of them."""
    part = len(gaps) // 8
    if not part:
        return False
    nearest = [min(gaps[place * part : (place + 1) * part]) for place in range(8)][3:]
    return all(early < late for early, late in pairwise(nearest))


def _whole(levels: list[Level]) -> float:
    """The steps that a recursion would take as a whole, by what its branches took at each level."""
    told = [(depth, level.steps / level.calls) for depth, level in enumerate(levels) if level.calls]
    if len(told) < _FEWEST:
        return 0.0
    top, most = told[0]
    last, least = told[min(_DEEP, len(told) - 1)]
    if len(told) < _LEVELS and most < _STEEP * least:
        return 0.0
    factor = (most / least) ** (1 / (last - top))
    return most * factor**top if factor >= _BRANCHING and top < 2_000 else 0.0


def _only_reckons(node: Definition) -> bool:
    """Whether a function calls itself more than once, changes nothing and asks nobody else but builtins."""
    found = nature(node)
    called = [one.func for one in own_nodes(node) if isinstance(one, ast.Call)]
    name = getattr(node, "name", "")
    return (
        found.pure
        and found.recursive
        and all(isinstance(one, ast.Name) and (one.id == name or one.id in _RECKONING) for one in called)
        and not node.args.defaults
    )


def _remembers(node: ast.AST) -> bool:
    """Whether a function is given a memory by a decorator, or looks for what it has stored before."""
    body = list(own(getattr(node, "body", [])))
    stores = any(isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Store) for one in body)
    looks = any(isinstance(op, ast.In | ast.NotIn) for one in body if isinstance(one, ast.Compare) for op in one.ops)
    return bool(getattr(node, "decorator_list", [])) or (stores and looks)


def _cut_short(node: ast.AST) -> bool:
    """Whether a recursion may end as soon as one of its branches has found something."""
    name = getattr(node, "name", "")
    for one in own(getattr(node, "body", [])):
        match one:
            case ast.If(test=asked, body=[*_, ast.Return()]):
                if any(_calls(inner, name) for inner in walk(asked)):
                    return True
            case _:
                pass
    return False


def _calls(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
            return called == name
        case _:
            return False
