"""Comprehensions of a dry run: a few known items one by one, many by how many they are."""

from __future__ import annotations

import ast
from typing import Any

from azr_monitor.rules.estimates import Estimates
from azr_monitor.rules.outcomes import Env
from azr_monitor.rules.syntax import COMPREHENSIONS
from azr_monitor.rules.volumes import ENDLESS, UNKNOWN, Many, Walk, cells, count, truth_of

_NESTED = (list, tuple, Many, Walk)
_LISTED = 100
"""Items that a comprehension is followed through one by one."""


class Listings(Estimates):
    """Comprehensions in one program."""

    def _comprehension(self, node: ast.AST, env: Env) -> Any:
        assert isinstance(node, COMPREHENSIONS)
        if isinstance(node, ast.ListComp | ast.GeneratorExp) and (listed := self._listed(node, env)) is not None:
            return listed
        inner = self._copied(env)
        total, sure = 1.0, True
        for generator in node.generators:
            walked = self._value(generator.iter, inner)
            many = count(walked)
            if many is None and generator is node.generators[0]:
                total = 0.0
            inner.update(dict.fromkeys(self._inside(generator.target).mentioned, UNKNOWN))
            # What is walked only some of the times counts for one turn: a bound from below.
            total = min(total * (1.0 if many is None or not sure else many), ENDLESS)
            sure = sure and many is not None and not generator.ifs
        began = self.turns
        value = self._value(node.value if isinstance(node, ast.DictComp) else node.elt, inner)
        turns = total * max(1.0, self.turns - began if sure else 1.0)
        self.turns = began
        if isinstance(node, ast.GeneratorExp):
            return Walk(total if sure else -1.0, total * cells(value) if sure else 0.0, turns) if total else UNKNOWN
        self._count(node, turns)
        if total <= 0 or not sure or isinstance(node, ast.SetComp):
            return UNKNOWN
        made_ = Many(total, total * cells(value))
        self._weigh(made_, node)
        return made_

    def _listed(self, node: ast.ListComp | ast.GeneratorExp, env: Env) -> list[Any] | None:
        """What walking over a few items that are known gives, one by one; None where they are many, or not known."""
        rows = [self._copied(env)]
        for generator in node.generators:
            further: list[Env] = []
            for row in rows:
                walked = self._value(generator.iter, row)
                if not isinstance(walked, list | tuple | str | range):
                    return None
                if len(further) + (count(walked) or 0) > _LISTED:
                    return None
                for item in walked:
                    inner = self._copied(row)
                    self._store(generator.target, item, inner)
                    truths = [truth_of(self._value(test, inner)) for test in generator.ifs]
                    if None in truths:
                        return None
                    if all(truths):
                        further.append(inner)
            rows = further
        values: list[Any] = []
        for row in rows:
            values.append(self._value(node.elt, row))
            if isinstance(values[-1], _NESTED):
                return None  # what is inside is counted, not kept
        return values
