"""What docs/policies.md walks through is what happens: its files are written, its commands run, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azr_monitor.policy import load_policy
from azr_platform.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs/policies.md").read_text("utf-8")
WALK = PAGE.split("## Write a policy\n")[1].split("\n## ")[0]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = [text for _, text in BLOCK.findall(PAGE)]
NAMED = re.compile(r"`([\w.]+\.(?:yaml|yar|yml|jsonl))`")


def plain(text: str) -> list[str]:
    """Lines without the width of their tables, and without shares, in which what a classifier notes counts."""
    lines = (" ".join(line.split()) for line in text.splitlines() if line.strip())
    return [re.sub(r" \d+\.\d%$", "", line) for line in lines]


def run(command: str) -> tuple[int, list[str]]:
    found = CliRunner().invoke(app, shlex.split(command.removeprefix("$ azr-platform ")))
    return found.exit_code, plain(found.output)


def test_the_walk_through_goes_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yara_x", reason="the walk-through needs the extra [engines]")
    pytest.importorskip("ast_grep_py", reason="the walk-through needs the extra [engines]")
    monkeypatch.chdir(tmp_path)
    end, ran, files = 0, [], set()
    for block in BLOCK.finditer(WALK):
        before, (language, text) = WALK[end : block.start()], block.groups()
        end = block.end()
        if language:
            # A file is named in the words before it, last.
            name = NAMED.findall(before)[-1]
            Path(name).write_text(text)
            files.add(name)
            continue
        if change := re.search(r"With `(\w+) = (\"[^\"]*\")`", before):
            path = Path(NAMED.findall(before)[-1])
            path.write_text(re.sub(rf"{change[1]} = .*", f"{change[1]} = {change[2]}", path.read_text()))
        for command, shown in re.findall(r"^(\$ .*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE):
            status, printed = run(command)
            ran.append(command)
            assert status == (1 if "error:" in shown else 0), (command, printed)
            at = 0
            for line in plain(shown):
                assert line in printed[at:], (command, line, printed)
                at = printed.index(line, at) + 1
    assert files == {"mine.yaml", "envelope.yar", "prints.yml", "samples.jsonl"}
    assert len(ran) >= 7


@pytest.mark.parametrize("block", [text for text in SHOWN if re.match(r"(scopes|rules):\n", text)])
def test_the_settings_shown_elsewhere_are_taken(tmp_path: Path, block: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nextends: default\n{block}")
    load_policy(path)


def test_the_judge_and_the_metric_rule_shown_are_taken(tmp_path: Path) -> None:
    shown = [text for text in SHOWN if re.match(r"(classifiers|metrics):\n", text)]
    assert len(shown) == 2
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: default\n" + "".join(shown))
    load_policy(path)
