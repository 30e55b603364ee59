"""What docs/regimes.md shows is what the platform takes: its problem lines are read, its commands understood."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.tasks.problems import Line, read_problems

PAGE = (Path(__file__).parents[2] / "docs/regimes.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("{")]
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("azr-platform ")]


def test_the_problems_shown_are_read(tmp_path: Path) -> None:
    assert len(LINES) >= 4
    file = tmp_path / "my.jsonl"
    file.write_text("\n".join(LINES))
    assert {task.kind.value for task in read_problems(file)} == {"deduction", "abduction", "induction", "question"}


def test_every_field_of_a_line_is_described() -> None:
    assert not {name for name in Line.__struct_fields__ if f"`{name}`" not in PAGE} - {"program", "question"}
    assert {name for line in LINES for name in json.loads(line)} == set(Line.__struct_fields__)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_shown_are_understood(command: str) -> None:
    """``--plan`` reads the whole command line and settings, and creates nothing."""
    found = CliRunner().invoke(app, [*shlex.split(command)[1:], "--plan"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["solves_per_step"] == 48 * 8


def test_the_table_s_advantages_are_the_defaults() -> None:
    rows = re.findall(r"^\| `(azr|rlvr|ttrl)` \|.*\| `([\w+]+)` \|$", PAGE, flags=re.MULTILINE)
    assert {regime: load(overrides=[f"run.regime={regime}"]).update.advantage for regime, _ in rows} == dict(rows)
    assert len(rows) == 3
