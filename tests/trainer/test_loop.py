"""The loop and self-play in it against the paper's rules: every draw, reward and group.

The policy, the supervisor and the update are played by the test; what is tested is everything between them.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import pytest

from azr_platform.buffers.buffer import Entry
from azr_platform.channel.messages import Changes, Judgement, Reviewed, Reward, Submission
from azr_platform.config.load import load
from azr_platform.records import SELF_PLAY_KINDS, Kind, Phase, Role, Task
from azr_platform.rollout.engine import Completion
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.kinds import task_kind
from azr_platform.trainer.loop import Loop
from azr_platform.trainer.rollouts import Rewarded
from azr_platform.trainer.update import UpdateStats

B, N_ROLLOUTS = 4, 3


class Engine:
    """Says the same to every prompt."""

    said = "said"

    def __init__(self) -> None:
        self.refreshed = 0
        self.rested = 0

    def encode(self, prompt: str) -> list[int]:
        return [1] * min(len(prompt), 50)

    def generate(
        self, prompts: Sequence[str], *, samples: int, seed: int, progress: Any = None, ready: Any = None
    ) -> list[list[Completion]]:
        drawn = [[Completion([5, 2], [-0.5, -0.5], self.said, finished=True) for _ in range(samples)] for _ in prompts]
        for place in reversed(range(len(prompts))):  # no engine promises that the first prompt is ready first
            ready(place, drawn[place])
        return drawn

    def rest(self) -> None:
        assert self.rested == self.refreshed
        self.rested += 1

    def refresh(self) -> None:
        self.refreshed += 1
        assert self.rested == self.refreshed

    def close(self) -> None: ...


class Updates:
    def __init__(self) -> None:
        self.given: list[list[Rewarded]] = []

    def update(self, rewarded: Sequence[Rewarded], step: int, rng: random.Random) -> UpdateStats:
        self.given.append(list(rewarded))
        return UpdateStats([1.0] * len(rewarded), 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0)


Judge = Callable[[Phase, int, Submission], dict[str, Any]]


class Answered:
    """A batch whose verdicts are there already."""

    def __init__(self, reviewed: Reviewed) -> None:
        self._reviewed = reviewed

    def reviewed(self) -> Reviewed:
        return self._reviewed


class Link:
    """Judges by ``judge(phase, position, submission)``, which says what differs from an allowed, malformed sample."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.step = 0
        self.reviews: list[tuple[Phase, list[Submission]]] = []
        self.safe_points: list[str] = []
        self.rewards: list[Reward] = []
        self.notices: list[str] = []
        self._number = 0

    def at(self, where: str) -> None: ...
    def on_progress(self, done: int, total: int) -> None: ...

    def safe_point(self, where: str) -> None:
        self.safe_points.append(where)

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def submit(self, phase: Phase, samples: Sequence[Submission]) -> Answered:
        self.reviews.append((phase, list(samples)))
        judgements = []
        for sample in samples:
            self._number += 1
            said = {
                "sample": self._number,
                "allowed": True,
                "well_formed": False,
                **self.judge(phase, position(sample), sample),
            }
            judgements.append(Judgement(uid=sample.uid, **said))
        return Answered(Reviewed(judgements=judgements))

    def step_done(self, seconds: float, metrics: dict[str, float], rewards: list[Reward]) -> None:
        self.rewards += rewards

    def of(self, phase: Phase) -> list[Submission]:
        """What was sent of a phase, in the order of its questions."""
        sent = [sample for at, samples in self.reviews for sample in samples if at is phase]
        return sorted(sent, key=lambda sample: (sample.uid.rsplit("-", 1)[0], position(sample)))


def position(sample: Submission) -> int:
    """A sample's place in its phase, whichever batch it came in."""
    return int(sample.uid.rsplit("-", 1)[1])


def task_of(kind: Kind, name: str) -> Task:
    count = 6 if task_kind(kind).many_inputs else 1
    return Task(
        id=name,
        kind=kind,
        program=f"def f(x):\n    return x  # {name}",
        inputs=tuple(f"{n}" for n in range(count)),
        outputs=tuple(f"{n} of {name}" for n in range(count)),
        shown=task_kind(kind).shown_count(count),
        message=f"message of {name}" if task_kind(kind).many_inputs else "",
    )


def valid(kind: Kind, name: str) -> dict[str, Any]:
    return {"well_formed": True, "valid": True, "task": task_of(kind, name)}


def all_valid(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
    """Every proposal is a new task; every answer is right."""
    if sample.role is Role.PROPOSE:
        return valid(sample.kind, f"{sample.kind.value}-{phase.value}-{sample.uid}")
    return {"well_formed": True, "correct": True}


def play(judge: Judge, *settings: str, changes: Changes | None = None) -> tuple[Loop, Link, Updates]:
    config = load(
        overrides=[
            f"selfplay.proposals={B}",
            f"selfplay.rollouts={N_ROLLOUTS}",
            "selfplay.seed_factor=4",
            "selfplay.seed_rounds=2",
            "tasks.inputs=6",
            *settings,
        ],
    )
    link, updates = Link(judge), Updates()
    loop = Loop(config, Engine(), updates, link, changes=changes)  # type: ignore[arg-type]
    return loop, link, updates


def one_step(judge: Judge, *settings: str, seeded: Judge = all_valid) -> tuple[Loop, Link, Updates]:
    loop, link, updates = play(seeded, *settings)
    loop.begin()
    link.judge, link.step = judge, 1
    link.reviews.clear()
    loop.step(1)
    return loop, link, updates


def rewards(updates: Updates, role: Role, kind: Kind | None = None) -> list[float]:
    (given,) = updates.given
    return [
        item.reward
        for item in given
        if item.rollout.submission.role is role and kind in (None, item.rollout.submission.kind)
    ]


# -- seeding ---------------------------------------------------------------------------------------------


def test_seeding_starts_from_the_identity_grows_to_four_times_b_and_trains_nothing() -> None:
    loop, link, updates = play(all_valid)
    loop.begin()
    assert {kind: len(buffer) for kind, buffer in loop.regime.buffers().items()} == dict.fromkeys(
        SELF_PLAY_KINDS, 4 * B
    )
    assert {phase for phase, _ in link.reviews} == {Phase.SEED}
    assert all(buffer[0].task.id == f"seed-{kind.value}" for kind, buffer in loop.regime.buffers().items())
    assert {entry.step for buffer in loop.regime.buffers().values() for entry in buffer} == {0}
    assert updates.given == []
    assert link.rewards == []
    assert link.notices == []


def test_seeding_that_finds_nothing_ends_with_a_notice_and_the_identity() -> None:
    loop, link, _ = play(lambda *_: {})
    loop.begin()
    assert {len(buffer) for buffer in loop.regime.buffers().values()} == {1}
    assert len({sample.uid.rsplit("-", 1)[0] for sample in link.of(Phase.SEED)}) == 2
    assert "fewer than 16" in link.notices[0]


# -- who is asked what -----------------------------------------------------------------------------------


def test_a_step_asks_b_proposals_n_rollouts_each_and_b_problems_of_each_kind() -> None:
    _, link, updates = one_step(all_valid)
    counts = {phase: Counter((s.role, s.kind) for s in link.of(phase)) for phase in Phase}
    assert counts[Phase.PROPOSE] == {(Role.PROPOSE, kind): B for kind in SELF_PLAY_KINDS}
    assert counts[Phase.LEARNABILITY] == {(Role.SOLVE, kind): B * N_ROLLOUTS for kind in SELF_PLAY_KINDS}
    assert counts[Phase.SOLVE] == {(Role.SOLVE, kind): B for kind in SELF_PLAY_KINDS}
    (given,) = updates.given
    assert Counter(str(item.rollout.group) for item in given) == {
        f"{role.value}/{kind.value}": B for role in Role for kind in SELF_PLAY_KINDS
    }


def test_induction_is_proposed_about_programs_of_the_two_other_kinds() -> None:
    _, link, _ = one_step(all_valid, "selfplay.proposals=32")
    about = [sample.task for sample in link.of(Phase.PROPOSE) if sample.kind is Kind.INDUCTION]
    kinds = {task.removeprefix("seed-").split("-")[0] for task in about}
    assert kinds == {"deduction", "abduction"}
    for sample in link.of(Phase.PROPOSE):
        if sample.kind is Kind.INDUCTION:
            name = "return a" if sample.task.startswith("seed-") else sample.task
            assert name in sample.prompt
        else:
            assert sample.task == ""


def test_the_hidden_half_of_an_induction_task_is_never_shown() -> None:
    _, link, _ = one_step(all_valid)
    asked = [s for s in [*link.of(Phase.LEARNABILITY), *link.of(Phase.SOLVE)] if s.kind is Kind.INDUCTION]
    assert asked
    for sample in asked:
        if sample.task.startswith("seed"):
            continue
        shown = [n for n in range(6) if f"{n} of {sample.task}" in sample.prompt]
        assert shown == [0, 1, 2]
        assert f"# {sample.task}" not in sample.prompt, "nor is the program"


def test_problems_are_this_step_s_new_ones_first() -> None:
    """Two new tasks of each kind: both are solved, the other two problems are older."""

    def two(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        if sample.role is Role.PROPOSE and position % B < 2:
            return valid(sample.kind, f"{sample.kind.value}-new-{position}")
        return {"well_formed": True}

    _, link, _ = one_step(two)
    for kind in SELF_PLAY_KINDS:
        solved = [sample.task for sample in link.of(Phase.SOLVE) if sample.kind is kind]
        assert sum("-new-" in task for task in solved) == 2
        assert len(set(solved)) == B


def test_only_valid_proposals_are_tried_and_kept_and_a_repeat_is_tried_once() -> None:
    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        if sample.role is Role.SOLVE or sample.kind is not Kind.DEDUCTION:
            return {"well_formed": True}
        return valid(Kind.DEDUCTION, "twice") if position < 2 else {"well_formed": True}

    loop, link, _ = one_step(judge)
    assert Counter(sample.task for sample in link.of(Phase.LEARNABILITY)) == {"twice": N_ROLLOUTS}
    assert [len(buffer) for buffer in loop.regime.buffers().values()] == [4 * B + 1, 4 * B, 4 * B]


# -- rewards ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "reward"), [(0, -0.5), (1, 2 / 3), (2, 1 / 3), (3, -0.5)])
def test_a_proposal_earns_its_learnability_and_minus_a_half_when_always_or_never_solved(
    right: int, reward: float
) -> None:
    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        if sample.role is Role.PROPOSE:
            return valid(sample.kind, f"{sample.kind.value}-{position}")
        return {"well_formed": True, "correct": position % N_ROLLOUTS < right}

    _, _, updates = one_step(judge)
    assert rewards(updates, Role.PROPOSE) == pytest.approx([reward] * 3 * B)


def test_malformed_and_invalid_proposals_earn_minus_one() -> None:
    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        return {"well_formed": position % 2 == 0}

    _, link, updates = one_step(judge)
    assert rewards(updates, Role.PROPOSE) == [-1.0] * 3 * B
    assert link.of(Phase.LEARNABILITY) == []


def test_an_answer_earns_one_when_right_minus_a_half_when_wrong_minus_one_when_malformed() -> None:
    said = [{"well_formed": True, "correct": True}, {"well_formed": True}, {}, {"well_formed": True}]

    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        return said[position % B] if sample.role is Role.SOLVE else {}

    _, _, updates = one_step(judge)
    for kind in SELF_PLAY_KINDS:
        assert rewards(updates, Role.SOLVE, kind) == [1.0, -0.5, -1.0, -0.5]


def test_a_repeat_can_be_left_unpaid() -> None:
    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        if sample.role is Role.PROPOSE:
            return valid(sample.kind, f"{sample.kind.value}-same")
        return {"well_formed": True, "correct": position % N_ROLLOUTS == 0}

    _, _, paid = one_step(judge)
    assert rewards(paid, Role.PROPOSE, Kind.DEDUCTION) == pytest.approx([2 / 3] * B)
    _, _, unpaid = one_step(judge, "rewards.pay_repeats=false")
    assert rewards(unpaid, Role.PROPOSE, Kind.DEDUCTION) == pytest.approx([2 / 3] + [-0.5] * (B - 1))


def test_learnability_samples_train_only_when_asked_to() -> None:
    _, link, updates = one_step(all_valid, "selfplay.train_on_rollouts=true")
    assert len(rewards(updates, Role.SOLVE)) == 3 * B * (N_ROLLOUTS + 1)
    assert all(reward.trained for reward in link.rewards)
    _, link, updates = one_step(all_valid)
    assert len(rewards(updates, Role.SOLVE)) == 3 * B
    assert sum(not reward.trained for reward in link.rewards) == 3 * B * N_ROLLOUTS


# -- what the supervisor did not allow -------------------------------------------------------------------


def blocked(*where: tuple[Phase, int]) -> Judge:
    """Everything is right but the samples at these places, which are blocked although their task is sent along."""

    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        said = all_valid(phase, position, sample)
        return {**said, "allowed": False} if (phase, position) in where else said

    return judge


def used(loop: Loop, link: Link, updates: Updates) -> tuple[set[str], set[int]]:
    """(tasks in buffers and prompts, samples in the gradient)."""
    kept = {entry.task.id for buffer in loop.regime.buffers().values() for entry in buffer}
    asked = {sample.task for phase in (Phase.LEARNABILITY, Phase.SOLVE) for sample in link.of(phase)}
    return kept | asked, {item.rollout.judgement.sample for given in updates.given for item in given}


def test_a_blocked_proposal_enters_no_buffer_no_prompt_and_no_gradient() -> None:
    loop, link, updates = one_step(blocked((Phase.PROPOSE, 0)))
    bad = link.of(Phase.PROPOSE)[0]
    tasks, trained = used(loop, link, updates)
    assert f"{bad.kind.value}-propose-{bad.uid}" not in tasks
    assert len(rewards(updates, Role.PROPOSE, bad.kind)) == B - 1, "it leaves the group's statistics too"
    assert not any(reward.trained for reward in link.rewards if reward.sample not in trained)


def test_a_blocked_seed_enters_no_buffer() -> None:
    loop, link, _ = play(blocked((Phase.SEED, 3)))
    loop.begin()
    bad = link.of(Phase.SEED)[3]
    kept = {entry.task.id for buffer in loop.regime.buffers().values() for entry in buffer}
    assert f"{bad.kind.value}-seed-{bad.uid}" not in kept


def test_blocked_answers_leave_learnability_and_the_gradient() -> None:
    """Of three rollouts one is blocked, one right, one wrong: the mean is a half, not a third."""

    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        said = all_valid(phase, position, sample)
        if phase is Phase.LEARNABILITY:
            return {**said, "allowed": position % N_ROLLOUTS != 0, "correct": position % N_ROLLOUTS == 1}
        return {**said, "allowed": position != 0} if phase is Phase.SOLVE else said

    _, _, updates = one_step(judge)
    assert rewards(updates, Role.PROPOSE) == [0.5] * 3 * B
    assert len(rewards(updates, Role.SOLVE)) == 3 * B - 1


def test_a_proposal_whose_every_rollout_was_blocked_is_of_unknown_worth_and_left_out() -> None:
    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        return {**all_valid(phase, position, sample), "allowed": phase is not Phase.LEARNABILITY}

    _, _, updates = one_step(judge)
    assert rewards(updates, Role.PROPOSE) == []


def test_a_clock_set_back_while_a_step_runs_does_not_change_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may set the machine's clock in a test: the trainer reads one that is an hour late from a review on."""
    clock, seconds = time.time, []

    def set_back(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        monkeypatch.setattr(time, "time", lambda: clock() - 3600)
        return all_valid(phase, position, sample)

    loop, link, _ = play(all_valid)
    loop.begin()
    link.judge, link.step = set_back, 1
    link.step_done = lambda took, *_: seconds.append(took)  # type: ignore[method-assign]
    loop.step(1)
    assert 0 < seconds[0] < 1800


def test_a_step_whose_every_sample_is_blocked_learns_nothing_and_says_so() -> None:
    _, link, updates = one_step(lambda *_: {"allowed": False})
    assert updates.given == []
    assert any("nothing to learn from" in notice for notice in link.notices)
    assert {reward.trained for reward in link.rewards} == {False}


def test_punished_samples_are_those_on_record_only() -> None:
    """When the ledger failed nothing is on record, so nothing may train, not even against the model."""

    def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        return {"allowed": False} if position else {"allowed": False, "sample": 0}

    _, _, updates = one_step(judge, "rewards.punish_flagged=true")
    (given,) = updates.given
    assert {item.reward for item in given} == {-1.0}
    assert all(item.rollout.judgement.sample > 0 for item in given)
    assert len(given) == 2 * (3 * B - 1)


def test_what_the_monitor_thinks_of_a_sample_cannot_reach_its_reward() -> None:
    """The answer that the trainer gets carries no score, severity or finding: there is nothing to reward by."""
    monitor = {"score", "scores", "severity", "findings", "finding", "action", "verdict"}
    assert monitor.isdisjoint(Judgement.__struct_fields__)

    def with_reason(reason: str) -> Iterable[float]:
        def judge(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
            return {**all_valid(phase, position, sample), "reason": reason, "correct": position % 2 == 0}

        _, _, updates = one_step(judge)
        return [item.reward for item in updates.given[0]]

    assert with_reason("allowed") == with_reason("allowed with an alert: trace.deceit in trace")


# -- randomness ------------------------------------------------------------------------------------------


def test_the_same_step_draws_the_same_and_another_seed_or_step_does_not() -> None:
    def prompts(*settings: str) -> list[str]:
        return [sample.prompt for sample in one_step(all_valid, *settings)[1].of(Phase.PROPOSE)]

    assert prompts() == prompts()
    assert prompts() != prompts("run.seed=1")


# -- control experiments ---------------------------------------------------------------------------------


class Frozen(Engine):
    said = "frozen"


def test_a_frozen_proposer_proposes_adds_nothing_to_the_gradient_and_is_never_refreshed() -> None:
    link, updates, frozen, learning = Link(all_valid), Updates(), Frozen(), Engine()
    config = load(overrides=[f"selfplay.proposals={B}", "selfplay.seed_rounds=1", "control.proposer=frozen"])
    loop = Loop(config, learning, updates, link, proposer=frozen)  # type: ignore[arg-type]
    loop.begin()
    loop.step(1)
    said = {(sample.role, sample.response) for _, samples in link.reviews for sample in samples}
    assert said == {(Role.PROPOSE, "frozen"), (Role.SOLVE, "said")}
    assert rewards(updates, Role.PROPOSE) == []
    assert rewards(updates, Role.SOLVE)
    assert (frozen.refreshed, learning.refreshed) == (0, 1)


def test_shuffled_rewards_are_what_the_ledger_is_told() -> None:
    def some_right(phase: Phase, position: int, sample: Submission) -> dict[str, Any]:
        if sample.role is Role.PROPOSE:
            return all_valid(phase, position, sample)
        return {"well_formed": True, "correct": position % 2 == 0}

    _, link, updates = one_step(some_right, "control.rewards=shuffled")
    (given,) = updates.given
    assert {(i.rollout.judgement.sample, i.reward) for i in given} == {
        (row.sample, row.reward) for row in link.rewards if row.trained
    }
    solved = [item for item in given if item.rollout.group.role is Role.SOLVE]
    assert any((item.reward > 0) != item.rollout.judgement.correct for item in solved)


# -- what a branch changes -------------------------------------------------------------------------------


def test_what_is_in_quarantine_leaves_the_buffers_and_the_seed_is_planted_where_nothing_is_left() -> None:
    def told(kind: Kind, name: str, program: str) -> Entry:
        return Entry(msgspec.structs.replace(task_of(kind, name), program=program), 1)

    plus, renamed, minus = "def f(x):\n    return x + 1", "def f(y):\n    return y + 1", "def f(x):\n    return x - 1"
    named = {"a": plus, "b": renamed, "c": minus}
    kept = {
        Kind.DEDUCTION: [told(Kind.DEDUCTION, name, program) for name, program in named.items()],
        Kind.ABDUCTION: [told(Kind.ABDUCTION, "d", minus), told(Kind.ABDUCTION, "e", minus)],
        Kind.INDUCTION: [told(Kind.INDUCTION, "g", plus)],
    }
    changes = Changes(tasks=frozenset({"e"}), programs=frozenset({program_key(plus)}))
    loop, _, _ = play(all_valid, changes=changes)
    loop.restore(kept)
    assert loop.settled is not None
    left = {kind: [entry.task.id for entry in entries] for kind, entries in loop.settled.items()}
    assert left == {Kind.DEDUCTION: ["c"], Kind.ABDUCTION: ["d"], Kind.INDUCTION: ["seed-induction"]}
    plain, _, _ = play(all_valid)
    plain.restore(kept)
    assert plain.settled == kept


def test_a_branch_with_a_seed_of_its_own_draws_otherwise_and_always_the_same() -> None:
    def drawn(seed: int | None) -> list[str]:
        loop, link, _ = play(all_valid, changes=Changes(seed=seed))
        loop.begin()
        link.step = 1
        loop.step(1)
        return [sample.prompt for sample in link.of(Phase.SOLVE)]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(None) == drawn(0)
