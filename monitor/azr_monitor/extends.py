"""Policies that build on others: ``extends: default``, or a file beside the policy.

A mapping is merged key by key. Of lists, ``rates``, ``scopes``, ``imports.also`` and those under ``rules`` grow;
``classifiers`` and ``metrics`` are matched by name; any other list takes the place of the one it extends. Name and
description are the policy's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from azr_monitor.documents import DocumentError, read_yaml

EXTENDS: Final = "extends"
_MAX_DEPTH = 8
_GROWING = {
    ("rates",),
    ("scopes",),
    ("imports", "also"),
    *(("rules", key) for key in ("disabled", "enabled", "packs", "yara", "ast_grep", "examples", "allow")),
}
_BY_NAME = {("classifiers",), ("metrics",)}
_OWN = ("name", "description", "folder", EXTENDS)
FILES = ("packs", "yara", "ast_grep", "examples")
"""Keys of ``rules`` that hold paths relative to the policy's folder."""
PATHS = ("path", "checkpoint", "config", "rubric")
"""Keys of a classifier that hold a path relative to the policy's folder."""

Place = tuple[str | int, ...]


class Source(NamedTuple):
    """The text of a policy, what to call it in messages, and the folder in which its relative paths begin."""

    text: str
    place: str
    folder: str


class Merged(NamedTuple):
    """A policy's data with all that it extends, and for each key or item ``file:line``."""

    data: dict[str, Any]
    lines: dict[Place, str]
    source: Source

    def line(self, path: Place) -> str:
        """``file:line`` of the innermost key or item on the way to ``path`` that stands in a file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, f"{self.source.place}:1")


def read(name: str, find: Callable[[str], Source], above: tuple[str, ...] = ()) -> Merged:
    """The policy ``name`` on top of what it extends; ``find`` gives the text of a name or path.

    Raises:
        DocumentError: not plain YAML, not a mapping, or a chain of policies that is circular or too long.
    """
    source = find(name)
    if source.place in above or len(above) >= _MAX_DEPTH:
        chain = " -> ".join((*above, source.place))
        raise DocumentError(f"{above[-1]}: extends: {chain} does not end; extend a policy that stands by itself")
    document = read_yaml(source.text, source.place)
    data = document.data
    if not isinstance(data, dict):
        raise DocumentError(
            f"{source.place}: a policy is a mapping with name: and actions:; see the shipped default.yaml"
        )
    lines: dict[Place, str] = {path: f"{source.place}:{line}" for path, line in document.lines.items()}
    own = Merged(data, lines, source)
    if EXTENDS not in data:
        return own
    parent = data[EXTENDS]
    if not isinstance(parent, str) or not parent:
        raise DocumentError(f"{own.line((EXTENDS,))}: extends: name one policy, such as `extends: default`")
    below = read(_beside(parent, source.folder), find, (*above, source.place))
    return _merge(_moved(below), Merged({key: value for key, value in data.items() if key != EXTENDS}, lines, source))


def _beside(parent: str, folder: str) -> str:
    """A parent that is a file is named relative to the policy's own folder."""
    beside = Path(folder, parent)
    return str(beside) if folder and beside.is_file() else parent


def _moved(parent: Merged) -> Merged:
    """What is inherited: nothing of its own, and every path absolute, since the child's folder is another."""
    data = {key: value for key, value in parent.data.items() if key not in _OWN}
    folder = parent.source.folder
    rules = data.get("rules")
    if isinstance(rules, dict):
        files = {key: rules[key] for key in FILES if isinstance(rules.get(key), list)}
        data["rules"] = {**rules, **{key: [_absolute(path, folder) for path in paths] for key, paths in files.items()}}
    if isinstance(data.get("classifiers"), list):
        data["classifiers"] = [
            {key: _absolute(value, folder) if key in PATHS else value for key, value in entry.items()}
            if isinstance(entry, dict)
            else entry
            for entry in data["classifiers"]
        ]
    lines = {path: line for path, line in parent.lines.items() if path and path[0] not in _OWN}
    return Merged(data, lines, parent.source)


def _absolute(path: object, folder: str) -> object:
    return str(Path(folder, Path(path).expanduser())) if isinstance(path, str) else path


def _merge(parent: Merged, child: Merged) -> Merged:
    data = dict(parent.data)
    lines = dict(parent.lines)
    for key, value in child.data.items():
        data[key] = _value((key,), data.get(key), value, lines, child.lines)
    return Merged(data, {**lines, (): child.lines.get((), child.source.place)}, child.source)


def _value(path: Place, old: Any, new: Any, lines: dict[Place, str], added: Mapping[Place, str]) -> Any:
    """``new`` on top of ``old``; ``lines`` of the parent becomes that of both."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines[path] = added.get(path, "")
        merged = {**old, **{key: _value((*path, key), old.get(key), value, lines, added) for key, value in new.items()}}
        # A pattern that is said again is found where it is said last.
        return {**{key: merged[key] for key in new}, **merged} if path[0] == "rules" else merged
    if isinstance(old, list) and isinstance(new, list) and path in _GROWING:
        for at in range(len(new)):
            _take(lines, added, (*path, at), (*path, len(old) + at))
        return [*old, *new]
    if isinstance(old, list) and isinstance(new, list) and path in _BY_NAME:
        return _by_name(path, old, new, lines, added)
    for known in [known for known in lines if known[: len(path)] == path]:
        del lines[known]
    _take(lines, added, path, path)
    return new


def _by_name(
    path: Place, old: list[Any], new: list[Any], lines: dict[Place, str], added: Mapping[Place, str]
) -> list[Any]:
    merged = list(old)
    for at, entry in enumerate(new):
        same = next((number for number, known in enumerate(old) if _name(known) == _name(entry) is not None), None)
        place = len(merged) if same is None else same
        _take(lines, added, (*path, at), (*path, place))
        if same is None:
            merged.append(entry)
        else:
            # Thresholds are merged category by category; a category's steps are given as a whole.
            steps = {**_thresholds(merged[same]), **_thresholds(entry)}
            merged[same] = {**merged[same], **entry, **({"thresholds": steps} if steps else {})}
    return merged


def _name(entry: object) -> str | None:
    if not isinstance(entry, dict):
        return None
    name = entry.get("name", entry.get("kind"))
    return name if isinstance(name, str) else None


def _thresholds(entry: dict[str, Any]) -> dict[str, Any]:
    steps = entry.get("thresholds")
    return steps if isinstance(steps, dict) else {}


def _take(lines: dict[Place, str], added: Mapping[Place, str], source: Place, target: Place) -> None:
    """Note the lines of everything at ``source`` of the child under ``target``."""
    for path, line in added.items():
        if path[: len(source)] == source:
            lines[(*target, *path[len(source) :])] = line
