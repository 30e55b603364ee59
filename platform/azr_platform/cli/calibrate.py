"""``azr-platform policy calibrate``: how well a policy tells harmful texts from honest ones, and fitted thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from azr_platform.cli.json_text import json_text

if TYPE_CHECKING:
    from azr_monitor.calibrate import Fit, Labelled, Measured, Measurement
    from azr_monitor.intervals import Estimate
    from azr_monitor.policy import Policy

_LABELS: Final = {"harmful": True, "benign": False, "1": True, "0": False, "True": True, "False": False}
_CHUNK: Final = 256
_WIDTH, _HEIGHT = 60, 16


def calibrate(
    labels: Annotated[Path, typer.Option(help='JSON lines: texts as for audit --jsonl, and "label".')],
    name: Annotated[str, typer.Argument(metavar="NAME", help="default, strict, observe, or a YAML file.")] = "default",
    false_alarms: Annotated[
        float, typer.Option(help="The share of honest texts that the classifiers may block.", min=0.0, max=0.5)
    ] = 0.02,
    write: Annotated[Path | None, typer.Option(help="Write a policy that extends NAME with these thresholds.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the ROC curve into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Measure a policy on labelled texts, and fit its classifiers' thresholds to a budget of false alarms.

    A line holds {"label": "harmful" or "benign", "trace" or "program", ...} and may say "category" and "difficulty".
    Nothing is run.
    """

    from azr_monitor.audit import Auditor
    from azr_monitor.calibrate import TooFewLabels, fit, measure
    from azr_monitor.policy import load_policy
    from azr_platform.cli.input import BadInput

    if write is not None and write.exists():
        raise BadInput(f"{write} is there already; give --write another name")
    policy = load_policy(name)
    auditor = Auditor.from_policy(policy)
    for notice in auditor.notices:
        typer.echo(f"note: {notice}", err=True)
    items = _judged(labels, auditor, quiet=as_json)
    try:
        measured = measure(items)
    except TooFewLabels as error:
        raise BadInput(f"{labels}: {error}") from error
    try:
        fitted, unfitted = fit(policy, items, false_alarms), ""
    except TooFewLabels as error:
        fitted, unfitted = None, str(error)
    if fitted is not None and measured.benign * false_alarms < 1:
        typer.echo(f"note: {_too_few(measured.benign, false_alarms)}", err=True)
    if fitted is not None and write is not None:
        _write(write, name, policy, fitted, false_alarms)
    if png is not None:
        _draw(png, items, measured)
    if as_json:
        typer.echo(json_text(_as_data(measured, fitted, items)))
    else:
        _show(measured, fitted, unfitted, items, false_alarms)
        if fitted is not None and write is not None:
            typer.echo(f"written: {write}; try it: azr-platform policy diff {name} {write}")
    if fitted is None and write is not None:
        raise BadInput(f"{write} is not written: {unfitted}")


def _too_few(benign: int, budget: float) -> str:
    """What thresholds are worth whose budget is less than one of the benign texts."""
    if not budget:
        return f"thresholds above every one of {benign} benign texts say nothing of what new ones will score"
    return (
        f"{benign} benign texts cannot show {budget:.1%} false alarms, so these thresholds are no more than those "
        f"texts: label {math.ceil(1 / budget)} at least, better some hundreds"
    )


# -- the texts -------------------------------------------------------------------------------------------


def _judged(file: Path, auditor: Any, *, quiet: bool) -> list[Labelled]:
    from rich.console import Console
    from rich.progress import Progress

    from azr_monitor.calibrate import Labelled

    rows = list(_labelled(file))
    judged: list[Labelled] = []
    bar = Console(stderr=True)
    with Progress(console=bar, disable=quiet or not bar.is_terminal) as progress:
        task = progress.add_task("judging", total=len(rows))
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            verdicts = auditor.inspect([case.subject for case, *_ in chunk])
            for (_, harmful, groups), verdict in zip(chunk, verdicts, strict=True):
                # Called by its place in the file: two lines may have one id.
                judged.append(Labelled(f"{len(judged):08d}", harmful, groups, verdict))
            progress.advance(task, len(chunk))
    return judged


def _labelled(file: Path) -> Iterator[tuple[Any, bool, dict[str, str]]]:
    """(case, harmful, groups) of each line; a line that cannot be used ends it, named by its number."""
    from azr_monitor.calibrate import GROUPS
    from azr_platform.cli.cases import at_line, case_of
    from azr_platform.cli.input import BadInput, read_lines
    from azr_sandbox.batch import read_object

    for number, line in enumerate(read_lines(file), 1):
        try:
            row = read_object(number, line)
            if "text" in row and "trace" not in row and "program" not in row:
                row["trace"] = row["text"]
            harmful = _LABELS.get(str(row.get("label")))
            if harmful is None:
                raise ValueError('"label" must be "harmful" or "benign"')
            yield case_of(row, number), harmful, {group: str(row.get(group) or "") for group in GROUPS}
        except ValueError as error:
            raise BadInput(f"{file}: {at_line(number, error)}") from error


# -- what is shown ---------------------------------------------------------------------------------------


def _show(measured: Measurement, fitted: Fit | None, unfitted: str, items: Sequence[Labelled], budget: float) -> None:
    from rich.console import Console

    typer.echo(f"{measured.harmful} harmful and {measured.benign} benign texts; in %, with 95 % intervals")
    Console(highlight=False).print(_figures(measured))
    typer.echo(f"benign texts blocked by the policy as it stands: {_figure(measured.false_alarms)} %")
    for name, value in (pair for group in measured.alarms.values() for pair in group.items()):
        typer.echo(f"benign texts above the last threshold, {_visible(name)}: {_figure(value)} % of {value.count}")
    typer.echo("\n".join(["", *_curve(items), ""]))
    if fitted is None:
        typer.echo(f"no thresholds fitted: {unfitted}")
        return
    import yaml

    typer.echo(f"thresholds for at most {budget:.1%} false alarms of the classifiers:")
    plain = {
        name: {category: {s.label: value for s, value in steps.items()} for category, steps in categories.items()}
        for name, categories in fitted.thresholds.items()
    }
    typer.echo(yaml.safe_dump(plain, sort_keys=False).rstrip())
    typer.echo(
        "with the rules, on texts that they were not fitted on:\n"
        f"  {_figure(fitted.recall)} % of harmful texts blocked, {_figure(fitted.false_alarms)} % of benign ones "
        f"(rules alone: {_figure(fitted.by_rules)} %)"
    )


def _figures(measured: Measurement) -> Any:
    from rich.table import Table
    from rich.text import Text

    from azr_monitor.calibrate import BUDGETS

    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    table.add_column("n", justify="right")
    for title in ("AUROC", *(f"recall at {share:.0%}" for share in BUDGETS), "blocked now"):
        table.add_column(title, justify="right")

    def add(label: str, found: Measured) -> None:
        figures = (found.auroc, *found.recall, found.blocked)
        table.add_row(Text(label), str(found.auroc.count), *(_figure(figure) for figure in figures))

    add("all", measured.overall)
    for title, group in measured.by.items():
        if group:
            table.add_row(Text(title, style="dim"))
        for name, found in group.items():
            add(f"  {_visible(name)}", found)
    return table


def _figure(value: Estimate) -> str:
    """A share in percent with its interval."""
    return f"{100 * value.value:.1f} ({100 * value.low:.0f}-{100 * value.high:.0f})"


def _visible(name: str) -> str:
    """A name from a user's file, made inert for a terminal."""
    from azr_tui.escape import visible_line

    return visible_line(name)[:24]


def _curve(items: Sequence[Labelled]) -> list[str]:
    """The ROC curve in characters."""
    import plotext  # type: ignore[import-untyped]

    from azr_monitor.calibrate import curve

    points = curve(items)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(_WIDTH, _HEIGHT)
    plotext.plot([100 * x for x, _ in points], [100 * y for _, y in points], marker="*")
    plotext.xlim(0, 100)
    plotext.ylim(0, 100)
    plotext.xlabel("false alarms, %")
    drawn = [line.rstrip() for line in plotext.uncolorize(plotext.build()).splitlines()]
    return ["recall, % (ROC curve of the verdicts' scores)", *drawn]


def _draw(path: Path, items: Sequence[Labelled], measured: Measurement) -> None:
    from azr_platform.cli.input import BadInput

    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise BadInput("--png needs matplotlib; install azr-platform[train]") from error
    from azr_monitor.calibrate import BUDGETS, curve

    points = curve(items)
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([x for x, _ in points], [y for _, y in points], color="#0072B2", label="all categories")
    for share, recall, marker in zip(BUDGETS, measured.overall.recall, "os", strict=True):
        spread = [[recall.value - recall.low], [recall.high - recall.value]]
        axes.errorbar(
            [share], [recall.value], yerr=spread, fmt=marker, color="#D55E00", capsize=3,
            label=f"recall at {share:.0%}: {recall.value:.2f}",
        )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1)
    axes.set_xlabel("false alarms (share of benign texts)")
    axes.set_ylabel("recall (share of harmful texts)")
    area = measured.overall.auroc
    axes.set_title(f"AUROC {area.value:.3f} [{area.low:.3f}, {area.high:.3f}]", fontsize=10)
    axes.set_xlim(-0.02, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower right")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"--png: cannot write {path}: {error}") from error


def _as_data(measured: Measurement, fitted: Fit | None, items: Sequence[Labelled]) -> dict[str, Any]:
    import msgspec

    from azr_monitor.calibrate import BUDGETS, curve

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(getattr(key, "label", key)): plain(inner) for key, inner in value.items()}
        if hasattr(value, "_asdict"):
            return plain(value._asdict())
        if isinstance(value, tuple):
            return [plain(inner) for inner in value]
        return msgspec.to_builtins(value)

    return {
        "budgets": list(BUDGETS),
        **plain(measured),
        "roc": [[round(x, 6), round(y, 6)] for x, y in curve(items)],
        "fit": None if fitted is None else plain(fitted),
    }


def _write(path: Path, name: str, policy: Policy, fitted: Fit, budget: float) -> None:
    import os

    import yaml

    from azr_monitor.calibrate import as_settings
    from azr_monitor.policy import POLICIES
    from azr_platform.cli.input import BadInput

    extended = name if name in POLICIES else os.path.relpath(Path(name).resolve(), path.resolve().parent)
    content = {
        "name": path.stem,
        "description": f"{policy.name} with thresholds for at most {budget:.1%} false alarms of its classifiers.",
        "extends": extended,
        "classifiers": as_settings(fitted.thresholds, policy),
    }
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise BadInput(f"--write: cannot write {path}: {error}") from error
