"""Sample answers to a suite's tasks and judge them: the sampler's next batch is drawn while the jail runs the last one.

engine ─► completions ─► parse ─► nothing to run? judged at once
                                ─► request ─► jail.stream ─► judged as results come, in order
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from azr_platform.evaluation.records import TaskScore, task_digest
from azr_platform.records import Role, Task
from azr_platform.rollout.engine import Engine
from azr_platform.tasks.check import answer_request, is_correct
from azr_platform.tasks.parse import Parsed, parse_response
from azr_platform.tasks.prompts import Style, solve_prompt
from azr_sandbox.execution import Request
from azr_sandbox.pool import JailPool

Progress = Callable[[int, int], None]
"""Called with (samples drawn, samples in all)."""

GREEDY_TEMPERATURE = 1e-6
"""So cold that sampling takes the likeliest token: a lead of 0.0001 in the logits is one of 100 standard deviations."""


@dataclass(slots=True)
class Plan:
    """How answers are drawn. ``sampler`` has temperature 1, ``greedy`` is the same model at GREEDY_TEMPERATURE."""

    sampler: Engine
    greedy: Engine
    style: Style
    samples: int
    seed: int
    batch: int
    """Sequences sampled together."""
    max_prompt_tokens: int
    """A task with a longer prompt is not asked, and counts as wrong."""


class _Attempt(NamedTuple):
    place: int
    greedy: bool
    parsed: Parsed
    tokens: int


@dataclass(slots=True)
class _Tally:
    right: int = 0
    well_formed: int = 0
    tokens: int = 0
    greedy: bool = False


def evaluate(tasks: Sequence[Task], plan: Plan, jail: JailPool, progress: Progress | None = None) -> list[TaskScore]:
    """Every task's score, in order: ``plan.samples`` samples at temperature 1 and a greedy one.

    The same model, plan and tasks give the same scores. Raises ValueError when there is no task or no sample to draw,
    JailUnavailable when nothing can be run.
    """
    if not tasks or plan.samples < 1:
        raise ValueError("an evaluation needs at least one task and one sample")
    tallies = [_Tally() for _ in tasks]
    waiting: deque[_Attempt] = deque()

    def judge(attempt: _Attempt, right: bool) -> None:
        tally = tallies[attempt.place]
        if attempt.greedy:
            tally.greedy = right
            return
        tally.right += right
        tally.well_formed += attempt.parsed.well_formed
        tally.tokens += attempt.tokens

    def requests() -> Iterator[Request]:
        for attempt in _attempts(tasks, plan, progress):
            request = answer_request(tasks[attempt.place], attempt.parsed)
            if request is None:
                judge(attempt, is_correct(tasks[attempt.place], attempt.parsed))
            else:
                waiting.append(attempt)
                yield request

    for executions in jail.stream(requests()):
        attempt = waiting.popleft()
        judge(attempt, is_correct(tasks[attempt.place], attempt.parsed, executions))
    return [
        TaskScore(
            id=task.id,
            digest=task_digest(task),
            kind=task.kind.value,
            samples=plan.samples,
            right=tally.right,
            well_formed=tally.well_formed,
            tokens=tally.tokens / plan.samples,
            greedy=tally.greedy,
        )
        for task, tally in zip(tasks, tallies, strict=True)
    ]


def _attempts(tasks: Sequence[Task], plan: Plan, progress: Progress | None) -> Iterator[_Attempt]:
    prompts = [solve_prompt(task, plan.style) for task in tasks]
    lengths = [len(plan.sampler.encode(prompt)) for prompt in prompts]
    # Prompts of like length share a batch, so that little of it is padding.
    order = sorted(range(len(tasks)), key=lambda place: (lengths[place], place))
    asked = [place for place in order if lengths[place] <= plan.max_prompt_tokens]
    total, done = len(asked) * (plan.samples + 1), 0
    for engine, samples in ((plan.sampler, plan.samples), (plan.greedy, 1)):
        size = max(1, plan.batch // samples)
        for start in range(0, len(asked), size):
            places = asked[start : start + size]
            seed = _seed(plan.seed, samples, start)
            drawn = engine.generate([prompts[place] for place in places], samples=samples, seed=seed)
            done += len(places) * samples
            if progress is not None:
                progress(done, total)
            for place, completions in zip(places, drawn, strict=True):
                for completion in completions:
                    parsed = parse_response(completion.text, Role.SOLVE, tasks[place].kind)
                    yield _Attempt(place, engine is plan.greedy, parsed, len(completion.tokens))


def _seed(seed: int, samples: int, start: int) -> int:
    """A seed for one batch, unlike those that training draws from."""
    text = f"evaluation {seed} {samples} {start}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") % 2**63
