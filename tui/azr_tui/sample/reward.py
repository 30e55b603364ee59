"""How a sample's reward and advantage came about, worked out again from what is on record; what is not, is said so."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from azr_platform.learning.advantage import ESTIMATORS, Origin
from azr_platform.learning.rewards import accuracy, composite, learnability
from azr_platform.ledger.records import RewardedRow
from azr_platform.records import Phase, Role
from azr_tui.document import Line
from azr_tui.sample.dossier import Dossier

if TYPE_CHECKING:
    from azr_platform.config.schema import Config

_SAME: Final = 1e-4
"""Numbers on record that differ by less are those worked out."""
_BASELINES: Final = {
    "trr++": "the trained samples of its role and kind in this step",
    "reinforce++": "all trained samples of this step",
    "grpo": "the trained samples of the same prompt",
    "rloo": "the other trained samples of the same prompt",
}


def reward_lines(dossier: Dossier) -> list[Line]:
    """The arithmetic, a line each."""
    row = dossier.detail.sample
    own = next((one for one in dossier.rewarded if one.sample == row.id), None)
    if own is None:
        return [Line("no reward on record: its step was not learnt from (yet)", style="dim")]
    if not row.phase:
        advantage = "" if own.advantage is None else f", advantage {own.advantage:+.3f}"
        return [_line("reward", f"{own.reward:+.3f}{advantage} in the log, whose trainer gave it", "heading")]
    if not own.trained:
        return [Line("left out of the update: it earned nothing and moved nothing", style="dim")]
    return [*_reward(dossier, own.reward), *_advantage(dossier, own)]


def _line(name: str, text: str, style: str = "") -> Line:
    return Line(text, f"{name:<15}", style)


def _reward(dossier: Dossier, recorded: float) -> Iterator[Line]:
    row, config = dossier.detail.sample, dossier.config
    solving = row.role == Role.SOLVE.value
    worth: float | None
    if solving:
        worth = accuracy(bool(row.correct))
        yield _line("accuracy", f"{'right' if row.correct else 'not right'}: {worth:.1f}")
        acceptable = bool(row.well_formed)
    else:
        acceptable = bool(row.well_formed and row.correct)
        worth, told = _learnability(dossier) if acceptable else (0.0, "no valid task, so nobody was asked")
        yield _line("learnability", told)
    if config is None:
        yield _line("format", "well formed" if row.well_formed else "malformed")
        yield _line("", "the run's settings cannot be read here, so the sum is not worked out", "dim")
        yield _line("reward", f"{recorded:+.3f} on record", "heading")
        return
    yield _line("format", _format(config, acceptable, solving))
    terms = [] if solving else _terms(config)
    if terms:
        yield _line("further terms", f"{', '.join(terms)}; what each came to is not on record")
    expected = None
    if worth is not None and not (terms and worth > 0 and acceptable):
        rewards = config.rewards
        expected = composite(worth, acceptable=acceptable, wrong=rewards.wrong, malformed=rewards.malformed)
    same = expected is not None and abs(expected - recorded) <= _SAME
    reasons = [] if same else list(_other_reasons(config, recorded))
    said = ", as worked out" if same else ""
    if expected is not None and not same:
        said = f"; worked out: {expected:+.3f}"
    elif expected is None and worth and not reasons:
        product = config.rewards.combine == "product"
        said = f" = {worth:.3f} {f'x {recorded / worth:.3f}' if product else f'{recorded - worth:+.3f}'} of the terms"
    yield _line("reward", f"{recorded:+.3f} on record{said}", "heading")
    yield from (_line("", why, "dim") for why in reasons)


def _learnability(dossier: Dossier) -> tuple[float | None, str]:
    tried = [one for one in dossier.attempts if one.phase == Phase.LEARNABILITY.value and one.allowed]
    if not tried:
        return None, "no answers to it are on record"
    right = [bool(one.correct) for one in tried]
    worth = learnability(right)
    share = f"{sum(right)} of {len(right)} answers right"
    if worth == 0:
        return worth, f"{share}: always or never solved teaches nothing, 0"
    return worth, f"{share}: 1 - {sum(right) / len(right):.3f} = {worth:.3f}"


def _format(config: Config, acceptable: bool, solving: bool) -> str:
    rewards = config.rewards
    if acceptable:
        good = "well formed" if solving else "well formed and valid"
        return f"{good}: its worth counts, {rewards.wrong:+g} if that is 0"
    return f"{'malformed' if solving else 'malformed or invalid'}: {rewards.malformed:+g} whatever it is worth"


def _terms(config: Config) -> list[str]:
    rewards = config.rewards
    named = (
        ("complexity", rewards.complexity, rewards.complexity_cap),
        ("edit distance", rewards.edit_distance, rewards.edit_distance_cap),
        ("answer diversity", rewards.answer_diversity, rewards.answer_diversity_cap),
    )
    return [f"{name} x {weight:g} (at most {cap:g})" for name, weight, cap in named if weight]


def _other_reasons(config: Config, recorded: float) -> Iterator[str]:
    """Settings that make a reward another than its own arithmetic."""
    rewards = config.rewards
    if not rewards.pay_repeats and abs(recorded - rewards.repeated) <= _SAME:
        yield f"repeats are not paid but earn {rewards.repeated:+g}: it may be one"
    if rewards.punish_flagged and abs(recorded - rewards.malformed) <= _SAME:
        yield f"rewards.punish_flagged is on: what is flagged earns {rewards.malformed:+g}"
    if config.control.rewards != "earned":
        yield f"control.rewards is {config.control.rewards}: rewards were dealt anew among the samples of a group"


def _advantage(dossier: Dossier, own: RewardedRow) -> Iterator[Line]:
    config = dossier.config
    if own.advantage is None:
        yield _line("advantage", "none on record", "dim")
        return
    if config is None:
        yield _line("advantage", f"{own.advantage:+.3f} on record", "heading")
        return
    update, trained = config.update, [one for one in dossier.rewarded if one.trained]
    shared = _BASELINES[update.advantage]
    values = [one.reward for one in _sharing(trained, own, update.advantage)]
    estimate = ESTIMATORS[update.advantage]
    origins = [Origin((one.role, one.kind), one.same_prompt) for one in trained]
    worked_out = estimate([one.reward for one in trained], origins, update.std_floor, update.divide_by_std)
    value = next(got for one, got in zip(trained, worked_out, strict=True) if one.sample == own.sample)
    others = values if update.advantage != "rloo" else _without(values, own.reward)
    if len(values) > 1 and others:
        spread = f", deviation {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        mean = statistics.fmean(others)
        yield _line("baseline", f"mean {mean:+.3f}{spread} of {shared}: {len(others)}")
        yield _line("", _sum(own.reward, mean, values, value, update.advantage, update.divide_by_std), "dim")
    else:
        yield _line("baseline", f"it is alone among {shared}, so it teaches nothing")
    differs = abs(value - own.advantage) > max(_SAME, 1e-3 * abs(own.advantage))
    said = f"; worked out: {value:+.3f}" if differs else ", as worked out"
    yield _line("advantage", f"{own.advantage:+.3f} on record{said}", "heading")


def _sum(reward: float, mean: float, values: Sequence[float], value: float, estimator: str, divide: bool) -> str:
    if min(values) == max(values):
        return "all of them earned the same, so none of them teaches anything: 0"
    if estimator == "rloo" or not divide:
        return f"{reward:.3f} - {mean:.3f} = {value:+.3f}"
    return f"({reward:.3f} - {mean:.3f}) / {statistics.stdev(values):.3f} = {value:+.3f}"


def _sharing(trained: Sequence[RewardedRow], own: RewardedRow, estimator: str) -> list[RewardedRow]:
    """Those whose rewards make this one's baseline, itself among them."""
    if estimator == "reinforce++":
        return list(trained)
    if estimator == "trr++":
        return [one for one in trained if (one.role, one.kind) == (own.role, own.kind)]
    return [one for one in trained if one.same_prompt]


def _without(values: Sequence[float], one: float) -> list[float]:
    left = list(values)
    left.remove(one)
    return left
