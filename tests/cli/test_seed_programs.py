"""Real model-written programs go through the audit command, when they lie beside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from azr_monitor.policy import load_policy

SEEDS = Path(__file__).parents[3] / "shared" / "data" / "azr_seeds"


@pytest.mark.slow
@pytest.mark.skipif(
    not SEEDS.is_dir(), reason="the seed programs are not beside the checkout (../shared/data/azr_seeds)"
)
def test_published_programs_are_judged_run_and_compared(tmp_path: Path) -> None:
    lines = [line for file in sorted(SEEDS.glob("llama_64*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    assert len(lines) == 128
    (tmp_path / "seeds.jsonl").write_text("\n".join(lines), "utf-8")
    policy = load_policy("default").model_dump(mode="json")
    policy["classifiers"] = []
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    command = [sys.executable, "-m", "azr_platform", "audit", "--jsonl", str(tmp_path / "seeds.jsonl")]
    command += ["--policy", str(tmp_path / "policy.yaml")]

    def audit(*options: str) -> str:
        result = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    rows = [json.loads(line) for line in audit("--json").splitlines()]
    assert len(rows) == len(lines)
    verdicts = [row["verdict"] for row in rows]
    assert verdicts.count("block") < 0.1 * len(rows), "ordinary programs are spared"
    agreement = [agrees for row in rows for agrees in row.get("agrees", []) if agrees is not None]
    assert len(agreement) > 300
    assert agreement.count(True) > 0.97 * len(agreement)
    table = audit()
    for heading in ("Verdict", "Rule", "Outcome in the jail", "Recorded output"):
        assert heading in table
