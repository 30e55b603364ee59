"""The results as one Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each figure; one for an item that has none."""
    lines = ["| item | what | figure | range, tolerance or plan | |", "|---|---|---|---|---|"]
    for name, found in results.items():
        for row in found["rows"]:
            word = "" if "passed" not in row else "pass" if row["passed"] else "**FAIL**"
            lines.append(_line(name, row["what"], row["figure"], row["beside"], word))
        if not found["rows"]:
            lines.append(_line(name, found["status"], "", found.get("note", ""), ""))
    machines = sorted({_told(found["machine"]) for found in results.values() if found.get("machine")})
    if any(found["tiny"] for found in results.values()):
        machines.append("A trial with tiny shapes: the figures mean nothing.")
    return "\n".join(["", *machines, "", *lines]).lstrip() + "\n"


def _told(machine: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items()) + "."


def _line(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells) + " |"
