"""What docs/unattended.md shows is what the platform takes: its settings are read, its commands understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from azr_platform.cli.main import app
from azr_platform.config.load import load

PAGE = (Path(__file__).parents[2] / "docs/unattended.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
SETTINGS = next(block for block in BLOCKS if block.startswith("[run]"))
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("azr-platform ")]


def test_the_settings_shown_are_read(tmp_path: Path) -> None:
    file = tmp_path / "week.toml"
    file.write_text(SETTINGS)
    config = load(preset="nano", file=file)
    assert (config.run.steps, config.checkpoints.keep_last, config.checkpoints.keep_every) == (5000, 5, 20)
    assert config.alerts.webhooks == ("slack:TEAM_HOOK",)


def test_the_plan_shown_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("week.toml").write_text(SETTINGS)
    command = next(command for command in COMMANDS if command.startswith("azr-platform plan "))
    found = CliRunner().invoke(app, shlex.split(command)[1:])
    assert found.exit_code == 0, found.output
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_shown_are_understood(command: str) -> None:
    """Parsed as the command line would, with every option known, and not carried out."""
    words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    with group.make_context("azr-platform", list(words), resilient_parsing=False) as context:
        name, chosen, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
        assert chosen is not None, name
        chosen.make_context(name, rest, parent=context).close()
