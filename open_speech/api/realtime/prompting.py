"""Prompts: conversion of instructions and items to a request of `/chat/completions`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from open_speech.api.realtime.items import Item

READ_ALOUD = re.compile(
    r"verbatim|word[- ]for[- ]word|exactly (as|what|the)|read (it |this |the \w+ |\w+ )?(aloud|out)|"
    r"(speak|say|read|repeat)\b.{0,40}\b(exactly|unchanged|as (is|written))|text[- ]to[- ]speech",
    re.IGNORECASE | re.DOTALL,
)
"""Instructions that ask to read a text aloud, not to answer it."""


def messages(instructions: str, items: Iterable[Item]) -> list[dict[str, Any]]:
    """Convert a conversation to chat messages; an item without text is omitted.

    What the user said in several items without an answer in between is one message: the user went on before the answer was heard.
    """
    chat: list[dict[str, Any]] = [{"role": "system", "content": instructions}] if instructions else []
    spoken: dict[str, Any] | None = None
    """The last message, if the user spoke it."""
    for item in items:
        match item.type:
            case "function_call":
                call = {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
                if chat and "tool_calls" in chat[-1]:
                    # Calls of one response must be in one message: otherwise the model treats the second as a reply to the first.
                    chat[-1]["tool_calls"].append(call)
                elif chat and chat[-1]["role"] == "assistant":
                    chat[-1]["tool_calls"] = [call]
                else:
                    chat.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output":
                chat.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
            case "message":
                content = _content(item)
                is_spoken = item.role == "user" and item.is_audio and isinstance(content, str)
                if content and is_spoken and spoken is not None and chat[-1] is spoken:
                    spoken["content"] = f"{spoken['content']} {content}"
                elif content:
                    chat.append({"role": item.role, "content": content})
                    spoken = chat[-1] if is_spoken else None
    return chat


def _content(item: Item) -> str | list[dict[str, Any]]:
    images = [part for part in item.content if part["type"] == "input_image"]
    if not images:
        return item.text
    image_parts = [{"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}} for part in images]
    return [*([{"type": "text", "text": item.text}] if item.text else []), *image_parts]


def tools(offered: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Convert the functions among a session's tools to chat tools; MCP servers are not called from here."""
    names = ("name", "description", "parameters")
    return [
        {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}
        for tool in offered
        if tool.get("type", "function") == "function" and isinstance(tool.get("name"), str)
    ]


def tool_choice(choice: str | Mapping[str, Any]) -> str | dict[str, Any] | None:
    """Convert the tool choice to that of the chat API; None where that has no equivalent."""
    if isinstance(choice, str):
        return choice if choice in ("none", "auto", "required") else None
    return {"type": "function", "function": {"name": choice["name"]}} if choice.get("type") == "function" and "name" in choice else None


def asks_to_read(instructions: str) -> bool:
    """Return whether instructions ask to read a text word for word."""
    return bool(READ_ALOUD.search(instructions))
