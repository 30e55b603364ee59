"""A trainer process for measuring: the real one, with a random model of the preset's shape in place of weights from a
hub, a writer's text in its samples (written.py), and no checkpoints: a 3B model's would be tens of GB.

What only the trainer knows (memory, lengths of prompts) it leaves in ``RUN/facts.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from azr_platform.config.schema import ModelConfig
from azr_platform.config.shapes import shape_of
from azr_platform.trainer import process, session
from azr_platform.trainer.model import best_device, build_engine, load_policy
from common import GB, embedded_tokenizer, random_model
from written import Writer, Written


def prepare(writer: Writer | None = None) -> None:
    """Make this process's sessions ones for measuring, with this writer or one of their own."""
    engines: list[Written] = []

    def policy(config: ModelConfig, folder: Path | None = None) -> tuple[Any, Any]:
        shape = shape_of(config.path)
        if config.path == "nano" or shape is None:
            return load_policy(config, folder)
        tokenizer, dtype = embedded_tokenizer(), getattr(torch, config.dtype)
        model = random_model(shape, dtype, best_device(), tokenizer=tokenizer, attention=config.attention)
        return model, tokenizer

    def engine(config: ModelConfig, *parts: Any) -> Written:
        style, inputs = ("compact", 6) if config.path == "nano" else ("full", 10)
        engines.append(Written(build_engine(config, *parts), writer or Writer(style, inputs)))
        return engines[-1]

    def save(self: Any, step: int) -> None:
        self.last = step
        facts = {"mean_prompt": engines[-1].prompt_tokens / max(1, engines[-1].sequences)}
        if best_device() == "cuda":
            facts["allocated_gb"] = torch.cuda.max_memory_allocated() / GB
            facts["reserved_gb"] = torch.cuda.max_memory_reserved() / GB
        (self._run / "facts.json").write_text(json.dumps(facts), "utf-8")

    session.load_policy = policy
    session.build_engine = engine  # type: ignore[assignment]
    session._Saver.save = save  # type: ignore[method-assign]


if __name__ == "__main__":
    prepare()
    process.main()
