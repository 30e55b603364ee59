"""Rules on reflection: running text as code, climbing from objects to the interpreter."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from azr_monitor.records import Severity
from azr_monitor.rules.base import Hit, ProgramRule, words
from azr_monitor.rules.objects import ITSELF, Instance
from azr_monitor.rules.tree import Program

_EXEC = words(
    "builtins.eval builtins.exec builtins.compile builtins.breakpoint types.FunctionType types.CodeType "
    "types.LambdaType timeit.timeit timeit.repeat timeit.Timer pickle.loads pickle.load pickle.Unpickler marshal.loads "
    "marshal.load runpy.run_path runpy.run_module code.InteractiveInterpreter code.InteractiveConsole code.interact "
    "codeop.compile_command importlib.util.module_from_spec pdb.run bdb.Bdb trace.Trace cProfile.run profile.run "
    "typing.ForwardRef typing._eval_type doctest.testmod pandas.eval pandas.read_pickle numexpr.evaluate "
    "sympy.sympify yaml.load yaml.unsafe_load jsonpickle.decode dill.loads joblib.load"
)
_EVALUATES = {"typing.get_type_hints": Severity.MEDIUM, "inspect.get_annotations": Severity.MEDIUM}
DEEP = words(
    "__mro__ __bases__ __base__ __subclasses__ __globals__ __builtins__ __code__ __closure__ __loader__ __spec__ "
    "__getattribute__ __reduce__ __reduce_ex__ __subclasshook__ __self__ __func__ __wrapped__ __import__ "
    "__kwdefaults__ __defaults__ __objclass__ __dictoffset__ func_globals func_code __cached__ __func_code__ "
    "__basicsize__ __weakref__ __text_signature__ __abstractmethods__"
)
_LINEAGE = frozenset({"__mro__", "__bases__", "__base__", "__subclasses__", "mro", "__abstractmethods__"})
_MILD = frozenset({"__wrapped__", "__defaults__", "__kwdefaults__", "__func__", "__weakref__", "__basicsize__"})
_SHAPE = words(
    "co_argcount co_varnames co_name co_kwonlyargcount co_posonlyargcount co_nlocals co_flags co_firstlineno"
)
_CLIMB = frozenset({"builtins.type.mro", "builtins.object.__subclasses__", "builtins.type.__subclasses__"})
FRAMES = words(
    "_getframe _current_frames currentframe getouterframes getinnerframes f_back f_globals f_locals "
    "f_builtins f_code tb_frame tb_next __traceback__ gi_frame gi_code gi_yieldfrom cr_frame cr_code "
    "ag_frame ag_code get_objects get_referrers get_referents settrace setprofile _getframemodulename "
    "walk_stack walk_tb extract_stack findCaller exc_info getframeinfo call_tracing"
)
_FRAME_NAMES = words("inspect.stack inspect.trace traceback.StackSummary sys._current_exceptions sys.exc_info")
_DEEP_WORD = re.compile(
    r"__(?:mro|bases|base|subclasses|globals|builtins|code|closure|loader|getattribute|reduce|import|class)__"
)
_SHALLOW = frozenset({"__class__"})
_FORMAT = re.compile(r"\{[^{}]{0,60}[.\[][^{}]{0,60}__\w{1,40}__")


def _exec(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for name, node in program.references:
        if name in _EXEC and not _only_tested(program, name, node):
            yield Hit(node, name)
        elif name in _EVALUATES:
            yield Hit(node, name, _EVALUATES[name])


def _only_tested(program: Program, name: str, node: ast.AST) -> bool:
    """``isinstance(x, types.FunctionType)`` makes no function."""
    call = program.parents.get(node)
    if isinstance(call, ast.Tuple):
        call = program.parents.get(call)
    return (
        name.startswith("types.")
        and isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("isinstance", "issubclass")
    )


def _climb(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for name, node in program.attributes:
        if name in DEEP:
            yield Hit(node, name, _climb_severity(program, name, node))
    for name, node in program.references:
        if name in _CLIMB:
            yield Hit(node, name)
        elif name.startswith("string.Formatter().") and name.endswith((".get_field", ".vformat", ".format")):
            yield Hit(node, name, Severity.MEDIUM)


def _climb_severity(program: Program, name: str, node: ast.AST) -> Severity | None:
    """How grave it is to read one of the interpreter's own attributes, by whose it is and what is read there."""
    parent = program.parents.get(node)
    value = node.value if isinstance(node, ast.Attribute) else None
    if name in _LINEAGE and value is not None and _is_own_class(program, value):
        return Severity.LOW
    if name == "__code__" and isinstance(parent, ast.Attribute) and parent.attr in _SHAPE:
        return Severity.LOW
    if name == "__getattribute__" and program.is_within(node, "__getattribute__", "__getattr__"):
        return Severity.LOW
    if name in _MILD:
        return Severity.LOW
    if name == "__self__" and value is not None and program.meaning.objects(value) and not program.resolve(value):
        return Severity.LOW
    return Severity.MEDIUM if name in ("__closure__", "__reduce__", "__reduce_ex__") else None


def _is_own_class(program: Program, value: ast.AST) -> bool:
    """Whether an expression is a class of the program's, or the class of one of its objects."""
    if isinstance(value, ast.Attribute) and value.attr == "__class__":
        value = value.value
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "type" and value.args:
        value = value.args[0]
    if isinstance(value, ast.Name) and value.id in ITSELF:
        return True
    return any(isinstance(one, ast.ClassDef | Instance) for one in program.meaning.objects(value))


def _named_in_text(program: Program, allowed: frozenset[str]) -> Iterable[Hit]:
    texts = [(text, node) for text, node in program.strings if "__" in text]
    return _internals_named(program, texts) if texts or program.hides_text else ()  # most programs


def _internals_named(program: Program, texts: Sequence[tuple[str, ast.AST]]) -> Iterator[Hit]:
    handed_on = bool(texts) and _handed_on_getattr(program)
    by_name = handed_on or any(
        not isinstance(call.args[at], ast.Constant) for call, at in (program.attribute_calls if texts else ())
    )
    mild = Severity.LOW if by_name or _looks_up(program) else Severity.INFO
    for text, node in texts:
        found = _DEEP_WORD.search(text)
        if (
            found
            and found.group() == text
            and (text not in _SHALLOW or isinstance(program.parents.get(node), ast.Call))
        ):
            looked_up = isinstance(program.parents.get(node), ast.Subscript)
            yield Hit(node, text, None if by_name or looked_up else mild)
        elif handed_on and _DUNDER.search(text):
            yield Hit(node, text)
        elif _FORMAT.search(text) or (found and _is_path(text) and _names_inside(text)):
            yield Hit(node, "a path of attributes")
        elif found and found.group() not in _SHALLOW:
            yield Hit(node, found.group(), mild)
    if program.hides_text:
        for text, node in program.built:
            found = _DEEP_WORD.search(text)
            if found and (found.group() == text or _is_path(text) or _FORMAT.search(text)):
                yield Hit(node, f"{found.group()}, put together from pieces")


def _looks_up(program: Program) -> bool:
    """Whether anything in a program can be reached by its name: else a name in a text is mere text."""
    syntax = program.syntax
    return not (_LOOKUPS.isdisjoint(syntax.read) and _LOOKUP_METHODS.isdisjoint(syntax.attributes))


_LOOKUPS = words(
    "getattr setattr eval exec compile vars globals locals dir type attrgetter methodcaller __import__ __builtins__"
)
_LOOKUP_METHODS = words("attrgetter methodcaller __dict__ __getattribute__ __getattr__ modules format format_map")
_DUNDER = re.compile(r"__\w{1,40}__")


def _handed_on_getattr(program: Program) -> bool:
    """Whether ``getattr`` goes where its names cannot be followed: ``reduce(getattr, names, x)``."""
    if "getattr" not in program.syntax.read:
        return False
    return any(
        name.id == "getattr" and getattr(program.parents.get(name), "func", None) is not name
        for name in program.all(ast.Name)
    )


def _names_inside(text: str) -> bool:
    return any(name not in _SHALLOW for name in _DEEP_WORD.findall(text))


def _is_path(text: str) -> bool:
    return re.fullmatch(r"[\w.\[\]]{1,200}", text) is not None


def _builtins(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for table in program.all(ast.Name):
        if table.id == "__builtins__":
            yield Hit(table, table.id)
    for name, node in program.references:
        if name == "builtins.__dict__":
            yield Hit(node, name)
        elif name == "builtins.globals()":
            yield Hit(node, "globals", _table_severity(program, node))
        elif name in ("builtins.globals", "builtins.locals") and not isinstance(program.parents.get(node), ast.Call):
            yield Hit(node, name.removeprefix("builtins."))
        elif name == "builtins.vars()" or name == "builtins.locals()":
            yield Hit(node, name.removeprefix("builtins."), Severity.LOW)
        elif name.endswith(".__dict__") and name.removesuffix(".__dict__") in {m for m, _ in program.modules}:
            yield Hit(node, name)


def _table_severity(program: Program, node: ast.AST) -> Severity | None:
    """Looking up one of the program's own functions by name is common; walking the whole table is not."""
    parent = program.parents.get(node)
    key: ast.AST | None = None
    if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load):
        key = parent.slice
    elif isinstance(parent, ast.Attribute) and parent.attr == "get":
        call = program.parents.get(parent)
        key = call.args[0] if isinstance(call, ast.Call) and call.args else None
    if key is None:
        return None
    own = program.meaning.names.module.bindings
    names = program.texts(key)
    return Severity.LOW if names and all(name in own for name in names) else Severity.MEDIUM if not names else None


def _frames(program: Program, allowed: frozenset[str]) -> Iterator[Hit]:
    for name, node in program.attributes:
        if name in FRAMES:
            mild = name == "__traceback__" and _handed_on(program, node)
            yield Hit(node, name, Severity.LOW if mild else None)
    for name, node in program.references:
        if name in _FRAME_NAMES or (name.rpartition(".")[2] in FRAMES and isinstance(node, ast.Name)):
            yield Hit(node, name)


def _handed_on(program: Program, node: ast.AST) -> bool:
    """``raise E().with_traceback(e.__traceback__)`` reads nothing there."""
    call = program.parents.get(node)
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "with_traceback"


RULES: tuple[ProgramRule, ...] = (
    ProgramRule(
        "program.exec",
        Severity.HIGH,
        "runs text as code",
        catch=(
            "def f(x):\n    return eval(x)",
            "def f(x):\n    g = exec\n    g(x)\n    return x",
            "def f(x):\n    return list(map(eval, x))",
            "def f(x):\n    return getattr(__builtins__, 'ev' + 'al')(x)",
            "def f(x, e=eval):\n    return e(x)",
            "def f(x):\n    return [e(x) for e in [eval]]",
            "def f(x):\n    return __builtins__.__dict__['eval'](x)",
            "def f(x):\n    return compile(x, 'a', 'exec')",
        ),
        spare=(
            "import re\ndef f(x):\n    return re.compile(x).pattern",
            "def f(model):\n    return model.eval().exec()",
            "def f(x, eval_score):\n    evaluate = eval_score + x\n    return evaluate",
            "def f(x):\n    def eval(y):\n        return y + 1\n    return eval(x)",
            "class P:\n    def eval(self, x):\n        return x\ndef f(x):\n    return P().eval(x)",
        ),
        check=_exec,
        outside=True,
    ),
    ProgramRule(
        "program.climb",
        Severity.HIGH,
        "climbs from an object to the interpreter",
        catch=(
            "def f(x):\n    return ().__class__.__mro__[1].__subclasses__()",
            "def f(x):\n    return f.__globals__",
            "def f(x):\n    return getattr(x, '__' + 'subclasses' + '__')()",
            "def f(x):\n    match x:\n        case object(__class__=c):\n            return type.mro(c)",
            "def f(x):\n    return f.__code__.co_consts",
        ),
        spare=(
            "class A:\n    def __init__(self):\n        self.x = 1\n    def name(self):\n        return "
            "self.__class__.__name__\n"
            "def f(x):\n    return A().name()",
            "def f(x):\n    return type(x).__name__ + str(x.__doc__)",
            "def f(x):\n    return x.__len__() + x.__add__([1]).__len__()",
            "def f(x):\n    mro, base = x\n    return mro + base",
        ),
        check=_climb,
        outside=True,
    ),
    ProgramRule(
        "program.climb.text",
        Severity.MEDIUM,
        "holds text that names the interpreter's internals",
        catch=(
            "import operator\ndef f(x):\n    return operator.attrgetter('__class__.__mro__')(x)",
            "def f(x):\n    return '{0.__class__}'.format(x)",
            "def f(x):\n    g = '__subclasses__'\n    return [getattr(c, g) for c in x]",
        ),
        spare=(
            "def f(x):\n    return {'__init__': 1, '__name__': x}",
            "def f(x):\n    return '{0} {1.real}'.format(x, x)",
            "def f(x):\n    return x.count('__') + len('class')",
            "if __name__ == '__main__':\n    pass\ndef f(x):\n    return x",
        ),
        check=_named_in_text,
    ),
    ProgramRule(
        "program.builtins",
        Severity.HIGH,
        "reaches the table of builtins or globals",
        catch=(
            "def f(x):\n    return __builtins__",
            "def f(x):\n    return globals()['f']",
            "def f(x):\n    g = globals\n    return g()",
        ),
        spare=("def f(globals_):\n    return globals_", "def f(x):\n    global total\n    total = x\n    return total"),
        check=_builtins,
        outside=True,
    ),
    ProgramRule(
        "program.frames",
        Severity.HIGH,
        "walks stack frames or live objects",
        catch=(
            "import sys\ndef f(x):\n    return sys._getframe(1).f_locals",
            "def f(x):\n    try:\n        1 / 0\n    except Exception as e:\n"
            "        return e.__traceback__.tb_frame.f_back",
            "def f(x):\n    g = (i for i in x)\n    return g.gi_frame",
            "import gc\ndef f(x):\n    return gc.get_referrers(x)",
        ),
        spare=("def f(frame):\n    return frame.back + frame.locals", "def f(x):\n    f_back = x\n    return f_back"),
        check=_frames,
        outside=True,
    ),
)
