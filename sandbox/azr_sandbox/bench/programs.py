"""Programs of our own to measure with, of the sizes and kinds that a small model proposes."""

from __future__ import annotations

from typing import Final

from azr_sandbox.bench.arms import Program

OWN: Final = (
    Program(
        "def f(x):\n    return [i * x for i in range(5)]",
        ("3", "-1", "0", "2.5", "'ab'", "10**20"),
    ),
    Program(
        "def f(s: str) -> str:\n    return ''.join(sorted(s.lower()))",
        ("'Hello'", "''", "'The quick brown fox'", "'aA' * 20", "'3.14'", "'ÄÖÜ'"),
    ),
    Program(
        "def f(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
        ("30", "0", "1", "90", "300", "7"),
    ),
    Program(
        "import re\ndef f(s):\n    return re.findall(r'[a-z]+', s)",
        ("'one 2 three'", "''", "'A b C d'", "'x1y2z3'", "'no match: 42'[10:]", "'alpha-beta'"),
    ),
    Program(
        "from collections import Counter\n\ndef f(words, most=2):\n    counts = Counter(words)\n"
        "    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]",
        ("['a', 'b', 'a', 'c', 'b', 'a']", "'mississippi', 3", "[]", "'x y x z'.split()", "[3, 1, 3], 1", "'aab', 0"),
    ),
    Program(
        "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, x):\n"
        "        self.items.append(x)\n\n    def pop(self):\n        return self.items.pop()\n\n\n"
        "def f(text):\n    stack = Stack()\n    for token in text.split():\n        if token in '+-*':\n"
        "            b, a = stack.pop(), stack.pop()\n"
        "            stack.push(a + b if token == '+' else a - b if token == '-' else a * b)\n"
        "        else:\n            stack.push(int(token))\n    return stack.pop()",
        ("'3 4 + 2 * 7 -'", "'1'", "'2 3 *'", "'9 8 - 7 -'", "'1 2 3 4 + + +'", "'5 5 * 5 5 * -'"),
    ),
    Program(
        "def f(limit):\n    sieve = [True] * (limit + 1)\n    primes = []\n    for n in range(2, limit + 1):\n"
        "        if sieve[n]:\n            primes.append(n)\n            for m in range(n * n, limit + 1, n):\n"
        "                sieve[m] = False\n    return primes",
        ("200", "2", "10", "50", "1", "500"),
    ),
    Program(
        "def f(d, least=1):\n    return {v: k.upper() for k, v in d.items() if v > least}",
        ("{'a': 1, 'b': 2, 'c': 3}", "{}", "{'x': 9}, 8", "dict(p=2, q=4)", "{'k': 1.5}", "{'a': 1}, least=0"),
    ),
    Program(
        "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)",
        ("12", "0", "1", "5", "9", "15"),
    ),
    Program(
        "def f(grid):\n    rows, columns = len(grid), len(grid[0])\n"
        "    seen, islands = [[False] * columns for _ in grid], 0\n"
        "    for r in range(rows):\n        for c in range(columns):\n            if not grid[r][c] or seen[r][c]:\n"
        "                continue\n            islands += 1\n            todo = [(r, c)]\n            while todo:\n"
        "                y, x = todo.pop()\n                if not (0 <= y < rows and 0 <= x < columns):\n"
        "                    continue\n                if seen[y][x] or not grid[y][x]:\n                    continue\n"
        "                seen[y][x] = True\n"
        "                todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]\n    return islands",
        ("[[1, 0, 1], [0, 1, 0]]", "[[0]]", "[[1]]", "[[1, 1], [1, 1]]", "[[1, 0] * 5] * 4", "[[0, 1, 0]] * 3"),
    ),
    Program(
        "def f(text, shift=3):\n    out = []\n    for ch in text:\n        if ch.isalpha():\n"
        "            base = ord('A') if ch.isupper() else ord('a')\n"
        "            out.append(chr((ord(ch) - base + shift) % 26 + base))\n        else:\n            out.append(ch)\n"
        "    return ''.join(out)",
        ("'Hello, World!'", "''", "'xyz', 3", "'abc', -1", "'Attack at dawn', 13", "'123'"),
    ),
    Program(
        "import math\nfrom typing import List\n\n\ndef f(numbers: List[float]) -> dict:\n"
        "    mean = sum(numbers) / len(numbers)\n"
        "    spread = math.sqrt(sum((x - mean) ** 2 for x in numbers) / len(numbers))\n"
        "    ordered = sorted(numbers)\n    return {'mean': round(mean, 3), 'spread': round(spread, 3),\n"
        "            'median': ordered[len(ordered) // 2],\n"
        "            'outliers': [x for x in numbers if abs(x - mean) > 2 * spread]}",
        ("[1, 2, 3, 4]", "[5]", "[0.1, 0.2, 0.7]", "[1] * 20 + [100]", "list(range(50))", "[-1, 1]"),
    ),
)
