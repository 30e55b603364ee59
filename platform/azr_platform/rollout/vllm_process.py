"""The process that samples with vLLM: ``python -m azr_platform.rollout.vllm_process --fd N --weights M``.

The engine core runs inside this process, not in one that vLLM would start: its death is then seen at once, its output
and its environment are its own, and a process group is all there is to end. It dies with whoever holds the other end
of its socket, in the middle of a batch too. vLLM is imported here and nowhere else.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

from azr_platform.channel.wire import Disconnected, Wire, WireError
from azr_platform.rollout.vllm_messages import Asked, Done, Draw, Failed, Load, Prompt, Rest, Sample, Sampled, Start

WORKER = "azr_platform.rollout.vllm_worker.WeightReceiver"
_CPU_TOKENS = 4096
"""Positions that one pass on a CPU reads at most, unless a sequence is longer."""
SPEAK_SECONDS = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description="internal: samples with vLLM for one trainer")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--weights", type=int, required=True)
    arguments = parser.parse_args()
    # Signals that go to every process of a run are for the supervisor; this one ends when the trainer hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Nobody that vLLM may start shall keep the connection open.
    os.set_inheritable(arguments.fd, False)
    serve(Wire(socket.socket(fileno=arguments.fd), Asked), f"/proc/{os.getpid()}/fd/{arguments.weights}")


def serve(wire: Wire[Asked], weights: str) -> None:
    """Answer the trainer until it is gone."""
    inbox: queue.SimpleQueue[Asked] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(wire, inbox), name="listen", daemon=True).start()
    try:
        start = inbox.get()
        assert isinstance(start, Start)
        server = Server(start, weights)
        wire.send(Done())
        while True:
            for message in server.answer(inbox.get()):
                wire.send(message)
            wire.send(Done())
    except Disconnected:
        _end()
    except Exception as error:
        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".encode("utf-8", "replace").decode("utf-8").split())
        wire.send(Failed(error=text[:500]))
        _end()


def _listen(wire: Wire[Asked], inbox: queue.SimpleQueue[Asked]) -> None:
    try:
        while True:
            inbox.put(wire.receive())
    except (Disconnected, WireError):
        _end()


def _end() -> None:
    """End this process and all that vLLM started: at once, whatever they are doing."""
    if os.getpgid(0) == os.getpid():  # it leads a group of its own
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Server:
    """One engine, and what can be asked of it."""

    def __init__(self, start: Start, weights: str) -> None:
        from vllm import LLM  # type: ignore[import-not-found, unused-ignore]
        from vllm.platforms import current_platform  # type: ignore[import-not-found, unused-ignore]

        if start.sleeps and not current_platform.is_sleep_mode_available():
            raise ValueError("vllm.sleep is for GPUs: set it to 0")
        self._weights = weights
        self._asleep = False
        settings: dict[str, Any] = {}
        if current_platform.is_cpu():
            # vLLM 0.32 takes back the draw of a prompt it has read in part, which generators on a CPU cannot do.
            settings["enable_chunked_prefill"] = False
            settings["max_num_batched_tokens"] = max(_CPU_TOKENS, start.max_tokens, start.sequences)
        self._llm = LLM(
            start.folder,
            skip_tokenizer_init=True,  # tokens go in, and tokens come out
            load_format="dummy",  # the trainer sends the weights
            generation_config="vllm",  # nothing of the model's own shall bend the sampling
            trust_remote_code=False,
            worker_extension_cls=WORKER,
            dtype=start.dtype,
            max_model_len=start.max_tokens,
            max_num_seqs=start.sequences,
            tensor_parallel_size=start.tensor_parallel,
            gpu_memory_utilization=start.gpu_memory_share,
            kv_cache_memory_bytes=start.cache_mb << 20 or None,
            enable_prefix_caching=True,
            enable_sleep_mode=start.sleeps,
            enforce_eager=start.enforce_eager,
            logprobs_mode="processed_logprobs",  # of the distribution sampled from, temperature included
            **settings,
        )

    def answer(self, asked: Asked) -> Iterator[Sampled]:
        """Do what is asked; what there is to say meanwhile."""
        match asked:
            case Load():
                self._load(asked)
            case Rest():
                self._llm.sleep(level=asked.level)
                self._asleep = True
            case Sample():
                yield from self._sample(asked)
            case Start():
                raise ValueError("it was started before")

    def _load(self, load: Load) -> None:
        if self._asleep:
            self._llm.wake_up(tags=["weights"])  # room for keys and values is taken when there is something to sample
        if load.shared:
            self._llm.collective_rpc("load_shared", args=(load.shared,))
        else:
            self._llm.collective_rpc("load_file", args=(self._weights,))

    def forget(self) -> None:
        """Drop the keys and values of earlier prompts: those of older weights are wrong, and what happens to be there
        changes how a batch is cut, and with it the last bits of its numbers."""
        if not self._llm.reset_prefix_cache():
            raise RuntimeError("vLLM did not reset its prefix cache")

    def _sample(self, sample: Sample) -> Iterator[Sampled]:
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False
        self.forget()
        engine = self._llm.llm_engine
        for prompt in sample.prompts:
            for number in range(len(prompt.seeds)):
                request = f"{prompt.place}/{number}"
                engine.add_request(request, {"prompt_token_ids": prompt.tokens}, _parameters(sample, prompt, number))
        tally = _Tally(sample)
        told = time.monotonic()
        while engine.has_unfinished_requests():
            through = [entry for output in engine.step() if output.finished for entry in tally.add(output)]
            if through or time.monotonic() - told > SPEAK_SECONDS:
                yield Sampled(done=tally.done, through=through)
                told = time.monotonic()
        if any(tally.missing.values()):
            raise RuntimeError("vLLM left requests unanswered")


def _parameters(sample: Sample, prompt: Prompt, number: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind  # type: ignore[import-not-found, unused-ignore]

    return SamplingParams(
        temperature=sample.temperature,
        top_p=1.0,
        top_k=0,
        seed=prompt.seeds[number],
        max_tokens=prompt.room,
        stop_token_ids=sample.ends,
        ignore_eos=True,  # the ends above are all
        logprobs=0,  # of the sampled token alone
        flat_logprobs=True,
        detokenize=False,
        skip_clone=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


class _Tally:
    """What is finished of a batch."""

    def __init__(self, sample: Sample) -> None:
        self.done = 0
        self.missing = {prompt.place: len(prompt.seeds) for prompt in sample.prompts}
        self._greedy = sample.temperature == 0
        self._draws = {place: [Draw([], [])] * count for place, count in self.missing.items()}

    def add(self, output: Any) -> Iterator[tuple[int, list[Draw]]]:
        """Note a finished request; its prompt's samples, if it was the last of them."""
        place, number = map(int, output.request_id.split("/"))
        (completion,) = output.outputs
        tokens = list(completion.token_ids)
        flat = completion.logprobs
        # The sampled token stands first at its position. Of a choice without chance the probability is 1.
        log_probs = [0.0 if self._greedy else flat.logprobs[start] for start in flat.start_indices]
        self._draws[place][number] = Draw(tokens, log_probs)
        self.done += 1
        self.missing[place] -= 1
        if not self.missing[place]:
            yield place, self._draws.pop(place)


if __name__ == "__main__":
    main()
