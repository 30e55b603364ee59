"""Load the policy and its tokenizer, and build the engine that samples from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from azr_platform.config.schema import ModelConfig, RunConfig, VllmConfig
from azr_platform.nano.model import weights_path
from azr_platform.rollout.engine import Engine
from azr_platform.rollout.logprobs import UnknownHead, check_head
from azr_platform.rollout.scripted_engine import ScriptedEngine, read_script
from azr_platform.rollout.static_engine import StaticEngine
from azr_platform.rollout.transformers_engine import TransformersEngine
from azr_platform.rollout.vllm_engine import VllmEngine


class ModelUnavailable(Exception):
    """The model cannot be loaded; the text says why and what to do."""


def settle_torch(config: RunConfig) -> None:
    """Have this process compute as the run is told to: so many threads, and the same each time where that can be."""
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())


def load_policy(config: ModelConfig, folder: Path | None = None, device: str | None = None) -> tuple[Any, Any]:
    """(model, tokenizer), from a checkpoint's folder when one is given; on the best device when none is.

    Raises:
        ModelUnavailable: neither on disk nor to be downloaded, or not a causal language model.
    """
    from transformers import AutoTokenizer

    with _told(config):
        tokenizer = AutoTokenizer.from_pretrained(_source(config, folder), trust_remote_code=False)
    model = read_model(config, folder)
    spell_out(tokenizer, config.spell_out.split())
    model.to(device or best_device())
    for parameter in model.parameters():
        # On CPU a loaded parameter is a view of the file: one overwritten meanwhile would kill the process (SIGBUS).
        parameter.data = parameter.data.clone()
    try:
        check_head(model)
    except UnknownHead as error:
        raise ModelUnavailable(f"model.path = {config.path!r}: cannot be trained here: {error}") from error
    return model, tokenizer


def read_model(config: ModelConfig, folder: Path | None = None) -> Any:
    """The model on the CPU, its weights views of the files where these have the format asked for.

    Raises:
        ModelUnavailable: see ``load_policy``.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    source = _source(config, folder)
    with _told(config):
        return AutoModelForCausalLM.from_pretrained(
            source,
            dtype=getattr(torch, config.dtype),
            attn_implementation=config.attention,
            use_safetensors=True,
            trust_remote_code=False,
        )


def _source(config: ModelConfig, folder: Path | None) -> str:
    return str(folder or (weights_path() if config.path == "nano" else Path(config.path).expanduser()))


@contextmanager
def _told(config: ModelConfig) -> Iterator[None]:
    """What the library says of files that it cannot load, as one line."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnavailable(
            f"model.path = {config.path!r}: cannot be loaded ({first_line}). "
            f"Give a local folder in Hugging Face layout, or connect to the hub once to download it."
        ) from error


def spell_out(tokenizer: Any, tokens: Sequence[str]) -> None:
    """Have plain prompts (rollout/engine.py) hold these tokens as ordinary text, in pieces that the model knows.

    Prompts are read with special tokens split, so these become special ones. A response may still hold them, and shows
    them.

    Raises:
        ModelUnavailable: the tokenizer has no such token.
    """
    if not tokens:
        return
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {token["content"]: token for token in state["added_tokens"]}
    for token in tokens:
        if token not in added:
            raise ModelUnavailable(f"model.spell_out: {token!r} is not a token of this model's tokenizer; leave it out")
        added[token]["special"] = True
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def build_engine(
    config: ModelConfig, model: Any, tokenizer: Any, vllm: VllmConfig | None = None, log: Path | None = None
) -> Engine:
    """The engine that ``model.engine`` names; a scripted one falls back to sampling for other prompts.

    ``vllm`` are that engine's settings, ``log`` is where it puts what it has to say.

    Raises:
        ValueError: the engine cannot sample this model, or is not installed.
    """
    if config.engine == "vllm":
        return VllmEngine(
            model,
            tokenizer,
            batch=config.batch,
            max_prompt=config.max_prompt_tokens,
            max_tokens=config.max_response_tokens,
            temperature=config.temperature,
            chat=config.chat,
            settings=vllm or VllmConfig(),
            log=log,
        )
    static = config.engine == "static" or (config.engine == "scripted" and model.config.model_type == "llama")
    engine: Engine = (StaticEngine if static else TransformersEngine)(
        model,
        tokenizer,
        batch=config.batch,
        max_tokens=config.max_response_tokens,
        temperature=config.temperature,
        chat=config.chat,
    )
    if config.engine == "scripted":
        script = read_script(Path(config.script))
        return ScriptedEngine(script, engine, model, tokenizer, config.temperature)
    return engine
