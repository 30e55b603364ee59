"""verifiers and prime-rl: results.jsonl of older versions, and traces.jsonl with an episode a line.

``results.jsonl`` has ``example_id``, ``prompt`` and ``completion`` as messages, ``reward``. An episode has ``traces``,
each a graph of ``nodes``; a node is a message and says whether a model call ``sampled`` it. Only such messages are the
model's: others of the assistant's were put into its mouth, and are context.
"""

from __future__ import annotations

from typing import Any, Final

from azr_platform.logs import fields
from azr_platform.logs.plain import response_entry
from azr_platform.logs.records import Entry
from azr_platform.logs.text import content_of, conversation, is_messages, text_of

_KNOWN: Final = frozenset({"example_id", "prompt", "completion", "reward", "id", "step"})


class Verifiers:
    """A rollout a row, or an episode of several traces."""

    name = "verifiers"

    def looks(self, row: dict[str, Any]) -> str:
        if isinstance(row.get("traces"), list) and ("task" in row or "env" in row):
            return 'episodes with "traces"'
        if isinstance(row.get("nodes"), list) and "rewards" in row:
            return 'traces with "nodes" and "rewards"'
        if "example_id" in row and "completion" in row:
            return 'rows with "example_id" and "completion"'
        return ""

    def entries(self, row: dict[str, Any]) -> list[Entry]:
        if isinstance(row.get("traces"), list):
            step = fields.step(fields.find(row, ("run", "work", "step")))
            return [_trace(trace, step) for trace in row["traces"] if isinstance(trace, dict)]
        if isinstance(row.get("nodes"), list):
            return [_trace(row, None)]
        completion = row.get("completion")
        if completion is None and row.get("error") is not None:
            return []
        if not isinstance(completion, str) and not is_messages(completion):
            raise ValueError('"completion" is neither a text nor messages')
        whole = {**row, "id": row.get("id", row.get("example_id"))}
        return [response_entry(whole, completion, row.get("prompt"))]


def _trace(trace: dict[str, Any], step: int | None) -> Entry:
    said: list[dict[str, Any]] = []
    context: list[str] = []
    nodes = trace.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        message = node.get("message") if isinstance(node, dict) else None
        if not isinstance(message, dict):
            continue
        if node.get("sampled") is True:
            said.append({**message, "role": "assistant"})
        elif content_of(message):
            context.append(text_of([message]))
    parts = conversation(said).written
    return Entry(
        id=fields.identity(trace.get("id")),
        prompt="\n\n".join(context),
        response=parts.response,
        trace=parts.trace,
        program=parts.program,
        inputs=parts.inputs,
        outputs=parts.outputs,
        message=parts.message,
        reward=_reward(trace.get("rewards")),
        step=step,
        extra=fields.rest({**trace, "agent": fields.find(trace, ("agent", "name"))}, _KNOWN),
    )


def _reward(rewards: Any) -> float | None:
    """Scores by their weights."""
    total = None
    for given in rewards.values() if isinstance(rewards, dict) else ():
        score = fields.number(fields.find(given, ("score",)))
        weight = fields.number(fields.find(given, ("weight",)))
        if score is not None:
            total = (total or 0.0) + score * (1.0 if weight is None else weight)
    return total
