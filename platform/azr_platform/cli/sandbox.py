"""``azr-platform sandbox``: use the jail by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_sandbox.pool import JailPool

sandbox = typer.Typer(
    help="Use the jail by itself: run programs, check answers, attack it.", no_args_is_help=True, rich_markup_mode=None
)

File = Annotated[Path, typer.Option("--jsonl", help="A JSONL file; - is standard input.")]
Wall = Annotated[float, typer.Option(help="Wall seconds for one program and input.")]
Cpu = Annotated[int, typer.Option(help="CPU seconds for one program and input.")]
Memory = Annotated[int, typer.Option(help="MiB of memory for one program.")]
Workers = Annotated[int, typer.Option(help="Warm jails; 0 means one a core.")]


@sandbox.command("run")
def run_programs(
    file: File,
    wall: Wall = 2.0,
    cpu: Cpu = 1,
    memory: Memory = 512,
    workers: Workers = 0,
    together: Annotated[bool, typer.Option("--together", help="A program's inputs share a process: faster.")] = False,
) -> None:
    """Run programs in the jail: lines {"id", "program", "input"} or "inputs"; prints one JSON line each."""
    from azr_platform.cli.input import read_lines
    from azr_sandbox.batch import run_lines

    with _pool(wall, cpu, memory, workers) as pool:
        for result in run_lines(read_lines(file), pool, together=together):
            typer.echo(json_text(result))


@sandbox.command()
def check(file: File, wall: Wall = 2.0, cpu: Cpu = 1, memory: Memory = 512, workers: Workers = 0) -> None:
    """Check answers: lines {"id", "kind", "program", "input", "output", "answer"}; induction has "pairs".

    Prints {"id", "correct", "outcome"} for each. The expected values never enter the jail.
    """
    from azr_platform.cli.answers import check_lines
    from azr_platform.cli.input import read_lines

    with _pool(wall, cpu, memory, workers) as pool:
        for result in check_lines(read_lines(file), pool):
            typer.echo(json_text(result))


@sandbox.command()
def probe(as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False) -> None:
    """Attack our own jail. Exit status 1 when anything gets out."""
    from azr_sandbox.probe import probe as attack
    from azr_tui.escape import visible_line

    with _pool(2.0, 1, 512, 1) as pool:
        results = attack(pool)
    if as_json:
        rows: list[dict[str, Any]] = [{"name": r.name, "contained": r.contained, "detail": r.detail} for r in results]
        typer.echo(json_text(rows))
    else:
        for result in results:
            mark = "✓ contained" if result.contained else "✗ LEAKS    "
            typer.echo(f"{mark}  {result.name}: {visible_line(result.detail)}")
    raise typer.Exit(0 if all(result.contained for result in results) else 1)


@sandbox.command()
def bench(
    file: Annotated[
        Path | None, typer.Option("--jsonl", help="Programs to measure with, as `run` reads them; - is standard input.")
    ] = None,
    programs: Annotated[int, typer.Option(min=1, help="How many programs, each with all its inputs.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="How often every way runs all of them.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Measure what the jail costs, beside the same programs without it.

    In random order, round by round: a warm process that forks for each program and isolates nothing (nothing that
    gives a program its own process is cheaper); that twice, to compare the values; a pool of processes that execute
    programs in themselves, twice, as published trainers do; nsjail started for each program; and our pool, with
    single runs, verified ones, all inputs of a program together, and two workers. CPU time is that of everything
    involved. A pair is a program with one input; latency is that of a pair (or, together, a program) handed over alone.
    """
    from azr_platform.cli import bench as benchmark

    report = benchmark.bench(file, programs, rounds)
    if as_json:
        typer.echo(json_text(benchmark.as_json(report)))
    else:
        benchmark.show(report)


def _pool(wall: float, cpu: int, memory: int, workers: int) -> JailPool:
    from azr_platform.cli.input import BadInput
    from azr_sandbox.limits import Limits
    from azr_sandbox.pool import JailPool

    try:
        limits = Limits(wall_s=wall, cpu_s=cpu, memory_mb=memory)
        if workers < 0:
            raise ValueError(f"--workers {workers}: give a number of jails, or 0 for one a core")
    except ValueError as error:
        raise BadInput(str(error)) from error
    return JailPool(limits, workers or None)
