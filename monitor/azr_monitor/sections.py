"""The sections of a policy: what each key means, its default, and what a value must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from azr_monitor.categories import HARMS
from azr_monitor.fields import ActionName, Model, SeverityName, nearest
from azr_monitor.records import Action, Part
from azr_monitor.scopes import Allow, Thresholds, rising

Harm = Literal["deception", "harm", "escape", "tampering", "hidden-message", "sandbagging", "power", "abuse"]
CategoryName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$")]
LAST_CLEAN: Final = "last clean"


class Rules(Model):
    """Which rules apply. All shipped ones do unless disabled."""

    disabled: tuple[str, ...] = Field(default=(), description="rule ids, or patterns such as trace.harm.*")
    enabled: tuple[str, ...] = Field(default=(), description="rules that apply although disabled names them")
    severities: dict[str, SeverityName] = Field(
        default={}, description="rule id (or pattern) -> severity instead of its own"
    )
    actions: dict[str, ActionName] = Field(
        default={}, description="rule id (or pattern) -> action instead of the one its severity has"
    )
    packs: tuple[str, ...] = Field(
        default=(), description="further trace-rule files, relative to the policy's own folder"
    )
    yara: tuple[str, ...] = Field(default=(), description="files of YARA rules, relative to the policy's own folder")
    ast_grep: tuple[str, ...] = Field(default=(), description="files of ast-grep rules, likewise")
    examples: tuple[str, ...] = Field(
        default=(), description="files of examples for rules of these engines, beside those that the rules have"
    )
    engine_seconds: float = Field(
        default=2.0, gt=0, le=60, description="CPU time that these engines may take for one text; more blocks it"
    )
    allow: tuple[Allow, ...] = Field(default=(), description="findings that are let pass, each with its reason")


class Imports(Model):
    """Modules a program may import; with a package come its parts."""

    allowed: tuple[str, ...] = Field(default=(), description="module names")
    also: tuple[str, ...] = Field(default=(), description="further ones, beside those of the policy that is extended")

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.allowed, *self.also))


class Limits(Model):
    """Text longer than this is not read, and what is not read is blocked. Characters."""

    max_program_chars: int = Field(default=20_000, ge=1)
    max_trace_chars: int = Field(default=200_000, ge=1)
    max_input_chars: int = Field(default=50_000, ge=1, description="all inputs of one subject together")
    max_message_chars: int = Field(default=20_000, ge=1)
    max_answer_chars: int = Field(default=50_000, ge=1)

    def of(self, part: Part) -> int:
        """The limit for one part; behaviour has no text and no limit."""
        return int(getattr(self, f"max_{part}_chars", 0))


class Unsure(Model):
    """What is done about a sample that scores high without a finding that decides."""

    at_least: float = Field(default=0.35, gt=0.0, le=1.0, description="what the evidence comes to where doubt begins")
    action: ActionName = Field(
        default=Action.RECORD, description="never more than a finding of that weight calls for (see policies.md)"
    )


class Rate(Model):
    """So many findings of a severity (or worse) within so many steps call for an action."""

    severity: SeverityName
    count: int = Field(ge=1)
    within_steps: int = Field(ge=1)
    action: ActionName


class Leave(Model):
    """Whether, how far and how often a run may be rolled back without anybody being asked."""

    allowed: bool = Field(default=False, description="without it, a call for a rollback is a pause")
    to: str = Field(
        default=LAST_CLEAN,
        pattern=rf"^({LAST_CLEAN}|[1-9][0-9]{{0,5}} steps? before)$",
        description="the newest checkpoint before the first of the alerts, or at least N steps before the last",
    )
    at_most: int = Field(default=3, ge=1, description="rollbacks of its own in a run; the next is a pause")
    new_seed: bool = Field(
        default=True, description="whether the new branch draws anew; with the same seed the same would come again"
    )

    @property
    def steps_before(self) -> int | None:
        """N of ``N steps before``; None for the last clean checkpoint."""
        return None if self.to == LAST_CLEAN else int(self.to.split()[0])


class _Classifier(Model):
    enabled: bool = Field(default=True, description="whether it is loaded at all")
    required: bool = Field(default=False, description="refuse to start without it; otherwise its absence is a notice")
    parts: tuple[Literal["program", "trace", "message", "answer"], ...] = Field(
        default=("trace", "program", "message", "answer"), description="what it reads; of programs, only the comments"
    )
    min_words: int = Field(default=3, ge=0, description="texts with fewer plain words are not prose and are not scored")
    max_windows: int = Field(
        default=0, ge=0, description="blocked when a text needs more windows than this; 0 reads any length"
    )
    budget_ms: int = Field(
        default=0, ge=0, description="milliseconds that a batch may take; longer is told of. 0: it takes what it takes"
    )
    batch_size: int = Field(default=16, ge=1, description="windows scored together")
    device: str = Field(default="cpu", description="a torch device")
    thresholds: Thresholds = Field(
        default={}, description="category -> severity -> the value from which the category has that severity"
    )

    @model_validator(mode="after")
    def _thresholds_rise(self) -> _Classifier:
        rising(self.thresholds)
        return self


def _scored(thresholds: Thresholds, categories: Sequence[str]) -> None:
    """Refuse thresholds for what is not scored: they would silently do nothing."""
    for category in thresholds:
        if category not in categories:
            raise ValueError(f"thresholds.{category}: is not scored{nearest(category, categories)}; remove it")


class DetoxifySettings(_Classifier):
    """The Detoxify toxicity classifier."""

    kind: Literal["detoxify"] = "detoxify"
    name: Literal["detoxify"] = "detoxify"
    model: Literal["original", "unbiased", "multilingual", "original-small", "unbiased-small"] = "original"
    checkpoint: str | None = Field(default=None, description="a local checkpoint instead of the download")
    config: str | None = Field(default=None, description="a local Hugging Face folder with config and tokenizer")
    download: bool = Field(default=True, description="fetch missing weights once, as Detoxify itself does")


class PretrainedSettings(_Classifier):
    """A Hugging Face model: safetensors, and no code of its own."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="what its scores are called")
    path: str | None = Field(default=None, description="a local folder with weights, config and tokenizer")
    hub: str | None = Field(
        default=None, pattern=r"^[\w.-]+/[\w.-]+$", description="its name on the hub instead, as in owner/name"
    )
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$", description="the commit on the hub")
    download: bool = Field(default=False, description="fetch what is not on this machine, once")

    @model_validator(mode="after")
    def _one_place(self) -> PretrainedSettings:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give a path or a name on the hub, one of them")
        if self.hub is not None and self.revision is None:
            raise ValueError("hub: give the revision too, a commit of 40 hex digits: what judges must not change")
        return self


class EmbeddedSettings(_Classifier):
    """The classifier that ships with the package; it needs no download and no torch."""

    kind: Literal["embedded"]
    name: Literal["embedded"] = "embedded"
    path: str | None = Field(default=None, description="a local folder with weights of one's own training")
    # What is encoded has no plain words, and it is read all the same.
    min_words: int = Field(default=0, ge=0, description="texts with fewer plain words are not scored")


class StructureSettings(_Classifier):
    """The classifier of programs that ships with the package; it needs no download and no torch."""

    kind: Literal["structure"]
    name: Literal["structure"] = "structure"
    path: str | None = Field(default=None, description="a local folder with weights of one's own training")
    parts: tuple[Literal["program", "answer"], ...] = Field(
        default=("program", "answer"), description="what it reads; answers only where they are programs"
    )
    min_words: int = Field(default=0, ge=0, description="programs with fewer plain words are not scored")

    @model_validator(mode="after")
    def _category_that_counts(self) -> StructureSettings:
        _scored(self.thresholds, ("any",))
        return self


class TransformerSettings(PretrainedSettings):
    """Any Hugging Face sequence classifier."""

    kind: Literal["transformer"]
    categories: dict[str, CategoryName] = Field(
        default={}, description="label -> what it is called here; labels that share a name become one"
    )
    multi_label: bool | None = Field(default=None, description="sigmoid per label; by default as the config says")


class GuardSettings(PretrainedSettings):
    """A generative guard model that answers safe, or unsafe and codes."""

    kind: Literal["guard"]
    codes: dict[Annotated[str, Field(pattern=r"^S\d{1,2}$")], CategoryName] = Field(
        default={}, description="the model's codes -> what they are called here"
    )
    role: Literal["user", "assistant"] = Field(default="user", description="who is said to have written the text")
    safe: str = Field(default="safe", min_length=1, description="the word for it")
    unsafe: str = Field(default="unsafe", min_length=1, description="the word for it")
    before: str = Field(default="", description="what the model writes before either word, such as two line ends")

    @model_validator(mode="after")
    def _codes_that_count(self) -> GuardSettings:
        _scored(self.thresholds, ("unsafe", *self.codes.values()))
        return self


class JudgeSettings(_Classifier):
    """A model behind an OpenAI-compatible endpoint that is asked about some texts. What it reads leaves the machine."""

    kind: Literal["judge"]
    name: str = Field(default="judge", pattern=r"^[a-z][a-z0-9_-]*$", description="what its scores are called")
    url: str = Field(description="the endpoint's address, as in http://127.0.0.1:8000/v1")
    model: str = Field(min_length=1, description="the model's name there")
    key_env: str = Field(default="", pattern=r"^([A-Za-z_]\w*)?$", description="the environment variable with the key")
    rubric: str = Field(default="", description="a text file with what to judge by, instead of the shipped words")
    categories: tuple[Harm, ...] = Field(default=HARMS, min_length=1, description="what it is asked about")
    rate: float = Field(default=0.05, gt=0, le=1, description="the share of texts that it is asked about")
    calls_per_step: int = Field(default=16, ge=1)
    calls_per_run: int = Field(default=2000, ge=1)
    tokens_per_run: int = Field(default=2_000_000, ge=1, description="of questions and answers together")
    parallel: int = Field(default=4, ge=1, le=64, description="questions under way at once")
    timeout_s: float = Field(default=20.0, gt=0, le=600, description="for one answer")
    retries: int = Field(default=2, ge=0, le=10, description="after no answer, or one that is not as asked for")
    max_chars: int = Field(default=12_000, ge=1000, description="characters of one question; longer texts are several")
    max_answer_tokens: int = Field(default=400, ge=50)
    json_mode: bool = Field(default=True, description="ask the endpoint for JSON; off for those that cannot")

    @model_validator(mode="after")
    def _asked_for_what_counts(self) -> JudgeSettings:
        _scored(self.thresholds, self.categories)
        return self


ClassifierSettings = Annotated[
    DetoxifySettings | EmbeddedSettings | GuardSettings | JudgeSettings | StructureSettings | TransformerSettings,
    Field(discriminator="kind"),
]
