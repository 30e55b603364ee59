"""One step of Absolute-Zero self-play (arXiv 2505.03335, section 3.3, algorithm 1).

```
propose B per kind ─► review ─► n solver rollouts per valid task ─► review ─► learnability ─► buffers
                                      solve B per kind, drawn from the buffers ─► review
                                      rewards ─► task-relative advantages ─► one clipped update
```
The three kinds are values looped over; all kinds of a phase are sampled and reviewed as one batch. Whatever the
supervisor did not allow is dropped here: from the buffers, from the group statistics and from the gradient.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b

from azr_platform.buffers.buffer import Entry, TaskBuffer
from azr_platform.buffers.sample import DRAWS, references
from azr_platform.channel.messages import Judgement, Reward, Submission
from azr_platform.config.schema import Config
from azr_platform.learning.rewards import accuracy, composite, learnability
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.rollout.engine import Engine
from azr_platform.tasks.kinds import KINDS, TaskKind
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks
from azr_platform.trainer.link import Link
from azr_platform.trainer.metrics import step_metrics
from azr_platform.trainer.rollouts import Question, Rewarded, Rollout
from azr_platform.trainer.update import Updater, UpdateStats


class SelfPlay:
    """The loop's state: engine, updater, buffers. ``step`` counts finished steps."""

    def __init__(self, config: Config, engine: Engine, updater: Updater, link: Link) -> None:
        self._config = config
        self._engine = engine
        self._updater = updater
        self._link = link
        self.buffers = {kind: TaskBuffer(kind, config.selfplay.buffer_cap) for kind in Kind}
        self.settled: dict[Kind, Sequence[Entry]] = {}
        """The buffers after the last finished step: what a checkpoint holds, also when a step is cut short."""
        self._seconds: dict[str, float] = defaultdict(float)

    def restore(self, entries: Mapping[Kind, Sequence[Entry]]) -> None:
        """Put a checkpoint's buffers back."""
        for kind, kept in entries.items():
            self.buffers[kind].restore(kept)
        self._settle()

    def _settle(self) -> None:
        self.settled = {kind: buffer.entries for kind, buffer in self.buffers.items()}

    # -- seeding -----------------------------------------------------------------------------------------

    def seed(self) -> None:
        """Plant the identity task and let the base policy grow each buffer; no gradient."""
        for task in seed_tasks(self._config.tasks.inputs):
            self.buffers[task.kind].plant(task)
        wanted = self._config.selfplay.seed_factor * self._config.selfplay.proposals
        for number in range(self._config.selfplay.seed_rounds):
            missing = {kind.kind: wanted - len(self.buffers[kind.kind]) for kind in KINDS}
            if max(missing.values()) <= 0:
                break
            self._link.safe_point(f"seeding, round {number + 1}")
            questions = [
                question
                for kind in KINDS
                if missing[kind.kind] > 0
                for question in self._proposals(kind, min(missing[kind.kind], 2 * wanted), f"seed-{number}")
            ]
            for rollout in self._sample(Phase.SEED, questions, 1, f"seed-{number}"):
                self._keep(rollout.judgement, 0)
        short = {kind.value: len(buffer) for kind, buffer in self.buffers.items() if len(buffer) < wanted}
        if short:
            rounds = self._config.selfplay.seed_rounds
            self._link.notice(f"seeding ended after {rounds} rounds with fewer than {wanted} tasks: {short}")
        self._settle()

    # -- one step ----------------------------------------------------------------------------------------

    def step(self, step: int) -> None:
        """Propose, validate, estimate learnability, solve, update; then report. Counts as done when reported."""
        started_at = time.time()
        self._seconds.clear()
        settings = self._config.selfplay

        questions = [q for kind in KINDS for q in self._proposals(kind, settings.proposals, "propose")]
        proposals = self._sample(Phase.PROPOSE, questions, 1, "propose")
        tasks, repeats = self._new_tasks(proposals)
        self._link.safe_point("proposals reviewed")

        asked = [self._solve_question(task) for task in tasks.values()]
        rollouts = self._sample(Phase.LEARNABILITY, asked, settings.rollouts, "rollouts")
        successes = _successes(rollouts)
        for proposal in proposals:
            self._keep(proposal.judgement, step)
        self._link.safe_point("learnability estimated")

        draw = DRAWS[settings.draw]
        problems = [
            task
            for kind in KINDS
            for task in draw(self.buffers[kind.kind].entries, settings.proposals, step, self._rng(f"draw-{kind.verb}"))
        ]
        solves = self._sample(Phase.SOLVE, [self._solve_question(task) for task in problems], 1, "solve")
        self._link.safe_point("problems solved")

        trained = solves + rollouts if settings.train_on_rollouts else solves
        rewarded = self._propose_rewards(proposals, successes, repeats) + self._solve_rewards(trained)
        update = self._learn(rewarded, step)
        worths: dict[Kind, list[float]] = defaultdict(list)
        for task_id, outcomes in successes.items():
            worths[tasks[task_id].kind].append(learnability(outcomes))
        metrics = step_metrics(
            rollouts={Phase.PROPOSE: proposals, Phase.LEARNABILITY: rollouts, Phase.SOLVE: solves},
            rewarded=rewarded,
            worths=worths,
            successes=successes.values(),
            repeats=len(repeats),
            buffers=self.buffers,
            seconds=self._seconds,
            update=update,
        )
        self._link.step_done(started_at, metrics, _reward_rows([*proposals, *rollouts, *solves], rewarded, update))
        self._settle()

    # -- phases ------------------------------------------------------------------------------------------

    def _proposals(self, kind: TaskKind, count: int, label: str) -> list[Question]:
        """Prompts for new tasks. A kind that writes no program is given one from the other kinds' buffers."""
        rng = self._rng(f"{label}-{kind.verb}")
        settings, tasks = self._config.selfplay, self._config.tasks
        sources = [kind.kind] if kind.writes_program else [other.kind for other in KINDS if other.writes_program]
        pool = [entry for source in sources for entry in self.buffers[source].entries]
        shown = tasks.references if kind.writes_program else 1
        questions = []
        for _ in range(count):
            chosen = references(pool, shown, settings.recent_references, rng)
            prompt = propose_prompt(kind.kind, chosen, tasks.style, tasks.inputs)
            about = "" if kind.writes_program else chosen[0].id
            questions.append(Question(Role.PROPOSE, kind.kind, prompt, about))
        return questions

    def _solve_question(self, task: Task) -> Question:
        return Question(Role.SOLVE, task.kind, solve_prompt(task, self._config.tasks.style), task.id)

    def _sample(self, phase: Phase, questions: Sequence[Question], samples: int, label: str) -> list[Rollout]:
        """Sample every question and have every answer reviewed, as one batch each."""
        limit = self._config.model.max_prompt_tokens
        questions = [q for q in questions if len(self._engine.encode(q.prompt)) <= limit]
        if not questions:
            return []
        self._link.at(f"{phase.value}: sampling")
        with self._timed("generate"):
            completions = self._engine.generate(
                [question.prompt for question in questions],
                samples=samples,
                seed=self._rng(f"sample-{label}").getrandbits(62),
                progress=self._link.on_progress,
            )
        drawn = [(q, completion) for q, several in zip(questions, completions, strict=True) for completion in several]
        submissions = [
            Submission(
                uid=f"{self._link.step}-{label}-{number}",
                role=question.role,
                kind=question.kind,
                prompt=question.prompt,
                response=completion.text,
                tokens=len(completion.tokens),
                task=question.task,
            )
            for number, (question, completion) in enumerate(drawn)
        ]
        self._link.at(f"{phase.value}: review")
        with self._timed("review"):
            judgements = self._link.review(phase, submissions)
        return [
            Rollout(submission, self._engine.encode(submission.prompt), completion, judgement)
            for submission, (_, completion), judgement in zip(submissions, drawn, judgements, strict=True)
        ]

    def _new_tasks(self, proposals: Sequence[Rollout]) -> tuple[dict[str, Task], set[int]]:
        """(the valid tasks by id, the samples that repeat a task of a buffer or of this very batch)."""
        tasks: dict[str, Task] = {}
        repeats: set[int] = set()
        for rollout in proposals:
            judgement = rollout.judgement
            if not (judgement.allowed and judgement.valid and judgement.task is not None):
                continue
            if judgement.task.id in tasks or judgement.task in self.buffers[judgement.task.kind]:
                repeats.add(judgement.sample)
            tasks[judgement.task.id] = judgement.task
        return tasks, repeats

    def _keep(self, judgement: Judgement, step: int) -> None:
        if judgement.allowed and judgement.valid and judgement.task is not None:
            self.buffers[judgement.task.kind].add(judgement, step)

    def _learn(self, rewarded: Sequence[Rewarded], step: int) -> UpdateStats | None:
        if not rewarded:
            self._link.notice(f"step {step}: nothing to learn from, every sample was dropped")
            return None
        self._link.at("update")
        with self._timed("update"):
            update = self._updater.update(rewarded, step, self._rng("minibatches"))
            self._engine.refresh()
        return update

    # -- rewards -----------------------------------------------------------------------------------------

    def _propose_rewards(
        self, proposals: Sequence[Rollout], successes: dict[str, list[bool]], repeats: set[int]
    ) -> list[Rewarded]:
        rewarded = []
        for rollout in proposals:
            judgement = rollout.judgement
            if not judgement.allowed:
                rewarded += self._flagged(rollout)
                continue
            outcomes = successes.get(judgement.task.id, []) if judgement.task is not None else []
            if judgement.valid and not outcomes:
                continue  # its prompt was too long or all its rollouts were dropped: worth unknown
            unpaid = judgement.sample in repeats and not self._config.rewards.pay_repeats
            worth = learnability(outcomes) if judgement.valid and not unpaid else 0.0
            rewarded.append(self._rewarded(rollout, worth, judgement.well_formed and judgement.valid))
        return rewarded

    def _solve_rewards(self, solves: Sequence[Rollout]) -> list[Rewarded]:
        rewarded = []
        for rollout in solves:
            judgement = rollout.judgement
            if judgement.allowed:
                rewarded.append(self._rewarded(rollout, accuracy(judgement.correct), judgement.well_formed))
            else:
                rewarded += self._flagged(rollout)
        return rewarded

    def _rewarded(self, rollout: Rollout, worth: float, acceptable: bool) -> Rewarded:
        settings = self._config.rewards
        reward = composite(worth, acceptable=acceptable, wrong=settings.wrong, malformed=settings.malformed)
        return Rewarded(rollout, reward)

    def _flagged(self, rollout: Rollout) -> list[Rewarded]:
        """A flagged sample is dropped, unless the run was told to punish it; one without a ledger row always is."""
        if self._config.rewards.punish_flagged and rollout.judgement.sample > 0:
            return [Rewarded(rollout, self._config.rewards.malformed)]
        return []

    # -- plumbing ----------------------------------------------------------------------------------------

    def _rng(self, label: str) -> random.Random:
        """A generator of its own for each draw: nothing to save, and a resumed step draws the same."""
        key = f"{self._config.run.seed}/{self._link.step}/{label}".encode()
        return random.Random(int.from_bytes(blake2b(key, digest_size=16).digest(), "big"))  # noqa: S311 not secret

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] += time.monotonic() - started


def _successes(rollouts: Sequence[Rollout]) -> dict[str, list[bool]]:
    """By task id, whether each allowed solver sample was right; a task whose samples were all dropped is left out."""
    successes: dict[str, list[bool]] = defaultdict(list)
    for rollout in rollouts:
        if rollout.judgement.allowed:
            successes[rollout.submission.task].append(rollout.judgement.correct)
    return successes


def _reward_rows(rollouts: Sequence[Rollout], rewarded: Sequence[Rewarded], update: UpdateStats | None) -> list[Reward]:
    """One row per reviewed sample of the step, also for those that earned nothing."""
    advantages = update.advantages if update is not None else []
    trained = {
        item.rollout.judgement.sample: (item.reward, advantage)
        for item, advantage in zip(rewarded, advantages, strict=True)
    }
    return [
        Reward(sample, *trained[sample], trained=True) if sample in trained else Reward(sample, 0.0, 0.0, trained=False)
        for sample in (rollout.judgement.sample for rollout in rollouts)
    ]
