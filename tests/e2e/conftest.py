"""The whole circle with its real parts: trainer process, jail, monitor, ledger. Only the model is small."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy
from azr_monitor.records import Action
from azr_platform.config.load import load
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.process import Supervisor
from azr_platform.supervisor.runfolder import create, reopen
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

SMALL = [
    "selfplay.proposals=3",
    "selfplay.rollouts=2",
    "selfplay.seed_factor=1",
    "selfplay.seed_rounds=1",
    "model.max_response_tokens=16",
    "run.checkpoint_every=1",
]


@pytest.fixture(scope="session")
def jail() -> Iterator[JailPool]:
    with JailPool(Limits(wall_s=2.0, cpu_s=1), workers=2) as pool:
        yield pool


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's architecture and tokenizer with random weights."""
    from azr_platform.nano.model import new_model
    from azr_platform.nano.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("tiny-model")
    tokenizer = build_tokenizer()
    new_model(len(tokenizer), seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def auditor() -> Auditor:
    """The default policy without its classifiers, whose weights are no part of the repository, and without
    its pauses, so that a script runs to its end."""
    policy = load_policy("default")
    actions = {severity: min(action, Action.DROP) for severity, action in policy.actions.items()}
    return Auditor(policy.model_copy(update={"classifiers": (), "rates": (), "actions": actions}))


Supervise = Callable[..., int]


@pytest.fixture(scope="session")
def supervise(jail: JailPool, auditor: Auditor) -> Supervise:
    """Run a supervisor to its end; ``meanwhile(supervisor)`` runs in a thread beside it."""

    def run_to_end(
        run: Path,
        config: Config | None = None,
        meanwhile: Callable[[Supervisor], None] | None = None,
        judge: Auditor | None = None,
    ) -> int:
        writer, settings = (create(run, config), config) if config is not None else reopen(run)
        judge = judge or auditor
        with writer:
            with LedgerReader(run) as reader:
                tasks = list(reader.tasks())
            gate = Gate(judge, jail, settings.tasks.inputs, tasks)

            async def serve() -> int:
                supervisor = Supervisor(run, settings, writer, gate, rates=judge.policy.rates)
                if meanwhile is not None:
                    threading.Thread(target=meanwhile, args=(supervisor,), daemon=True).start()
                return await supervisor.run()

            return asyncio.run(serve())

    return run_to_end


@pytest.fixture(scope="session")
def small_config(tiny_model: Path) -> Callable[..., Config]:
    """The nano preset on random weights, small enough for seconds."""

    def make(*overrides: str, model: Path = tiny_model) -> Config:
        return load("nano", overrides=[*SMALL, f"model.path={json.dumps(str(model))}", *overrides])

    return make


class Say:
    """Well-formed responses, for scripts."""

    @staticmethod
    def proposal(program: str, given: str, reasoning: str = "a new task") -> str:
        blocks = f"```python\n{program}\n```\n```input\n{given}\n```\n"
        return f"<think>{reasoning}</think>\n<answer>\n{blocks}</answer>"

    @staticmethod
    def inputs(texts: list[str], message: str = "what it does") -> str:
        blocks = "".join(f"```input\n{text}\n```\n" for text in texts)
        return f"<think>inputs</think>\n<answer>\n{blocks}```message\n{message}\n```\n</answer>"

    @staticmethod
    def answer(block: str, content: str, reasoning: str = "so it is") -> str:
        return f"<think>{reasoning}</think>\n<answer>\n```{block}\n{content}\n```\n</answer>"


@pytest.fixture(scope="session")
def say() -> type[Say]:
    return Say


def rows(run: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(run / "ledger.db")
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


@pytest.fixture(scope="session")
def query() -> Callable[..., list[tuple[Any, ...]]]:
    """Ask a run's ledger in plain SQL."""
    return rows
