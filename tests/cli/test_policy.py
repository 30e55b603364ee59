"""`azr-platform policy diff`: each setting in which two policies differ, for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Cli = Callable[..., CompletedProcess[str]]


def test_diff_says_what_a_policy_changes_in_the_one_it_extends(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "name: mine\nextends: default\nactions: {low: alert}\nimports: {also: [random]}\n"
        "rates: [{severity: medium, count: 50, within_steps: 5, action: pause}]\n"
        "metrics: [{name: metric.mine, metric: loss, why: losses above all measure, severity: low, above: 9,"
        " catch: [[10]], spare: [[1]]}]\n"
    )
    shown = cli("policy", "diff", "default", str(mine))
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0] == '~ name: "default" -> "mine"'
    assert '~ actions.low: "record" -> "alert"' in shown.stdout
    assert "+ imports.also: random" in shown.stdout
    told = json.loads(cli("policy", "diff", "default", str(mine), "--json").stdout)
    assert {"setting": "actions.low", "before": "record", "after": "alert"} in told
    assert {"setting": "rates[3].count", "before": None, "after": 50} in told
    assert not [change for change in told if change["setting"].endswith("].name")]
    back = json.loads(cli("policy", "diff", str(mine), "default", "--json").stdout)
    assert {change["setting"]: change["before"] for change in back} == {c["setting"]: c["after"] for c in told}


def test_diff_of_a_policy_with_itself_is_nothing(cli: Cli) -> None:
    assert cli("policy", "diff", "strict", "strict").stdout == "no difference\n"


def test_diff_refuses_an_unknown_policy(cli: Cli) -> None:
    result = cli("policy", "diff", "default", "lenient")
    assert result.returncode == 2
    assert "lenient" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_rule_in_force_is_listed_with_the_severity_it_has(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "name: mine\nextends: default\n"
        "rules: {disabled: [trace.harm.*], severities: {program.import.process: critical}}\n"
    )
    rules = {rule["rule"]: rule for rule in json.loads(cli("policy", "show", str(mine), "--rules", "--json").stdout)}
    assert rules["program.import.process"]["severity"] == "critical"
    assert not [name for name in rules if name.startswith("trace.harm.")]
    assert {name.split(".")[0] for name in rules} == {"program", "trace", "behaviour", "metric"}
    shown = cli("policy", "show", str(mine), "--rules").stdout.splitlines()
    assert len(shown) == len(rules) and "critical  program.import.process" in "\n".join(shown)
