"""Every key of the dashboard in one place. The ids let users remap keys; the tooltips fill the help."""

from __future__ import annotations

from textual.binding import Binding


def _key(key: str, action: str, label: str, tooltip: str, *, name: str, show: bool = True) -> Binding:
    return Binding(key, action, label, tooltip=tooltip, id=name, show=show)


HELP = _key("question_mark,f1", "help", "Help", "List every key and symbol", name="app.help")
JUMP = _key(
    "apostrophe,ctrl+g",
    "jump",
    "Jump",
    "Put a letter on every place; its key goes there",
    name="app.jump",
    show=False,
)
RUN = [
    _key("p", "pause", "Pause", "Pause the run at its next safe point (asks first)", name="run.pause"),
    _key("r", "resume", "Resume", "Let a paused run go on (asks first)", name="run.resume"),
    _key(
        "b",
        "rollback",
        "Roll back",
        "Go back to a checkpoint; from a sample, without it (asks first)",
        name="run.rollback",
    ),
    _key("s", "stop", "Stop", "Save a checkpoint and end the run (asks first)", name="run.stop"),
    _key("w", "worst", "Worst", "To the very words of the worst open alert", name="run.worst"),
    HELP,
    JUMP,
    _key("T", "next_theme", "Theme", "The next theme: dark, light, high contrast, ASCII", name="app.theme", show=False),
    _key("ctrl+z", "suspend_process", "Aside", "Put the dashboard aside; fg takes it up", name="app.aside", show=False),
    _key("q", "leave", "Quit", "Leave the dashboard; the run goes on", name="app.quit"),
]
PANES = [
    _key(
        "1",
        "pane('overview')",
        "Overview",
        "Rewards, solve rates and the newest alerts",
        name="pane.overview",
        show=False,
    ),
    _key("2", "pane('training')", "Training", "Every metric with its range", name="pane.training", show=False),
    _key("3", "pane('samples')", "Samples", "Every sample with its verdict", name="pane.samples", show=False),
    _key("4,a", "pane('alerts')", "Alerts", "What the supervisor raised", name="pane.alerts", show=False),
    _key("5", "pane('review')", "Review", "What waits for a person's decision", name="pane.review", show=False),
    _key("6", "pane('tasks')", "Tasks", "Buffers, and every task with its family", name="pane.tasks", show=False),
    _key(
        "7,c",
        "pane('checkpoints')",
        "Checkpoints",
        "Branches, and what the run was like at each checkpoint",
        name="pane.checkpoints",
        show=False,
    ),
    _key(
        "8", "pane('policies')", "Policies", "Every rule: what it found, and changes", name="pane.policies", show=False
    ),
    _key("9,l", "pane('log')", "Log", "Commands, states and notices", name="pane.log", show=False),
    _key("0", "pane('compare')", "Compare", "Two runs or branches side by side", name="pane.compare", show=False),
    _key("tab", "next_pane(1)", "Next pane", "Go to the next pane", name="pane.next", show=False),
    _key("shift+tab", "next_pane(-1)", "Previous pane", "Go to the pane before", name="pane.previous", show=False),
]
PANE_SHORT = {
    "overview": "Over",
    "training": "Train",
    "samples": "Samp",
    "alerts": "Alert",
    "review": "Rev",
    "tasks": "Task",
    "checkpoints": "Ckpt",
    "policies": "Pol",
    "log": "Log",
    "compare": "Cmp",
}
"""What the pane line calls a pane where its whole name has no room."""
OVERVIEW = [
    _key("enter", "open", "Open alert", "Show the sample of the alert at the top", name="overview.open"),
    _key("o", "other_plots", "Plots", "Further plots, where not all of them are in sight", name="overview.plots"),
]
TRAINING = [
    _key("enter", "full", "Full screen", "Show the metric under the cursor on the whole screen", name="training.full"),
    _key("slash", "find", "Find", "Narrow the list to metrics with some words in their names", name="training.find"),
    _key("escape", "all", "All", "Away with the filter", name="training.all", show=False),
]
ONE_PLOT = [
    _key("escape", "back", "Back", "Back to where you came from", name="metric.back"),
    _key("enter", "open", "Open alert", "Show the sample of the alert at the cursor", name="metric.open"),
    _key("down", "other(1)", "Next metric", "The next metric", name="metric.next"),
    _key("up", "other(-1)", "Previous metric", "The metric before", name="metric.previous", show=False),
]
PLOT = [
    _key("right", "plot_cursor(1)", "Cursor", "Move the cursor to later steps", name="plot.right", show=False),
    _key("left", "plot_cursor(-1)", "Cursor", "Move the cursor to earlier steps", name="plot.left"),
    _key("shift+right", "plot_cursor(10)", "Far right", "The same, ten columns", name="plot.far_right", show=False),
    _key("shift+left", "plot_cursor(-10)", "Far left", "The same, ten columns", name="plot.far_left", show=False),
    _key("plus,equals_sign", "plot_zoom(1)", "Closer", "Half as many steps, around the cursor", name="plot.closer"),
    _key("minus", "plot_zoom(-1)", "Wider", "Twice as many steps", name="plot.wider", show=False),
    _key("less_than_sign", "plot_pan(-1)", "Earlier", "Half a window earlier", name="plot.earlier", show=False),
    _key("greater_than_sign", "plot_pan(1)", "Later", "Half a window later", name="plot.later", show=False),
    _key("y", "plot_log", "Log scale", "A logarithmic scale of values, or a plain one", name="plot.log", show=False),
    _key("z", "plot_whole", "Whole", "All steps, without a cursor", name="plot.whole", show=False),
]
SAMPLES = [
    _key("enter", "open", "Open", "Show the sample under the cursor", name="samples.open", show=False),
    _key("slash", "filter", "Filter", "Narrow the list: words, and key:value terms", name="samples.filter"),
    _key("escape", "clear", "Clear", "Away with the filter", name="samples.clear", show=False),
    _key("o", "role", "Role", "Show all roles, proposers or solvers", name="samples.role", show=False),
    _key("k", "kind", "Kind", "Show all kinds or one of the three", name="samples.kind", show=False),
    _key(
        "v",
        "verdict",
        "Verdict",
        "Show all, blocked or flagged samples, or those that wait for a decision",
        name="samples.verdict",
        show=False,
    ),
    _key("n", "page(1)", "Next page", "The next page", name="samples.older", show=False),
    _key("N", "page(-1)", "Page before", "The page before", name="samples.newer", show=False),
    _key("g", "newest", "Newest", "Back to the newest samples, and follow them", name="samples.newest", show=False),
]
ALERTS = [
    _key("enter", "open", "Open", "Show the very words that raised the alert", name="alerts.open", show=False),
    _key("slash", "filter", "Filter", "Narrow the list: words, and key:value terms", name="alerts.filter"),
    _key("escape", "clear", "Clear", "Away with the filter", name="alerts.clear", show=False),
    _key("x", "acknowledge", "Seen", "Acknowledge the alert under the cursor", name="alerts.acknowledge"),
    _key("d", "resolve", "Done", "Resolve it: what it was about is done with (takes a note)", name="alerts.resolve"),
    _key("F", "false_alarm", "False alarm", "Nothing to find: decide so about its sample", name="alerts.false_alarm"),
    _key(
        "X",
        "acknowledge_all",
        "All seen",
        "Acknowledge all open alerts (asks first)",
        name="alerts.acknowledge_all",
        show=False,
    ),
    _key("v", "open_only", "Open only", "Show all alerts or only open ones", name="alerts.open_only"),
    _key("o", "order", "Order", "The oldest first, or the newest", name="alerts.order", show=False),
    _key("n", "page(1)", "Next page", "The next page", name="alerts.older", show=False),
    _key("N", "page(-1)", "Page before", "The page before", name="alerts.newer", show=False),
    _key("g", "newest", "First", "Back to the first page, and follow it", name="alerts.newest", show=False),
]
REVIEW = [
    _key("enter", "open", "Open", "Show the sample under the cursor whole", name="review.open", show=False),
    _key("A", "decide('allow')", "Allow", "Let the same text pass from the next step on", name="review.allow"),
    _key("B", "decide('block')", "Block", "Block the same text from the next step on", name="review.block"),
    _key(
        "F",
        "decide('false-alarm')",
        "False alarm",
        "As allow, and say that there was nothing to find",
        name="review.false_alarm",
    ),
    _key("v", "list", "List", "What is held, all that waits, or what was decided", name="review.list"),
    _key("slash", "filter", "Filter", "Narrow the list by key:value terms", name="review.filter", show=False),
    _key("escape", "clear", "Clear", "Away with the filter", name="review.clear", show=False),
    _key("n", "page(1)", "Next page", "The next page", name="review.older", show=False),
    _key("N", "page(-1)", "Page before", "The page before", name="review.newer", show=False),
    _key("g", "newest", "First", "Back to the first page", name="review.newest", show=False),
]
TASKS = [
    _key("enter", "open", "Family", "Show the task whole, and walk among its relatives", name="tasks.open"),
    _key("y", "sample", "Sample", "Show the sample that proposed it", name="tasks.sample"),
    _key("slash", "filter", "Filter", "Narrow the list: words, and key:value terms", name="tasks.filter"),
    _key("escape", "clear", "Clear", "Away with the filter", name="tasks.clear", show=False),
    _key("k", "kind", "Kind", "Show all kinds or one of them", name="tasks.kind", show=False),
    _key("o", "order", "Order", "Newest, oldest, hardest, easiest or most used first", name="tasks.order"),
    _key("n", "page(1)", "Next page", "The next page", name="tasks.older", show=False),
    _key("N", "page(-1)", "Page before", "The page before", name="tasks.newer", show=False),
    _key("g", "newest", "First", "Back to the first page", name="tasks.newest", show=False),
]
FAMILY = [
    _key("escape", "back", "Back", "Back to the task before, or to where you came from", name="family.back"),
    _key("enter", "walk", "Walk", "Go to that task, or open that answer", name="family.walk", show=False),
    _key("y", "sample", "Sample", "Show the sample under the cursor", name="family.sample"),
    _key("u", "up", "Reference", "To a task that this one's proposer was shown", name="family.up"),
    _key("d", "down", "Descendant", "To a task whose proposer was shown this one", name="family.down"),
]
LOG = [
    _key("enter", "open", "In full", "Show the entry under the cursor in full", name="log.open"),
    _key("v", "which", "Which", "Show all entries, commands or notices", name="log.which"),
    _key("slash", "find", "Find", "Only entries with some words", name="log.find"),
    _key("i", "about", "About", "The run as it was begun: seed, branches, settings", name="log.about"),
    _key("escape", "all", "All", "Away with the filter", name="log.all", show=False),
]
SAMPLE = [
    _key("escape", "back", "Back", "Back to where you came from", name="sample.back"),
    _key("n", "finding(1)", "Next mark", "Go to the next marked place", name="sample.next_mark"),
    _key("N", "finding(-1)", "Previous mark", "Go to the marked place before", name="sample.previous_mark", show=False),
    _key(
        "A",
        "decide('allow')",
        "Allow",
        "Let the same text pass from the next step on (asks first)",
        name="sample.allow",
        show=False,
    ),
    _key(
        "B",
        "decide('block')",
        "Block",
        "Block the same text from the next step on (asks first)",
        name="sample.block",
        show=False,
    ),
    _key(
        "F",
        "decide('false-alarm')",
        "False alarm",
        "As allow, and say that there was nothing to find (asks first)",
        name="sample.false_alarm",
        show=False,
    ),
    _key("right_square_bracket", "neighbour(1)", "Next", "The next sample of the list", name="sample.next", show=False),
    _key(
        "left_square_bracket",
        "neighbour(-1)",
        "Previous",
        "The sample before it in the list",
        name="sample.previous",
        show=False,
    ),
    _key("f", "section('found')", "Found", "To what was found in it", name="sample.found", show=False),
    _key("t", "section('trace')", "Trace", "To the reasoning", name="sample.trace", show=False),
    _key("c", "section('code')", "Code", "To the program", name="sample.code", show=False),
    _key("e", "section('runs')", "Execs", "To the executions", name="sample.runs", show=False),
    _key("i", "section('input')", "Input", "To input, message and answer", name="sample.input", show=False),
    _key("u", "section('attempts')", "Attempts", "To the answers to its task", name="sample.attempts", show=False),
    _key("m", "section('reward')", "Reward", "To how its reward came about", name="sample.reward", show=False),
    _key("o", "section('prompt')", "Prompt", "To prompt and response as they were", name="sample.prompt", show=False),
    _key("k", "kin", "Kin", "Walk among the tasks it comes from and led to", name="sample.kin"),
    _key("slash", "find", "Find", "Find words in this sample", name="sample.find"),
    _key("y", "copy", "Copy", "Copy the page to the terminal's clipboard", name="sample.copy", show=False),
    _key("S", "save", "Save", "Write the page to a file where the dashboard began", name="sample.save", show=False),
]
FILTER_LINE = [
    _key("tab", "complete", "Complete", "Take what is proposed", name="filter.complete"),
    _key("escape", "give_up", "Leave it", "Leave the filter as it was", name="filter.give_up"),
]
CHECKPOINTS = [
    _key("enter", "details", "Details", "All about the branch or checkpoint under the cursor", name="checkpoints.open"),
]
POLICIES = [
    _key("enter", "open", "Open", "The rule, its examples, and the samples it hit", name="policies.open", show=False),
    _key("e", "change", "Change", "Turn the rule off or on, change its action or thresholds", name="policies.change"),
    _key("t", "try", "Try", "Try such a change on past samples first", name="policies.try"),
    _key("f", "try_file", "Try a file", "Try a file of rules, or another policy", name="policies.file", show=False),
    _key("slash", "filter", "Filter", "Narrow the list to rules with some words", name="policies.filter"),
    _key("escape", "clear", "Clear", "Away with the filter", name="policies.clear", show=False),
    _key("o", "order", "Order", "By name, hits, last hit, severity or false alarms", name="policies.order", show=False),
    _key("v", "shown", "Show", "All, those that fired, or those changed or off", name="policies.shown", show=False),
]
RULE = [
    _key("escape", "back", "Back", "Back to where you came from", name="rule.back"),
    _key("enter", "open", "Open", "Show the sample under the cursor", name="rule.open", show=False),
]
TRIAL = [
    _key("escape", "back", "Back", "Back; a trial under way is ended", name="trial.back"),
    _key("enter", "open", "Open", "Show the sample under the cursor", name="trial.open", show=False),
    _key("e", "enable", "Put in force", "Make the change in the live run (asks first)", name="trial.enable"),
    _key("a", "all", "All samples", "Judge all samples, or the newest only", name="trial.all"),
    _key("x", "cancel", "Cancel", "End the trial; what it found stays in sight", name="trial.cancel"),
]
COMPARE = [
    _key("o", "other", "Other run", "Choose what to compare with", name="compare.other"),
    _key("v", "branch(False)", "Branch A", "This run's next branch", name="compare.branch"),
    _key("V", "branch(True)", "Branch B", "The other's next branch", name="compare.other_branch", show=False),
    _key("m", "figure", "Figures", "Last values, best ones or means, where not all fit", name="compare.figure"),
    _key("d", "apart", "Differences", "In what configuration and policy differ", name="compare.apart"),
]
SUSPECTS = [
    _key("space", "tick", "Tick", "Take it into quarantine, or not", name="suspects.tick", show=False),
    _key("enter", "go_on", "Next", "Leave the list as it is ticked, and go on", name="suspects.next", show=False),
]
DIALOG = [
    _key("escape", "cancel", "Cancel", "Do nothing and go back", name="dialog.cancel"),
]
GROUPS = {
    "The run": RUN,
    "Panes": PANES,
    "Overview": OVERVIEW,
    "Training": TRAINING,
    "One metric": ONE_PLOT,
    "Plots": PLOT,
    "Samples": SAMPLES,
    "Alerts": ALERTS,
    "Review": REVIEW,
    "Tasks": TASKS,
    "The family of a task": FAMILY,
    "Log": LOG,
    "One sample": SAMPLE,
    "Checkpoints": CHECKPOINTS,
    "What goes into quarantine": SUSPECTS,
    "Filter lines": FILTER_LINE,
    "Policies": POLICIES,
    "Compare": COMPARE,
    "One rule": RULE,
    "A trial": TRIAL,
    "Dialogs": DIALOG,
}
DIALOGS = ("Dialogs", "What goes into quarantine", "Filter lines")
"""Groups whose keys count in a dialog, where nothing else does."""
STEERING = frozenset(
    {
        *("run.pause", "run.resume", "run.rollback", "run.stop"),
        *("alerts.acknowledge", "alerts.acknowledge_all", "alerts.resolve", "alerts.false_alarm"),
        *("review.allow", "review.block", "review.false_alarm"),
        *("sample.allow", "sample.block", "sample.false_alarm"),
        *("policies.change", "trial.enable"),
    }
)
"""Acts that do nothing, but say why, while nobody can be steered."""
LABELLING = frozenset(name for name in STEERING if name.startswith(("review.", "sample.")))
"""Those of them that a ledger takes which nobody supervises."""
SCREENS = ("One sample", "One metric", "The family of a task", "One rule", "A trial")
"""Groups whose keys count on a screen of their own, where those of the panes do not."""
WITH_PLOTS = ("Overview", "Training", "One metric", "Compare")
"""Groups beside which the keys of plots count."""
