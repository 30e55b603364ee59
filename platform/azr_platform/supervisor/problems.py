"""Given problems: read before a run is made, kept by the supervisor, dealt to the trainer as prompts.

```
source ─► gather ─► finish (in the jail) ─► ledger, RUN/problems.jsonl ─► Desk ─► Drawn(id, kind, prompt)
                                                 └─► the gate, which alone knows what is right
```
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from azr_platform.channel.messages import Changes, Problem
from azr_platform.config.load import ConfigError
from azr_platform.config.schema import Config
from azr_platform.records import Task
from azr_platform.supervisor.quarantine import bars
from azr_platform.tasks.kinds import KINDS
from azr_platform.tasks.problems import PREFIX, complete, drawn, dump, read_problems
from azr_platform.tasks.prompts import solve_prompt
from azr_sandbox.jail import Jail

GRAMMAR = "grammar"
COPY = "problems.jsonl"


def gather(config: Config) -> list[Task]:
    """The problems that a configuration names, as they are given; none for a regime that is given none.

    Raises:
        BadProblem: a file that cannot be used.
        ConfigError: the regime and ``problems.source`` do not go together.
    """
    regime, source = config.run.regime, config.problems.source
    if regime == "azr":
        if source:
            raise ConfigError("problems.source is for the regimes rlvr and ttrl; give --regime, or no problems")
        return []
    if not source:
        raise ConfigError(
            f"run.regime = {regime!r} needs problems; give --problems FILE.jsonl, or --problems {GRAMMAR}"
        )
    if source == GRAMMAR:
        return _from_grammar(config.problems.count, config.tasks.inputs, config.run.seed)
    return read_problems(Path(source), labelled=is_labelled(config))


def finish(tasks: Sequence[Task], config: Config, jail: Jail) -> list[Task]:
    """The problems as the run keeps them: outputs made in the jail where they were left out, and for ``ttrl``
    without what would answer them.

    Raises:
        BadProblem: a program that gives no value.
        JailUnavailable: see Jail.
    """
    return complete(tasks, jail, config.problems.source, labelled=is_labelled(config))


def is_labelled(config: Config) -> bool:
    """Whether it is known what is right; where it is not, a vote takes the place of it."""
    return config.run.regime != "ttrl"


def keep_copy(run: Path, tasks: Sequence[Task], config: Config) -> str:
    """Write the problems into the run's folder; returns the line for the ledger that says what they are."""
    content = dump(tasks)
    (run / COPY).write_bytes(content)
    digest = blake2b(content, digest_size=32).hexdigest()
    return f"{len(tasks)} problems from {config.problems.source}; {COPY} has BLAKE2b-256 {digest}"


class Desk:
    """Deals each step's problems, in an order that the seed and the step determine."""

    def __init__(self, config: Config, tasks: Iterable[Task]) -> None:
        self._style = config.tasks.style
        self._per_step = config.problems.per_step
        self._own_seed = self._seed = config.run.seed
        self._given = self._tasks = [task for task in tasks if task.id.startswith(PREFIX)]

    def change(self, changes: Changes) -> None:
        """Keep to what a branch changes: its seed, and problems that are asked no more."""
        self._seed = self._own_seed if changes.seed is None else changes.seed
        self._tasks = [task for task in self._given if not bars(changes, task)]

    def draw(self, step: int) -> list[Problem]:
        """The problems of a step; none where the run has none, or before the first step."""
        if not self._tasks or step < 1:
            return []
        chosen = drawn(len(self._tasks), self._per_step, step, self._seed)
        return [self._shown(self._tasks[place]) for place in chosen]

    def _shown(self, task: Task) -> Problem:
        return Problem(task=task.id, kind=task.kind, prompt=solve_prompt(task, self._style))


def _from_grammar(count: int, inputs: int, seed: int) -> list[Task]:
    """Tasks of the embedded model's grammar, the three kinds in turn; never one on a held-out program."""
    from azr_platform.nano.grammar import random_arguments, random_case
    from azr_platform.nano.heldout import is_held_out, task_of

    key = blake2b(f"{seed}/problems/{GRAMMAR}".encode(), digest_size=16).digest()
    rng = random.Random(int.from_bytes(key, "big"))  # noqa: S311 repeatable, not secret
    tasks: list[Task] = []
    while len(tasks) < count:
        kind = KINDS[len(tasks) % len(KINDS)]
        program, argument = random_case(rng)
        arguments = random_arguments(rng, program, inputs if kind.many_inputs else 1, argument)
        if arguments is not None and not is_held_out(program):
            tasks.append(task_of(f"{PREFIX}{len(tasks) + 1:06d}", kind, program, arguments))
    return tasks
