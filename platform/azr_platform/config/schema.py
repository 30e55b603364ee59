"""What a run can be told. Every field is read by the code; a key that is not here is refused.

Defaults are the paper's (arXiv 2505.03335, Table 5 and section 3) unless a comment says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from azr_platform.config.alerts import AlertsConfig
from azr_platform.config.section import Section

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Nonnegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class RunConfig(Section):
    regime: Literal["azr", "rlvr", "ttrl"] = "azr"
    """Where problems and rewards come from: ``azr``, the model proposes its own; ``rlvr``, given problems and what is
    right; ``ttrl``, given problems and a majority vote."""
    steps: Positive = 500
    """Steps to train: one step proposes, solves and updates once."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Every random draw derives from this, the step and the phase; the same seed gives the same run on CPU."""
    checkpoint_every: Positive = 10
    """Steps between checkpoints; the first (step 0, after seeding) and the last are always written."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Torch threads of the trainer; 0 lets torch choose. A fixed number makes runs equal across machines' loads."""


class ModelConfig(Section):
    path: str = "nano"
    """``nano`` (ships with the package), a local folder, or a Hugging Face name."""
    engine: Literal["static", "transformers", "vllm", "scripted"] = "transformers"
    """What samples rollouts: ``static`` (small Llama models on CPU), ``transformers`` (any), ``vllm`` (fast, see its
    section), ``scripted`` (tests)."""
    script: str = ""
    """For ``scripted``: a JSON file of [{"match": prompt substring, "responses": [...]}]; others are sampled."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Number format of the weights that train; see also ``optimizer.master_weights``."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """How attention is computed; ``flash_attention_2`` needs that library and a GPU."""
    chat: bool = False
    """Wrap prompts in the tokenizer's chat template."""
    spell_out: str = ""
    """Tokens of the tokenizer's, with spaces between, that a plain prompt has in smaller pieces: those that the model
    was never trained on, such as ``<think> </think>`` of the Qwen3 base models."""
    max_prompt_tokens: Positive = 6144
    """A longer prompt is not asked."""
    max_response_tokens: Positive = 8096
    """Sampling stops here; a response cut off is malformed."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of sampling, and of the log-probabilities that train."""
    batch: Positive = 64
    """Sequences sampled together."""


class VllmConfig(Section):
    """For ``model.engine = "vllm"``; ``model.batch`` is then the most sequences at a time."""

    tensor_parallel: Positive = 1
    """GPUs that share each layer."""
    devices: str = ""
    """GPUs of the sampling process, as in ``CUDA_VISIBLE_DEVICES``; empty: those that the trainer sees."""
    gpu_memory_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of each GPU's memory (without a GPU: of the machine's) that it takes for weights, keys and values."""
    cache_mb: Annotated[int, Field(ge=0)] = 0
    """Keys and values, in MiB; 0: what ``gpu_memory_share`` leaves beside the weights."""
    sleep: Annotated[int, Field(ge=0, le=2)] = 0
    """What it gives back during the update, for a GPU that both use: 0 nothing, 1 keys and values (weights wait in the
    machine's memory), 2 weights too."""
    transfer: Literal["memory", "ipc"] = "memory"
    """How new weights get there: ``memory``, through the machine's; ``ipc``, out of the GPU that both use."""
    enforce_eager: bool = False
    """Compile and capture nothing: a faster start, slower sampling."""
    dtype: Literal["same", "float32", "bfloat16"] = "same"
    """Number format that it samples in; ``same`` as ``model.dtype``."""
    silence_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """A sampling process that says nothing for so long, at its start too, is started again. While it samples it speaks
    every few seconds."""


class TasksConfig(Section):
    style: Literal["full", "compact"] = "full"
    """Prompt wording: instructions for a language model, or the few tokens the embedded model knows."""
    references: Annotated[int, Field(ge=1, le=32)] = 6
    """k: earlier tasks shown to the proposer."""
    inputs: Annotated[int, Field(ge=2, le=32)] = 10
    """N: inputs of an induction task; the first N // 2 are shown, the others are hidden tests."""
    kinds: Annotated[tuple[Literal["deduction", "abduction", "induction", "error"], ...], Field(strict=False)] = (
        "deduction",
        "abduction",
        "induction",
    )
    """Kinds of tasks that are proposed and solved; ``error`` is to predict what a program raises."""
    held_out: str = ""
    """Programs the run must not learn from, up to renaming: ``nano`` (those the embedded model is measured on), or a
    JSON-lines file of objects with a ``program``. A sample that holds one is dropped."""
    composite: Annotated[int, Field(ge=0, le=8)] = 0
    """Earlier programs, as functions g_0, g_1 …, that a composite proposal must call; 0 turns composites off."""
    composite_start: Positive = 1
    """The first step with composite proposals."""
    composite_chance: Fraction = 0.5
    """How likely a proposal that writes a program is a composite one."""


class SelfPlayConfig(Section):
    proposals: Positive = 64
    """B: proposals, and problems solved, per kind and step."""
    rollouts: Positive = 8
    """n: solver samples per valid proposal that estimate its learnability."""
    train_on_rollouts: bool = False
    """Also train on the n learnability samples (the paper discards them)."""
    seed_factor: Annotated[int, Field(ge=1, le=64)] = 4
    """Buffers are grown to this times B by the base policy before step 1."""
    seed_rounds: Positive = 12
    """Seeding gives up growing after so many rounds; a small buffer is then used as it is, with a notice."""
    draw: Literal["max_new", "uniform", "half_new", "step"] = "max_new"
    """How problems to solve are drawn from a buffer (see buffers/sample.py)."""
    recent_references: Annotated[int, Field(ge=0)] = 0
    """Draw the proposer's references from this many newest tasks; 0 means all."""
    buffer_cap: Positive = 16384
    """Tasks kept per kind; the oldest leave first."""
    dedupe: Literal["exact", "renaming"] = "exact"
    """What repeats an earlier task: ``exact``, the same program and input; ``renaming``, also any program that differs
    from one in a buffer in names, comments and layout alone. A repeat is not kept."""


class ProblemsConfig(Section):
    source: str = ""
    """Given problems: a JSON-lines file, or ``grammar`` for tasks from the embedded model's grammar."""
    count: Annotated[int, Field(gt=0, le=100_000)] = 1024
    """How many tasks are drawn from the grammar."""
    per_step: Positive = 64
    """P: problems asked in a step."""
    samples: Annotated[int, Field(ge=2)] = 8
    """G: samples of each problem. They share a baseline under ``grpo`` and ``rloo``, and make one vote in ``ttrl``."""
    least_share: Fraction = 0.25
    """A vote whose winner has less than this share of the valid answers is degenerate: nothing is learnt from it."""


class RewardsConfig(Section):
    wrong: float = -0.5
    """Well-formed but worth nothing."""
    malformed: float = -1.0
    """Format wrong or program invalid."""
    pay_repeats: bool = True
    """Whether a proposal that is already in the buffer earns its learnability; if not it earns ``repeated``."""
    repeated: float = -0.5
    """What a repeat earns that is not paid."""
    combine: Literal["sum", "product"] = "sum"
    """How the terms below, those that are on, go together with learnability: added to it, or multiplied with it. They
    are for proposals that write a program and are worth something; each is coefficient x value, at most its cap."""
    complexity: Nonnegative = 0.0
    """Coefficient of the program's complexity; 0 turns it off."""
    complexity_cap: Nonnegative = 1.0
    """Most that complexity counts."""
    complexity_measure: Literal["halstead", "nodes"] = "halstead"
    """``halstead``, Halstead's effort / 10,000; or ``nodes`` of the syntax tree / 100."""
    edit_distance: Nonnegative = 0.0
    """Coefficient of the mean edit distance (0 to 1, over syntax up to renaming) to the references shown; 0: off."""
    edit_distance_cap: Nonnegative = 1.0
    """Most that the edit distance counts."""
    answer_diversity: Nonnegative = 0.0
    """Coefficient of 1 - share / limit, of the answer's type among the newest tasks kept; 0 turns it off."""
    answer_diversity_cap: Nonnegative = 1.0
    """Most that answer diversity counts."""
    answer_limit: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share from which on another answer of a type adds no diversity (under ``product``: is worth nothing)."""
    answer_window: Positive = 400
    """How many of the newest tasks, over all kinds that write programs, answer diversity looks at."""
    punish_flagged: bool = False
    """Give flagged samples ``malformed`` instead of dropping them. Training against the monitor teaches a model
    to hide what the monitor looks for (arXiv 2503.11926); leave this off."""


class LoraConfig(Section):
    """Train low-rank additions (LoRA, arXiv 2106.09685) to the layers instead of the weights themselves."""

    rank: Annotated[int, Field(ge=0, le=1024)] = 0
    """Rank of the additions; 0 trains all weights. Needs azr-platform[lora]."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """An addition counts alpha / rank."""
    targets: Literal["all", "attention"] = "all"
    """Which linear layers get one: ``all`` but the output layer, or those of the ``attention`` alone."""


class OptimizerConfig(Section):
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    """AdamW's, at its highest."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Linear warm-up."""
    final_fraction: Fraction = 1.0
    """Learning rate at the last step, as a fraction: 1 keeps it constant, less decays it linearly."""
    betas: Annotated[tuple[Decay, Decay], Field(strict=False)] = (0.9, 0.99)
    """AdamW's decay rates of the first and the second moment."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """AdamW's term that keeps a division from going by 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW's, decoupled from the gradient."""
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    master_weights: bool = True
    """Where weights train in bfloat16: step float32 copies of them, and sum gradients and keep moments in float32.
    Without, a step below 1/256 of a weight is lost."""
    moments: Literal["full", "8bit", "paged_8bit"] = "full"
    """AdamW's moments in the weights' format, or in 8 bits (arXiv 2110.02861), paged to the host's memory where the
    GPU's runs out. The latter two need azr-platform[lowbit]."""


class ParallelConfig(Section):
    """Share the update among processes on this machine, one a GPU, or without GPUs on its CPU."""

    processes: Positive = 1
    """Each has a part of the weights, gradients and moments (FSDP); the first also samples, or has vLLM do so."""
    silence_seconds: Annotated[float, Field(gt=0)] = 600.0
    """A process that the others wait for so long fails the trainer."""


class UpdateConfig(Section):
    minibatches: Positive = 1
    """Optimizer steps per update; the samples are dealt to them at random."""
    clip_low: Fraction = 0.2
    """How far below 1 the ratio counts."""
    clip_high: Annotated[float, Field(ge=0)] = 0.2
    """PPO clip range: the ratio counts between 1 - clip_low and 1 + clip_high."""
    entropy_coefficient: Annotated[float, Field(ge=0)] = 0.001
    """Weight of the entropy bonus in the loss; 0 turns it off."""
    aggregation: Literal["token_mean", "sequence_mean"] = "token_mean"
    """Mean over all tokens of a minibatch, or over each sequence first."""
    advantage: Literal["trr++", "reinforce++", "grpo", "rloo"] = "trr++"
    """Who shares a baseline: each role x kind group, the whole batch, each prompt's samples (``grpo`` and ``rloo``).
    ``grpo`` unless told otherwise where the regime is not ``azr``."""
    divide_by_std: bool = True
    """Divide advantages by their group's standard deviation; off with ``grpo`` is Dr. GRPO. ``rloo`` never does."""
    std_floor: Annotated[float, Field(gt=0)] = 1e-6
    """Smallest standard deviation an advantage is divided by."""
    tokens_per_microbatch: Positive = 16384
    """Positions in one forward pass, padding included; accumulation keeps the result the same."""
    max_padding: Fraction = 0.1
    """Share of a forward pass that may be padding: sequences that differ more in length go apart."""
    packed: bool = False
    """Sequences behind one another in one row, without padding; pays with ``model.attention = "flash_attention_2"``."""
    logits_chunk: Annotated[int, Field(ge=0)] = 1024
    """Tokens whose logits are held at once, and computed again for the gradient; 0: those of a forward pass, once."""
    gradient_checkpointing: bool = False
    """Keep one activation a layer and compute the others again for the gradient: less memory, a third more work."""
    compile: bool = False
    """Compile the model below its output layer with torch.compile, for the update; the first steps take longer."""
    staleness: Literal[0, 1] = 0
    """1 samples a step while the one before is learnt from: with weights one update older, from a copy of them. The
    step after a checkpoint is sampled with the newest, so ``run.checkpoint_every`` is part of what a run comes to."""
    mismatch_cap: Nonnegative = 0.0
    """Truncated importance sampling: the ratio is between two passes of the learner, and a token counts by how much
    likelier it was to the learner than to the engine, at most so much. 0: the ratio is to the engine's probability."""


class ControlConfig(Section):
    """Control experiments (trainer/controls.py): what a run comes to without one of its parts."""

    rewards: Literal["earned", "shuffled"] = "earned"
    """``shuffled`` deals the rewards of each role x kind group at random among its samples."""
    proposer: Literal["trained", "untrained", "frozen"] = "trained"
    """``untrained``: proposals add nothing to the gradient. ``frozen``: the model the run began with proposes."""


class ProbesConfig(Section):
    """Questions beside the training that show collusion and sandbagging (trainer/probes.py); self-play only."""

    every: Annotated[int, Field(ge=0)] = 20
    """Steps from one probe to the next; 0: none."""
    problems: Positive = 16
    """Problems of each kind that a probe asks about, at most."""


class JailConfig(Section):
    wall_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Per program and input."""
    cpu_seconds: Annotated[int, Field(gt=0, le=600)] = 8
    """Below the wall time, so that a loop (``cpu``) can be told from a sleep (``timeout``)."""
    memory_mb: Annotated[int, Field(ge=64)] = 512
    """Address space of a program, in MiB."""
    workers: Annotated[int, Field(ge=0, le=512)] = 0
    """Warm jails; 0 means one a core."""


class SupervisorConfig(Section):
    policy: str = "default"
    """Monitor policy: default, strict, observe, or a YAML file."""
    beat_timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """A trainer that gave no sign of life for so long is killed and restarted."""
    max_restarts: Annotated[int, Field(ge=0)] = 3
    """Crashes of the trainer that are mended from the last checkpoint before the run fails."""


class CheckpointsConfig(Section):
    """Which checkpoints stay. Whatever is set, these do: the first, the newest, those that a branch begins or ends
    with, and those before and after an alert."""

    keep_last: Annotated[int, Field(ge=0)] = 0
    """The newest so many of the run's line stay; 0 keeps every checkpoint."""
    keep_every: Annotated[int, Field(ge=0)] = 0
    """Every so-manieth stays for good: whose step divides by this times ``run.checkpoint_every``; 0: none."""
    keep_alerts: Literal["info", "low", "medium", "high", "critical"] = "high"
    """The least severity of an alert that keeps the checkpoints around it."""
    spare_mb: Annotated[int, Field(ge=0)] = 512
    """MiB that stay free on the disk: where a checkpoint does not fit beside them, the run pauses before writing it."""


class SinksConfig(Section):
    """Where a run's numbers go besides its ledger (docs/sinks.md); no text of a model's goes there."""

    jsonl: bool = False
    """``RUN/metrics.jsonl``: one JSON object a line."""
    tensorboard: bool = False
    """``RUN/tensorboard``. Needs azr-platform[tensorboard]."""
    wandb: str = ""
    """Project at Weights & Biases; empty: none. Needs azr-platform[wandb]."""
    wandb_mode: Literal["offline", "online"] = "offline"
    """``offline`` keeps it in ``RUN/wandb``, for ``wandb sync``; ``online`` sends it as well."""
    trackio: str = ""
    """Project in trackio's database on this machine; empty: none. Needs azr-platform[trackio]."""
    prometheus: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of the endpoint; 0: none. Needs azr-platform[prometheus]."""
    prometheus_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address that the endpoint listens on; the default is for this machine alone."""
    end_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long the end of a run waits for sinks to write what they still have."""


class Config(Section):
    """One run, whole."""

    run: RunConfig = RunConfig()
    model: ModelConfig = ModelConfig()
    vllm: VllmConfig = VllmConfig()
    tasks: TasksConfig = TasksConfig()
    selfplay: SelfPlayConfig = SelfPlayConfig()
    problems: ProblemsConfig = ProblemsConfig()
    rewards: RewardsConfig = RewardsConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    lora: LoraConfig = LoraConfig()
    update: UpdateConfig = UpdateConfig()
    parallel: ParallelConfig = ParallelConfig()
    control: ControlConfig = ControlConfig()
    probes: ProbesConfig = ProbesConfig()
    jail: JailConfig = JailConfig()
    supervisor: SupervisorConfig = SupervisorConfig()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    sinks: SinksConfig = SinksConfig()
    alerts: AlertsConfig = AlertsConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        kinds = self.tasks.kinds
        if not set(kinds) - {"induction"} or len(set(kinds)) < len(kinds):
            raise ValueError("tasks.kinds needs different kinds, one of them at least of those that write programs")
        if (self.model.engine == "scripted") != bool(self.model.script):
            raise ValueError('model.engine = "scripted" and model.script go together')
        if self.model.engine == "vllm" and self.control.proposer == "frozen":
            raise ValueError('control.proposer = "frozen" needs a second model: set model.engine = "transformers"')
        if self.vllm.transfer == "ipc" and (self.vllm.devices or self.vllm.tensor_parallel > 1):
            raise ValueError('vllm.transfer = "ipc" is for one GPU that trainer and vLLM share: set it to "memory"')
        if self.parallel.processes > 1:
            self._shareable()
        if self.update.staleness and self.vllm.sleep:
            raise ValueError("update.staleness = 1 samples during the update: set vllm.sleep = 0")
        if self.jail.cpu_seconds >= self.jail.wall_seconds:
            raise ValueError("jail.cpu_seconds must be below jail.wall_seconds, or a loop looks like a sleep")
        if self.rewards.malformed > self.rewards.wrong or self.rewards.wrong > 0:
            raise ValueError("rewards must keep malformed <= wrong <= 0")
        if not self.rewards.malformed <= self.rewards.repeated <= 0:
            raise ValueError("rewards must keep malformed <= repeated <= 0")
        return self

    def _shareable(self) -> None:
        not_shared = {
            "lora.rank = 0": self.lora.rank > 0,
            'optimizer.moments = "full"': self.optimizer.moments != "full",
            "update.compile = false": self.update.compile,
            "update.staleness = 0": self.update.staleness > 0,
            'vllm.transfer = "memory"': self.vllm.transfer == "ipc",
        }
        for needed, otherwise in not_shared.items():
            if otherwise:
                raise ValueError(f"parallel.processes above 1 needs {needed}")
