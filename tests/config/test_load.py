"""Loading a configuration: layers, refusals with hints, and that what is dumped loads back."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from azr_platform.config.load import ConfigError, dump, load, presets
from azr_platform.config.schema import Config
from azr_platform.config.shapes import KNOWN

SOURCES = Path(__file__).parents[2] / "platform/azr_platform"


def _settings() -> list[tuple[str, str, FieldInfo]]:
    return [
        (section, key, field)
        for section, outer in Config.model_fields.items()
        for key, field in outer.annotation.model_fields.items()  # type: ignore[union-attr]
    ]


# --- what ships ----------------------------------------------------------------------------------------------


def test_the_presets_that_the_documentation_names_ship() -> None:
    coder = [f"qwen2.5-coder-{size}b" for size in ("0.5", "1.5", "14", "3", "7")]
    assert presets() == ["llama-3.1-8b", "nano", "qwen2.5-7b", *coder, "qwen3-4b"]


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_round_trips(name: str, tmp_path: Path) -> None:
    config = load(name)
    file = tmp_path / "run.toml"
    file.write_text(dump(config), encoding="utf-8")
    assert load(file=file) == config
    assert config.model.path in KNOWN


@pytest.mark.parametrize("name", [name for name in presets() if name != "nano"])
def test_presets_of_large_models_keep_the_paper_s_settings(name: str) -> None:
    config, default = load(name), Config()
    assert (config.selfplay, config.optimizer, config.rewards) == (default.selfplay, default.optimizer, default.rewards)
    assert (config.selfplay.proposals, config.selfplay.rollouts) == (64, 8)
    assert (config.model.dtype, config.model.temperature, config.update.clip_high) == ("bfloat16", 1.0, 0.2)
    assert config.optimizer.learning_rate == 1e-6
    assert config.optimizer.master_weights  # without, steps of 1e-6 are lost in bfloat16
    # The update's minibatches are of 128: six groups of 64 make three.
    assert 6 * config.selfplay.proposals / config.update.minibatches == 128


@pytest.mark.parametrize(
    ("section", "key", "field"), _settings(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_setting_says_what_it_means(section: str, key: str, field: FieldInfo) -> None:
    assert field.description, f"{section}.{key} has no docstring"
    assert len(field.description) > 10


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, key, _ in _settings()])
def test_every_setting_is_read_by_some_code(section: str, key: str) -> None:
    sources = [path.read_text("utf-8") for path in SOURCES.rglob("*.py") if path.parent.name != "config"]
    assert any(re.search(rf"\.{key}\b", text) for text in sources), f"nobody reads {section}.{key}"


# --- layers --------------------------------------------------------------------------------------------------


def test_a_file_lies_over_the_preset_and_an_override_over_both(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[run]\nsteps = 77\nseed = 5\n[optimizer]\nbetas = [0.5, 0.6]\n")
    config = load("nano", file, ["run.seed=6", "run.seed = 7", "optimizer.learning_rate=1"])
    assert (config.run.steps, config.run.seed, config.run.checkpoint_every) == (77, 7, 5)
    assert config.optimizer.betas == (0.5, 0.6)
    assert config.optimizer.learning_rate == 1.0
    assert config.model.engine == "static"


def test_nothing_given_means_the_defaults() -> None:
    assert load() == Config()


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("model.path=org/Model-1.5B", "org/Model-1.5B"),
        ("model.path=/a/b c", "/a/b c"),
        ('model.path="quoted = #1"', "quoted = #1"),
        ("model.path=a=b", "a=b"),
        ("model.path='single'", "single"),
    ],
)
def test_an_override_s_bare_words_are_text(override: str, value: str) -> None:
    assert load(overrides=[override]).model.path == value


# --- round trip ----------------------------------------------------------------------------------------------


def _values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    """Valid values of one field, from its type and bounds."""
    if get_origin(annotation) is tuple and get_args(annotation)[1] is Ellipsis:
        inner = get_args(annotation)[0]
        if str(inner).startswith("typing.Literal"):
            return st.permutations(get_args(inner))  # all of them is always one of the valid choices
        return st.lists(_values(*_unpack(inner)) if hasattr(inner, "__metadata__") else _values(inner, []), max_size=3)
    if get_origin(annotation) is tuple:
        return st.tuples(*(_values(*_unpack(part)) for part in get_args(annotation))).map(list)
    if hasattr(annotation, "__metadata__"):
        return _values(*_unpack(annotation))
    if str(annotation).startswith("typing.Literal"):
        return st.sampled_from(get_args(annotation))
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        if pattern := next((found for item in metadata if (found := getattr(item, "pattern", None))), None):
            return st.from_regex(pattern, fullmatch=True)
        shortest = max((getattr(item, "min_length", 0) for item in metadata), default=0)
        return st.text(st.characters(exclude_categories=["Cs"]), min_size=shortest)
    bounds: dict[str, Any] = {}
    for item in metadata:
        for name in ("ge", "gt", "le", "lt"):
            if (bound := getattr(item, name, None)) is not None:
                bounds[name] = bound
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if annotation is int:
        low = None if low is None else low + ("gt" in bounds)
        return st.integers(low, (2**63 if high is None else high + 1) - 1 - ("lt" in bounds))
    assert annotation is float
    return st.floats(
        low, high, exclude_min="gt" in bounds, exclude_max="lt" in bounds, allow_nan=False, allow_infinity=False
    )


def _unpack(annotated: Any) -> tuple[Any, list[Any]]:
    inner, *metadata = get_args(annotated)
    flat: list[Any] = []
    for item in metadata:
        flat += item.metadata if isinstance(item, FieldInfo) else [item]
    return inner, flat


@st.composite
def _changes(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    chosen = draw(st.lists(st.sampled_from(_settings()), max_size=12, unique_by=lambda item: item[:2]))
    changes: dict[str, dict[str, Any]] = {}
    for section, key, field in chosen:
        value = draw(_values(field.annotation, field.metadata))
        changes.setdefault(section, {})[key] = value
    # What belongs together.
    changes.pop("rewards", None)
    for key in ("cpu_seconds", "wall_seconds"):
        changes.get("jail", {}).pop(key, None)
    model = changes.get("model", {})
    model.pop("script", None)
    if model.get("engine") == "scripted":
        model["script"] = "script.json"
    if model.get("engine") == "vllm":
        changes.get("control", {}).pop("proposer", None)
    if changes.get("vllm", {}).get("transfer") == "ipc":
        for key in ("devices", "tensor_parallel"):
            changes["vllm"].pop(key, None)
    if changes.get("update", {}).get("staleness"):
        changes.get("vllm", {}).pop("sleep", None)
    if changes.get("parallel", {}).get("processes", 1) > 1:
        for section in ("lora", "optimizer", "update", "vllm"):
            changes.pop(section, None)
    return changes


@given(_changes())
def test_what_is_dumped_loads_back_the_same(changes: dict[str, dict[str, Any]]) -> None:
    config = Config.model_validate(changes)
    text = dump(config)
    assert Config.model_validate(tomllib.loads(text)) == config
    assert dump(Config.model_validate(tomllib.loads(text))) == text


@pytest.mark.parametrize("text", ["\x7f", "\x00", '"', "\\", "\r\n", "\x1b[0m", "\u2028", "🐍", "'''"])
def test_text_with_odd_characters_round_trips(text: str) -> None:
    config = Config.model_validate({"model": {"path": text}})
    assert tomllib.loads(dump(config))["model"]["path"] == text


@given(st.sampled_from(_settings()), st.data())
def test_an_override_written_as_toml_says_is_what_is_loaded(
    setting: tuple[str, str, FieldInfo], data: st.DataObject
) -> None:
    section, key, field = setting
    if section == "rewards" or key in ("script", "engine", "cpu_seconds", "wall_seconds"):
        return
    value = data.draw(_values(field.annotation, field.metadata))
    text = dump(Config.model_validate({section: {key: value}}))
    line = next(line for line in text[text.index(f"[{section}]") :].split("\n") if line.startswith(f"{key} = "))
    override = f"{section}.{line.replace(' = ', '=', 1)}"
    found = getattr(getattr(load(overrides=[override]), section), key)
    assert (list(found) if isinstance(found, tuple) else found) == value


@pytest.mark.parametrize(("cpu", "wall", "fits"), [(1, 1.5, True), (2, 2.0, False), (9, 4.0, False)])
def test_a_program_s_cpu_time_is_below_its_wall_time(cpu: int, wall: float, fits: bool) -> None:
    overrides = [f"jail.cpu_seconds={cpu}", f"jail.wall_seconds={wall}"]
    if fits:
        jail = load(overrides=overrides).jail
        assert (jail.cpu_seconds, jail.wall_seconds) == (cpu, wall)
    else:
        with pytest.raises(ConfigError, match=r"jail\.cpu_seconds must be below jail\.wall_seconds"):
            load(overrides=overrides)


@given(st.text())
def test_no_override_text_raises_anything_but_a_configuration_error(text: str) -> None:
    for override in (text, f"run.{text}", f"run.steps={text}", f"model.path={text}", f"{text}.steps=1"):
        try:
            load(overrides=[override])
        except ConfigError as error:
            assert str(error).startswith("--set")


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("runn.steps=5", "unknown key runn. Did you mean run?"),
        ("run.stpes=5", "unknown key run.stpes. Did you mean run.steps?"),
        ("selfplay.proposal=5", "Did you mean selfplay.proposals?"),
        ("optimizer.learningrate=5", "Did you mean optimizer.learning_rate?"),
        ("run.zzzz=5", "unknown key run.zzzz. Known: regime, steps, seed"),
        ("zzzz.steps=5", "unknown key zzzz. Known: run, model"),
        ("run.steps", "write it as section.key=value"),
        ("steps=5", "write it as section.key=value"),
        ("=5", "write it as section.key=value"),
        ("run.=5", "write it as section.key=value"),
        (".steps=5", "write it as section.key=value"),
        ("run..steps=5", "write it as section.key=value"),
        ("", "write it as section.key=value"),
        ("run.steps.more=5", "run.steps: Input should be a valid integer"),
        ("run.steps=many", 'run.steps: Input should be a valid integer (got "many")'),
        ("run.steps=0", "run.steps: Input should be greater than 0"),
        ("run.steps=-3", "run.steps: Input should be greater than 0"),
        ("run.steps=1.5", "run.steps: Input should be a valid integer"),
        ("run.steps=true", "run.steps: Input should be a valid integer (got true)"),
        ('run.steps="5"', 'run.steps: Input should be a valid integer (got "5")'),
        ("run.steps=", "run.steps: Input should be a valid integer"),
        ("run.steps=1\nseed=2", "run.steps: Input should be a valid integer"),
        ("model.chat=1", "model.chat: Input should be a valid boolean"),
        ("model.chat=yes", "model.chat: Input should be a valid boolean"),
        ("model.path=5", "model.path: Input should be a valid string"),
        ("model.engine=vlm", "model.engine: Input should be 'static', 'transformers', 'vllm' or 'scripted'"),
        ("model.dtype=float16", "model.dtype: Input should be"),
        ("optimizer.betas=[0.9]", "optimizer.betas.1: Field required"),
        ("optimizer.betas=[0.9, 1.0]", "optimizer.betas.1: Input should be less than 1"),
        ("optimizer.betas=0.9", "optimizer.betas: Input should be a valid tuple"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: Input should be a finite number"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate: Input should be a finite number"),
        ("rewards.wrong=nan", "rewards.wrong: Input should be a finite number"),
        ("rewards.malformed=-inf", "rewards.malformed: Input should be a finite number"),
        ("rewards.wrong=-2.0", "rewards must keep malformed <= wrong <= 0"),
        ("rewards.wrong=0.5", "rewards must keep malformed <= wrong <= 0"),
        ("model.engine=scripted", "go together"),
        ("model.script=file.json", "go together"),
        ("run.seed=9223372036854775808", "run.seed: Input should be less than"),
        ("jail.memory_mb=1", "jail.memory_mb: Input should be greater than or equal to 64"),
        ("update.clip_low=1.5", "update.clip_low: Input should be less than or equal to 1"),
    ],
)
def test_an_override_that_cannot_be_used_is_refused_with_its_place_and_a_remedy(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(overrides=[override])
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"--set {override}: ")


@pytest.mark.parametrize(
    ("override", "needed"),
    [
        ("lora.rank=8", "lora.rank = 0"),
        ("optimizer.moments=8bit", 'optimizer.moments = "full"'),
        ("update.compile=true", "update.compile = false"),
        ("vllm.transfer=ipc", 'vllm.transfer = "memory"'),
    ],
)
def test_what_several_processes_cannot_do_is_refused(override: str, needed: str) -> None:
    with pytest.raises(ConfigError, match=f"parallel.processes above 1 needs {needed}$"):
        load(overrides=["parallel.processes=2", override])
    assert load(overrides=[override]).parallel.processes == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nsteps = \n", "not valid TOML"),
        ("run = 5\n", "run is a section, not a value"),
        ("[run]\nstep = 5\n", "unknown key run.step. Did you mean run.steps?"),
        ("[run.more]\nx = 5\n", "unknown key run.more"),
        ("steps = 5\n", "unknown key steps"),
        ("[run]\nsteps = 1979-05-27\n", "run.steps: Input should be a valid integer"),
        ("[run]\nsteps = 1\nsteps = 2\n", "not valid TOML"),
        ("[[run]]\nsteps = 1\n", "run is a section, not a value"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        load(file=file)
    assert str(file) in str(refused.value)


def test_a_missing_file_a_folder_and_a_file_that_is_no_text_are_refused_by_name(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for file, message in (
        (tmp_path / "none.toml", "no such configuration file"),
        (tmp_path, "cannot be read"),
        (binary, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message) as refused:
            load(file=file)
        assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "hint"), [("nan0", "Did you mean nano?"), ("qwen2.5-7B", "Did you mean qwen2.5-7b?"), ("x", "There are: ")]
)
def test_an_unknown_preset_is_refused_with_those_there_are(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(hint)):
        load(name)


@pytest.mark.parametrize("name", ["../nano", "/etc/passwd", "nano.toml", ""])
def test_a_preset_s_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="no preset is called"):
        load(name)


def test_a_loaded_configuration_cannot_be_changed() -> None:
    config = load("nano")
    with pytest.raises(ValueError, match="frozen"):
        config.run.steps = 3
