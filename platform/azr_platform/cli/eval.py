"""``azr-platform eval``: how good a model is on tasks it has not trained on, with confidence intervals."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azr_platform.cli.targets import Target
    from azr_platform.evaluation.measure import Plan
    from azr_platform.evaluation.records import Evaluation, TaskScore
    from azr_platform.records import Task
    from azr_sandbox.pool import JailPool


def evaluate(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET [OTHER]",
            help="A run, a model's folder, nano, or a stored evaluation; with two, the difference is shown.",
        ),
    ],
    checkpoint: Annotated[
        str | None, typer.Option(help="A run's checkpoint, by name or step (default: newest).")
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="The model that the run starts from.")] = False,
    suite: Annotated[str, typer.Option(help="nano (its held-out tasks) or a problem file.")] = "nano",
    per_kind: Annotated[int | None, typer.Option(min=1, help="Tasks of each kind (default: all).")] = None,
    samples: Annotated[int, typer.Option(min=1, max=1024, help="Samples of each task at temperature 1.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling.")] = 0,
    threads: Annotated[int | None, typer.Option(min=0, help="Torch threads; 0 lets torch choose.")] = None,
    preset: Annotated[str | None, typer.Option(help="How a model's folder is asked: a preset of train's.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder to store into (default: the run's).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Measure pass@1, pass@n and greedy accuracy on a suite, by kind, with 95 % intervals; see docs/evaluation.md.

    Answers are sampled as in training, and whatever must run to judge them runs in the jail.
    """
    from rich.console import Console

    from azr_platform.cli.input import BadInput
    from azr_platform.cli.scores import as_object, show_change, show_scores
    from azr_platform.evaluation.records import Evaluation
    from azr_platform.tasks.problems import complete
    from azr_sandbox.probe import require_contained

    if len(targets) > 2:
        raise BadInput("give one target, or two to compare")
    if len(targets) == 2 and (checkpoint or base):
        raise BadInput("with two targets name a checkpoint by its folder, such as RUN/checkpoints/step-000010")
    chosen = [_stored(name) or _target(name, checkpoint, base, preset) for name in targets]
    wanted = [item for item in chosen if not isinstance(item, Evaluation)]
    tasks = _tasks(suite, per_kind) if wanted else []
    console = Console()
    with ExitStack() as stack:
        jail = stack.enter_context(_jail(wanted[0])) if wanted else None
        if jail is not None:
            require_contained(jail)
            tasks = complete(tasks, jail, suite)
        found = []
        for item in chosen:
            evaluation, kept = item, None
            if not isinstance(evaluation, Evaluation):
                assert jail is not None
                evaluation = _measured(evaluation, suite, tasks, jail, samples=samples, seed=seed, threads=threads)
                kept = _store(evaluation, item, out)
            found.append(evaluation)
            if not as_json:
                show_scores(evaluation, console)
                if kept is not None:
                    console.print(f"stored: {kept}", highlight=False, markup=False, soft_wrap=True)
    if as_json:
        typer.echo(as_object(found))
    elif len(found) == 2:
        show_change(found[0], found[1], console)


def _stored(name: str) -> Evaluation | None:
    """The evaluation that a ``.json`` file holds; None for any other name."""
    from azr_platform.cli.input import BadInput
    from azr_platform.evaluation.records import read

    if not (name.endswith(".json") and Path(name).is_file()):
        return None
    try:
        return read(Path(name))
    except ValueError as error:
        raise BadInput(str(error)) from error


def _target(name: str, checkpoint: str | None, base: bool, preset: str | None) -> Target:
    """Also what is missing to sample at all is found here, before anything is loaded."""
    from importlib.util import find_spec

    from azr_platform.cli.input import BadInput
    from azr_platform.cli.targets import find_target

    target = find_target(name, checkpoint=checkpoint, base=base, preset=preset)
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        raise BadInput(f"sampling needs {' and '.join(missing)}: install azr-platform[train]")
    return target


def _tasks(suite: str, per_kind: int | None) -> list[Task]:
    """Raises BadProblem for a file that cannot be used, BadInput when there are too few tasks."""
    from azr_platform.cli.input import BadInput
    from azr_platform.evaluation.suite import first_of_each_kind

    if suite != "nano":
        from azr_platform.tasks.problems import read_problems

        tasks = read_problems(Path(suite))
        return first_of_each_kind(tasks, per_kind or len(tasks))
    from azr_platform.nano.heldout import PER_KIND, held_out_tasks

    try:
        return list(held_out_tasks(per_kind or PER_KIND))
    except ValueError as error:
        raise BadInput(f"--per-kind: {error}") from error


def _jail(target: Target) -> JailPool:
    from azr_sandbox.limits import Limits
    from azr_sandbox.pool import JailPool

    jail = target.config.jail
    limits = Limits(wall_s=jail.wall_seconds, cpu_s=jail.cpu_seconds, memory_mb=jail.memory_mb)
    return JailPool(limits, jail.workers or None)


def _measured(
    target: Target, suite: str, tasks: list[Task], jail: JailPool, *, samples: int, seed: int, threads: int | None
) -> Evaluation:
    """Load the target, sample, judge, and look its suite up in its run's record."""
    import time
    from contextlib import closing

    import torch
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from azr_platform.cli.targets import weights_digest
    from azr_platform.evaluation.measure import evaluate as measure
    from azr_platform.evaluation.records import FORMAT, Evaluation, Settings

    config = target.config
    torch.set_num_threads(threads or config.run.threads or torch.get_num_threads())
    plan = _plan(target, samples, seed)
    begun = time.monotonic()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    rate = TextColumn("{task.fields[rate]} samples/s, left")
    with Progress(*columns, rate, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        shown = bar.add_task("sampling", total=None, rate="–")

        def progress(done: int, total: int) -> None:
            speed = done / max(1e-9, time.monotonic() - begun)
            bar.update(shown, completed=done, total=total, rate=f"{speed:.0f}")

        with closing(plan.sampler):
            scores = measure(tasks, plan, jail, progress)
        scores = _looked_up(target, tasks, scores)
    return Evaluation(
        format=FORMAT,
        target=target.name,
        weights=weights_digest(target.folder),
        settings=Settings(Path(suite).name, samples, seed, plan.style, config.model.max_response_tokens),
        tasks=scores,
        seconds=time.monotonic() - begun,
        time=time.time(),
        run=str(target.run.name) if target.run else "",
        step=target.step,
        branch=target.branch,
    )


def _plan(target: Target, samples: int, seed: int) -> Plan:
    """The engines that training samples with, at temperature 1 and all but at 0."""
    from safetensors import SafetensorError

    from azr_platform.cli.input import BadInput
    from azr_platform.evaluation.measure import GREEDY_TEMPERATURE, Plan
    from azr_platform.rollout.engine import Engine
    from azr_platform.rollout.vllm_engine import VllmEngine
    from azr_platform.trainer.checkpoint import CheckpointBroken, verify
    from azr_platform.trainer.model import ModelUnavailable, build_engine, load_policy

    log = target.run / "logs" / "vllm.log" if target.run else None
    # A scripted run's model answers by itself here.
    engine = "static" if target.config.model.engine == "scripted" else target.config.model.engine
    model = target.config.model.model_copy(update={"engine": engine, "temperature": 1.0})
    try:
        if target.digest:
            verify(target.folder, target.digest)
        policy, tokenizer = load_policy(model, target.folder)
    except (CheckpointBroken, ModelUnavailable, SafetensorError, RuntimeError) as error:
        # A RuntimeError: the weights are not of the shape that config.json says.
        raise BadInput(f"{target.folder}: {error}") from error
    try:
        sampler = build_engine(model, policy, tokenizer, target.config.vllm, log)
        greedy: Engine
        if isinstance(sampler, VllmEngine):
            greedy = sampler.at(GREEDY_TEMPERATURE)  # one process for both
        else:
            greedy = build_engine(model.model_copy(update={"temperature": GREEDY_TEMPERATURE}), policy, tokenizer)
    except ValueError as error:
        raise BadInput(f"{target.folder}: {error}") from error
    return Plan(sampler, greedy, target.config.tasks.style, samples, seed, model.batch, model.max_prompt_tokens)


def _looked_up(target: Target, tasks: list[Task], scores: list[TaskScore]) -> list[TaskScore]:
    """Which tasks' programs stand in the run's record; unknown for a model without one."""
    if target.run is None:
        return scores
    from azr_platform.evaluation.suite import mark_seen
    from azr_platform.ledger.reader import LedgerReader

    with LedgerReader(target.run) as reader:
        return mark_seen(tasks, scores, reader.programs(), reader.tasks())


def _store(evaluation: Evaluation, target: Target | Evaluation, out: Path | None) -> Path | None:
    from azr_platform.evaluation.records import FOLDER, Evaluation, store

    assert not isinstance(target, Evaluation)
    folder = out or (target.run / FOLDER if target.run else None)
    return store(evaluation, folder) if folder else None
