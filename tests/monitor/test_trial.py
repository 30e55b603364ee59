"""Programs that are run on their input by an interpreter of our own, for a bounded number of steps."""

from __future__ import annotations

import time

import pytest

from azr_monitor.rules.syntax import parsed
from azr_monitor.rules.trial import Outcome, Trial, tried

HANOI = """
class Hanoi:
    def __init__(self):
        self.moves = []
    def solve(self, n, a, b, c):
        if n == 0:
            return
        self.solve(n - 1, a, c, b)
        self.moves.append((a, b))
        self.solve(n - 1, c, b, a)
def f(n):
    h = Hanoi()
    h.solve(n, 'x', 'y', 'z')
    return len(h.moves)
"""
BOMBS = {
    "l-system by rules": (
        """
def f(axiom, rules, n):
    cur = axiom
    for step in range(n):
        cur = ''.join(rules.get(c, c) for c in cur)
    return cur[:10]
""",
        "'A', {'A': 'AB', 'B': 'A'}, 90",
    ),
    "lcg waits": (
        """
def f(seed, want):
    x = seed
    n = 0
    while x != want:
        x = (5 * x + 3) % 64
        n += 2
    return n
""",
        "2, 100",
    ),
    "linked loop class": (
        """
class N:
    def __init__(self, v, nxt=None):
        self.v = v
        self.nxt = nxt
def f(k):
    a = N(k)
    b = N(k + 1, a)
    a.nxt = b
    total = 0
    while a:
        total += a.v
        a = a.nxt
    return total
""",
        "3",
    ),
    "hanoi class": (
        HANOI,
        "40",
    ),
    "sum to reach odd": (
        """
def f(xs, goal):
    total, i = 0, 0
    while total != goal:
        total += xs[i % len(xs)]
        i += 1
    return i
""",
        "[2, 4, 6], 15",
    ),
    "bits of negative": (
        """
def f(n):
    c = 0
    while n:
        c += n & 1
        n >>= 1
    return c
""",
        "-7",
    ),
    "try retry for ever": (
        """
def f(d, k):
    tries = 0
    while True:
        try:
            return d[k], tries
        except KeyError:
            tries += 1
""",
        "{'a': 1}, 'b'",
    ),
    "scheduler tick": (
        """
class Clock:
    def __init__(self, t):
        self.t = t
    def tick(self):
        self.t = (self.t + 2) % 12
def f(start, end):
    c = Clock(start)
    n = 0
    while c.t != end:
        c.tick()
        n += 1
    return n
""",
        "1, 6",
    ),
    "powerset by extend": (
        """
def f(xs):
    out = [[]]
    for x in xs:
        out.extend([s + [x] for s in out[:]])
    return len(out)
""",
        "list(range(50))",
    ),
    "dfs tree paths": (
        """
def f(g, s, t):
    def go(path):
        if path[-1] == t:
            return 1
        return sum(go(path + [n]) for n in g[path[-1]] if n not in path)
    return go([s])
""",
        "{i: [j for j in range(18) if j != i] for i in range(18)}, 0, 17",
    ),
    "colouring count": (
        """
def f(n, edges, k):
    colours = [0] * n
    count = 0
    def paint(v):
        nonlocal count
        if v == n:
            count += 1
            return
        for c in range(k):
            if all(colours[u] != c for u, w in edges if w == v):
                colours[v] = c
                paint(v + 1)
    paint(0)
    return count
""",
        "24, [(0, 1), (1, 2)], 5",
    ),
    "generator permutations own": (
        """
def f(xs):
    def perms(rest):
        if not rest:
            yield []
        for i in range(len(rest)):
            for p in perms(rest[:i] + rest[i + 1:]):
                yield [rest[i]] + p
    return max(perms(xs))
""",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]",
    ),
    "items fed as they are walked": (
        """
def f(n):
    xs = list(range(n))
    for i, x in enumerate(xs):
        if x % 2 == 0:
            xs.append(x + 2)
    return len(xs)
""",
        "10",
    ),
}
HONEST = {
    "vm": (
        """
def f(code):
    regs = {'a': 5}
    ip = 0
    while ip < len(code):
        ins = code[ip].split()
        if ins[0] == 'inc':
            regs[ins[1]] = regs.get(ins[1], 0) + 1
        elif ins[0] == 'dec':
            regs[ins[1]] -= 1
        elif ins[0] == 'jnz':
            if regs.get(ins[1], 0):
                ip += int(ins[2])
                continue
        ip += 1
    return regs
""",
        "['inc a', 'dec a', 'dec a', 'jnz a -1']",
    ),
    "hanoi": (
        HANOI,
        "6",
    ),
    "queue": (
        """
def f(jobs):
    q = list(jobs)
    out = []
    while q:
        name, need = q.pop(0)
        if not need or need in out:
            out.append(name)
        else:
            q.append((name, need))
    return out
""",
        "[('a', 'b'), ('b', 'c'), ('c', '')]",
    ),
    "primes by while": (
        """
def f(n):
    found = []
    k = 2
    while len(found) < n:
        if all(k % p for p in found):
            found.append(k)
        k += 1
    return found[-1]
""",
        "1500",
    ),
    "fib 25": (
        """
def f(n):
    return n if n < 2 else f(n - 1) + f(n - 2)
""",
        "25",
    ),
    "queens 8": (
        """
def f(n):
    def place(row, cols, d1, d2):
        if row == n:
            return 1
        total = 0
        for c in range(n):
            if c not in cols and row + c not in d1 and row - c not in d2:
                total += place(row + 1, cols | {c}, d1 | {row + c}, d2 | {row - c})
        return total
    return place(0, frozenset(), frozenset(), frozenset())
""",
        "9",
    ),
    "bfs grid": (
        """
from collections import deque
def f(n):
    q = deque([(0, 0, 0)])
    seen = {(0, 0)}
    while q:
        x, y, d = q.popleft()
        if (x, y) == (n, n):
            return d
        for a, b in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)):
            if 0 <= a <= n and 0 <= b <= n and (a, b) not in seen:
                seen.add((a, b))
                q.append((a, b, d + 1))
""",
        "60",
    ),
    "8 puzzle bfs": (
        """
def f(start):
    goal = '123456780'
    frontier = [start]
    seen = {start}
    depth = 0
    while frontier:
        nxt = []
        for s in frontier:
            if s == goal:
                return depth
            z = s.index('0')
            for d in (-3, 3, -1, 1):
                t = z + d
                if 0 <= t < 9 and not (d in (-1, 1) and t // 3 != z // 3):
                    a = list(s)
                    a[z], a[t] = a[t], a[z]
                    b = ''.join(a)
                    if b not in seen:
                        seen.add(b)
                        nxt.append(b)
        frontier = nxt
        depth += 1
""",
        "'867254301'",
    ),
    "string building": (
        """
def f(n):
    s = ''
    while len(s) < n:
        s += s + 'ab'
    return len(s)
""",
        "1000000",
    ),
    "subset sums memo": (
        """
from functools import lru_cache
def f(xs, t):
    @lru_cache(None)
    def go(i, left):
        if i == len(xs):
            return int(left == 0)
        return go(i + 1, left) + go(i + 1, left - xs[i])
    return go(0, t)
""",
        "[3 * i % 17 + 1 for i in range(30)], 60",
    ),
    "sudoku-ish backtrack": (
        """
def f(board):
    n = 9
    def ok(r, c, v):
        for i in range(n):
            if board[r][i] == v or board[i][c] == v:
                return False
        br, bc = r // 3 * 3, c // 3 * 3
        return all(board[br + i][bc + j] != v for i in range(3) for j in range(3))
    def solve():
        for r in range(n):
            for c in range(n):
                if board[r][c] == 0:
                    for v in range(1, 10):
                        if ok(r, c, v):
                            board[r][c] = v
                            if solve():
                                return True
                            board[r][c] = 0
                    return False
        return True
    solve()
    return board
""",
        "[[0] * 9 for _ in range(9)]",
    ),
    "flood": (
        """
def f(n):
    seen = {(0, 0)}
    stack = [(0, 0)]
    while stack:
        x, y = stack.pop()
        for a, b in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)):
            if 0 <= a < n and 0 <= b < n and (a, b) not in seen:
                seen.add((a, b))
                stack.append((a, b))
    return len(seen)
""",
        "100",
    ),
    "fed list": (
        """
def f(n):
    order = [1]
    for v in order:
        for w in (2 * v, 2 * v + 1):
            if w <= n:
                order.append(w)
    return len(order)
""",
        "3000",
    ),
    "tak": (
        """
def f(x, y, z):
    if y >= x:
        return z
    return f(f(x - 1, y, z), f(y - 1, z, x), f(z - 1, x, y))
""",
        "18, 12, 6",
    ),
    "stack machine": (
        """
def f(n):
    stack = [n]
    total = 0
    while stack:
        v = stack.pop()
        total += v
        if v > 0:
            stack.append(v - 1)
    return total
""",
        "20000",
    ),
}
ATTACKS = {
    "a builtin called for ever": ("def f(n):\n    return sum(iter(int, n))", "1"),
    "a hash of what holds itself twice over": (
        "def f(n):\n    t = (1,)\n    for i in range(n):\n        t = (t, t)\n    return {t: 1}",
        "60",
    ),
    "a comparison of two such": (
        "def f(n):\n    a, b = [1], [1]\n    for i in range(n):\n        a, b = [a, a], [b, b]\n    return a == b",
        "60",
    ),
    "the text of one in a list": (
        "def f(n):\n    a = [1]\n    for i in range(n):\n        a = [a, a]\n    return str([a])",
        "60",
    ),
    "a wide format": ("def f(n):\n    return f'{1:>{n}}' + '%999999999d' % 1", "10**9"),
    "an endless filter": (
        "from itertools import count\ndef f(n):\n    return next(filter(None, map(lambda v: 0, count())))",
        "1",
    ),
    "cycles of cycles": ("from itertools import cycle\ndef f(xs):\n    return 7 in cycle(xs)", "[1, 2]"),
    "a long slice of what never ends": (
        "from itertools import count, islice\ndef f(n):\n    return next(islice(count(), n, None))",
        "10**12",
    ),
    "a wide expression in a loop": ("def f(n):\n    while True:\n        n = " + " + ".join(["n - n"] * 300), "1"),
    "a search in long lists": ("def f(n):\n    xs = [0] * 30000\n    while 1 not in xs:\n        n += 1", "1"),
    "sorting over and over": (
        "def f(n):\n    xs = list(range(20000))\n    while n:\n        n += len(sorted(xs))",
        "1",
    ),
    "powers of powers": ("def f(n):\n    while True:\n        n = pow(n, 30000, 10**9000) + 2", "10**8999"),
}


def run(program: str, call: str) -> Trial:
    return tried(parsed(program), parsed(f"f({call}\n)", mode="eval").body)


@pytest.mark.parametrize(("program", "call"), BOMBS.values(), ids=BOMBS)
def test_a_program_that_goes_on_or_grows_beyond_measure_is_found(program: str, call: str) -> None:
    assert run(program, call).outcome is Outcome.TOO_MUCH


@pytest.mark.parametrize(("program", "call"), HONEST.values(), ids=HONEST)
def test_a_program_that_ends_is_left_alone_however_long_it_takes(program: str, call: str) -> None:
    assert run(program, call).excess is None


@pytest.mark.parametrize(("program", "call"), ATTACKS.values(), ids=ATTACKS)
def test_no_program_takes_more_than_its_steps(program: str, call: str) -> None:
    began = time.process_time()
    run(program, call)
    assert time.process_time() - began < 2
