"""``azr-platform train``: a supervised run, headless or with the dashboard."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azr_monitor.audit import Auditor
    from azr_platform.cli.progress import Headless
    from azr_platform.config.schema import Config
    from azr_platform.ledger.writer import LedgerWriter
    from azr_platform.supervisor.observer import Guarded
    from azr_sandbox.jail import Jail
    from azr_sandbox.pool import JailPool
    from azr_tui.app import AzrApp


def train(
    preset: Annotated[
        str | None, typer.Option(help="nano, qwen2.5-coder-0.5b to -14b, qwen2.5-7b, qwen3-4b, llama-3.1-8b.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file, over the preset.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="A local folder or a Hugging Face name (model.path).")] = None,
    run: Annotated[Path | None, typer.Option(help="The new run's folder, such as runs/first.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue this run from its newest checkpoint.")] = None,
    regime: Annotated[
        str | None,
        typer.Option(help="azr: self-play; rlvr: given problems; ttrl: problems without answers (run.regime)."),
    ] = None,
    problems: Annotated[
        str | None, typer.Option(help="For rlvr and ttrl: a JSON-lines file, or grammar (problems.source).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to train (run.steps).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw (run.seed).")] = None,
    policy: Annotated[str | None, typer.Option(help="Monitor policy: default, strict, observe or a YAML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting; may be repeated.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Open the dashboard; quitting it does not end the run.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would take, as plan --json does.")] = False,
) -> None:
    """Train by supervised self-play, or on given problems, and print a summary when it ends.

    The supervisor judges every sample and records it before the trainer may use it. Ctrl-C stops safely with a
    checkpoint; a second one ends the trainer at once. Exit status: 0 when the run reached its end or was
    stopped as asked.
    """
    from azr_platform.cli.input import BadInput

    if (run is None) == (resume is None) and not plan:
        raise BadInput("give either --run FOLDER for a new run or --resume FOLDER to continue one")
    if watch:
        from azr_tui.settings import load

        load()  # what the dashboard would refuse is said before anything begins
    if resume is not None:
        if (
            preset
            or config
            or model
            or settings
            or steps is not None
            or seed is not None
            or policy
            or regime
            or problems
        ):
            raise BadInput("--resume continues a run with its own settings; drop the other options")
        raise typer.Exit(_resume(resume, watch))
    if preset is None and config is None:
        raise BadInput("give --preset NAME or --config FILE; --preset nano trains on any machine")
    overrides = list(settings or [])
    overrides += [f"model.path={json.dumps(model)}"] if model is not None else []
    overrides += [f"run.regime={json.dumps(regime)}"] if regime is not None else []
    overrides += [f"problems.source={json.dumps(problems)}"] if problems is not None else []
    overrides += [f"run.steps={steps}"] if steps is not None else []
    overrides += [f"run.seed={seed}"] if seed is not None else []
    overrides += [f"supervisor.policy={policy}"] if policy is not None else []
    raise typer.Exit(_start(preset, config, overrides, run, plan=plan, watch=watch))


def _start(
    preset: str | None, file: Path | None, overrides: list[str], run: Path | None, *, plan: bool, watch: bool
) -> int:
    from azr_platform.cli.input import BadInput
    from azr_platform.config.load import load

    config = load(preset, file, overrides)
    if plan:
        from azr_platform.cli.plan import as_object
        from azr_platform.config.plan import plan as estimate

        typer.echo(as_object(estimate(config)))
        return 0
    assert run is not None
    from azr_platform.supervisor.problems import finish, gather
    from azr_platform.supervisor.runfolder import RunExists, create

    # Before the seconds that the jail and the classifiers take.
    if (run / "ledger.db").exists():
        raise RunExists(run)
    if run.exists() and not run.is_dir():
        raise BadInput(f"{run}: a file is there; give a folder for the run")
    given = gather(config)
    return _supervise(run, config, lambda jail: create(run, config, finish(given, config, jail)), watch=watch)


def _resume(run: Path, watch: bool) -> int:
    from azr_platform.supervisor.runfolder import reopen

    writer, config = reopen(run)
    return _supervise(run, config, lambda _: writer, watch=watch)


def _supervise(run: Path, config: Config, open_ledger: Callable[[Jail], LedgerWriter], *, watch: bool) -> int:
    """Wire the rooms together. Whatever the machine lacks shows before a run's folder is made."""
    import asyncio

    from rich.console import Console

    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_platform.alerts import outward
    from azr_platform.cli.progress import Headless
    from azr_platform.ledger.errors import LedgerBroken
    from azr_platform.sinks import registry as sinks
    from azr_platform.supervisor.heldout import held_out_programs
    from azr_sandbox.limits import Limits
    from azr_sandbox.pool import JailPool
    from azr_sandbox.probe import require_contained

    console = Console()
    _check_model(config)
    sinks.require(config.sinks)
    outward.require(config.alerts)
    held_out_programs(config.tasks.held_out)  # a file that cannot be read should show now; it is remembered
    auditor = Auditor.from_policy(load_policy(config.supervisor.policy))
    limits = Limits(wall_s=config.jail.wall_seconds, cpu_s=config.jail.cpu_seconds, memory_mb=config.jail.memory_mb)
    with JailPool(limits, config.jail.workers or None) as jail:
        with console.status("attacking our own jail"):
            require_contained(jail)
        with console.status("making the run"):  # outputs that a problem file leaves out are made here
            opened = open_ledger(jail)
        with opened as writer:
            observer = Headless(console, config.run.steps, quiet=watch)
            with observer, _told(run, config, writer, observer, watch=watch) as told:
                status = asyncio.run(_serve(run, config, writer, auditor, jail, observer, told, watch=watch))
            head = writer.head
            with suppress(LedgerBroken):  # it is printed, too
                writer.note_head("the end")
    from azr_platform.cli.summary import print_summary

    print_summary(run, console, head)
    return status


@contextmanager
def _told(run: Path, config: Config, writer: LedgerWriter, observer: Headless, *, watch: bool) -> Iterator[Guarded]:
    """Everybody who hears of the run: the terminal, alerts and sinks. What goes wrong at their end is put on record."""
    from azr_platform.alerts.outward import Outward
    from azr_platform.ledger.errors import LedgerBroken
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.sinks.base import Stream
    from azr_platform.sinks.registry import Sinks
    from azr_platform.supervisor.observer import Guarded

    with LedgerReader(run) as reader:
        row = reader.run()
    outward = Outward(run, row.name, config.alerts, lambda: writer.head, terminal=not watch)
    sinks = Sinks(Stream.of(run, config, row.name, row.created_at), config.sinks)
    try:
        yield Guarded(observer, outward, sinks)
    finally:
        shown = Guarded(observer)
        for trouble in [*outward.close(), *sinks.close()]:
            shown.notice(trouble)
            with suppress(LedgerBroken):  # the run has ended: nothing can wait for it any more
                source = trouble.partition(".")[0]
                writer.append("notices", {"time": time.time(), "source": source, "message": trouble})


def _check_model(config: Config) -> None:
    """A mistyped path or a missing library should fail here, not minutes later in the trainer."""
    from azr_platform.config.load import ConfigError
    from azr_platform.diagnosis import missing

    path = config.model.path
    looks_local = path.startswith((".", "/", "~"))
    if looks_local and not Path(path).expanduser().joinpath("config.json").is_file():
        raise ConfigError(f"model.path = {path!r}: no model folder there (no config.json)")
    if looks_local and not any(Path(path).expanduser().glob("tokenizer*")):
        raise ConfigError(f"model.path = {path!r}: no tokenizer beside the model; save it into the same folder")
    if config.model.script and not Path(config.model.script).is_file():
        raise ConfigError(f"model.script = {config.model.script!r}: no such file")
    wanted = {"torch": ("training", "train"), "transformers": ("training", "train")}
    if config.lora.rank:
        wanted["peft"] = (f"lora.rank = {config.lora.rank}", "lora")
    if config.optimizer.moments != "full":
        wanted["bitsandbytes"] = (f"optimizer.moments = {config.optimizer.moments!r}", "lowbit")
    for library, (what, extra) in wanted.items():
        if missing(library):
            raise ConfigError(f"{what} needs {library}: install azr-platform[{extra}]")

    if config.model.engine == "vllm":
        from azr_platform.rollout.vllm_engine import VllmUnavailable, require_vllm

        try:
            require_vllm()
        except VllmUnavailable as error:
            raise ConfigError(str(error)) from error


async def _serve(
    run: Path,
    config: Config,
    writer: LedgerWriter,
    auditor: Auditor,
    jail: JailPool,
    observer: Headless,
    told: Guarded,
    *,
    watch: bool,
) -> int:
    import asyncio
    import signal

    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor.amendments import Standing
    from azr_platform.supervisor.gate import Gate
    from azr_platform.supervisor.process import Supervisor
    from azr_platform.supervisor.warden import Stance

    with LedgerReader(run) as reader:
        tasks = list(reader.tasks())
    standing = Standing(run, auditor)
    gate = Gate.of_run(config, standing, jail, tasks)
    stance, notices = Stance.of(auditor.policy), auditor.notices
    supervisor = Supervisor(run, config, writer, gate, stance=stance, standing=standing, notices=notices, observer=told)
    loop = asyncio.get_running_loop()
    pressed = 0
    dashboard: AzrApp | None = None

    def interrupted(number: signal.Signals) -> None:
        nonlocal pressed
        pressed += 1
        if dashboard is not None and number != signal.SIGINT:
            dashboard.exit()  # it would wait for keys from a terminal that may be gone
        if pressed > 1:
            supervisor.kill_trainer()
        else:
            supervisor.interrupt(f"signal {number.name}", "interrupted")

    # SIGHUP: the terminal is gone, and with it whoever would have watched.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupted, number)
    if not watch:
        return await supervisor.run()
    from azr_tui.app import AzrApp
    from azr_tui.settings import load

    supervising = asyncio.create_task(supervisor.run())
    dashboard = AzrApp(run, settings=load())
    await dashboard.run_async()
    dashboard = None
    with suppress(OSError):  # the terminal may be gone
        observer.speak()
        observer.notice(
            "the dashboard is closed; the run is being stopped safely"
            if pressed
            else "the dashboard is closed; the run goes on here; Ctrl-C stops it safely"
        )
    return await supervising
