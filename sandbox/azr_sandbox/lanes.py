"""The kinds of zygote that a program is run in, and which of them it takes to trust a value."""

from __future__ import annotations

from azr_sandbox.verdict import chancy, order_sensitive
from azr_sandbox.warmjail import Lane

_DAY_S, _HOUR_S = 86_400, 3_600

MAIN = Lane("main", hash_seed=0)
VERIFIERS = (
    Lane(
        "verifier 1",
        hash_seed=528,
        clock_shift_s=414 * _DAY_S + 12 * _HOUR_S + 1_043,
        pid_shift=7,
        first_draws=0x00,
        scatter=7,
    ),
    Lane(
        "verifier 2",
        hash_seed=1357,
        clock_shift_s=1_004 * _DAY_S + 5 * _HOUR_S + 2_146,
        pid_shift=13,
        first_draws=0xFF,
        scatter=13,
    ),
    Lane(
        "verifier 3",
        hash_seed=313,
        clock_shift_s=2_006 * _DAY_S + 9 * _HOUR_S + 607,
        pid_shift=19,
        first_draws=0x7F,
        scatter=19,
    ),
)
"""The first verifies every run; the others only programs that touch sets, hashes, addresses, dates or chance.

The first clock differs from the real one in year, month, day, weekday, hour, minute and second, whatever the date.

Of all 2,701 pairs among common short strings, iteration order differs from the main lane's under the first seed
for 67 %, under one of the first two for 90 %, under one of the three for 98 % (the best found among 1,500;
three arbitrary seeds give 88 %).
"""


def verifiers(text: str) -> tuple[Lane, ...]:
    """Where to run a program and its input again. One that draws lots is run often: two coins may agree."""
    if chancy(text):
        return VERIFIERS * 3
    return VERIFIERS if order_sensitive(text) else VERIFIERS[:1]
