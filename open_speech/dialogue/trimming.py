"""Shortening of a conversation that is longer than the context of the language model: the oldest turns are left out. Pure.

A turn is a message of the user and everything up to the next one, so a tool call and its output stay together. If only one turn is left,
the oldest tool calls in it are left out, with their outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

Message = Mapping[str, Any]


def shortened(messages: Sequence[Message], turns: int) -> tuple[list[Message], int]:
    """Leave out the `turns` oldest turns of chat messages; return the rest, and how many were left out: fewer if there are no more.

    The instructions (the messages of the system at the front) and the last turn stay.
    """
    head = list(takewhile(lambda message: message["role"] == "system", messages))
    groups = _groups(messages[len(head) :])
    dropped = min(turns, len(groups) - 1)
    if dropped > 0:
        return [*head, *(message for group in groups[dropped:] for message in group)], dropped
    if not groups:
        return list(messages), 0
    last = groups[0]
    steps = _tool_steps(last)
    dropped = min(turns, len(steps) - 1)
    if dropped <= 0:
        return list(messages), 0
    first = last.index(steps[0][0])
    rest = [message for step in steps[dropped:] for message in step]
    return [*head, *last[:first], *rest], dropped


def _groups(messages: Sequence[Message]) -> list[list[Message]]:
    """Divide messages into turns; those before the first message of the user belong to the first turn."""
    groups: list[list[Message]] = []
    for message in messages:
        begins = message["role"] == "user" and any(other["role"] == "user" for other in groups[-1]) if groups else True
        if begins:
            groups.append([])
        groups[-1].append(message)
    return groups


def _tool_steps(turn: Sequence[Message]) -> list[list[Message]]:
    """Divide a turn, from its first tool call on, into tool calls with their outputs, and other messages."""
    steps: list[list[Message]] = []
    for message in turn:
        if message.get("tool_calls") or (steps and message["role"] != "tool"):
            steps.append([])
        if steps:
            steps[-1].append(message)
    return steps
