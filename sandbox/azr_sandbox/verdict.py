"""From what a zygote reports to an `Execution`, and from several runs to one. Pure; trusts no payload."""

from __future__ import annotations

import re
import signal
import struct
import unicodedata
from functools import lru_cache

from azr_sandbox import values
from azr_sandbox.execution import Execution, Outcome
from azr_sandbox.limits import Limits
from azr_sandbox.warmjail import DONE, FLOOD, TIMEOUT, Report

_FRAME = struct.Struct("<cI")  # the child's frames, see guest/child.py
_DETAIL_CHARS = 300
_MEMORY_KILL_SHARE = 0.8
_CPU_KILL_SHARE = 0.5  # the kernel enforces the limit by counting ticks, which on a busy machine run ahead by a third
# Words after which two hash seeds may leave an unlucky order unnoticed; see `order_sensitive`.
_HASHY = re.compile(
    r"\b(?:set|frozenset|hash|id|__hash__|dir|object|__repr__|Weak\w+|KeysView|ItemsView|literal_eval)\b"
    r"|\.(?:keys|items)\(\)\s*-"
)
_VIEW, _SET_OPERATOR = re.compile(r"\.(?:keys|items)\(\)"), re.compile(r"[&|^]")
# Chance itself, what is as good as chance when read finely, and the ways to reach either without naming it.
_CHANCY = re.compile(
    r"\b_{0,2}(?:random|secrets|urandom|getrandom|randomblob|RAND_\w+|mksalt|NormalDist|uuid\w*|tempfile"
    r"|getpid|getrusage|get_ident|get_native_id|getrefcount|getallocatedblocks|fstat|logging|multiprocessing|sqlite3"
    r"|time|times|datetime|\w+_ns|perf_counter|monotonic|process_time|thread_time|clock_gettime"
    r"|timeit|default_timer|sched|cProfile|lsprof"
    r"|eval|exec|compile|getattr|attrgetter|methodcaller|globals|locals|vars|modules|importlib|ctypes|_getframe"
    r"|runpy|pydoc|pkgutil|pickle|mock|get_type_hints|ForwardRef"
    r"|__(?:import|builtins|dict|getattribute|subclasses|loader|globals)__)\b"
)
_LONGEST_SCAN = 8_192
# Unterminated strings match to the end, so that scanning is linear in any text.
_BRACE_OR_STRING = re.compile(
    r"'''(?:[^\\]|\\.)*?(?:'''|\Z)|\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)"
    r"|'(?:[^'\\\n]|\\.)*(?:'|\n|\\?\Z)|\"(?:[^\"\\\n]|\\.)*(?:\"|\n|\\?\Z)"
    r"|#[^\n]*|[{}()\[\]:]",
    re.DOTALL,
)
_LIMITS_AND_WORSE = frozenset(
    {
        Outcome.TIMEOUT,
        Outcome.CPU,
        Outcome.MEMORY,
        Outcome.OUTPUT_LIMIT,
        Outcome.POLICY_VIOLATION,
        Outcome.CRASH,
    }
)


def printable(text: str, limit: int = _DETAIL_CHARS) -> str:
    """``text`` cut to ``limit`` characters, with everything unprintable written as an escape."""
    cut = text[:limit]
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
    return escaped + ("..." if len(text) > limit else "")


def judge(report: Report, limits: Limits) -> Execution:
    """What one run of one input came to."""
    outcome, value, detail = _classify(report, limits)
    return Execution(
        outcome, value, printable(detail), round(report.cpu_ms, 3), round(report.wall_ms, 3), report.memory_kb
    )


def judge_together(report: Report, limits: Limits, count: int) -> list[Execution] | None:
    """What one run of ``count`` inputs came to, or None unless every one of them is a value.

    Only the end of the whole is known for certain, so nothing else is concluded from such a run.
    """
    if report.end != DONE or report.status != 0 or report.cpu_ms > limits.cpu_s * 1000:
        return None
    frames = _frames(report.payload)
    if frames is None or len(frames) != count:
        return None
    executions = []
    for kind, body in frames:
        outcome, value, _ = _read(kind, body, limits)
        if outcome is not Outcome.OK:
            return None
        cpu_ms, wall_ms = round(report.cpu_ms / count, 3), round(report.wall_ms / count, 3)
        executions.append(Execution(outcome, value, "", cpu_ms, wall_ms, report.memory_kb))
    return executions


def _classify(report: Report, limits: Limits) -> tuple[Outcome, str | None, str]:
    if report.end == FLOOD:
        return Outcome.OUTPUT_LIMIT, None, f"more than {limits.output_bytes} bytes of output"
    if report.end == TIMEOUT and report.cpu_ms > limits.cpu_s * 1000:
        return Outcome.CPU, None, f"more than {limits.cpu_s} s of CPU time"
    if report.end == TIMEOUT:
        return Outcome.TIMEOUT, None, f"more than {limits.wall_s:g} s of wall clock"
    # No look at the CPU time of one that ended by itself: the kernel kills, by ticks, what is over its limit, while the
    # time reported takes in any pause of a virtual machine.
    if report.status != 0:
        return _died(report, limits)
    if not report.payload:
        return Outcome.CRASH, None, "the process ended itself with status 0"
    frames = _frames(report.payload)
    if frames is None or len(frames) != 1:
        return Outcome.CRASH, None, "a result out of protocol"
    return _read(*frames[0], limits)


def _frames(payload: bytes) -> list[tuple[bytes, bytes]] | None:
    """(kind, text) of each, or None when the payload is not whole frames."""
    frames, at = [], 0
    while at < len(payload):
        if len(payload) - at < _FRAME.size:
            return None
        kind, size = _FRAME.unpack_from(payload, at)
        at += _FRAME.size
        if size > len(payload) - at:
            return None
        frames.append((kind, payload[at : at + size]))
        at += size
    return frames


def _died(report: Report, limits: Limits) -> tuple[Outcome, None, str]:
    number = report.status & 0x7F
    if number == 0:
        return Outcome.CRASH, None, f"the process ended itself with status {report.status >> 8}"
    if number == signal.SIGKILL and report.cpu_ms >= limits.cpu_s * 1000 * _CPU_KILL_SHARE:
        return Outcome.CPU, None, f"more than {limits.cpu_s} s of CPU time"
    if number == signal.SIGSYS:
        return Outcome.POLICY_VIOLATION, None, "a system call that the policy forbids"
    if number == signal.SIGKILL:
        if report.memory_kb >= limits.memory_mb * 1024 * _MEMORY_KILL_SHARE:
            return Outcome.MEMORY, None, "killed by the kernel for memory"
        return Outcome.CRASH, None, "closed its result channel, or was killed"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return Outcome.CRASH, None, f"the interpreter died of {name}"


def _read(kind: bytes, text: bytes, limits: Limits) -> tuple[Outcome, str | None, str]:
    body = text.decode("utf-8", "replace")
    match kind:
        case b"v":
            if len(text) > limits.output_bytes:
                return Outcome.OUTPUT_LIMIT, None, f"more than {limits.output_bytes} bytes of output"
            try:
                literal = _canonical(body)
            except values.NotALiteral as error:
                return Outcome.NOT_A_VALUE, None, f"not a literal: {error}"
            if len(literal) > values.MAX_CHARS:
                return Outcome.OUTPUT_LIMIT, None, f"more than {values.MAX_CHARS} characters"
            return Outcome.OK, literal, ""
        case b"e":
            return Outcome.ERROR, None, body
        case b"p":
            return Outcome.INVALID_PROGRAM, None, body
        case b"i":
            return Outcome.INVALID_INPUT, None, body
        case b"n":
            return Outcome.NOT_A_VALUE, None, body
        case b"o":
            return Outcome.OUTPUT_LIMIT, None, body
        case b"m":
            return Outcome.MEMORY, None, body or "MemoryError"
        case b"h":
            return Outcome.CRASH, None, f"could not be confined, so was not run: {body}"
        case _:
            return Outcome.CRASH, None, "a result out of protocol"


@lru_cache(maxsize=64)
def _canonical(text: str) -> str:
    """Kept for the verifying runs, which mostly say the same: a long value takes a tenth of a second to read."""
    return values.parse(text).text


def combine(first: Execution, again: Execution) -> Execution:
    """The verdict on a run that gave a value, or raised, after another under another seed, clock and address layout."""
    if first.outcome is again.outcome and _same_end(first, again):
        return first
    if again.outcome in _LIMITS_AND_WORSE:
        outcome, detail = again.outcome, f"in the verifying run: {again.detail}"
    else:
        outcome, detail = Outcome.NONDETERMINISTIC, f"{_short(first)} and then {_short(again)}"
    return Execution(
        outcome, None, printable(detail), first.cpu_ms, first.wall_ms, max(first.memory_kb, again.memory_kb)
    )


def _same_end(first: Execution, again: Execution) -> bool:
    if first.value is None or again.value is None:
        return first.outcome is Outcome.ERROR and first.raised == again.raised
    return first.value == again.value or values.same(first.value, again.value)


def _short(run: Execution) -> str:
    return f"{run.outcome.value}: {run.detail}"[:150] if run.value is None else run.value[:100]


def chancy(text: str) -> bool:
    """Whether the text names a source of chance, or a way to one: its few possible values would often agree."""
    return _CHANCY.search(_as_python_reads(text)) is not None


def order_sensitive(text: str) -> bool:
    """Whether the text touches sets, hashing or addresses, so that two seeds and address layouts are too few.

    A heuristic over characters, deliberately without parsing model text here: it decides how often to
    verify, nothing else.
    """
    plain = _as_python_reads(text)
    if _HASHY.search(plain) is not None or _has_set_display(text):
        return True
    return _VIEW.search(plain) is not None and _SET_OPERATOR.search(plain) is not None


def _as_python_reads(text: str) -> str:
    """Identifiers are what remains under NFKC: to Python, ``ｇｅｔｐｉｄ`` is ``getpid``."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _has_set_display(text: str) -> bool:
    """Whether some ``{...}`` outside strings has no colon of its own and is not empty; in a long text, perhaps."""
    if "{" not in text or len(text) > _LONGEST_SCAN:  # the loop below is slow: it runs in the pool's own thread
        return "{" in text
    stack: list[list[object]] = []  # [bracket, saw a colon, where its content starts]
    for token in _BRACE_OR_STRING.finditer(text):
        piece = token.group()
        if piece in "{([":
            stack.append([piece, False, token.end()])
        elif piece == ":" and stack:
            stack[-1][1] = True
        elif piece in "})]" and stack:
            bracket, colon, start = stack.pop()
            assert isinstance(start, int)
            if bracket == "{" and piece == "}" and not colon and text[start : token.start()].strip():
                return True
    return False
