"""The shape of the house: rooms and imports, nothing of a model evaluated, and docs that name what is there."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from azr_platform.rollout.vllm_child import SAMPLER
from azr_platform.supervisor.child import TRAINER
from azr_platform.trainer.crew import WORKER

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {room: ROOT / room / f"azr_{room}" for room in ("platform", "monitor", "sandbox", "tui", "policies")}
GUEST = PACKAGES["sandbox"] / "guest"  # runs inside the jail, where running a model's program is the purpose


def _sources() -> list[Path]:
    return sorted(path for package in PACKAGES.values() for path in package.rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _run(*argv: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environ, "NO_COLOR": "1"}
    return subprocess.run([sys.executable, *argv], cwd=cwd, env=settings, capture_output=True, text=True, timeout=120)


# --- rooms --------------------------------------------------------------------------------------------------


def test_the_standard_platform_module_is_intact_at_the_repository_root() -> None:
    ran = _run("-c", "import platform; print(platform.system())")
    assert ran.stdout == "Linux\n", ran.stderr


@pytest.mark.parametrize("room", PACKAGES)
def test_a_room_holds_one_import_package_and_is_none_itself(room: str) -> None:
    holds = {path.name for path in (ROOT / room).iterdir() if path.suffix == ".py" or any(path.rglob("*.py"))}
    assert holds == {f"azr_{room}"}
    assert (PACKAGES[room] / "__init__.py").is_file()
    assert (PACKAGES[room] / "py.typed").is_file()


def test_tests_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_module_says_what_it_is() -> None:
    silent = [_name(path) for path in _sources() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert not silent


def _statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    return [
        node
        for statement in function.body
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for node in ast.walk(statement)
        if isinstance(node, ast.stmt)
    ]


def test_no_function_is_a_copy_of_another() -> None:
    homes = defaultdict(list)
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(_statements(node)) >= 5:
                body = "\n".join(ast.dump(statement) for statement in _statements(node))
                homes[body].append(f"{_name(path)}:{node.lineno} {node.name}")
    assert not [places for places in homes.values() if len(places) > 1]


def test_no_process_imports_from_the_folder_it_is_started_in() -> None:
    """Python looks there first, whatever lies there, unless it is started with -P."""
    commands = [
        (_name(path), node.lineno, node.elts[1])
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.List | ast.Tuple)
        and len(node.elts) > 1
        and ast.unparse(node.elts[0]) == "sys.executable"
    ]
    assert len(commands) > 5
    assert not [place for *place, flag in commands if ast.unparse(flag) != "'-P'"]


@pytest.mark.parametrize("command", [TRAINER, WORKER, SAMPLER], ids=["trainer", "worker", "sampler"])
def test_a_process_of_a_run_is_not_misled_by_what_lies_around(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('planted')\n")
    ended = _run(*command[1:], "--help", cwd=tmp_path)
    assert ended.returncode == 0 and "internal: " in ended.stdout, ended.stderr


# --- nothing a model wrote is evaluated outside the jail ------------------------------------------------------

FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("code", "codeop", "jinja2", "mako"),
}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__"),
    *("os.system", "os.popen", "pty.spawn", "string.Template"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.unsafe_load_all"),
}
NO_TEMPLATES = {"msgspec.json.format"}  # a method called format that indents
FORBIDDEN_FLAGS = {"shell": True, "allow_pickle": True, "trust_remote_code": True, "weights_only": False}


def _aliases(tree: ast.AST) -> dict[str, str]:
    """Local name -> dotted name, for everything the module imports."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                names[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value, aliases)):
        return f"{owner}.{node.attr}"
    return ""


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _constant(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant)


def _unsafe_call(call: ast.Call, aliases: dict[str, str]) -> str:
    """Why a call could evaluate text, or an empty text."""
    called = _dotted(call.func, aliases)
    flags = {word.arg: word.value for word in call.keywords if word.arg}
    first = call.args[0] if call.args else None
    for flag, value in FORBIDDEN_FLAGS.items():
        if flag in flags and getattr(flags[flag], "value", value) == value:
            return f"{flag}={value} (or not a constant)"
    if called in FORBIDDEN_CALLS:
        return called
    if called == "torch.load" and "weights_only" not in flags:
        return "torch.load without weights_only=True"
    if called == "importlib.import_module" and not _constant(first):
        return "import of a computed name"
    if called.startswith("subprocess.") and isinstance(first, ast.JoinedStr):
        return "a command in one string"
    if isinstance(call.func, ast.Attribute) and called not in NO_TEMPLATES:
        if call.func.attr == "format_map" or (call.func.attr == "format" and not _constant(call.func.value)):
            return "format of a template that is not a constant"
        if call.func.attr in ("from_markup", "from_ansi") and not _constant(first):
            return f"{call.func.attr} of a text that is not a constant"
    return ""


def unsafe_uses(source: str) -> Iterator[str]:
    """Places of a module that could evaluate, unpickle or expand text, as ``line: why``."""
    tree = ast.parse(source)
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        for module in _imports(node):
            if module.partition(".")[0] in FORBIDDEN_MODULES:
                yield f"{getattr(node, 'lineno', 0)}: import of {module}"
        if isinstance(node, ast.Call) and (why := _unsafe_call(node, aliases)):
            yield f"{node.lineno}: {why}"


# Detoxify's published checkpoint predates weights_only. It is no model's text, and it is read by an unpickler that
# resolves tensors alone.
KNOWN = {"monitor/azr_monitor/classifiers/weights.py": ["import of pickle", "weights_only=False (or not a constant)"]}


def test_nothing_outside_the_guest_evaluates_unpickles_or_expands_text() -> None:
    found: dict[str, list[str]] = {}
    for path in _sources():
        uses = [] if path.is_relative_to(GUEST) else list(unsafe_uses(path.read_text("utf-8")))
        if [use.partition(": ")[2] for use in uses] != KNOWN.get(_name(path), []):
            found[_name(path)] = uses
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "exec(text)",
        "import builtins as b\nb.eval(text)",
        "compile(text, '', 'exec')",
        "__import__(text)",
        "import pickle",
        "def f():\n    from marshal import loads",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "from yaml import unsafe_load as safe_load\nsafe_load(text)",
        "import os\nos.system(text)",
        "import subprocess\nsubprocess.run(argv, shell=True)",
        "import subprocess\nsubprocess.run(argv, shell=maybe)",
        "import subprocess as s\ns.run(f'ls {text}')",
        "template.format(text)",
        "'{x}'.format_map(values)",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import importlib\nimportlib.import_module(text)",
        "from rich.text import Text\nText.from_markup(text)",
        "from string import Template\nTemplate(text).substitute()",
    ],
)
def test_the_scan_finds(source: str) -> None:
    assert list(unsafe_uses(source))


@pytest.mark.parametrize(
    "source",
    [
        "import ast\nast.parse(text)",
        "import re\nre.compile(pattern)",
        "model.eval()",
        "import yaml\nyaml.safe_load(text)",
        "'{} steps'.format(3)",
        "f'{text}'",
        "import subprocess\nsubprocess.run([binary, '--help'], shell=False)",
        "import torch\ntorch.load(path, weights_only=True)",
        "EXAMPLE = 'eval(input())'",
        "executor.exec_count(1)",
        "import msgspec\nmsgspec.json.format(encoded)",
    ],
)
def test_the_scan_spares(source: str) -> None:
    assert not list(unsafe_uses(source))


# --- imports go one way ---------------------------------------------------------------------------------------

_LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_the_import_contracts_hold() -> None:
    ran = _run("-c", _LINT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _layers() -> list[str]:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    return re.findall(r"[\w.()]+", contracts["importlinter:contract:layers"]["layers"])


def test_every_module_of_the_platform_stands_in_a_layer_and_no_layer_is_optional() -> None:
    package = PACKAGES["platform"]
    modules = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/*.py")}
    expected = {f"azr_platform.{name}" for name in modules - {"__init__", "azr_platform"}}
    expected |= {"azr_monitor", "azr_sandbox", "azr_tui", "azr_policies"}
    assert set(_layers()) == expected


def _absolute_imports(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if getattr(node, "level", 0) == 0]
    named = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return named | {name for node in nodes for name in _imports(node)}


def test_what_runs_inside_the_jail_is_never_imported_outside_it() -> None:
    outside = [path for path in _sources() if not path.is_relative_to(GUEST)]
    assert not [
        _name(path)
        for path in outside
        if any(f"{name}.".startswith("azr_sandbox.guest.") for name in _absolute_imports(path))
    ]


def test_what_runs_inside_the_jail_needs_the_standard_library_alone() -> None:
    guest = list(GUEST.glob("*.py"))
    assert guest
    foreign = {
        name for path in guest for name in _absolute_imports(path) if not f"{name}.".startswith("azr_sandbox.guest.")
    }
    assert {name.partition(".")[0] for name in foreign} <= sys.stdlib_module_names


@pytest.mark.slow
def test_each_contract_breaks_when_a_forbidden_import_is_planted(tmp_path: Path) -> None:
    """Copies the packages, plants one violation of each contract, and expects every contract to be broken."""
    plants = {
        "platform/azr_platform/records.py": "import azr_platform.tasks.kinds",  # layers
        "platform/azr_platform/trainer/planted.py": "def f():\n    from azr_sandbox import pool",
        "tui/azr_tui/planted.py": "import torch",
        "monitor/azr_monitor/planted.py": "import transformers",
    }
    for package in PACKAGES.values():
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for name, code in plants.items():
        path = tmp_path / Path(name).relative_to(Path(name).parts[0])
        path.write_text((path.read_text("utf-8") if path.exists() else "") + f"\n{code}\n")
    ran = _run("-c", _LINT, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert f"{len(plants)} broken" in ran.stdout, ran.stdout


# --- the command line is light, and documented ----------------------------------------------------------------

HEAVY = {"torch", "transformers", "textual", "pydantic", "numpy", "matplotlib", "detoxify", "sqlite_utils"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['azr-platform', '--help']\n"
        "from azr_platform.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('LOADED', *sys.modules)"
    )
    ran = _run("-c", code)
    assert ran.returncode == 0, ran.stderr
    loaded = ran.stdout.rpartition("LOADED")[2].split()
    assert "azr_platform.cli.main" in loaded
    assert not HEAVY & set(loaded)


def test_the_dashboard_is_on_screen_without_the_rules_it_may_be_asked_about() -> None:
    ran = _run("-c", "import sys, azr_tui.app; print(*sys.modules)")
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split())
    assert {"azr_tui.screens.policies", "azr_monitor.records"} <= loaded
    assert not loaded & {*HEAVY - {"textual"}, "azr_monitor.policy", "azr_monitor.rules", "azr_monitor.amend", "yaml"}


def _commands() -> dict[str, set[str]]:
    """Every command of the console script, by its words, with its long options."""
    from typer.main import get_command

    from azr_platform.cli.main import app

    found: dict[str, set[str]] = {}

    def walk(command: object, words: str) -> None:
        subcommands = getattr(command, "commands", None)
        if subcommands is not None:
            for name, subcommand in subcommands.items():
                # The name of a default command may be left out: its section is the group's.
                walk(subcommand, words if name == getattr(command, "default", "") else f"{words} {name}")
            return
        options = (option for parameter in command.params for option in parameter.opts)  # type: ignore[attr-defined]
        found[words] = {option for option in options if option.startswith("--")}

    walk(get_command(app), "azr-platform")
    return found


def _documented() -> dict[str, str]:
    """Section text of docs/cli.md by the command its heading names."""
    text = (ROOT / "docs/cli.md").read_text("utf-8")
    parts = re.split(r"^#+ `(azr-platform [\w -]+)`.*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_a_section_in_the_reference_and_every_section_a_command() -> None:
    assert set(_documented()) == set(_commands())


def test_every_option_stands_in_its_command_s_section() -> None:
    documented = _documented()
    missing = {
        command: {option for option in options if f"`{option}" not in documented.get(command, "")}
        for command, options in _commands().items()
    }
    assert not {command: options for command, options in missing.items() if options}


def test_every_setting_of_a_run_is_documented_with_its_default() -> None:
    from azr_platform.config.schema import Config

    text = (ROOT / "docs/configuration.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `([\w.]+)` \| `(.*?)` \| .+ \|$", text, flags=re.MULTILINE))
    defaults = {
        f"{section}.{key}": value
        for section, values in Config().model_dump(mode="json").items()
        for key, value in values.items()
    }
    assert documented == {key: json.dumps(value) for key, value in defaults.items()}


def test_every_key_of_a_policy_is_documented() -> None:
    from azr_monitor.policy import Policy

    quoted = re.findall(r"`([\w.]+)`", (ROOT / "docs/policies.md").read_text("utf-8"))
    named = {word for words in quoted for word in words.split(".")}
    schema = Policy.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    keys = {key for model in models for key in model.get("properties", {})} - {"folder"}
    assert len(keys) > 20
    assert not keys - named


def _readme_tree() -> list[str]:
    """Paths of the tree in the README: the fenced block that begins with a room, nested by indentation."""
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    tree = next((block for block in blocks if re.match(r"(platform|monitor|sandbox|tui|policies)/", block)), "")
    paths: list[str] = []
    open_folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        if not (match := re.match(r"( *)([\w.*/-]+)", line)):
            continue
        indent, name = len(match[1]), match[2]
        while open_folders and open_folders[-1][0] >= indent:
            open_folders.pop()
        path = (open_folders[-1][1] if open_folders else "") + name
        paths.append(path)
        if name.endswith("/"):
            open_folders.append((indent, path))
    return paths


def test_everything_in_the_readme_s_tree_exists() -> None:
    paths = _readme_tree()
    assert paths, "the README has no tree: a fenced block whose first line begins with a room, e.g. platform/"
    assert not [path for path in paths if not list(ROOT.glob(path.rstrip("/")))]


def test_every_module_stands_in_the_readme_s_tree() -> None:
    shown = {match for path in _readme_tree() for match in ROOT.glob(path.rstrip("/"))}
    missing = [_name(path) for path in _sources() if path.name != "__init__.py" and path not in shown]
    assert not missing


def test_links_between_the_documents_lead_somewhere() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if not re.match(r"\w+:", target) and not (page.parent / target).exists():
                broken.append(f"{_name(page)}: {target}")
    assert not broken


def test_paths_named_in_the_documents_exist() -> None:
    """Backticked paths that begin with a room, tests or docs; globs and <placeholders> are not paths."""
    missing = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if page.name == "CHANGELOG.md":
            continue
        for path in re.findall(
            r"`((?:platform|monitor|sandbox|tui|policies|tests|docs)/[\w./-]*)`", page.read_text("utf-8")
        ):
            if path != "platform/__init__.py" and not (ROOT / path).exists():
                missing.append(f"{_name(page)}: {path}")
    assert not missing
