"""What a sample comes from and what it belongs to: the tasks its prompt showed, the task it became or answers."""

from __future__ import annotations

from azr_platform.ledger.records import TaskRow
from azr_platform.records import Role
from azr_tui import wording
from azr_tui.document import Line
from azr_tui.escape import visible_line
from azr_tui.sample.dossier import Dossier


def kin_lines(dossier: Dossier) -> list[Line]:
    """A title and the relations; nothing where there are none."""
    row, lines = dossier.detail.sample, [Line("Relations (k walks among them)")]
    lines += [Line(task_line(task), "  ↑ was shown  ") for task in dossier.references]
    if dossier.task is not None:
        became = "  = became     " if row.role == Role.PROPOSE.value else "  = answers    "
        lines.append(Line(task_line(dossier.task), became))
    if others := len(dossier.attempts):
        lines.append(Line(wording.count(others, "answer") + " in this step", "  ↓ answered by  "))
    return lines if len(lines) > 1 else []


def task_line(task: TaskRow) -> str:
    """A task on one line: its id, kind, step, how hard it is, and how its program begins."""
    tried = f"{wording.percent(task.rate)} of {task.attempts} right" if task.attempts else "never tried"
    origin = "given" if task.sample is None else f"sample {task.sample}"
    name, kind = visible_line(task.task, 20), visible_line(task.kind, 12)
    return f"{name}  {kind}, step {task.step}, {origin}, {tried}: {visible_line(task.program or task.message, 60)}"
