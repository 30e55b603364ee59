"""Rules on effects: files, processes, telling text, hidden characters, and work without end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.tree import Program

_FILES = words(
    "builtins.open io.open io.FileIO io.open_code io.OpenWrapper codecs.open os.open os.fdopen os.listdir os.scandir "
    "os.walk os.remove os.unlink os.rmdir os.rename os.mkdir os.makedirs os.chmod os.readlink os.symlink os.link "
    "os.stat os.environ os.getenv os.truncate fileinput.input pathlib.Path shutil.rmtree shutil.copy tempfile.mkstemp "
    "tempfile.NamedTemporaryFile zipfile.ZipFile tarfile.open gzip.open sqlite3.connect _io.open"
)
_PROCESS = words(
    "os.system os.popen os.fork os.forkpty os.kill os.killpg os.spawnl os.spawnv os.posix_spawn os.execv os.execve "
    "os.execl os.execvp os.abort os._exit os.setuid os.nice subprocess.run subprocess.Popen subprocess.call "
    "subprocess.check_output subprocess.check_call subprocess.getoutput pty.spawn signal.signal signal.alarm "
    "signal.raise_signal multiprocessing.Process resource.setrlimit"
)
_PATHS = re.compile(
    r"(?:^|[\s\"'=(])(?:/etc/(?:passwd|shadow|hosts|ssh)|/proc/|/sys/|/dev/(?!null\b)|/root/|/var/run/|~/\.|/home/)"
    r"|\.ssh/|\.aws/|\bid_rsa\b|\bauthorized_keys\b|docker\.sock"
)
_SHELL = re.compile(
    r"\brm\s{1,4}-rf?\b|/bin/(?:ba)?sh\b|\bcurl\s{1,4}(?:-\w{1,8}\s{1,4}){0,4}https?:|\bwget\s{1,4}https?:|\bnc\s{1,4}-[elvnp]"
    r"|:\(\)\s{0,2}\{|/dev/tcp/|\bchmod\s{1,4}\+x\b|\bsudo\s{1,4}\w|\bmkfs\.|\bdd\s{1,4}if="
)
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]")
_HUGE = 10**7
_HUGE_BITS = 10**7
_MAX_KNOWN = 10**12


def _files(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    yield from (Hit(node, name) for name, node in program.references if name in _FILES)


def _processes(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    yield from (Hit(node, name) for name, node in program.references if name in _PROCESS)


def _paths(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for text, node in program.strings:
        if "/" in text or "id_rsa" in text or "authorized_keys" in text or ".sock" in text:
            found = _PATHS.search(text)
            if found:
                yield Hit(node, found.group().strip())


def _shell(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for text, node in program.strings:
        found = _SHELL.search(text)
        if found:
            yield Hit(node, found.group())


def _hidden(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    if not program.text.isascii() and _HIDDEN.search(program.text):
        found = _HIDDEN.search(program.text)
        assert found is not None
        before = program.text[: found.start()]
        yield Hit(program.tree, f"U+{ord(found.group()):04X} on line {before.count(chr(10)) + 1}")


def _output(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    yield from (Hit(node, "print") for name, node in program.references if name == "builtins.print")


def _asks(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    yield from (Hit(node, name) for name, node in program.references if name in ("builtins.input", "sys.stdin"))


def number(node: ast.AST, depth: int = 0) -> int | None:
    """The integer a constant expression stands for, None when unknown; capped at ``_MAX_KNOWN`` either way."""
    if depth > 12:
        return None
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return max(-_MAX_KNOWN, min(value, _MAX_KNOWN))
        case ast.Constant(value=float(real)) if abs(real) < _MAX_KNOWN:
            return int(real)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = number(operand, depth + 1)
            return None if inner is None else -inner
        case ast.BinOp(left=left, op=op, right=right):
            a, b = number(left, depth + 1), number(right, depth + 1)
            if a is None or b is None:
                return None
            match op:
                case ast.Mult():
                    value = a * b
                case ast.Add():
                    value = a + b
                case ast.Sub():
                    value = a - b
                case ast.Pow() if b >= 0:
                    value = a**b if b <= 64 else (_MAX_KNOWN if abs(a) > 1 else a)
                case ast.LShift() if b >= 0:
                    value = a << b if b <= 64 else _MAX_KNOWN
                case _:
                    return None
            return max(-_MAX_KNOWN, min(value, _MAX_KNOWN))
        case _:
            return None


def _huge(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for node in program.all(ast.BinOp):
        left, right = number(node.left), number(node.right)
        match node.op:
            case ast.Pow() if left is not None and right is not None and abs(left) > 1:
                if right * abs(left).bit_length() > _HUGE_BITS:
                    yield Hit(node, "a number of millions of digits")
            case ast.LShift() if right is not None and right > _HUGE_BITS:
                yield Hit(node, "a number of millions of digits")
            case ast.Mult():
                for sequence, count in ((node.left, right), (node.right, left)):
                    if _is_sequence(sequence) and count is not None and count > _HUGE:
                        yield Hit(node, "a sequence of millions of items")
            case _:
                pass
    for call in program.all(ast.Call):
        if "builtins.range" in program.names.resolve(call.func) and call.args:
            stop = number(call.args[0] if len(call.args) == 1 else call.args[1])
            step = number(call.args[2]) if len(call.args) > 2 else 1
            if stop is not None and abs(stop) // max(1, abs(step or 1)) >= 10 * _HUGE and _iterated(program, call):
                yield Hit(call, "a loop of a hundred million turns")


def _is_sequence(node: ast.AST) -> bool:
    return isinstance(node, ast.List | ast.Tuple | ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _iterated(program: Program, call: ast.Call) -> bool:
    """Whether a range is walked in full: a bare loop without a way out, or list, sum and the like over it."""
    parent = program.names.parents.get(call)
    if isinstance(parent, ast.For):
        return not _leaves(parent)
    if isinstance(parent, ast.comprehension):
        return True
    eager = {f"builtins.{name}" for name in ("list", "sum", "tuple", "set", "sorted", "max", "min", "dict")}
    return isinstance(parent, ast.Call) and not eager.isdisjoint(program.names.resolve(parent.func))


def _leaves(loop: ast.For | ast.While) -> bool:
    """Whether the loop's own body can leave it: a break of its own, or return, raise, yield, await, exit."""
    stack: list[tuple[ast.AST, bool]] = [(statement, True) for statement in loop.body]
    while stack:
        node, own = stack.pop()
        if isinstance(node, ast.Return | ast.Raise | ast.Yield | ast.YieldFrom | ast.Await | ast.Assert):
            return True
        if isinstance(node, ast.Break) and own:
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        inner = own and not isinstance(node, ast.For | ast.While | ast.AsyncFor)
        stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    return False


def _endless(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for loop in program.all(ast.While):
        always = (isinstance(loop.test, ast.Constant) and bool(loop.test.value)) or (number(loop.test) or 0) != 0
        # next() and pop() raise when nothing is left, a common way out of ``while True`` inside ``try``.
        in_try = isinstance(program.names.parents.get(loop), ast.Try)
        if always and not _leaves(loop) and not in_try:
            yield Hit(loop, "while True without a way out")
    for definition in program.all(ast.FunctionDef):
        if _calls_itself_first(definition):
            yield Hit(definition, "a function that only calls itself")


def _calls_itself_first(definition: ast.FunctionDef) -> bool:
    body = [node for node in definition.body if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call)]
    if not body or not isinstance(body[0], ast.Return | ast.Expr) or body[0].value is None:
        return False
    stack: list[ast.AST] = [body[0].value]
    while stack:
        node = stack.pop()
        if isinstance(
            node, ast.IfExp | ast.BoolOp | ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp
        ):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == definition.name:
            return True
        stack.extend(ast.iter_child_nodes(node))
    return False


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.files",
        Severity.HIGH,
        "opens or lists files",
        catch=(
            "def f(x):\n    return open(x).read()",
            "def f(x):\n    o = open\n    with o(x, 'w') as h:\n        h.write('a')",
            "import io\ndef f(x):\n    return io.open(x)",
            "import os as o\ndef f(x):\n    return o.listdir(x)",
            "open = open\ndef f(x):\n    return open(x)",
        ),
        spare=(
            "class Door:\n    def open(self):\n        return 1\n    def close(self):\n        return 0\n"
            "def f(x):\n    d = Door()\n    return d.open() + d.close()",
            "import io\ndef f(x):\n    return io.StringIO(x).read()",
            "def f(open, close):\n    return open(close)",
            "def f(x):\n    open_count = x.count('open')\n    return open_count",
        ),
        check=_files,
    ),
    ProgramRule(
        "program.process",
        Severity.HIGH,
        "starts, signals or ends processes",
        catch=(
            "import os\ndef f(x):\n    return os.system('ls')",
            "from os import kill as k\ndef f(x):\n    k(1, 9)",
            "def f(x):\n    return getattr(__import__('os'), 'popen')('id').read()",
            "from subprocess import Popen\ndef f(x):\n    return Popen(x)",
        ),
        spare=(
            "class Game:\n    def kill(self, p):\n        return p - 1\n    def system(self):\n        return 2\n"
            "def f(x):\n    return Game().kill(x) + Game().system()",
            "def f(kill, run):\n    return kill(run)",
        ),
        check=_processes,
    ),
    ProgramRule(
        "program.path.sensitive",
        Severity.MEDIUM,
        "names a path that only an intruder would want",
        catch=("def f(x):\n    return '/etc/' + 'passwd'", "P = '/proc/self/environ'\ndef f(x):\n    return P + x"),
        spare=("def f(x):\n    return x.split('/') + ['/a/b']", "def f(x):\n    return 'process/etc' in x"),
        check=_paths,
    ),
    ProgramRule(
        "program.shell.text",
        Severity.MEDIUM,
        "holds a shell command",
        catch=("def f(x):\n    return 'rm -rf /'", "C = 'curl http://a.b/c'\ndef f(x):\n    return C"),
        spare=("def f(x):\n    return 'farm -r' + x + 'shell'", "def f(x):\n    return x.replace('curly', 'sh')"),
        check=_shell,
    ),
    ProgramRule(
        "program.hidden-characters",
        Severity.MEDIUM,
        "holds invisible or direction-changing characters",
        catch=("def f(x):\n    return x # \u202e evil", "def f(x):\n    return 'a\u200bb' == x"),
        spare=("def f(x):\n    return 'naïve Ελληνικά 日本語 😀' + x",),
        check=_hidden,
    ),
    ProgramRule(
        "program.output",
        Severity.INFO,
        "prints, which nobody reads",
        catch=("def f(x):\n    print(x)\n    return x",),
        spare=("def f(x, print_it):\n    return print_it(x)",),
        check=_output,
    ),
    ProgramRule(
        "program.asks",
        Severity.INFO,
        "waits for input that never comes",
        catch=("def f(x):\n    return input()",),
        spare=("def f(input):\n    return input + 1",),
        check=_asks,
    ),
    ProgramRule(
        "program.bomb.size",
        Severity.MEDIUM,
        "builds something enormous",
        catch=(
            "def f(x):\n    return 'a' * 10**9",
            "def f(x):\n    return 10 ** 10 ** 10",
            "def f(x):\n    return [0] * (1 << 40)",
            "def f(x):\n    return sum(range(10**12))",
            "def f(x):\n    for i in range(10**10):\n        x += i\n    return x",
        ),
        spare=(
            "def f(x):\n    return x % (10**9 + 7) + 2**64 + pow(3, 10**18, 7)",
            "def f(x):\n    return 'a' * 1000 + '-' * len(x)",
            "def f(x):\n    for i in range(10**9):\n        if i * i > x:\n            return i",
        ),
        check=_huge,
    ),
    ProgramRule(
        "program.bomb.endless",
        Severity.MEDIUM,
        "runs without a way to end",
        catch=(
            "def f(x):\n    while True:\n        x += 1",
            "def f(x):\n    while 1:\n        for i in x:\n            break",
            "def f(x):\n    return f(x + 1)",
        ),
        spare=(
            "def f(x):\n    while True:\n        x += 1\n        if x > 9:\n            return x",
            "def f(x):\n    while True:\n        x -= 1\n        if x < 0:\n            break\n    return x",
            "def f(x):\n    return 1 if x < 2 else x * f(x - 1)",
            "def g():\n    i = 0\n    while True:\n        yield i\n        i += 1\ndef f(x):\n    return next(g())",
        ),
        check=_endless,
    ),
)
