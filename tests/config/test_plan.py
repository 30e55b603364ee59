"""The plan against what is counted, published and measured."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from azr_platform.config.load import load, presets
from azr_platform.config.plan import GPUS, kept_a_position, plan, trainable
from azr_platform.config.shapes import KNOWN, Shape, shape_of

needs_torch = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("transformers")), reason="needs azr-platform[train]"
)

# Billions of parameters, from the models' cards.
PUBLISHED = {
    "Qwen/Qwen2.5-Coder-0.5B": 0.49,
    "Qwen/Qwen2.5-Coder-1.5B": 1.54,
    "Qwen/Qwen2.5-Coder-3B": 3.09,
    "Qwen/Qwen2.5-Coder-7B": 7.61,
    "Qwen/Qwen2.5-Coder-14B": 14.7,
    "Qwen/Qwen2.5-7B": 7.61,
    "Qwen/Qwen3-4B-Base": 4.0,
    "meta-llama/Llama-3.1-8B": 8.03,
}


def test_what_is_counted_is_what_was_published() -> None:
    assert set(PUBLISHED) == set(KNOWN) - {"nano"}
    for name, billions in PUBLISHED.items():
        assert KNOWN[name].parameters / 1e9 == pytest.approx(billions, rel=0.012), name


def test_the_embedded_model_s_shape_is_that_of_its_folder() -> None:
    from azr_platform.nano.model import weights_path

    assert shape_of(str(weights_path())) == KNOWN["nano"]


def test_sampling_beside_the_update_takes_a_copy_of_the_weights() -> None:
    apart, beside = (plan(load("qwen2.5-coder-3b", overrides=[f"update.staleness={n}"])) for n in (0, 1))
    assert apart.memory is not None and beside.memory is not None and apart.seconds is not None
    assert (apart.memory.copy, beside.memory.copy) == (0.0, beside.memory.weights)
    learning, cache = apart.memory.activations + apart.memory.logits, apart.memory.kv_cache
    assert apart.memory.peak == pytest.approx(apart.memory.state + max(learning, cache))
    assert beside.memory.peak == pytest.approx(apart.memory.state + beside.memory.weights + learning + cache)


def test_sampling_beside_the_update_takes_the_longer_of_both_times_on_gpus_of_its_own() -> None:
    def seconds(*settings: str) -> tuple[float, float, float]:
        found = plan(load("qwen2.5-coder-3b", overrides=["model.engine=vllm", *settings]))
        assert found.seconds is not None and found.seconds_per_step is not None
        return found.seconds.generate, found.seconds.update, found.seconds_per_step

    for settings in ([], ["update.staleness=1"], ['vllm.devices="1"']):
        generate, update, step = seconds(*settings)
        assert step == pytest.approx(generate + update)
    generate, update, step = seconds("update.staleness=1", 'vllm.devices="1"')
    assert step == pytest.approx(max(generate, update))


def test_sequences_and_tokens_are_multiplied_out() -> None:
    found = plan(load("qwen2.5-coder-3b", overrides=["run.steps=7", "model.max_response_tokens=100"]))
    assert (found.proposals_per_step, found.rollouts_per_step, found.solves_per_step) == (192, 1536, 192)
    assert found.trained_sequences_per_step == 384
    assert found.max_sampled_tokens_per_step == found.sampled_tokens_per_step == (384 + 1536) * 100
    assert found.steps == 7
    with_rollouts = plan(load("qwen2.5-coder-3b", overrides=["selfplay.train_on_rollouts=true"]))
    assert with_rollouts.trained_sequences_per_step == 384 + 1536
    given = plan(load("qwen2.5-coder-3b", overrides=["run.regime=rlvr", "problems.per_step=5", "problems.samples=3"]))
    assert (given.proposals_per_step, given.solves_per_step, given.trained_sequences_per_step) == (0, 15, 15)


@pytest.mark.parametrize(
    ("override", "bytes_each"),
    [
        ("model.dtype=float32", (4, 0, 4, 8)),
        ("model.dtype=bfloat16", (2, 4, 4, 8)),
        ("optimizer.master_weights=false", (2, 0, 2, 4)),
        ("optimizer.moments=8bit", (2, 4, 4, 2)),
    ],
)
def test_the_state_is_so_many_bytes_a_parameter(override: str, bytes_each: tuple[int, ...]) -> None:
    for gpus in (1, 4):
        memory = plan(load("qwen2.5-7b", overrides=[override]), gpus=gpus).memory
        assert memory is not None
        parts = (memory.weights, memory.masters, memory.gradients, memory.moments)
        parameters = KNOWN["Qwen/Qwen2.5-7B"].parameters / 1e9 / gpus
        # Of several GPUs each has a part of the copies, if there are copies, and no other weights of its own.
        expected = (0, *bytes_each[1:]) if gpus > 1 and bytes_each[1] else bytes_each
        assert parts == pytest.approx([parameters * each for each in expected])


def test_several_gpus_divide_the_state_and_the_first_has_a_copy_to_sample_from() -> None:
    shape = KNOWN["Qwen/Qwen2.5-7B"]
    for engine, copy in (("transformers", 2 * shape.parameters / 1e9), ("vllm", 0.0)):
        config = load("qwen2.5-7b", overrides=[f"model.engine={engine}"])
        one, four = plan(config), plan(config, gpus=4)
        assert one.memory is not None
        assert four.memory is not None
        assert (one.memory.gathered, one.memory.copy) == (0.0, 0.0)
        assert four.memory.copy == pytest.approx(copy)
        # Two matrices of the vocabulary and two layers of 28, each with its gradient.
        assert four.memory.gathered == pytest.approx(4 * (2 * 152064 * 3584 + 2 * 233.1e6) / 1e9, rel=0.01)
        assert four.memory.kv_cache == pytest.approx(one.memory.kv_cache)
        assert one.seconds is not None
        assert four.seconds is not None
        assert four.seconds.update == pytest.approx(one.seconds.update / 4)
        assert four.seconds.generate == one.seconds.generate


def test_vllm_has_a_share_of_the_gpu_unless_it_sleeps_or_is_elsewhere() -> None:
    def found(*overrides: str, gpus: int = 1) -> Any:
        return plan(load("qwen2.5-coder-3b", overrides=["model.engine=vllm", *overrides]), GPUS["h200"], gpus=gpus)

    awake, asleep, elsewhere = found(), found("vllm.sleep=2"), found('vllm.devices="1"')
    weights = 2 * KNOWN["Qwen/Qwen2.5-Coder-3B"].parameters / 1e9
    assert awake.memory.engine == pytest.approx(weights)
    assert awake.memory.awake == pytest.approx(0.4 * 141) == awake.memory.engine + awake.memory.kv_cache
    assert asleep.memory.awake == 0.0
    assert elsewhere.memory.engine == elsewhere.memory.kv_cache == 0.0
    assert elsewhere.peak_gb <= asleep.peak_gb < awake.peak_gb
    # What waits for room takes longer; a share that does not hold the weights holds no sequence.
    assert found("vllm.cache_mb=1024").seconds.generate > 2 * awake.seconds.generate
    assert found("vllm.cache_mb=1024").memory.kv_cache == pytest.approx(1.073741824)
    assert (found("vllm.gpu_memory_share=0.04").largest_batch, found("vllm.gpu_memory_share=0.04").fits) == (0, False)
    two = found("vllm.tensor_parallel=2", gpus=2)
    assert two.seconds.generate < awake.seconds.generate
    assert two.memory.engine == pytest.approx(weights / 2)


def test_lora_s_state_is_that_of_its_factors() -> None:
    config = load("qwen2.5-7b", overrides=["lora.rank=16"])
    memory, shape = plan(config).memory, KNOWN["Qwen/Qwen2.5-7B"]
    assert memory is not None
    assert trainable(config, shape) == 40_370_176  # what peft prints for these layers and this rank
    assert memory.masters == 0
    assert memory.gradients + memory.moments == pytest.approx(12 * 40_370_176 / 1e9)


def test_settings_that_save_memory_or_time_do_so_in_the_plan() -> None:
    def found(*overrides: str) -> Any:
        return plan(load("qwen2.5-coder-1.5b", overrides=overrides), GPUS["h200"])

    off, on = found("update.gradient_checkpointing=false"), found("update.gradient_checkpointing=true")
    assert on.memory.activations < off.memory.activations / 5
    assert on.seconds.update == pytest.approx(off.seconds.update * 4 / 3, rel=0.1)
    assert found("update.logits_chunk=0").memory.logits > 5 * found("update.logits_chunk=1024").memory.logits
    assert found("model.batch=8").memory.kv_cache == pytest.approx(on.memory.kv_cache * 8 / 256)
    assert found("model.batch=8").seconds.generate > 2 * on.seconds.generate
    assert found("update.mismatch_cap=2.0").seconds.update > on.seconds.update


@pytest.mark.parametrize("preset", presets())
def test_every_preset_has_a_plan_and_the_batch_it_proposes_fits(preset: str) -> None:
    found = plan(load(preset), GPUS["h200"], gpus=8)
    assert found.memory is not None
    assert found.seconds is not None
    assert found.fits is (found.peak_gb <= 141)
    assert found.largest_batch is not None
    if found.largest_batch:
        fitting = plan(load(preset, overrides=[f"model.batch={found.largest_batch}"]), GPUS["h200"], gpus=8)
        assert fitting.memory is not None
        assert fitting.memory.state + fitting.memory.kv_cache <= 141


def test_a_model_that_is_not_known_has_tokens_but_no_memory(tmp_path: Path) -> None:
    for path, content in (("elsewhere/model", None), (str(tmp_path), "{"), (str(tmp_path), '{"model_type": "bert"}')):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        found = plan(load(overrides=[f"model.path={json.dumps(path)}"]))
        assert found.sampled_tokens_per_step > 0
        assert (found.memory, found.fits, found.seconds, found.parameters) == (None,) * 4


@pytest.mark.parametrize(("gpus", "response"), [(0, 10), (1, 0)])
def test_a_plan_for_nothing_is_refused(gpus: int, response: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        plan(load("nano"), gpus=gpus, mean_response=response)


# --- against the library ------------------------------------------------------------------------------------


def _library(family: str, **settings: Any) -> Any:
    import transformers as t

    config, model = {
        "llama": (t.LlamaConfig, t.LlamaForCausalLM),
        "qwen2": (t.Qwen2Config, t.Qwen2ForCausalLM),
        "qwen3": (t.Qwen3Config, t.Qwen3ForCausalLM),
    }[family]
    sizes = {
        "num_hidden_layers": 3,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 96,
        "vocab_size": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return model(config(**{**sizes, **settings}))


@needs_torch
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_folder_s_shape_counts_the_parameters_that_are_there(family: str, tied: bool, tmp_path: Path) -> None:
    model = _library(family, tie_word_embeddings=tied)
    model.save_pretrained(tmp_path)
    shape = shape_of(str(tmp_path))
    assert shape is not None
    assert shape.parameters == sum(p.numel() for p in model.parameters())


@needs_torch
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_activations_are_what_autograd_keeps(family: str, tmp_path: Path) -> None:
    """Measured: the bytes of every tensor that a training forward pass keeps, the weights apart."""
    import torch

    model = _library(family).bfloat16().train()
    model.save_pretrained(tmp_path)
    shape = shape_of(str(tmp_path))
    assert isinstance(shape, Shape)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    tokens, kept = torch.ones(2, 256, dtype=torch.long), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that its address is not used again
        return tensor

    measured = {}
    for layers in (1, 3):  # what a further layer adds
        model.model.config.num_hidden_layers = layers
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
        measured[layers] = sum(size for size, _ in kept.values())
    a_position = (measured[3] - measured[1]) / 2 / tokens.numel()
    assert kept_a_position(shape, 2) == pytest.approx(a_position, rel=0.15)
