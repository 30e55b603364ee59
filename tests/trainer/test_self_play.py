"""What keeps self-play from collapsing: dedupe, intrinsic terms, composites; kinds by choice; the health it reports.

The policy and the supervisor are played by the test; the regime, its buffers and its prompts are real.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from azr_platform.buffers.buffer import NotAllowed
from azr_platform.channel.messages import Judgement, Reviewed, Submission
from azr_platform.config.load import ConfigError, load
from azr_platform.records import SELF_PLAY_KINDS, Kind, Phase, Role, Task
from azr_platform.rollout.engine import Completion
from azr_platform.tasks.kinds import task_kind
from azr_platform.trainer.regimes.azr import SelfPlay
from azr_platform.trainer.regimes.base import Practice
from azr_platform.trainer.sampling import Sampler

B, N = 4, 2
Say = Callable[[Submission], dict[str, Any]]


class Engine:
    def encode(self, prompt: str) -> list[int]:
        return [1]

    def generate(
        self, prompts: Sequence[str], *, samples: int, seed: int, progress: Any = None, ready: Any = None
    ) -> list[list[Completion]]:
        drawn = [[Completion([5], [-0.5], "said", finished=True) for _ in range(samples)] for _ in prompts]
        for place, completions in enumerate(drawn):
            ready(place, completions)
        return drawn


class Answered:
    """A review whose verdicts are there."""

    def __init__(self, judgements: list[Judgement]) -> None:
        self._judgements = judgements

    def reviewed(self) -> Reviewed:
        return Reviewed(judgements=self._judgements)


class Link:
    """Every proposal is what ``say`` makes of it; of two answers to a task one is right; ``answers`` may say more."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.answers: dict[str, Any] = {}
        self.step = 0
        self.asked: list[tuple[Phase, Submission]] = []
        self._numbers = itertools.count(1)

    def at(self, where: str) -> None: ...
    def on_progress(self, done: int, total: int) -> None: ...
    def safe_point(self, where: str) -> None: ...
    def notice(self, message: str) -> None: ...

    def submit(self, phase: Phase, samples: Sequence[Submission]) -> Answered:
        judgements = []
        for sample in samples:
            position = int(sample.uid.rpartition("-")[2])
            self.asked.append((phase, sample))
            said = self.say(sample) if sample.role is Role.PROPOSE else {"correct": position % 2 == 0, **self.answers}
            known = {"allowed": True, "well_formed": True, "sample": next(self._numbers), **said}
            judgements.append(Judgement(uid=sample.uid, **known))
        return Answered(judgements)

    def of(self, phase: Phase, kind: Kind) -> list[Submission]:
        return [sample for at, sample in self.asked if at is phase and sample.kind is kind]


def task(kind: Kind, program: str, output: str = "1", given: str = "0") -> dict[str, Any]:
    """A valid proposal; the content is the id, as with the real supervisor."""
    count = 6 if task_kind(kind).many_inputs else 1
    made = Task(
        id=f"{kind.value} {program} {given}",
        kind=kind,
        program=program,
        inputs=(given,) * count,
        outputs=(output,) * count,
        shown=task_kind(kind).shown_count(count),
    )
    return {"valid": True, "task": made}


def programs(*texts: str, output: str = "1") -> Say:
    """Deductions with these programs in turn; nothing else is valid."""
    turn = itertools.cycle(texts)
    return lambda sample: task(sample.kind, next(turn), output) if sample.kind is Kind.DEDUCTION else {}


def play(say: Say, *settings: str, steps: int = 1, seeded: Say = lambda _: {}) -> tuple[SelfPlay, Link, Practice]:
    """The regime after its last step; ``seeded`` says what seeding brings."""
    small = [f"selfplay.proposals={B}", f"selfplay.rollouts={N}", "selfplay.seed_rounds=1", "tasks.inputs=6"]
    config = load(overrides=[*small, *settings])
    link = Link(seeded)
    regime = SelfPlay(config, Sampler(config, Engine(), link))  # type: ignore[arg-type]
    regime.begin()
    link.say = say
    practice = Practice({}, [])
    for link.step in range(1, steps + 1):
        link.asked.clear()
        practice = regime.practise(link.step)
    return regime, link, practice


def rewards(practice: Practice, kind: Kind = Kind.DEDUCTION) -> list[float]:
    wanted = (Role.PROPOSE, kind)
    return [r.reward for r in practice.rewarded if (r.rollout.submission.role, r.rollout.submission.kind) == wanted]


def kept(regime: SelfPlay, kind: Kind = Kind.DEDUCTION) -> list[str]:
    return [entry.task.program for entry in regime.buffers()[kind]]


# -- dedupe ----------------------------------------------------------------------------------------------

PLUS, MINUS = "def f(a):\n    return a + 1", "def f(a):\n    return a - 1"
RENAMED = "def f(b):  # new?\n    return b + 1"
UNPAID = "rewards.pay_repeats=false"


def test_a_renamed_program_is_new_unless_told_otherwise() -> None:
    regime, _, practice = play(programs(PLUS, RENAMED), UNPAID)
    assert kept(regime)[1:] == [PLUS, RENAMED]
    assert rewards(practice) == [0.5, 0.5, -0.5, -0.5], "the same text twice repeats in any case"


def test_up_to_renaming_it_is_a_repeat_that_is_neither_kept_nor_paid() -> None:
    regime, _, practice = play(programs(PLUS, RENAMED, MINUS), UNPAID, "selfplay.dedupe=renaming")
    assert kept(regime)[1:] == [PLUS, MINUS]
    assert rewards(practice) == [0.5, -0.5, 0.5, -0.5]
    assert practice.metrics["repeats"] == 2


def test_what_an_unpaid_repeat_earns_is_a_setting() -> None:
    _, _, practice = play(programs(PLUS, RENAMED, MINUS), UNPAID, "selfplay.dedupe=renaming", "rewards.repeated=-0.9")
    assert rewards(practice) == [0.5, -0.9, 0.5, -0.9]
    _, _, paid = play(programs(PLUS, RENAMED, MINUS), "selfplay.dedupe=renaming", "rewards.repeated=-0.9")
    assert rewards(paid) == [0.5] * B


@pytest.mark.parametrize("repeated", ["0.1", "-1.1"])
def test_a_repeat_earns_no_more_than_nothing_and_no_less_than_a_malformed_one(repeated: str) -> None:
    with pytest.raises(ConfigError, match="repeated"):
        load(overrides=[f"rewards.repeated={repeated}"])


def test_a_program_repeats_those_of_earlier_steps_and_of_the_other_kinds_too() -> None:
    def say(sample: Submission) -> dict[str, Any]:
        return task(sample.kind, RENAMED) if sample.kind is Kind.ABDUCTION else {}

    regime, _, practice = play(say, UNPAID, "selfplay.dedupe=renaming", seeded=programs(PLUS))
    assert rewards(practice, Kind.ABDUCTION) == [-0.5] * B
    assert len(kept(regime, Kind.ABDUCTION)) == 1


def test_seeding_keeps_no_renamed_copies() -> None:
    regime, _, _ = play(lambda _: {}, "selfplay.dedupe=renaming", seeded=programs(PLUS, RENAMED, "def f(x): return x"))
    assert kept(regime)[1:] == [PLUS], "the third is the identity, which was planted"


def test_inputs_for_a_given_program_are_no_repeat_of_it() -> None:
    turn = itertools.count()

    def say(sample: Submission) -> dict[str, Any]:
        return task(sample.kind, PLUS, given=f"{next(turn)}") if sample.kind is Kind.INDUCTION else {}

    _, _, practice = play(say, UNPAID, "selfplay.dedupe=renaming")
    assert rewards(practice, Kind.INDUCTION) == [0.5] * B


# -- intrinsic terms -------------------------------------------------------------------------------------


def two_types(sample: Submission) -> dict[str, Any]:
    """Deductions that return a number or, every fourth, a list."""
    number = int(sample.uid.rpartition("-")[2])
    program = f"def f(a):\n    return {number}"
    return task(sample.kind, program, "[1]" if number % 4 == 3 else "7") if sample.kind is Kind.DEDUCTION else {}


def test_rare_types_of_answers_are_worth_more() -> None:
    """Kept before the step: three numbers and the seeds' two strings."""
    on = ["rewards.answer_diversity=1.0", "rewards.combine=product", "selfplay.seed_factor=1"]
    _, _, practice = play(two_types, *on, seeded=two_types)
    assert rewards(practice) == pytest.approx([0.5 * 2 / 5] * 3 + [0.5])
    _, _, limited = play(two_types, *on, "rewards.answer_limit=0.6", seeded=two_types)
    assert rewards(limited) == [-0.5] * 3 + [0.5], "three of the five kept are numbers: a further one is worth nothing"
    _, _, added = play(two_types, *on[:1], "rewards.answer_diversity_cap=0.6", *on[2:], seeded=two_types)
    assert rewards(added) == pytest.approx([0.5 + 2 / 5] * 3 + [0.5 + 0.6])


def test_the_window_looks_at_the_newest_tasks_alone() -> None:
    settings = ["rewards.answer_diversity=1.0", "rewards.combine=product", "rewards.answer_window=4"]
    turn = itertools.count()

    def numbers(sample: Submission) -> dict[str, Any]:
        program = f"def f(a):\n    return {next(turn)}"
        return task(sample.kind, program, "7") if sample.kind is Kind.DEDUCTION else {}

    _, _, practice = play(numbers, *settings, steps=2)
    assert rewards(practice) == [-0.5] * B, "the last four are numbers all: one more is worth nothing"


def test_a_larger_program_and_one_further_from_what_was_shown_are_worth_more() -> None:
    large = "def f(a):\n    return sorted([a * i + len(str(a)) for i in range(3) if i % 2])"
    for settings in (
        ["rewards.complexity=1.0"],
        ["rewards.complexity=1.0", "rewards.complexity_measure=nodes"],
        ["rewards.edit_distance=1.0"],
    ):
        _, _, practice = play(programs("def f(b):\n    return -b", large), *settings)
        small, big, *_ = rewards(practice)
        assert 0.5 < small < big, settings


def test_a_copy_of_the_only_reference_earns_nothing_by_distance() -> None:
    _, _, practice = play(programs("def f(other):\n    return other"), "rewards.edit_distance=1.0")
    assert rewards(practice)[0] == 0.5


@pytest.mark.parametrize("combine", ["sum", "product"])
def test_terms_pay_no_proposal_that_is_invalid_or_never_solved(combine: str) -> None:
    on = ["rewards.complexity=9.0", "rewards.edit_distance=9.0", "rewards.answer_diversity=9.0"]
    _, _, practice = play(lambda _: {}, *on, f"rewards.combine={combine}")
    assert rewards(practice) == [-1.0] * B


def test_inputs_written_for_a_given_program_earn_no_terms() -> None:
    turn = itertools.count()

    def say(sample: Submission) -> dict[str, Any]:
        return task(sample.kind, PLUS, given=f"{next(turn)}") if sample.kind is Kind.INDUCTION else {}

    _, _, practice = play(say, "rewards.complexity=9.0", "rewards.answer_diversity=9.0")
    assert rewards(practice, Kind.INDUCTION) == [0.5] * B


# -- held out --------------------------------------------------------------------------------------------


def test_a_held_out_proposal_is_dropped_not_punished_and_says_nothing_of_validity() -> None:
    def say(sample: Submission) -> dict[str, Any]:
        if sample.uid.endswith("-0"):
            return {"allowed": False, "decided": False}
        return programs(PLUS)(sample)

    _, _, practice = play(say, "rewards.punish_flagged=true")
    assert len(rewards(practice)) == B - 1
    assert practice.metrics["health/held_out"] == 1
    assert practice.metrics["valid_rate/deduction"] == 1.0


def test_held_out_answers_are_dropped_not_punished_and_measure_nothing() -> None:
    regime, link, _ = play(programs(PLUS, MINUS), "rewards.punish_flagged=true", "selfplay.train_on_rollouts=true")
    link.answers = {"allowed": False, "decided": False}
    link.asked.clear()
    practice = regime.practise(2)
    assert {item.rollout.submission.role for item in practice.rewarded} == {Role.PROPOSE}
    assert rewards(practice) == [], "nobody knows what the proposals are worth"
    assert practice.metrics["health/held_out"] == sum(sample.role is Role.SOLVE for _, sample in link.asked)


# -- composites ------------------------------------------------------------------------------------------


def many(sample: Submission) -> dict[str, Any]:
    """Deductions all different, one of them no plain function."""
    number = int(sample.uid.rpartition("-")[2])
    helped = "import math\n" if number == 1 else ""
    return task(sample.kind, f"{helped}def f(a):\n    return a + {number}") if sample.kind is Kind.DEDUCTION else {}


COMPOSITE = ["tasks.composite=2", "tasks.composite_chance=1.0", "tasks.composite_start=2"]


@pytest.mark.parametrize("style", ["full", "compact"])
def test_from_its_first_step_on_composites_show_functions_and_name_their_tasks(style: str) -> None:
    settings = [*COMPOSITE, f"tasks.style={style}"]
    _, link, _ = play(many, *settings, seeded=many)
    assert all(sample.functions == () for _, sample in link.asked), "not before composite_start"
    regime, link, _ = play(many, *settings, steps=2, seeded=many)
    known = {entry.task.id: entry.task.program for entry in regime.buffers()[Kind.DEDUCTION]}
    for sample in link.of(Phase.PROPOSE, Kind.DEDUCTION):
        assert len(set(sample.functions)) == 2
        assert not any("import" in known[name] for name in sample.functions)
        for number, name in enumerate(sample.functions):
            assert known[name].replace("def f", f"def g_{number}") in sample.prompt
    assert all(sample.functions == () for sample in link.of(Phase.PROPOSE, Kind.INDUCTION))


def test_composites_wait_until_there_are_enough_functions() -> None:
    _, link, _ = play(lambda _: {}, *COMPOSITE, steps=2)
    assert all(sample.functions == () for _, sample in link.asked), "there is nothing but the seed"


def test_the_chance_says_how_many_are_composite() -> None:
    _, link, _ = play(
        many, "tasks.composite=1", "tasks.composite_chance=0.5", "selfplay.proposals=64", steps=1, seeded=many
    )
    composite = [bool(sample.functions) for sample in link.of(Phase.PROPOSE, Kind.DEDUCTION)]
    assert 16 < sum(composite) < 48


# -- kinds -----------------------------------------------------------------------------------------------


def test_a_run_uses_the_kinds_it_is_told_to() -> None:
    regime, link, _ = play(lambda _: {}, 'tasks.kinds=["error", "induction"]')
    assert set(regime.buffers()) == {Kind.ERROR, Kind.INDUCTION}
    assert {sample.kind for _, sample in link.asked} == {Kind.ERROR, Kind.INDUCTION}
    everything, _, _ = play(lambda _: {})
    assert set(everything.buffers()) == set(SELF_PLAY_KINDS)
    with pytest.raises(NotAllowed):
        regime.restore(everything.buffers())


@pytest.mark.parametrize("kinds", ["[]", '["induction"]', '["error", "error"]', '["question"]'])
def test_kinds_that_cannot_play_are_refused(kinds: str) -> None:
    with pytest.raises(ConfigError, match=r"tasks\.kinds"):
        load(overrides=[f"tasks.kinds={kinds}"])


# -- health ----------------------------------------------------------------------------------------------


def test_health_of_a_step_by_hand() -> None:
    """Known: the identity and PLUS. Proposed: the identity renamed, PLUS renamed, and two that are new and the same."""
    nodes = {"def f(z): return z": 6, RENAMED: 9, MINUS: 9}
    texts = ["def f(z): return z", RENAMED, MINUS, "def f(q):\n    return q - 1"]
    _, _, practice = play(programs(*texts, output="'a'"), seeded=programs(PLUS))
    health = {name: value for name, value in practice.metrics.items() if name.startswith("health/")}
    assert health == {
        "health/held_out": 0,
        "health/distinct": 3 / 4,
        "health/new": 1 / 4,
        "health/nodes": pytest.approx((sum(nodes.values()) + 9) / 4),
        "health/values/str": 1.0,
        "health/values/largest": 1.0,
    }


def test_health_tells_types_apart() -> None:
    _, _, practice = play(two_types)
    assert practice.metrics["health/values/int"] == 3 / 4
    assert practice.metrics["health/values/list"] == 1 / 4
    assert practice.metrics["health/values/largest"] == 3 / 4


def test_without_a_valid_program_there_is_no_health() -> None:
    _, _, practice = play(lambda _: {})
    assert [name for name in practice.metrics if name.startswith("health/")] == ["health/held_out"]
