"""A whole supervised run that samples with the real vLLM."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from azr_platform.ledger.reader import LedgerReader

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM here: make test-vllm has it, in its own environment"),
]

SETTINGS = {
    "model.engine": "vllm",
    "model.batch": 32,
    "model.max_response_tokens": 32,
    "vllm.cache_mb": 64,
    "vllm.enforce_eager": "true",
    "selfplay.proposals": 4,
    "selfplay.rollouts": 2,
    "selfplay.seed_factor": 1,
    "selfplay.seed_rounds": 1,
    "supervisor.policy": "observe",
    "supervisor.max_restarts": 0,
}


def _processes_that_name(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                environ = (folder / "environ").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if text in line or text in environ:
                found.append(line)
    return found


def test_two_supervised_steps(tiny: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    model = tiny("llama", hidden_size=64, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    run = tmp_path / "run"
    argv = [sys.executable, "-m", "azr_platform", "train", "--preset", "nano", "--steps", "2", "--run", str(run)]
    for key, value in {"model.path": tmp_path / "model", **SETTINGS}.items():
        argv += ["--set", f"{key}={value}"]
    mark = f"AZR_TEST_MARK={tmp_path}"
    environ = {**os.environ, "AZR_TEST_MARK": str(tmp_path)}
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=800, env=environ)
    logs = {path.name: path.read_text()[-3000:] for path in (run / "logs").glob("*")} if run.exists() else {}
    assert ran.returncode == 0, (ran.stdout, ran.stderr, logs)
    with LedgerReader(run) as reader:
        assert reader.step() == 2
        assert [Path(row.path).name for row in reader.checkpoints()] == ["step-000000", "step-000002"]
    assert "Initializing a V1 LLM engine" in (run / "logs" / "vllm.log").read_text()
    assert "INFO" not in ran.stdout + ran.stderr  # vLLM's own words are kept from the terminal
    assert not _processes_that_name(mark)
