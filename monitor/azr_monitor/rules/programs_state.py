"""Rules on state: what a program keeps from one call to the next, and answers differently for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import chain

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule
from azr_monitor.rules.keeping import MUTABLE, changes, declared, set_anew, shows
from azr_monitor.rules.syntax import own_nodes, walk
from azr_monitor.rules.tree import Program

_ENTRY = "f"
_KEEPERS = frozenset((ast.Assign, ast.ClassDef))
_MAKERS = frozenset((ast.FunctionDef, ast.ClassDef))
_CHANGERS = frozenset((ast.AugAssign, ast.Assign, ast.Call))


def _state(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    """What a program keeps from call to call: in what outlives them, in closures, in what a class shares."""
    if _is_plain(program):
        return ()  # most programs
    return chain(_entries(program), _closures(program), _shared_fields(program))


def _is_plain(program: Program) -> bool:
    """Whether nothing but functions outlives a call, none of which is named again, decorated or has a default."""
    syntax = program.syntax
    return not (
        program.building.calls_own
        or syntax.has(ast.ClassDef, ast.Global)
        or any(statement.__class__ in _KEEPERS for statement in getattr(program.tree, "body", ()))
        or any(one.decorator_list or one.args.defaults or one.args.kw_defaults for one in syntax.all(ast.FunctionDef))
    )


def _entries(program: Program) -> Iterator[Hit]:
    """Entry points that change something that outlives the call, and whose result depends on it.

    A memory of results (``cache[n] = …`` under a key that varies) changes no result; what is set anew at the start of
    each call does not outlive it; a function that calls itself fills such things within one call.
    """
    outlives = _outlives(program)
    for definition in getattr(program.tree, "body", ()):
        if not isinstance(definition, ast.FunctionDef) or not (outlives or _may_keep(program, definition)):
            continue  # most functions
        if not _is_entry(program, definition):
            continue
        nodes = list(own_nodes(definition))
        kept = _kept(program, definition, nodes)
        shared = declared(nodes)
        for helper in _helpers(program, nodes, kept):
            inside = list(own_nodes(helper))
            # What a helper names as its own is not what the entry point calls so.
            shared |= declared(inside)
            if any(isinstance(d, ast.Name) and d.id == "classmethod" for d in helper.decorator_list):
                kept.update(argument.arg for argument in helper.args.args[:1])
            nodes += inside
        changed = {
            name: node
            for node in nodes
            if node.__class__ in _CHANGERS
            for name in changes(node, shared)
            if name.split(".")[0] in kept
        }
        for name in sorted(changed.keys() - (set_anew(definition) - _from_caches(program, nodes))):
            if shows(program, nodes, name):
                yield Hit(changed[name], f"how {name} was left by earlier calls")
                break
        yield from _generators(program, nodes)


def _shared_fields(program: Program) -> Iterator[Hit]:
    """Containers that a class holds for all of its objects, which a method adds to and answers by."""
    for definition in program.all(ast.ClassDef):
        shared = {
            target.id
            for statement in definition.body
            if isinstance(statement, ast.Assign) and isinstance(statement.value, MUTABLE)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        if not shared:
            continue
        shared -= {a.attr for a in program.all(ast.Attribute) if isinstance(a.ctx, ast.Store)}
        for method in definition.body:
            if not isinstance(method, ast.FunctionDef) or method.name not in program.syntax.attributes:
                continue
            nodes = list(own_nodes(method))
            for node in nodes:
                for name in changes(node, set()):
                    if name.partition(".")[2] in shared and shows(program, nodes, name):
                        yield Hit(node, f"how {name} was left by earlier calls")
                        return


def _generators(program: Program, nodes: list[ast.AST]) -> Iterator[Hit]:
    """A generator of chance that was made once: even with a seed, each call goes on where the last one stopped."""
    made = {
        target.id
        for statement in getattr(program.tree, "body", ())
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)
        for target in statement.targets
        if isinstance(target, ast.Name)
        and "random.Random()" in (f"{n}()" for n in program.resolve(statement.value.func))
    }
    drawn = [
        node.func
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in made
    ]
    if drawn and all(function.attr not in ("seed", "setstate") for function in drawn):
        yield Hit(drawn[0], "how a generator of chance was left by earlier calls")


def _helpers(program: Program, nodes: list[ast.AST], kept: set[str]) -> Iterator[ast.FunctionDef]:
    """The functions and methods that an entry point runs, unless they use the names of what it keeps for their own."""
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    if called.isdisjoint(program.syntax.bound):
        return
    for function in program.all(ast.FunctionDef):
        around = program.parents.get(function)
        runs = function.name in called or (
            function.name == "__init__" and isinstance(around, ast.ClassDef) and around.name in called
        )
        if runs and isinstance(around, ast.Module | ast.ClassDef) and function.name not in _calls_of(function):
            own = {a.arg for a in walk(function.args) if isinstance(a, ast.arg)}
            own |= {n.id for n in own_nodes(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            if kept.isdisjoint(own - declared(list(own_nodes(function)))):
                yield function


def _calls_of(function: ast.FunctionDef) -> set[str]:
    return {n.func.id for n in own_nodes(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def _outlives(program: Program) -> bool:
    """Whether there is anything but functions that outlives a call: most programs have nothing of the kind."""
    return (
        program.syntax.has(ast.Global)
        or any(statement.__class__ in _KEEPERS for statement in getattr(program.tree, "body", ()))
        or (any(one.decorator_list for one in program.all(ast.FunctionDef)) and "cache" in program.text)
    )


def _may_keep(program: Program, definition: ast.FunctionDef) -> bool:
    """Whether a function may keep something in itself: as an attribute, or in what stands for a parameter."""
    given = definition.args
    return definition.name in program.syntax.read or any(
        isinstance(d, MUTABLE) for d in (*given.defaults, *given.kw_defaults)
    )


def _is_entry(program: Program, definition: ast.FunctionDef) -> bool:
    """Whether a function is what gets called from outside: ``f``, or one that nothing in the program calls."""
    called = {c.func.id for c in program.all(ast.Call) if isinstance(c.func, ast.Name)}
    if definition.name in called:
        return False
    return definition.name == _ENTRY or not any(
        isinstance(s, ast.FunctionDef) and s.name == _ENTRY for s in getattr(program.tree, "body", ())
    )


def _kept(program: Program, definition: ast.FunctionDef, nodes: list[ast.AST]) -> set[str]:
    """The names by which a function reaches what outlives its calls."""
    own = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {a.arg for a in walk(definition.args) if isinstance(a, ast.arg)}
    kept = declared(nodes) | {definition.name}
    for statement in getattr(program.tree, "body", ()):
        match statement:
            case ast.Assign(targets=targets):
                kept.update(t.id for t in targets if isinstance(t, ast.Name) and t.id not in own)
            case ast.ClassDef(name=name) if name not in own:
                kept.add(name)
            case _:
                pass
    kept |= _from_caches(program, nodes)
    arguments = definition.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for parameter, default in [*defaults, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]:
        if isinstance(default, MUTABLE):
            kept.add(parameter.arg)
    return kept


def _from_caches(program: Program, nodes: list[ast.AST]) -> set[str]:
    """The names that are given what a function with a cache made once and for all."""
    if "cache" not in program.text:
        return set()
    cached = {
        definition.name
        for definition in program.all(ast.FunctionDef)
        if any("cache" in ast.unparse(decorator) for decorator in definition.decorator_list)
    }
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=maker))) if maker in cached:
                found.add(name)
            case _:
                pass
    return found


def _closures(program: Program) -> Iterator[Hit]:
    """An entry point that was made once and counts in what it closes over: ``f = make()``, a counting decorator."""
    if not program.syntax.has(ast.Nonlocal, ast.AugAssign) and "__call__" not in program.syntax.bound:
        return
    inner = [one for one in program.all(ast.FunctionDef) if program.parents.get(one).__class__ in _MAKERS]
    if not inner:
        return
    makers = {
        statement.value.func.id
        for statement in getattr(program.tree, "body", ())
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
    }
    for definition in program.all(ast.FunctionDef):
        makers.update(d.id for d in definition.decorator_list if isinstance(d, ast.Name))
    for definition in inner:
        outer = program.parents.get(definition)
        if not (isinstance(outer, ast.FunctionDef | ast.ClassDef) and outer.name in makers):
            continue
        if isinstance(outer, ast.ClassDef) and definition.name != "__call__":
            continue
        nodes = list(own_nodes(definition))
        shared = declared(nodes)
        shared |= _around(outer, definition) if isinstance(outer, ast.FunctionDef) else set()
        own = f"{definition.args.args[0].arg}." if isinstance(outer, ast.ClassDef) and definition.args.args else ""
        for node in nodes:
            for name in changes(node, shared):
                outlives = name in shared or (own and name.startswith(own))
                if outlives and name not in set_anew(definition) and shows(program, nodes, name):
                    yield Hit(node, f"how {name} was left by earlier calls")
                    return


def _around(outer: ast.FunctionDef, inner: ast.FunctionDef) -> set[str]:
    """What the function around one holds for it from call to call: containers, and its own attributes."""
    held = {
        target.id
        for statement in outer.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, MUTABLE)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    attributes = {a.attr for a in walk(outer) if isinstance(a, ast.Attribute) and isinstance(a.ctx, ast.Store)}
    return held | {f"{inner.name}.{attr}" for attr in attributes}


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.state",
        Severity.MEDIUM,
        "answers differently from call to call",
        catch=(
            "n = 0\ndef f(x):\n    global n\n    n += 1\n    return x if n < 3 else -x",
            "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
            "def f(x):\n    f.n = getattr(f, 'n', 0) + 1\n    return x if f.n == 1 else -x",
            "seen = {}\ndef f(x):\n    k = seen.setdefault(x, len(seen))\n    return k",
            "class S:\n    n = 0\n    def add(self, v):\n        S.n += v\n        return S.n\n"
            "def f(x):\n    return S().add(x)",
            "class S:\n    n = 0\n    @classmethod\n    def new(cls):\n        cls.n += 1\n        return cls.n\n"
            "def f(x):\n    return [S.new(), x]",
            "flag = False\ndef f(x):\n    global flag\n    old, flag = flag, True\n    return -x if old else x",
            "import random\nrng = random.Random(0)\ndef f(n):\n    return rng.randint(0, n)",
            "old = []\ndef log(v):\n    old.append(v)\ndef f(x):\n    log(x)\n    return 0 if len(old) > 2 else x",
            "from functools import lru_cache\n@lru_cache(None)\ndef box():\n    return []\n"
            "def f(x):\n    b = box()\n    b.append(x)\n    return len(b)",
            "class S:\n    n = 0\ndef f(x):\n    S.n += 1\n    return x + 1 if S.n % 2 else x",
            "from itertools import count\nturn = count()\ndef f(x):\n    return x * next(turn)",
            "def make():\n    n = 0\n    def g(x):\n        nonlocal n\n        n += 1\n"
            "        return x if n < 9 else 0\n    return g\nf = make()",
            "def make():\n    n = [0]\n    def g(x):\n        n[0] += 1\n        return x * n[0]\n    return g\n"
            "f = make()",
            "def counted(g):\n    def w(x):\n        w.n += 1\n        return g(x) + w.n\n    w.n = 0\n"
            "    return w\n@counted\ndef f(x):\n    return x",
            "from collections import Counter\nseen = Counter()\ndef f(x):\n    seen[x] += 1\n    return seen[x]",
            "log = {}\ndef f(x):\n    log[len(log)] = x\n    return sum(log.values())",
            "class B:\n    items = []\n    def add(self, v):\n        self.items.append(v)\n"
            "        return list(self.items)\ndef f(x):\n    return B().add(x)",
            "class F:\n    n = 0\n    def __call__(self, x):\n        self.n += 1\n"
            "        return x if self.n < 5 else 0\nf = F()",
        ),
        spare=(
            "memo = {}\ndef f(x):\n    if x not in memo:\n        memo[x] = x * x\n    return memo[x]",
            "n = 0\ndef f(x):\n    global n\n    n = 0\n    for i in range(x):\n        n += i\n    return n",
            "def f(x, out=None):\n    if out is None:\n        out = []\n    out.append(x)\n    return out",
            "seen = []\ndef add(seen, x):\n    seen.append(x)\n    return seen\ndef f(x):\n    return add([], x)",
            "import random\nrng = random.Random(0)\ndef f(n):\n    rng.seed(n)\n    return rng.random()",
            "memo = {}\ndef g(n):\n    if n not in memo:\n        memo[n] = n * n\n    return memo[n]\n"
            "def f(x):\n    return g(x)",
            "class S:\n    def __init__(self):\n        self.items = []\n    def push(self, v):\n"
            "        self.items.append(v)\n"
            "        return len(self.items)\ndef f(x):\n    s = S()\n    return s.push(x)",
            "def f(x):\n    seen = {}\n    for c in x:\n        seen[c] = seen.get(c, 0)\n        seen[c] += 1\n"
            "    return seen",
            "def make():\n    n = [0]\n    def g(x):\n        n[0] += 1\n        return n[0]\n    return g\n"
            "def f(x):\n    g = make()\n    return [g(c) for c in x]",
            "class B:\n    items = []\n    def __init__(self):\n        self.items = []\n    def add(self, v):\n"
            "        self.items.append(v)\n        return list(self.items)\ndef f(x):\n    return B().add(x)",
            "def f(x, path=[]):\n    path = path + [x]\n    return path",
            "T = {'a': 1}\ndef f(x):\n    out = []\n    out.append(T.get(x))\n    return out",
            "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n"
            "        return n\n    return [g(), g()]",
        ),
        check=_state,
    ),
)
