"""Read a configuration: preset, then file, then ``--set`` overrides, each layer over the one before."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from azr_platform.config.schema import Config

_OF_REGIMES: dict[str, dict[str, Any]] = {
    "rlvr": {"update": {"advantage": "grpo"}},
    "ttrl": {"update": {"advantage": "grpo"}},
}
"""Defaults that differ by regime; whatever is given lies over them."""


_SECRET_PART = re.compile(r"(https?://)(?:[^\s/@]*@)?([^\s/?#\"'\\]*)[^\s\"'\\]*")


class ConfigError(Exception):
    """A configuration that cannot be used; the text names the key, the place and the remedy.

    Of an address in it only the host is kept: the rest may be a secret that was written into the wrong place.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_SECRET_PART.sub(r"\1\2/…", text))


def presets() -> list[str]:
    """Names of the presets that ship with the package."""
    folder = resources.files("azr_platform.config").joinpath("presets")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load(preset: str | None = None, file: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Build one validated configuration. Where nothing is given, a regime has defaults of its own (docs/regimes.md).

    Raises:
        ConfigError: unknown preset, unreadable file, unknown key, or a value that does not fit.
    """
    layers: list[tuple[str, dict[str, Any]]] = []
    if preset is not None:
        layers.append((f"preset {preset}", _read_preset(preset)))
    if file is not None:
        layers.append((str(file), _read_file(file)))
    for override in overrides:
        layers.append((f"--set {override}", _read_override(override)))
    merged: dict[str, Any] = {}
    for place, layer in layers:
        _refuse_unknown(layer, Config, place)
        merged = _merge(merged, layer)
    of_regime = _OF_REGIMES.get(str(merged.get("run", {}).get("regime")), {})
    return _validate(_merge(of_regime, merged), " + ".join(place for place, _ in layers) or "defaults")


def dump(config: Config) -> str:
    """The configuration as TOML text that ``load`` reads back to the same value."""
    lines: list[str] = []
    for section, values in config.model_dump(mode="json").items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _read_preset(name: str) -> dict[str, Any]:
    if name not in presets():
        close = difflib.get_close_matches(name, presets(), n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ConfigError(f"no preset is called {name!r}.{hint} There are: {', '.join(presets())}.")
    text = resources.files("azr_platform.config").joinpath("presets", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such configuration file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}.") from error


def _read_override(text: str) -> dict[str, Any]:
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or len(keys) < 2 or not all(keys):
        raise ConfigError(f"--set {text}: write it as section.key=value, for example --set run.steps=100.")
    try:
        line = tomllib.loads(f"value = {value}")
        parsed: Any = line["value"] if len(line) == 1 else value
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is a string
    for key in reversed(keys):
        parsed = {key: parsed}
    return parsed  # type: ignore[no-any-return]


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _refuse_unknown(layer: Mapping[str, Any], model: type[BaseModel], place: str, prefix: str = "") -> None:
    for key, value in layer.items():
        field = model.model_fields.get(key)
        if field is None:
            close = difflib.get_close_matches(key, model.model_fields, n=1)
            hint = f" Did you mean {prefix}{close[0]}?" if close else f" Known: {', '.join(model.model_fields)}."
            raise ConfigError(f"{place}: unknown key {prefix}{key}.{hint}")
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not isinstance(value, dict):
                raise ConfigError(f"{place}: {prefix}{key} is a section, not a value.")
            _refuse_unknown(value, inner, place, f"{prefix}{key}.")


def _validate(values: Mapping[str, Any], place: str) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'configuration'}: {item['msg']}"
            + (f" (got {json.dumps(item['input'], default=str)[:80]})" if item["loc"] else "")
            for item in error.errors()
        ]
        raise ConfigError(f"{place}: " + "; ".join(problems)) from error


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)
    # JSON's spelling of strings, integers and booleans is TOML's, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
