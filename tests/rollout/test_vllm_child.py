"""The sampling process as its trainer sees it: deaths, silence, a trainer that goes away. The process and its protocol
are the real ones; in vLLM's place stands something that starts at once and fails as it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from azr_platform.channel.wire import Disconnected
from azr_platform.config.schema import VllmConfig
from azr_platform.rollout import vllm_engine
from azr_platform.rollout.engine import Completion
from azr_platform.rollout.vllm_child import SamplerDied
from azr_platform.rollout.vllm_engine import VllmEngine, VllmUnavailable

Build = Callable[..., Any]

# Every sample is its seed's last digits, the size of the weights it was given, and the end token.
SAMPLER = """
import os, pathlib, signal, subprocess, sys, time
from safetensors import safe_open
from azr_platform.rollout import vllm_process
from azr_platform.rollout.vllm_messages import Draw, Load, Rest, Sample, Sampled

folder, mode = pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1)

class Server:
    def __init__(self, start, weights):
        self.weights = weights
        with (folder / "lives").open("a") as file:
            print(os.getpid(), file=file)
        self.life = len((folder / "lives").read_text().split())
        if mode == "no start":
            raise ImportError("no such library")
        if mode == "worker":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (folder / "worker").write_text(str(child.pid))

    def answer(self, asked):
        if isinstance(asked, Load):
            with safe_open(self.weights, framework="np") as file:  # torch takes seconds to import
                self.sum = int(sum(file.get_tensor(name).sum(dtype="f8") for name in file.keys())) % 100
        if isinstance(asked, Rest):
            print("resting at level", asked.level, flush=True)
        if isinstance(asked, Sample):
            for done, prompt in enumerate(asked.prompts, 1):
                draws = [Draw([3 + seed % 100, 3 + self.sum, 2], [-1.0] * 3) for seed in prompt.seeds]
                yield Sampled(done=done * len(draws), through=[(prompt.place, draws)])
                if mode == "always" or (mode == "once" and self.life == 1):
                    os.kill(os.getpid(), signal.SIGKILL)
                if mode == "fails":
                    raise RuntimeError("out of memory")
                if mode == "silent":
                    time.sleep(600)

vllm_process.Server = Server
vllm_process.main()
"""
PROMPTS = ["a", "b", "c"]


@pytest.fixture
def start(
    tiny: Build, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., VllmEngine]]:
    monkeypatch.setattr(vllm_engine, "require_vllm", lambda: None)
    engines: list[VllmEngine] = []

    def build(mode: str, model: Any = None, **settings: Any) -> VllmEngine:
        engine = VllmEngine(
            model or tiny(),
            tokenizer,
            batch=8,
            max_prompt=60,
            max_tokens=8,
            temperature=1.0,
            settings=VllmConfig(**settings),
            log=tmp_path / "logs" / "vllm.log",
            command=(sys.executable, "-c", SAMPLER, str(tmp_path), mode),
        )
        engines.append(engine)
        return engine

    yield build
    for engine in engines:
        engine.close()


def _lives(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "lives").read_text().split()]


def _wait_for_the_end_of(pid: int) -> None:
    """A process that is not our child: until it is gone, or a zombie that nobody has looked at yet."""
    stat = Path(f"/proc/{pid}/stat")
    while True:
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.02)


def test_the_policy_s_weights_arrive_and_a_refresh_sends_new_ones(start: Any, tiny: Build) -> None:
    model = tiny()
    engine = start("well", model)
    before = engine.generate(PROMPTS, samples=2, seed=0)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 41
    assert engine.generate(PROMPTS, samples=2, seed=0) == before
    engine.refresh()
    after = engine.generate(PROMPTS, samples=2, seed=0)
    assert [(a[0].version, b[0].version) for a, b in zip(before, after, strict=True)] == [(0, 1)] * 3
    sizes = {(a[0].tokens[1] - b[0].tokens[1]) % 100 for a, b in zip(after, before, strict=True)}
    assert sizes == {41} or sizes == {40}  # the sum is cut to an integer


def test_a_death_in_the_middle_is_mended_and_each_prompt_is_ready_once(start: Any, tmp_path: Path) -> None:
    heard: list[tuple[int, list[Completion]]] = []
    done: list[tuple[int, int]] = []
    results = start("once").generate(
        PROMPTS,
        samples=2,
        seed=0,
        ready=lambda place, completions: heard.append((place, completions)),
        progress=lambda *progress: done.append(progress),
    )
    assert heard == list(enumerate(results))
    assert done == [(2, 6), (4, 6), (6, 6)]
    first, second = _lives(tmp_path)
    assert first != second
    assert "was killed (signal 9)" in (tmp_path / "logs" / "vllm.log").read_text()


def test_a_second_death_in_a_row_is_an_error_that_names_the_log(start: Any, tmp_path: Path) -> None:
    engine = start("always")
    with pytest.raises(SamplerDied, match=r"was killed \(signal 9\).*its log: .*vllm\.log"):
        engine.generate(PROMPTS, samples=2, seed=0)
    assert len(_lives(tmp_path)) == 2


def test_what_vllm_failed_with_is_told(start: Any, tmp_path: Path) -> None:
    with pytest.raises(SamplerDied, match="vLLM failed: RuntimeError: out of memory"):
        start("fails").generate(PROMPTS, samples=2, seed=0)
    assert "Traceback" in (tmp_path / "logs" / "vllm.log").read_text()


def test_a_silent_process_is_ended(start: Any, tmp_path: Path) -> None:
    engine = start("silent")
    first = engine.pid
    engine._sampler._process._wire._socket.settimeout(0.2)  # the one that is started again has its full time
    with pytest.raises(RuntimeError, match="enough"):
        engine.generate(PROMPTS, samples=2, seed=0, progress=_raise_at_second())
    _wait_for_the_end_of(first)
    assert len(_lives(tmp_path)) == 2
    assert "said nothing for" in (tmp_path / "logs" / "vllm.log").read_text()


def _raise_at_second() -> Callable[[int, int], None]:
    calls: list[int] = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == 2:
            raise RuntimeError("enough")

    return progress


def test_a_process_that_does_not_start_is_an_error_at_once(start: Any, tmp_path: Path) -> None:
    with pytest.raises(VllmUnavailable, match=r'model.engine = "vllm": vLLM failed: ImportError: no such library'):
        start("no start")
    assert len(_lives(tmp_path)) == 1


def test_a_callback_s_own_error_is_no_death_of_the_process(start: Any, tmp_path: Path) -> None:
    """A trainer whose supervisor has gone must end, not sample again."""

    def ready(place: int, completions: list[Completion]) -> None:
        raise Disconnected("the supervisor is gone")

    engine = start("well")
    pid = engine.pid
    with pytest.raises(Disconnected, match="supervisor"):
        engine.generate(PROMPTS, samples=2, seed=0, ready=ready)
    _wait_for_the_end_of(pid)
    assert len(_lives(tmp_path)) == 1
    assert len(engine.generate(PROMPTS, samples=2, seed=0)) == 3  # on a new one


def test_it_rests_only_where_it_is_told_to_and_level_2_is_given_the_weights_again(
    start: Any, tiny: Build, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "vllm.log"
    awake = start("well")
    awake.rest()
    assert "resting" not in log.read_text()
    model = tiny()
    engine = start("well", model, sleep=2)
    before = engine.generate(["a"], samples=1, seed=0)
    engine.rest()
    assert "resting at level 2" in log.read_text()
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 41
    # Nothing was refreshed, but a process that has dropped its weights needs some: the policy's.
    assert engine.generate(["a"], samples=1, seed=0) != before


def test_closing_ends_whatever_it_started(start: Any, tmp_path: Path) -> None:
    engine = start("worker")
    engine.close()
    _wait_for_the_end_of(int((tmp_path / "worker").read_text()))
    _wait_for_the_end_of(_lives(tmp_path)[0])


TRAINER = """
import sys, pathlib
sys.path[:0] = sys.argv[3].split(":")
from azr_platform.config.schema import VllmConfig
from azr_platform.nano.tokenizer import build_tokenizer
from azr_platform.rollout import vllm_engine
from transformers import LlamaConfig, LlamaForCausalLM

vllm_engine.require_vllm = lambda: None
settings = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
tokenizer = build_tokenizer()
model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), eos_token_id=2, **settings))
engine = vllm_engine.VllmEngine(
    model, tokenizer, batch=8, max_prompt=60, max_tokens=8, temperature=1.0, settings=VllmConfig(),
    command=(sys.executable, "-c", sys.argv[1], sys.argv[2], "silent"),
)
engine.generate(["a"], samples=1, seed=0, progress=lambda *_: print("sampling", flush=True))
"""


@pytest.mark.slow
def test_a_trainer_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    """In the middle of a batch: nobody would ever end them, and they hold the GPU's memory."""
    argv = [sys.executable, "-c", textwrap.dedent(TRAINER), SAMPLER, str(tmp_path), ":".join(sys.path)]
    trainer = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "sampling\n"
        (sampler,) = _lives(tmp_path)
        os.kill(sampler, 0)
    finally:
        trainer.send_signal(signal.SIGKILL)
        trainer.communicate()
    _wait_for_the_end_of(sampler)


def test_without_vllm_it_says_what_to_do(tiny: Build, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: None)
    with pytest.raises(VllmUnavailable, match=r'install azr-platform\[vllm\].*or set model.engine = "transformers"'):
        VllmEngine(tiny(), tokenizer, batch=8, max_prompt=9, max_tokens=9, temperature=1.0, settings=VllmConfig())


def test_handles_of_gpu_memory_are_refused_for_a_model_that_is_not_there(start: Any) -> None:
    with pytest.raises(VllmUnavailable, match=r'vllm.transfer = "ipc" needs the model there'):
        start("well", transfer="ipc")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_a_run_with_an_engine_that_is_not_installed_is_refused_in_one_line_before_it_is_made(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "azr_platform", "train", "--preset", "nano", "--set", "model.engine=vllm"]
    ran = subprocess.run([*argv, "--run", str(tmp_path / "run")], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 2
    assert "needs vLLM: install azr-platform[vllm]" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "run").exists()
