"""The intrinsic terms of a proposal's reward (learning/diversity.py), read off its program and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from azr_platform.buffers.buffer import TaskBuffer
from azr_platform.config.schema import RewardsConfig
from azr_platform.learning.diversity import Term, combined, halstead_effort, mean_distance, rarity
from azr_platform.records import Kind, Task
from azr_platform.tasks.canonical import program_words
from azr_platform.tasks.kinds import task_kind
from azr_platform.tasks.measures import answer_kind, halstead_words, syntax_nodes

HALSTEAD_UNIT = 10_000
"""The effort that counts as 1, as in the paper's reference code."""
NODES_UNIT = 100


class Intrinsic:
    """What each of a step's proposals is worth, given the tasks kept before the step."""

    def __init__(self, settings: RewardsConfig, buffers: Mapping[Kind, TaskBuffer]) -> None:
        self._settings = settings
        self._answers = _newest_answers(buffers, settings.answer_window) if settings.answer_diversity else []

    def worth(self, learnability: float, task: Task, references: Sequence[str]) -> float:
        """Learnability, with the terms that are on where the proposer wrote the program.

        ``references`` are the programs that it was shown.
        """
        if not task_kind(task.kind).writes_program:
            return learnability
        return combined(learnability, self._terms(task, references), self._settings.combine)

    def _terms(self, task: Task, references: Sequence[str]) -> list[Term]:
        """The terms that are on; what is off is not measured."""
        settings, terms = self._settings, []
        if settings.complexity:
            terms.append(Term(self._complexity(task.program), settings.complexity, settings.complexity_cap))
        if settings.edit_distance:
            distance = mean_distance(_words(task.program), [_words(program) for program in references])
            terms.append(Term(distance, settings.edit_distance, settings.edit_distance_cap))
        if settings.answer_diversity:
            diversity = rarity(answer_kind(task), self._answers, settings.answer_limit)
            terms.append(Term(diversity, settings.answer_diversity, settings.answer_diversity_cap))
        return terms

    def _complexity(self, program: str) -> float:
        if self._settings.complexity_measure == "nodes":
            return syntax_nodes(program) / NODES_UNIT
        return halstead_effort(*halstead_words(program)) / HALSTEAD_UNIT


def _words(program: str) -> list[str]:
    return program_words(program) or [program]


def _newest_answers(buffers: Mapping[Kind, TaskBuffer], count: int) -> list[str]:
    kept = [entry for kind, buffer in buffers.items() if task_kind(kind).writes_program for entry in buffer.entries]
    kept.sort(key=lambda entry: entry.step, reverse=True)
    return [answer_kind(entry.task) for entry in islice(kept, count)]
