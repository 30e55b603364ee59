"""What a run came to, as numbers: gathered once from its ledger and its evaluations, then drawn, written and printed.

The question it answers besides "did it learn" is whether the lunch was free: capability and safety findings, before
and after, in one table.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from azr_monitor.categories import category_of
from azr_monitor.intervals import Estimate, wilson
from azr_monitor.records import Severity
from azr_platform.evaluation.estimate import difference
from azr_platform.evaluation.records import Change, Evaluation, comparison, stored
from azr_platform.evaluation.summary import GroupRow, group_rows
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import AlertRow, OversightRow, Summary

RULES_SHOWN: Final = 8
BINS: Final = 24
"""Points of a curve of findings: a share of so few samples as a step has would be all band."""
ALERTS_SHOWN: Final = 20
# A metric's name is the trainer's: one that is not plain is left out.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,40}(/[A-Za-z0-9_.@+-]{1,40}){0,3}")


class Series(msgspec.Struct, frozen=True):
    """One metric along the run's current line."""

    steps: list[int]
    values: list[float]


class SafetyRow(msgspec.Struct, frozen=True):
    """A share of samples in the first and in the last fifth of the steps, and the difference of the two."""

    what: str
    before: Estimate
    after: Estimate
    change: Estimate


class Shares(msgspec.Struct, frozen=True):
    """Shares of samples along the run, each of a few neighbouring steps, at the middle of these."""

    steps: list[float]
    values: list[Estimate]


class Example(msgspec.Struct, frozen=True):
    """A program that was admitted as a task. A model wrote it."""

    step: int
    kind: str
    program: str


class Report(msgspec.Struct, frozen=True):
    """Everything that a report shows. ``capability`` is empty without two comparable evaluations."""

    run: str
    seed: int
    regime: str
    summary: Summary
    metrics: dict[str, Series]
    groups: list[GroupRow]
    oversight: list[OversightRow]
    fifth: int
    """How many steps a fifth of the run is."""
    safety: list[SafetyRow]
    findings: dict[str, Shares]
    """For each category that something was found of, the samples with a finding of it that is more than a note."""
    capability: list[Change]
    compared: tuple[str, str]
    evaluations: list[Evaluation]
    ceiling: Evaluation | None
    alerts: list[AlertRow]
    examples: list[Example]


def gather(run: Path, ceiling: Evaluation | None = None) -> Report:
    """Read a run once.

    Raises UnknownRun or LedgerBroken (see LedgerReader), ValueError for a damaged evaluation, naming its file.
    """
    evaluations = stored(run)
    with LedgerReader(run) as reader:
        series = {name: Series(*reader.metric(name)) for name in reader.metric_names() if _PLAIN.fullmatch(name)}
        oversight = reader.oversight()
        fifth, safety = _safety(oversight, list(reader.samples_with_rule()))
        findings = _findings(oversight, reader.found(Severity.LOW))
        branches = dict(reader.lineage())
        line = [e for e in evaluations if e.step is not None and e.step <= branches.get(e.branch or 1, -1)]
        compared, capability = _capability(line)
        info = reader.run()
        tasks = [(step, kind, program) for step, kind, program in reader.admitted() if program]
        return Report(
            run=info.name,
            seed=info.seed,
            regime=_regime(info.config),
            summary=reader.summary(),
            metrics={name: one for name, one in series.items() if one.steps},
            groups=group_rows(reader),
            oversight=oversight,
            fifth=fifth,
            safety=safety,
            findings=findings,
            capability=capability,
            compared=compared,
            evaluations=line,
            ceiling=ceiling,
            alerts=reader.alerts(limit=ALERTS_SHOWN),
            examples=[Example(*task) for task in (tasks if len(tasks) <= 6 else tasks[:3] + tasks[-3:])],
        )


def _regime(config: str) -> str:
    """The regime that a run's recorded configuration names; those from before there were several have none."""
    try:
        regime = tomllib.loads(config).get("run", {}).get("regime", "azr")
    except (tomllib.TOMLDecodeError, AttributeError):
        return ""
    return regime if isinstance(regime, str) else ""


def right_means(report: Report) -> str:
    """What a right answer is on the run's own tasks: in ``ttrl`` nobody knows the truth."""
    return "agree with the vote" if report.regime == "ttrl" else "are right"


def main_suite(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations of the suite and sampling that most of them share, by step."""
    groups: dict[tuple[str, int], list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        groups[evaluation.settings.suite, evaluation.settings.samples].append(evaluation)
    if not groups:
        return []
    most = max(groups.values(), key=lambda group: (len({e.step for e in group}), len(group[-1].tasks)))
    by_step = {evaluation.step: evaluation for evaluation in most}  # the run's base and its step 0 are one model
    return [by_step[step] for step in sorted(by_step, key=lambda step: step or 0)]


def _capability(evaluations: Sequence[Evaluation]) -> tuple[tuple[str, str], list[Change]]:
    """The first evaluation against the last of the main suite; nothing without two of different steps."""
    points = main_suite(evaluations)
    if len(points) < 2:
        return ("", ""), []
    try:
        changes = comparison(points[0], points[-1])
    except ValueError:
        return ("", ""), []  # not one task in common: nothing to compare
    return (f"step {points[0].step}", f"step {points[-1].step}"), changes


def _safety(oversight: Sequence[OversightRow], by_rule: Sequence[tuple[str, int, int]]) -> tuple[int, list[SafetyRow]]:
    """(steps in a fifth, rows). Samples count as independent, which makes the intervals rather narrow."""
    steps = sorted({row.step for row in oversight})
    if len(steps) < 2:
        return 0, []
    fifth = max(1, len(steps) // 5)
    sides = [set(steps[:fifth]), set(steps[-fifth:])]
    totals = [sum(row.samples for row in oversight if row.step in side) for side in sides]
    counts: dict[str, list[int]] = {}
    for name, field in (
        ("blocked", "blocked"),
        ("any finding", "found"),
        ("finding, medium or worse", "medium"),
        ("finding, high or worse", "high"),
    ):
        counts[name] = [sum(getattr(row, field) for row in oversight if row.step in side) for side in sides]
    rules: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for rule, step, samples in by_rule:
        for number, side in enumerate(sides):
            rules[rule][number] += samples if step in side else 0
    most = sorted(rules.items(), key=lambda item: (-sum(item[1]), item[0]))[:RULES_SHOWN]
    counts |= {f"rule {rule}": both for rule, both in most if any(both)}
    rows = []
    for what, both in counts.items():
        before, after = (wilson(count, total) for count, total in zip(both, totals, strict=True))
        rows.append(SafetyRow(what, before, after, difference(before, after)))
    return fifth, rows


def _findings(oversight: Sequence[OversightRow], found: Iterable[tuple[int, int, str]]) -> dict[str, Shares]:
    """A sample counts once for a category, however many findings it has."""
    totals = {row.step: row.samples for row in oversight}
    by_category: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for step, sample, rule in found:
        by_category[category_of(rule)].add((step, sample))
    steps = sorted(totals)
    width = -(-len(steps) // BINS) or 1
    bins = [steps[at : at + width] for at in range(0, len(steps), width)]
    curves = {}
    for category, samples in sorted(by_category.items()):
        counts = Counter(step for step, _ in samples)
        values = [wilson(sum(counts[step] for step in some), sum(totals[step] for step in some)) for some in bins]
        curves[category] = Shares([(some[0] + some[-1]) / 2 for some in bins], values)
    return curves


def verdict(report: Report) -> str:
    """Was the lunch free? One sentence on capability and one on safety; what cannot be told is said so."""
    return f"{_capability_sentence(report)} {_safety_sentence(report)}"


def _capability_sentence(report: Report) -> str:
    found = [row for row in report.capability if row.measure == "pass@1"]
    if not found:
        return (
            "Capability: not measured before and after; run `azr-platform eval RUN --base` and `azr-platform eval RUN`."
        )
    change = found[-1].change  # the mean of the kinds comes last
    word = "rose" if change.low > 0 else "fell" if change.high < 0 else "shows no clear change"
    amount = f"({change.value * 100:+.1f} points, 95 % interval {change.low * 100:+.1f} to {change.high * 100:+.1f})"
    return f"Capability: pass@1 on the held-out tasks {word} {amount}."


def _safety_sentence(report: Report) -> str:
    found = {row.what: row for row in report.safety}
    row = found.get("finding, medium or worse")
    if row is None:
        return "Safety: too few steps to compare."
    change = row.change
    if change.low > 0:
        end = "safety got worse: the lunch was not free"
    elif change.high < 0:
        end = "fewer than at the start"
    else:
        end = "no clear change"
    return (
        f"Safety: samples with a finding of medium severity or worse went from {row.before.value * 1000:.1f} to "
        f"{row.after.value * 1000:.1f} per 1,000 ({change.value * 1000:+.1f}, 95 % interval "
        f"{change.low * 1000:+.1f} to {change.high * 1000:+.1f}): {end}."
    )
