"""``azr-platform plan``: what a run would take, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azr_platform.config.plan import Plan


def plan(
    preset: Annotated[
        str | None, typer.Argument(metavar="PRESET", help="A preset's name, such as qwen2.5-coder-3b.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file, over the preset.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="A local folder or a Hugging Face name (model.path).")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting; may be repeated.")
    ] = None,
    gpu: Annotated[str, typer.Option(help="a100-40, a100, h100, h200 or rtx-4090.")] = "h100",
    gpus: Annotated[
        int | None, typer.Option(min=1, help="How many of it; parallel.processes when not given.", show_default=False)
    ] = None,
    gpu_memory: Annotated[float | None, typer.Option(help="GB of each, where it is not the usual.")] = None,
    response_tokens: Annotated[int, typer.Option(min=1, help="Mean length of a response, for time.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
) -> None:
    """Say what a run would take: memory by part, tokens and time, with the arithmetic of config/plan.py.

    Nothing is loaded or downloaded. Time is an estimate from the device's data sheet, not a measurement.
    """
    import json

    import msgspec

    from azr_platform.cli.input import BadInput
    from azr_platform.config.load import load
    from azr_platform.config.plan import GPUS
    from azr_platform.config.plan import plan as estimate

    if preset is None and config is None:
        raise BadInput("give a PRESET or --config FILE, for example: azr-platform plan qwen2.5-coder-3b")
    if gpu not in GPUS:
        raise BadInput(f"--gpu {gpu}: not known; there are {', '.join(GPUS)}")
    if gpu_memory is not None and not 0 < gpu_memory < float("inf"):
        raise BadInput(f"--gpu-memory {gpu_memory}: give the GB of each GPU, such as 80")
    overrides = [*(settings or []), *([f"model.path={json.dumps(model)}"] if model is not None else [])]
    device = GPUS[gpu] if gpu_memory is None else msgspec.structs.replace(GPUS[gpu], memory_gb=gpu_memory)
    wanted = load(preset, config, overrides)
    found = estimate(wanted, device, gpus or wanted.parallel.processes, response_tokens)
    if as_json:
        typer.echo(as_object(found))
        return
    for line in _lines(found, gpu):
        typer.echo(line)


def as_object(plan: Plan) -> str:
    """The plan as JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(plan), indent=2).decode()


def _lines(plan: Plan, gpu: str) -> list[str]:
    from azr_platform.config.plan import BANDWIDTH_SHARE, MFU

    lines = [f"{plan.model} on {plan.gpus} x {gpu}, {plan.gpu.memory_gb:g} GB each", ""]
    lines += [
        f"sequences a step   {plan.proposals_per_step} proposed, {plan.rollouts_per_step} to see how hard they are, "
        f"{plan.solves_per_step} solved; {plan.trained_sequences_per_step} trained on",
        f"tokens a step      {plan.sampled_tokens_per_step:,} sampled at {plan.mean_response_tokens:,} a response; "
        f"{plan.max_sampled_tokens_per_step:,} at most",
    ]
    if plan.memory is None or plan.parameters is None or plan.seconds is None:
        return [*lines, "memory and time    unknown: this model's shape is not known; give --model a local folder"]
    lines.append(f"parameters         {plan.parameters / 1e9:.3g} billion, {plan.trained_parameters or 0:,} train")
    lines += ["", "memory on each GPU, GB"]
    shared = [name for name in ("gathered", "copy") if getattr(plan.memory, name)]
    engine = ("engine",) if plan.memory.engine else ()
    for name in ("weights", "masters", "gradients", "moments", *shared, "activations", "logits", *engine, "kv_cache"):
        lines.append(f"  {name.replace('_', ' '):<16} {getattr(plan.memory, name):9.2f}")
    verdict = "fits" if plan.fits else "does not fit"
    meanwhile = "the cache is not there while it learns"
    if plan.memory.together:
        meanwhile = "it learns while it samples"
    elif plan.memory.awake:
        meanwhile = "vLLM's share stays while it learns"
    lines.append(f"  {'peak':<16} {plan.peak_gb or 0.0:9.2f}  {verdict} ({meanwhile})")
    if not plan.fits:
        lines += [f"  {hint}" for hint in _hints(plan)]
    lines += [
        "",
        f"time a step        {plan.seconds_per_step or 0.0:,.3g} s: {plan.seconds.generate:,.3g} to sample, "
        f"{plan.seconds.update:,.3g} to learn",
        f"time a run         {plan.hours_per_run or 0.0:,.3g} hours for {plan.steps} steps",
        "",
        f"Assumed: {plan.gpu.tflops:g} TFLOP/s at {MFU:.0%}, {plan.gpu.terabytes_per_second:g} TB/s at "
        f"{BANDWIDTH_SHARE:.0%}, prompts of {plan.mean_prompt_tokens:,} tokens.",
        "Not counted: programs, monitors and the ledger, which work while the model samples.",
    ]
    if plan.memory.together and not plan.seconds.together:
        lines.append("Sampling and learning share the GPU: together they take about the sum, or a little less.")
    if plan.gpus > 1:
        apart = "; the copy is on the first, which samples alone" if plan.memory.copy else ""
        lines.append(f"State and update are divided among the GPUs{apart}.")
    return lines


def _hints(plan: Plan) -> list[str]:
    assert plan.memory is not None
    memory, room = plan.memory, plan.gpu.memory_gb
    hints = []
    if memory.state > room:
        hints.append("its state alone is too large: more GPUs, optimizer.moments=8bit, or lora.rank=64")
    elif memory.engine and not plan.largest_batch:
        hints.append("vLLM's share does not hold a sequence beside its weights: raise vllm.gpu_memory_share")
    elif memory.together and memory.peak > room:
        hints.append("it samples while it learns: update.staleness=0 needs less")
    elif memory.awake:
        hints.append("vllm.sleep=2 gives vLLM's share back during the update; vllm.devices puts it on other GPUs")
    elif memory.state + memory.engine + memory.kv_cache > room:
        fewer = "a smaller vllm.gpu_memory_share"
        if not memory.engine:
            fewer = f"longest sequences, all at once, need model.batch of at most {plan.largest_batch}"
        hints.append(fewer)
    if memory.state <= room < memory.state + memory.activations + memory.logits:
        hints.append("update.gradient_checkpointing=true, or a smaller update.tokens_per_microbatch")
    return hints
