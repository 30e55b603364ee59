"""Absolute-Zero self-play (arXiv 2505.03335, section 3.3, algorithm 1): the model proposes what it learns to solve.

```
propose B per kind ─► review ─► n solver rollouts per valid task ─► review ─► learnability ─► buffers
                                      solve B per kind, drawn from the buffers ─► review ─► rewards
```
The kinds are values looped over; all kinds of a phase are sampled and reviewed as one batch. Whatever the
supervisor did not allow is dropped here: from the buffers, from the prompts and from what is learnt.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from azr_platform.buffers.buffer import Entry, NotAllowed, TaskBuffer
from azr_platform.buffers.sample import DRAWS, references
from azr_platform.config.schema import Config
from azr_platform.learning.rewards import learnability
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.tasks.composite import given_function
from azr_platform.tasks.kinds import TaskKind, task_kind
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks
from azr_platform.trainer.health import key_of, known_programs, proposer_metrics, valid_task
from azr_platform.trainer.intrinsic import Intrinsic
from azr_platform.trainer.probes import MessageProbe, RightAnswer, ask_without_message, right_answers
from azr_platform.trainer.regimes.base import Buffers, Practice
from azr_platform.trainer.rollouts import Question, Rewarded, Rollout
from azr_platform.trainer.sampling import Sampler


class SelfPlay:
    """Self-play's state: a buffer of allowed tasks for each kind."""

    def __init__(self, config: Config, sampler: Sampler) -> None:
        self._config = config
        self._sampler = sampler
        self._link = sampler.link
        self._kinds = [task_kind(Kind(name)) for name in config.tasks.kinds]
        self._buffers = {kind.kind: TaskBuffer(kind.kind, config.selfplay.buffer_cap) for kind in self._kinds}
        self._shown: dict[str, tuple[str, ...]] = {}
        """The reference programs in each of this step's proposer prompts."""

    def buffers(self) -> Buffers:
        return {kind: buffer.entries for kind, buffer in self._buffers.items()}

    def restore(self, buffers: Buffers) -> None:
        if buffers.keys() != self._buffers.keys():
            raise NotAllowed("the checkpoint's buffers are not those of self-play")
        for kind, kept in buffers.items():
            self._buffers[kind].restore(kept)
        for task in seed_tasks(self._config.tasks.inputs, [kind for kind, kept in buffers.items() if not kept]):
            self._buffers[task.kind].plant(task)  # quarantine took the rest: there must be something to draw from

    # -- seeding -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Plant the identity task and let the base policy grow each buffer."""
        for task in seed_tasks(self._config.tasks.inputs, self._buffers):
            self._buffers[task.kind].plant(task)
        wanted = self._config.selfplay.seed_factor * self._config.selfplay.proposals
        for number in range(self._config.selfplay.seed_rounds):
            missing = {kind.kind: wanted - len(self._buffers[kind.kind]) for kind in self._kinds}
            if max(missing.values()) <= 0:
                break
            self._link.safe_point(f"seeding, round {number + 1}")
            questions = [
                question
                for kind in self._kinds
                if missing[kind.kind] > 0
                for question in self._proposals(kind, min(missing[kind.kind], 2 * wanted), f"seed-{number}")
            ]
            rollouts = self._sampler.sample(Phase.SEED, questions, 1, f"seed-{number}")
            _, repeats = self._new_tasks(rollouts)
            self._keep(rollouts, repeats, 0)
        short = [f"{kind.value} {len(buffer)}" for kind, buffer in self._buffers.items() if len(buffer) < wanted]
        if short:
            rounds = self._config.selfplay.seed_rounds
            self._link.notice(
                f"seeding ended after {rounds} rounds with fewer than {wanted} tasks of a kind: {', '.join(short)}"
            )

    # -- one step ----------------------------------------------------------------------------------------

    def practise(self, step: int) -> Practice:
        """Propose, validate, estimate learnability, solve."""
        self._shown.clear()
        settings, sample = self._config.selfplay, self._sampler.sample

        questions = [q for kind in self._kinds for q in self._proposals(kind, settings.proposals, "propose")]
        proposals = sample(Phase.PROPOSE, questions, 1, "propose")
        known, intrinsic = known_programs(self._buffers), Intrinsic(self._config.rewards, self._buffers)
        tasks, repeats = self._new_tasks(proposals)
        self._link.safe_point("proposals reviewed")

        asked = [self._solve_question(task) for task in tasks.values()]
        estimating = self._sampler.begin(Phase.LEARNABILITY, asked, settings.rollouts, "rollouts")
        self._keep(proposals, repeats, step)
        # What is solved does not depend on how the rollouts are judged, so they are judged while it is sampled.
        problems = [task for kind in self._kinds for task in self._drawn(kind, step)]
        solving = self._sampler.begin(Phase.SOLVE, [self._solve_question(task) for task in problems], 1, "solve")
        probing, right = self._probe(problems, step)
        rollouts, solves = estimating.rollouts(), solving.rollouts()
        probes, probed = probing.metrics(solves) if probing is not None else ([], {})
        successes = _successes(rollouts)
        self._link.safe_point("problems solved")

        trained = solves + rollouts if settings.train_on_rollouts else solves
        rewarded = self._propose_rewards(proposals, successes, repeats, intrinsic)
        rewarded += self._sampler.solve_rewards(trained)
        worths: dict[Kind, list[float]] = defaultdict(list)
        for task_id, outcomes in successes.items():
            worths[tasks[task_id].kind].append(learnability(outcomes))
        return Practice(
            rollouts={
                Phase.PROPOSE: proposals,
                Phase.LEARNABILITY: rollouts,
                Phase.SOLVE: solves,
                **({Phase.PROBE: probes} if probes else {}),
            },
            rewarded=rewarded,
            metrics={
                **proposer_metrics(
                    proposals,
                    worths=worths,
                    successes=successes.values(),
                    repeats=len(repeats),
                    held_out=sum(not r.judgement.decided for r in (*proposals, *rollouts, *solves)),
                    known=known,
                    buffers=self._buffers,
                ),
                **probed,
            },
            right=right,
        )

    def _probe(self, problems: Sequence[Task], step: int) -> tuple[MessageProbe | None, list[RightAnswer]]:
        """Ask about the step's problems what nobody learns from, when it is time to."""
        probes, style = self._config.probes, self._config.tasks.style
        if not probes.every or step % probes.every:
            return None, []
        probing = ask_without_message(self._sampler, problems, style, probes.problems)
        return probing, right_answers(problems, style, probes.problems)

    def _proposals(self, kind: TaskKind, count: int, label: str) -> list[Question]:
        """Prompts for new tasks. A kind that writes no program is given one from the other kinds' buffers."""
        rng = self._sampler.rng(f"{label}-{kind.verb}")
        settings, tasks = self._config.selfplay, self._config.tasks
        sources = [kind] if kind.writes_program else [other for other in self._kinds if other.writes_program]
        pool = [entry for source in sources for entry in self._buffers[source.kind].entries]
        shown = tasks.references if kind.writes_program else 1
        questions = []
        for _ in range(count):
            chosen = references(pool, shown, settings.recent_references, rng)
            given = self._functions(pool, rng) if kind.writes_program else []
            functions = [task.program for task in given]
            prompt = propose_prompt(kind.kind, chosen, tasks.style, tasks.inputs, functions)
            self._shown[prompt] = tuple(task.program for task in chosen)
            about = "" if kind.writes_program else chosen[0].id
            questions.append(Question(Role.PROPOSE, kind.kind, prompt, about, tuple(task.id for task in given)))
        return questions

    def _functions(self, pool: Sequence[Entry], rng: random.Random) -> list[Task]:
        """The tasks whose programs a proposal must call, for a composite one; empty for the others."""
        settings = self._config.tasks
        if not settings.composite or self._link.step < settings.composite_start:
            return []
        if rng.random() >= settings.composite_chance:
            return []
        able = {e.task.program: e.task for e in pool if given_function(e.task.program, 0) is not None}
        return rng.sample(list(able.values()), settings.composite) if len(able) >= settings.composite else []

    def _drawn(self, kind: TaskKind, step: int) -> list[Task]:
        """This step's problems of a kind, from its buffer."""
        settings = self._config.selfplay
        draw, rng = DRAWS[settings.draw], self._sampler.rng(f"draw-{kind.verb}")
        return draw(self._buffers[kind.kind].entries, settings.proposals, step, rng)

    def _solve_question(self, task: Task) -> Question:
        return Question(Role.SOLVE, task.kind, solve_prompt(task, self._config.tasks.style), task.id)

    def _new_tasks(self, proposals: Sequence[Rollout]) -> tuple[dict[str, Task], set[int]]:
        """(the valid tasks by id, the samples that repeat a task of a buffer or of this very batch)."""
        renaming = self._config.selfplay.dedupe == "renaming"
        seen = set(known_programs(self._buffers)) if renaming else set()
        tasks: dict[str, Task] = {}
        repeats: set[int] = set()
        for rollout in proposals:
            task = valid_task(rollout)
            if task is None:
                continue
            if task.id in tasks or task in self._buffers[task.kind]:
                repeats.add(rollout.judgement.sample)
            if renaming and task_kind(task.kind).writes_program:
                if key_of(task.program) in seen:
                    repeats.add(rollout.judgement.sample)
                seen.add(key_of(task.program))
            tasks[task.id] = task
        return tasks, repeats

    def _keep(self, proposals: Sequence[Rollout], repeats: set[int], step: int) -> None:
        """Put the valid proposals that repeat nothing into the buffers."""
        for rollout in proposals:
            task = valid_task(rollout)
            if task is not None and rollout.judgement.sample not in repeats:
                self._buffers[task.kind].add(rollout.judgement, step)

    def _propose_rewards(
        self,
        proposals: Sequence[Rollout],
        successes: dict[str, list[bool]],
        repeats: set[int],
        intrinsic: Intrinsic,
    ) -> list[Rewarded]:
        rewarded = []
        for rollout in proposals:
            judgement, task = rollout.judgement, valid_task(rollout)
            if not judgement.decided:
                continue  # held out: there is nothing to learn from it
            if not judgement.allowed:
                rewarded += self._sampler.flagged(rollout)
                continue
            outcomes = successes.get(task.id, []) if task is not None else []
            if task is not None and not outcomes:
                continue  # its prompt was too long or all its rollouts were dropped: worth unknown
            if judgement.sample in repeats and not self._config.rewards.pay_repeats:
                rewarded.append(Rewarded(rollout, self._config.rewards.repeated))
                continue
            worth = 0.0
            if task is not None:
                worth = intrinsic.worth(learnability(outcomes), task, self._shown[rollout.submission.prompt])
            rewarded.append(self._sampler.rewarded(rollout, worth, judgement.well_formed and judgement.valid))
        return rewarded


def _successes(rollouts: Sequence[Rollout]) -> dict[str, list[bool]]:
    """By task id, whether each allowed solver sample was right; a task whose samples were all dropped is left out."""
    successes: dict[str, list[bool]] = defaultdict(list)
    for rollout in rollouts:
        if rollout.judgement.allowed:
            successes[rollout.submission.task].append(rollout.judgement.correct)
    return successes
