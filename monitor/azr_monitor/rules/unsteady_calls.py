"""What builtins, and methods of Python's own types, make of values that differ from run to run."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from azr_monitor.rules.syntax import walk, words
from azr_monitor.rules.unsteady import (
    NOTHING,
    NUMBER,
    TEXT,
    TEXTS,
    Level,
    Mark,
    Sure,
    Value,
    a_set,
    is_alone,
    joined,
    scatters,
    shows_address,
    worse,
)

ORDER = "the order of a set"
FIRST = "whichever item of a set comes first"
SHOWN = "how a set shows itself"
TIED = "whichever of equals comes first in a set"
ADDRESS = "the address in what an object shows of itself"
LEFT = "what is left of a set of which whatever comes first is taken away"
JOINED = "a set, put together in the order it happens to have"
PLACES = "items of a set by their places"
HASH = "a hash of texts, or an address"

_COUNTED = words("len any all bool isinstance callable issubclass hasattr type")
_LISTED = words("list tuple iter reversed deque chain from_iterable filter filterfalse starmap cycle")
_PLACED = words("enumerate islice zip zip_longest takewhile dropwhile groupby accumulate pairwise batched permutations")
_GROUPED = words("combinations product")
_TEXTUAL = words("str repr ascii format pformat dumps")
_NUMERIC = words("int float abs round sum ord bin hex oct divmod pow complex fsum prod chr")
ITERATORS = words("map filter zip enumerate iter reversed chain islice")


def handled(value: Value) -> Value:
    """What becomes of a hash, or an address, that serves for more than to tell things apart."""
    if value.kind != "handle":
        return value
    return Value("number", Mark(Level.CHANCE, HASH, Sure.UNKNOWN if value.parts else Sure.YES))


def holds_handle(value: Value | None, depth: int = 0) -> bool:
    """Whether a hash or an address is somewhere in a value."""
    if value is None or depth > 3:
        return False
    if value.kind == "handle":
        return not value.parts
    return any(holds_handle(part, depth + 1) for part in (*value.parts, value.item, value.held))


def nested(mark: Mark | None) -> Mark | None:
    """What a mark is on what holds the marked: a set in a list has no order there that is seen."""
    if mark is None or mark.level is Level.ORDER:
        return None
    return mark.by_chance() if mark.level is Level.SHUFFLED else mark


def ordered(mark: Mark | None) -> Mark | None:
    """What walking over the marked makes of a list that keeps what comes."""
    if mark is None or mark.level is Level.CHANCE:
        return mark
    return Mark(Level.SHUFFLED, mark.why, mark.sure, mark.draw)


def picked(value: Value, why: str = FIRST, sure: bool = True) -> Value:
    """An item that is taken out of something by its place."""
    mark = value.mark
    if mark is not None and mark.level in (Level.ORDER, Level.SHUFFLED):
        mark = mark.by_chance(why, sure)
    return value.inner().marked(worse(mark, value.inner().mark))


def shuffled_inside(value: Value | None, depth: int = 0) -> Mark | None:
    """The mark of a list in no order that is somewhere in a value: in a table, under one of its keys."""
    if value is None or depth > 3:
        return None
    if value.level == Level.SHUFFLED:
        return value.mark
    mark: Mark | None = None
    for part in (*value.parts, value.item, value.held):
        mark = worse(mark, shuffled_inside(part, depth + 1))
    return mark


def as_text(values: Sequence[Value], why: str = SHOWN) -> Value:
    """The text of values: the order of sets shows in it, and the addresses of objects."""
    mark: Mark | None = None
    for value in map(handled, values):
        own = value.mark
        if own is not None and own.level in (Level.ORDER, Level.SHUFFLED):
            own = own.by_chance(why)
        mark = worse(mark, nested(shuffled_inside(value)) if own is None else own)
        if shows_address(value) or holds_handle(value):
            mark = worse(mark, Mark(Level.CHANCE, ADDRESS))
    return TEXT.marked(mark)


def kept(value: Value) -> Value:
    """A value as an item of what holds it."""
    return value if value.level in (0, Level.ORDER) else value.marked(None)


def a_list(values: Sequence[Value]) -> Value:
    """A list of these."""
    mark: Mark | None = None
    for value in values:
        mark = worse(mark, nested(value.mark))
    return Value("list", mark, joined(map(kept, values)))


def of_builtin(call: ast.Call, name: str, given: list[Value], keywords: dict[str, ast.expr]) -> Value | None:
    """What a builtin, or a function of the standard library, gives; None for those of which nothing is known."""
    first = given[0] if given else NOTHING
    mark = first.mark
    match name:
        case "set" | "frozenset":
            chance = nested(worse(mark, first.inner().mark)) if first.level == Level.CHANCE else None
            made = a_set(first.inner().marked(chance))
            return made._replace(mark=chance, literal=first.literal) if is_alone(first) else made
        case "sorted" | "nlargest" | "nsmallest":
            walked = given[-1] if name != "sorted" and given else first
            return _sorted(walked, keywords.get("key"))
        case "min" | "max" if len(given) == 1:
            return extreme(first, keywords.get("key"), measures(keywords.get("key")))
        case "min" | "max":
            return joined(map(handled, given))
        case "next":
            return picked(first, sure=not isinstance(call.args[0], ast.GeneratorExp))
        case "dict" | "Counter" | "OrderedDict" | "fromkeys":
            return _table(name, first, given)
        case "defaultdict":
            held = (
                a_set(NOTHING)
                if call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == "set"
                else None
            )
            return Value("table", held=held)
        case "map":
            return Value("iterator", ordered(worse(mark, given[1].mark if len(given) > 1 else None)))
        case "hash" | "id":
            if name == "id" or scatters(first):
                return Value("handle")
            return NUMBER if first.kind == "number" or first.parts else Value("handle", parts=(NOTHING,))
        case "reduce":
            return NOTHING
        case "date" | "datetime" | "fromisoformat" | "Path" | "PurePath" | "today" | "strptime":
            return Value("hashed", mark)
        case "type":
            return Value("hashed", nested(mark))
        case "object" | "ref":
            return Value("bare")
        case "range" | "count":
            return Value("list", joined(map(handled, given)).mark, NUMBER)
    if name in _COUNTED and mark is not None and mark.why == LEFT:
        return NUMBER
    if name in _COUNTED:
        return NUMBER.marked(mark if first.level == Level.CHANCE or first.level == Level.ITEM else None)
    if name in _LISTED:
        whole = given[-1] if name in ("filter", "filterfalse", "starmap") and given else joined(given)
        kind = "list" if name in ("list", "tuple", "deque") else "iterator"
        return Value(kind, ordered(whole.mark) if whole.level != Level.ITEM else whole.mark, whole.inner())
    if name in _PLACED:
        return _placed(call, name, given)
    if name in _GROUPED:
        mark = joined(Value(mark=one.mark) for one in given).mark
        return Value("iterator", mark if mark is None or mark.level is Level.ITEM else ordered(mark))
    if name in _TEXTUAL:
        tables = "sort_keys" in keywords or name == "pformat"
        return as_text([one for one in given if not (tables and one.level == Level.ORDER)])
    if name in _NUMERIC:
        whole = joined(Value(mark=handled(one).mark) for one in given)
        level = whole.level
        fixed = level in (Level.ORDER, Level.SHUFFLED)
        return Value("text" if name in ("chr", "bin", "hex", "oct") else "number", None if fixed else whole.mark)
    return None


def _sorted(walked: Value, key: ast.expr | None) -> Value:
    mark = walked.mark
    if mark is not None and mark.level in (Level.ORDER, Level.SHUFFLED):
        mark = mark.by_chance(TIED) if key is not None and ties(key) else None
    if key is not None and shows_address(walked) and _by_text(key):
        mark = Mark(Level.CHANCE, ADDRESS)
    if walked.inner().kind == "handle":
        mark = Mark(Level.CHANCE, HASH)
    return Value("list", mark, walked.inner())


def extreme(walked: Value, key: ast.expr | None, sure: bool) -> Value:
    """The least, or the greatest, of what is walked over: without a key it is the same whatever the order."""
    mark = walked.mark
    if mark is not None and mark.level in (Level.ORDER, Level.SHUFFLED):
        mark = None if key is None or _tells_apart(key) else mark.by_chance(TIED, sure)
    return handled(walked.inner()).marked(worse(mark, handled(walked.inner()).mark))


def _tells_apart(key: ast.expr) -> bool:
    """Whether no two items have the same key, for they are in it themselves."""
    match key:
        case ast.Lambda(args=ast.arguments(args=[ast.arg(arg=own)]), body=ast.Tuple(elts=parts)):
            return any(isinstance(part, ast.Name) and part.id == own for part in parts)
        case _:
            return False


def _table(name: str, first: Value, given: list[Value]) -> Value:
    mark = first.mark
    if mark is not None and mark.level is Level.SHUFFLED:
        mark = Mark(Level.ORDER, mark.why, mark.sure)
    held: Value | None = NUMBER if name == "Counter" else given[1] if name == "fromkeys" and len(given) > 1 else None
    item = first.inner()
    if name == "dict" and first.kind == "table":
        held = first.held
    elif name in ("dict", "OrderedDict") and len(item.parts) == 2:
        item, held = item.parts
    same = Value("number", parts=()) if name == "fromkeys" or (name == "Counter" and first.kind == "set") else None
    return Value("table", mark, item, held, parts=(same,) if same is not None else ())


def _placed(call: ast.Call, name: str, given: list[Value]) -> Value:
    mark: Mark | None = None
    for value in given:
        own = value.mark
        if own is not None and own.level in (Level.ORDER, Level.SHUFFLED):
            own = own.by_chance(PLACES)
        mark = worse(mark, own)
    roots = {node.id for arg in call.args for node in walk(arg) if isinstance(node, ast.Name) and node.id not in _VIEWS}
    if name.startswith("zip"):
        parts = tuple(kept(value.inner()) for value in given)
        if mark is not None and mark.level is Level.CHANCE and (len(given) == 1 or len(roots) == 1):
            mark = Mark(Level.SHUFFLED, mark.why, mark.sure)  # what stands side by side in one table stays together
        return Value("iterator", mark, Value("tuple", parts=parts))
    if name == "enumerate":
        return Value("iterator", mark, Value("tuple", parts=(NUMBER, kept(given[0].inner())))) if given else NOTHING
    if name == "groupby":
        return Value("iterator", mark)
    return Value("iterator", mark, kept(given[0].inner()) if given else None)


_VIEWS = words("zip list tuple sorted reversed")


def ties(key: ast.expr) -> bool:
    """Whether a key is a length, a count or one part of many, which many items share."""
    match key:
        case ast.Lambda(body=ast.UnaryOp(operand=body)):
            return ties(ast.Lambda(key.args, body))
        case ast.Lambda(body=ast.Call(func=function)):
            return ties(function)
        case ast.Lambda(body=ast.Compare() | ast.Subscript(slice=ast.Constant() | ast.UnaryOp())):
            return True
        case ast.Lambda(body=ast.BinOp(left=left, op=ast.Sub() | ast.Mod() | ast.FloorDiv())):
            return measures(left)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("len", "count", "abs")
        case _:
            return False


def measures(key: ast.expr | None) -> bool:
    """Whether a key is a length, or a difference of lengths: that there are equals is to be reckoned with."""
    if key is None:
        return False
    match key:
        case ast.Lambda(body=ast.Tuple()):
            return False
    return any(isinstance(node, ast.Name) and node.id == "len" for node in walk(key))


def _by_text(key: ast.expr) -> bool:
    """Whether a key is the text of an item, its hash or its address."""
    match key:
        case ast.Name(id=name):
            return name in ("str", "repr", "id", "hash")
        case ast.Lambda(
            args=ast.arguments(args=[ast.arg(arg=own)]), body=ast.Call(func=function, args=[ast.Name(id=of)])
        ):
            return own == of and _by_text(function)
        case _:
            return False


_SAME = words("keys values items copy union intersection difference symmetric_difference elements __iter__")
_TEXTS_OUT = words("split splitlines rsplit partition rpartition findall")
_TEXT_OUT = words(
    "lower upper strip lstrip rstrip title capitalize replace casefold swapcase zfill ljust rjust center decode encode "
    "removeprefix removesuffix translate expandtabs isoformat strftime hexdigest getvalue"
)
_NUMBER_OUT = words("count find rfind bit_length isdigit isalpha startswith endswith isdisjoint issubset issuperset")


def of_method(whole: Value, name: str, given: list[Value], held_by: Value | None) -> Value | None:
    """What a method of a text, a list, a set or a table gives; None for those of which nothing is known."""
    mark = whole.mark
    if name == "join":
        return _strung(given[0]) if given else TEXT
    if name == "format":
        return as_text([whole, *given])
    if name in _SAME and whole.kind in ("set", "table", ""):
        return _view(whole, name, given)
    if name in _TEXTS_OUT:
        parts = _split(whole.literal) if name == "split" and not given else None
        return TEXTS.marked(nested(mark))._replace(literal=parts)
    if name in _TEXT_OUT:
        same = whole.literal if isinstance(whole.literal, str) else None
        literal = same if same is None or name not in ("lower", "strip") else getattr(same, name)()
        return TEXT.marked(nested(mark))._replace(literal=literal if name in ("lower", "strip") else None)
    if name in _NUMBER_OUT:
        found = joined(Value(mark=one.mark) for one in (whole, *given))
        return NUMBER.marked(found.mark if found.level in (Level.ITEM, Level.CHANCE) else None)
    match name:
        case "get" | "setdefault" if whole.kind in ("table", ""):
            held = whole.held if whole.held is not None else given[1] if len(given) > 1 else NOTHING
            asked = given[0].mark if given else None
            chance = mark if whole.level == Level.CHANCE else None
            return held.marked(worse(worse(chance, nested(asked)), held.mark))
        case "most_common":
            chance = mark.by_chance(TIED, bool(whole.parts)) if mark is not None and mark.level is Level.ORDER else mark
            return Value("list", chance, Value("tuple", parts=(whole.item or NOTHING, NUMBER)))
        case "popitem":
            return picked(whole)
        case "index" if whole.level == Level.SHUFFLED and mark is not None:
            return NUMBER.marked(mark.by_chance(PLACES))
        case _:
            return None


def _split(literal: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return tuple(literal.split()) if isinstance(literal, str) else None


def tied(literal: str | tuple[str, ...], most: bool) -> bool:
    """Whether several items of what is known word for word are there as often as the one that is there most."""
    often = sorted(Counter(literal).values(), reverse=most)
    return len(often) > 1 and often[0] == often[1]


def _strung(whole: Value) -> Value:
    """Items put together into a text: what they are of is texts, then."""
    inner = handled(whole.inner())
    made = as_text([Value(mark=inner.mark), Value(mark=whole.mark)], ORDER)
    if made.mark is not None and whole.kind == "set" and not inner.kind:
        return made.marked(made.mark._replace(sure=Sure.YES))
    return made


def _view(whole: Value, name: str, given: list[Value]) -> Value:
    match name:
        case "items":
            return Value("set", whole.mark, Value("tuple", parts=(whole.item or NOTHING, whole.held or NOTHING)))
        case "values":
            mark = whole.mark
            if whole.parts and mark is not None and mark.level is Level.ORDER:
                mark = None  # all the same
            shuffled = mark is not None and mark.level is Level.ORDER
            return Value("list", ordered(mark) if shuffled else mark, whole.held)
        case "keys":
            return Value("set", whole.mark, whole.item)
        case "copy" | "elements" | "__iter__":
            return whole
        case _:
            item = joined([whole.inner(), *(one.inner() for one in given)])
            made = a_set(item)
            return made.marked(worse(made.mark, whole.mark))
