"""A run as a picture: how well it solves, what its proposals are worth, and what was blocked."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from azr_platform.ledger.reader import LedgerReader
from azr_platform.records import Kind

# Okabe and Ito's colours can be told apart by every common kind of colour vision; the dashes help in print.
_STYLES = {
    Kind.DEDUCTION: ("#0072B2", "-", "o"),
    Kind.ABDUCTION: ("#D55E00", "--", "s"),
    Kind.INDUCTION: ("#009E73", ":", "^"),
}


def plot_run(reader: LedgerReader, path: Path) -> bool:
    """Write a PNG with four panels along the run's current line; False when no step is finished."""
    if not reader.metric("samples")[0]:
        return False
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    panels = figure.subplots(2, 2)
    run = reader.run()
    figure.suptitle(
        f"{run.name}: self-play under supervision, {reader.step()} steps, seed {run.seed}", parse_math=False
    )
    _by_kind(reader, panels[0][0], "Solver", "solve_rate", "share of right answers")
    _by_kind(reader, panels[0][1], "Proposer: valid tasks", "valid_rate", "share of proposals")
    _by_kind(reader, panels[1][0], "Proposer: learnability", "learnability", "mean worth")
    _oversight(reader, panels[1][1])
    figure.savefig(path, dpi=130)
    return True


def _by_kind(reader: LedgerReader, panel: Axes, title: str, metric: str, unit: str) -> None:
    for kind, (colour, line, marker) in _STYLES.items():
        steps, values = reader.metric(f"{metric}/{kind.value}")
        panel.plot(steps, values, color=colour, linestyle=line, marker=marker, markersize=3, label=kind.value)
    panel.set_title(title, loc="left", fontsize=10)
    panel.set_ylabel(unit)
    panel.set_xlabel("step")
    panel.grid(alpha=0.25)
    panel.set_ylim(-0.02, 1.02)
    panel.legend(fontsize=8)


def _oversight(reader: LedgerReader, panel: Axes) -> None:
    steps, blocked = reader.metric("blocked")
    panel.bar(steps, blocked, color="#CC79A7", label="blocked samples")
    panel.set_title("Supervision and speed", loc="left", fontsize=10)
    panel.set_ylabel("blocked samples a step")
    panel.set_ylim(0, max([1.0, *blocked]) * 1.2)
    panel.set_xlabel("step")
    panel.grid(alpha=0.25)
    twin = panel.twinx()
    steps, speed = reader.metric("tokens_per_second")
    twin.plot(steps, speed, color="#000000", linewidth=1, label="tokens/s sampled")
    twin.set_ylabel("tokens a second")
    twin.set_ylim(bottom=0)
    handles = [*panel.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
    panel.legend(handles=handles, fontsize=8, loc="upper left")
