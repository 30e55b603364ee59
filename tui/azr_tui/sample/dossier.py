"""Everything that is on record about one sample and what surrounds it, read at once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import AlertRow, RewardedRow, SampleDetail, SampleRow, TaskRow
from azr_platform.records import Role

if TYPE_CHECKING:
    from azr_platform.config.schema import Config

MOST_ATTEMPTS: Final = 8
"""Answers whose texts are read."""
_BY_PROMPT: Final = ("grpo", "rloo")


@dataclass(frozen=True)
class Dossier:
    """A sample and what surrounds it.

    ``attempts``: the answers of the same step to the task that it became or answers, and ``answers`` the texts of the
    first of them. ``references``: the tasks that its prompt showed. ``rewarded``: what the update made of the samples
    of its step. ``config``: the run's settings, None where they cannot be read.
    """

    detail: SampleDetail
    alerts: list[AlertRow]
    task: TaskRow | None
    references: list[TaskRow]
    attempts: list[SampleRow]
    answers: list[SampleDetail]
    rewarded: list[RewardedRow]
    config: Config | None


def read(reader: LedgerReader, number: int) -> Dossier | None:
    """The dossier of a sample; None when there is no such sample."""
    detail = reader.sample(number)
    if detail is None:
        return None
    row, config = detail.sample, settings(reader)
    found = reader.task(row.task) if row.task else None
    attempts = reader.attempts_of_step(row.task, row.branch, row.step) if row.task else []
    answers = [answer for one in attempts[:MOST_ATTEMPTS] if (answer := reader.sample(one.id)) is not None]
    by_prompt = config is not None and config.update.advantage in _BY_PROMPT
    return Dossier(
        detail=detail,
        alerts=reader.sample_alerts([number]),
        task=None if found is None else found.task,
        references=reader.references(number) if row.role == Role.PROPOSE.value else [],
        attempts=attempts,
        answers=answers,
        rewarded=[] if row.reward is None else reader.rewarded(number, prompts=by_prompt),
        config=config,
    )


def settings(reader: LedgerReader) -> Config | None:
    """The run's settings as the ledger has them; None where this version cannot read them."""
    from azr_platform.config.schema import Config

    try:
        return Config.model_validate(tomllib.loads(reader.run().config))
    except ValueError:  # no TOML, or settings of another version
        return None
