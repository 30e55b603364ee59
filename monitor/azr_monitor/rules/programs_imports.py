"""Rules on imports: which modules a program brings in, by statement or by call."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache

from azr_monitor.records import Severity
from azr_monitor.rules.base import Check, Hit, ProgramRule
from azr_monitor.rules.meaning import DYNAMIC_IMPORTS
from azr_monitor.rules.modules import (
    CHANCE,
    DYNAMIC,
    FAMILIES,
    FILES,
    HARMLESS,
    INTERPRETER,
    NATIVE,
    NETWORK,
    PROCESS,
    STEADY,
    THREADS,
)
from azr_monitor.rules.syntax import walk
from azr_monitor.rules.tree import Program

EXAMPLE_IMPORTS = frozenset(
    {"math", "collections", "typing", "datetime", "copy", "io", "re", "json", "dataclasses", "operator"}
)
"""The imports that the rules' own examples take for allowed, whatever a policy allows."""


def _listed(name: str, listed: frozenset[str]) -> bool:
    """Whether ``name`` or a package around it is listed (``os.path`` counts as ``os``, ``osmium`` does not)."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in listed for count in range(1, len(parts) + 1))


def _family(family: frozenset[str]) -> Check:
    """A check for the modules of one family that the policy does not allow."""

    def check(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
        if not program.modules:
            return
        for name, node in program.modules:
            if _most_specific(name) is family and not _listed(name, allowed):
                yield Hit(node, name, _mildness(program, name, node))

    return check


def _mildness(program: Program, name: str, node: ast.AST) -> Severity | None:
    """Next to nothing is said of a module of which only what is the same every time, and leads nowhere, is used."""
    if not _is_harmless(program, name, node):
        return None
    module = node.module or "" if isinstance(node, ast.ImportFrom) else name
    if module not in STEADY:
        return Severity.LOW
    wanted = name.removeprefix(f"{module}.") if isinstance(node, ast.ImportFrom) and name != module else ""
    uses = _imported(program, module, wanted) if wanted else program.uses(module)
    steady = STEADY[module]
    for place, use in uses:
        if use.partition("()")[0].partition(".")[0] not in steady and "*" not in steady:
            return Severity.LOW
        if use.startswith("setrecursionlimit") and not _is_modest(program, place):
            return Severity.LOW
    return Severity.INFO


_MODEST_DEPTH = 10**5


def _is_modest(program: Program, place: ast.AST | None) -> bool:
    """Whether a limit of recursion is one that the stack has room for."""
    call = program.parents.get(place) if place is not None else None
    if not isinstance(call, ast.Call):
        return place is None
    limit = program.number(call.args[0]) if call.args else None
    return limit is not None and limit <= _MODEST_DEPTH


def _is_harmless(program: Program, name: str, node: ast.AST) -> bool:
    """Whether of an imported module only what is harmless is used, or nothing at all."""
    match node:
        case ast.Import():
            return all(_mild(program, name, place, use) for place, use in program.uses(name))
        case ast.ImportFrom(module=str(module), names=aliases) if module == name or name.startswith(f"{module}."):
            if any(alias.name == "*" for alias in aliases):
                return False
            wanted = [alias.name for alias in aliases] if module == name else [name[len(module) + 1 :]]
            return all(
                _mild(program, module, place, use) for one in wanted for place, use in _imported(program, module, one)
            )
        case _:
            return False


def _imported(program: Program, module: str, member: str) -> Iterator[tuple[ast.AST | None, str]]:
    """The uses of something that was imported by name; when there are none, the import itself counts as one."""
    uses = program.uses(f"{module}.{member}")
    if not uses:
        yield None, member
    for place, use in uses:
        yield place, f"{member}.{use}" if use else member


def _mild(program: Program, module: str, place: ast.AST | None, use: str) -> bool:
    if module == "random":
        return _repeats(program, place, use)
    if module == "time":
        return _converts(program, place, use)
    harmless = HARMLESS.get(module, frozenset())
    parts = use.replace("()", "").replace("[]", "").split(".")
    return "*" in harmless or any(".".join(parts[:count]) in harmless for count in (1, 2, 3))


_CONVERTS = {"gmtime": 1, "localtime": 1, "strftime": 2, "strptime": 1, "mktime": 1, "asctime": 1, "struct_time": 1}
"""Functions of ``time`` that only convert the time they are given, with how many arguments it takes to give one."""


def _converts(program: Program, place: ast.AST | None, use: str) -> bool:
    """Whether a use of ``time`` converts a time it is given instead of asking the clock."""
    if use not in _CONVERTS:
        return use.partition("()")[0] in _CONVERTS
    call = program.parents.get(place) if place is not None else None
    return isinstance(call, ast.Call) and call.func is place and len(call.args) >= _CONVERTS[use]


def _repeats(program: Program, place: ast.AST | None, use: str) -> bool:
    """Whether a use of chance gives the same every time: a generator with a seed, or any after seeding."""
    if use in ("Random", "seed"):
        return _is_seeded(program, place)
    if use.startswith(("Random", "SystemRandom")):
        return use.startswith("Random")  # its methods: the generator itself was judged where it was made
    return any(used == "seed" and _is_seeded(program, seed) for seed, used in program.uses("random"))


def _is_seeded(program: Program, place: ast.AST | None) -> bool:
    """Whether the call at ``place`` is given a seed that does not come from chance or the clock itself."""
    call = program.parents.get(place) if place is not None else None
    if not isinstance(call, ast.Call):
        return True  # an annotation
    if call.func is not place:
        return isinstance(call.func, ast.Name) and call.func.id == "isinstance"
    seeds = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not seeds or (isinstance(seeds[0], ast.Constant) and seeds[0].value is None):
        return False
    return not any(isinstance(inner, ast.Call) for inner in walk(seeds[0])) or not any(
        name.startswith(("time.", "os.", "secrets.", "uuid.", "datetime.", "builtins.id", "builtins.hash"))
        for inner in walk(seeds[0])
        for name in program.resolve(inner)
    )


@lru_cache(maxsize=1024)
def _most_specific(name: str) -> frozenset[str] | None:
    """The family of the longest listed prefix: ``os.path`` is files though ``os`` is process."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        for family in FAMILIES:
            if prefix in family:
                return family
    return None


def _unlisted(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    return _beyond_list(program, allowed) if program.modules or program.reaches else ()  # most programs


def _beyond_list(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for name, node in program.modules:
        if (
            name
            and _most_specific(name) is None
            and not _listed(name, allowed)
            and not _listed(name, frozenset({"__future__"}))
        ):
            yield Hit(node, name)
    for node in program.all(ast.ImportFrom):
        if node.level:
            yield Hit(node, "a relative import")


def _dynamic(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    yield from (Hit(node, name) for name, node in program.references if name in DYNAMIC_IMPORTS)
    for name, node in program.references:
        if name == "sys.modules":
            yield Hit(node, name)
    yield from (Hit(node, f"{name} through another module") for name, node in program.inner_modules)
    for name, node in program.references:
        if name.startswith(("builtins.__loader__", "builtins.__spec__")):
            yield Hit(node, name)


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.import.process",
        Severity.HIGH,
        "brings in processes, signals or the operating system",
        catch=(
            "import os\ndef f(x):\n    return os.system(x)",
            "def f(x):\n    import subprocess as s\n    return s.run(x)",
            "from signal import SIGKILL\ndef f(x):\n    return x",
            "def f(x):\n    return __import__('o' + 's').getpid()",
            "def f(x):\n    n = 'so'[::-1]\n    return __import__(n).getcwd()",
            "import sys\ndef f(x):\n    return sys.modules['os'].getcwd()",
        ),
        spare=(
            "def f(os_list):\n    os = os_list[0]\n    return os",
            "def f(processes):\n    return [p for p in processes if p.kill()]",
            "import collections\ndef f(signal):\n    return collections.Counter(signal)",
        ),
        check=_family(PROCESS),
        outside=True,
    ),
    ProgramRule(
        "program.import.network",
        Severity.HIGH,
        "brings in the network",
        catch=(
            "import socket\ndef f(x):\n    return socket.socket()",
            "from urllib.request import urlopen\ndef f(x):\n    return urlopen(x).read()",
            "import importlib\ndef f(x):\n    return importlib.import_module('http.client')",
        ),
        spare=(
            "def f(requests):\n    return sum(requests)",
            "def f(socket, http):\n    return socket.connect(http)",
        ),
        check=_family(NETWORK),
        outside=True,
    ),
    ProgramRule(
        "program.import.native",
        Severity.HIGH,
        "brings in native code or raw memory",
        catch=(
            "import ctypes\ndef f(x):\n    return ctypes.string_at(x)",
            "from mmap import mmap\ndef f(x):\n    return x",
        ),
        spare=("def f(ctypes):\n    return len(ctypes)", "import math\ndef f(mmap):\n    return math.prod(mmap)"),
        check=_family(NATIVE),
        outside=True,
    ),
    ProgramRule(
        "program.import.files",
        Severity.MEDIUM,
        "brings in the file system",
        catch=(
            "from pathlib import Path\ndef f(x):\n    return Path(x).exists()",
            "import shutil\ndef f(x):\n    return shutil.which(x)",
            "import os.path\ndef f(x):\n    return os.path.join(x, x)",
        ),
        spare=("def f(glob):\n    return glob * 2", "def f(pathlib):\n    path = pathlib + [1]\n    return path"),
        check=_family(FILES),
        outside=True,
    ),
    ProgramRule(
        "program.import.dynamic-modules",
        Severity.HIGH,
        "brings in a module that loads or runs code",
        catch=(
            "import builtins\ndef f(x):\n    return builtins.len(x)",
            "from importlib import util\ndef f(x):\n    return x",
            "import pickle\ndef f(x):\n    return pickle.loads(x)",
        ),
        spare=("def f(code):\n    return code[::-1]", "import copy\ndef f(pickle):\n    return copy.copy(pickle)"),
        check=_family(DYNAMIC),
        outside=True,
    ),
    ProgramRule(
        "program.import.interpreter",
        Severity.MEDIUM,
        "brings in the interpreter's internals",
        catch=(
            "import sys\ndef f(x):\n    return sys.maxsize",
            "import gc\ndef f(x):\n    return gc.get_objects()",
            "def f(x):\n    import inspect\n    return inspect.stack()",
        ),
        spare=("def f(sys, types):\n    return sys + types", "import typing\ndef f(trace):\n    return trace"),
        check=_family(INTERPRETER),
        outside=True,
    ),
    ProgramRule(
        "program.import.threads",
        Severity.MEDIUM,
        "brings in threads or an event loop",
        catch=(
            "import threading\ndef f(x):\n    return threading.active_count()",
            "from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n    return x",
        ),
        spare=("def f(threads):\n    return max(threads)",),
        check=_family(THREADS),
        outside=True,
    ),
    ProgramRule(
        "program.import.chance",
        Severity.MEDIUM,
        "brings in chance or the clock, so the result may not repeat",
        catch=(
            "import random\ndef f(x):\n    return random.choice(x)",
            "from time import time\ndef f(x):\n    return time()",
            "import uuid\ndef f(x):\n    return str(uuid.uuid4())",
        ),
        spare=(
            "def f(time, random):\n    return time * random",
            "def f(seed):\n    return (seed * 1103515245 + 12345) % 2**31",
        ),
        check=_family(CHANCE),
        outside=True,
    ),
    ProgramRule(
        "program.import.unlisted",
        Severity.MEDIUM,
        "brings in a module the policy does not list",
        catch=(
            "import numpy as np\ndef f(x):\n    return np.sum(x)",
            "from . import secret\ndef f(x):\n    return secret",
            "import antigravity\ndef f(x):\n    return x",
        ),
        spare=(
            "import math\nfrom collections import deque, Counter\ndef f(x):\n    return math.sqrt(x)",
            "from __future__ import annotations\ndef f(x: int) -> int:\n    return x",
            "import collections.abc\nfrom typing import List\ndef f(x: List[int]):\n    return x",
            "from datetime import date\ndef f(y, m, d):\n    return date(y, m, d).isoformat()",
        ),
        check=_unlisted,
    ),
    ProgramRule(
        "program.import.by-call",
        Severity.HIGH,
        "imports by a call or through another module, instead of by a statement",
        catch=(
            "def f(x):\n    return __import__(x)",
            "def f(x):\n    g = __builtins__['__import__']\n    return g('math')",
            "from importlib import import_module as i\ndef f(x):\n    return i('math')",
            "import sys\ndef f(x):\n    return sys.modules[x]",
            "import contextlib\ndef f(x):\n    return contextlib.os.getcwd()",
            "import collections as c\ndef f(x):\n    return c._sys.path",
        ),
        spare=("import math\ndef f(x):\n    return math.floor(x)", "def f(modules):\n    return modules['os']"),
        check=_dynamic,
        outside=True,
    ),
)
