"""Limits refuse nonsense by name."""

from __future__ import annotations

import pytest

from azr_sandbox.limits import Limits


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("wall_s", 0),
        ("wall_s", float("nan")),
        ("wall_s", float("inf")),
        ("wall_s", "2"),
        ("cpu_s", 0),
        ("cpu_s", 1.5),
        ("cpu_s", True),
        ("memory_mb", 1),
        ("output_bytes", 1 << 20),
        ("program_bytes", -1),
        ("input_bytes", 0),
        ("open_files", 0),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"limit {field}:"):
        Limits(**{field: value})  # type: ignore[arg-type]


def test_the_defaults_tell_a_loop_from_a_sleep() -> None:
    assert Limits().cpu_s < Limits().wall_s
