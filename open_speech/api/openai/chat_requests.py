"""A validated body -> the request to the language model: of this server, or of another one. Pure."""

from __future__ import annotations

from typing import Any

from open_speech.api.openai.chat_schemas import ChatRequest, CompletionRequest, Message, ToolChoice
from open_speech.errors import UnsupportedValue

_SAMPLING = {
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "logit_bias",
    "seed", "stop",
}  # fmt: skip
_LOCAL = _SAMPLING | {"max_completion_tokens", "logprobs", "response_format", "parallel_tool_calls", "timings_per_token"}
_STREAM = {"model", "stream", "stream_options"}


def remote_request(body: ChatRequest) -> dict[str, Any]:
    """Return the request for another server: what the client has sent, with its unknown fields."""
    return body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_STREAM)


def local_request(body: ChatRequest) -> dict[str, Any]:
    """Return the request for a model of this server. Raises UnsupportedValue naming the field that it cannot process."""
    if body.modalities and body.modalities != ["text"]:
        raise UnsupportedValue('The language model answers with text: `modalities` must be `["text"]`.', param="modalities")
    request = body.model_dump(mode="json", by_alias=True, exclude_none=True, include=_LOCAL)
    request["messages"] = [_message(message, number) for number, message in enumerate(body.messages)]
    if body.logprobs:
        request["top_logprobs"] = max(1, body.top_logprobs or 0)  # llama.cpp: 0 disables `logprobs`, and without a number it returns 20
    return request | _tools(body)


def continuation(body: CompletionRequest) -> dict[str, Any]:
    """Return the request that continues a text."""
    return {**body.model_dump(mode="json", exclude_none=True, include=_SAMPLING | {"timings_per_token"}), "prompt": body.text}


def _message(message: Message, number: int) -> dict[str, Any]:
    """Return a message with a text as its content, as chat templates read it."""
    found: dict[str, Any] = {"role": "system" if message.role == "developer" else message.role, "content": _text(message, number)}
    if message.tool_calls:
        found["tool_calls"] = [call.model_dump(mode="json") for call in message.tool_calls]
    if message.tool_call_id is not None:
        found["tool_call_id"] = message.tool_call_id
    return found


def _text(message: Message, number: int) -> str | None:
    if not isinstance(message.content, list):
        return message.content
    other = next((part.type for part in message.content if part.type != "text"), None)
    if other is not None:
        raise UnsupportedValue(f"The language model reads text: `messages[{number}]` has a part of type `{other}`.", param="messages")
    return "".join(part.text or "" for part in message.content)


def _tools(body: ChatRequest) -> dict[str, Any]:
    """Return the tools. A choice of one function offers only that one: llama.cpp cannot choose by name."""
    if not body.tools:
        return {}
    chosen = body.tool_choice.function.name if isinstance(body.tool_choice, ToolChoice) else None
    tools = [tool.model_dump(mode="json", exclude_none=True) for tool in body.tools if chosen in (None, tool.function.name)]
    choice = "required" if chosen else body.tool_choice
    return {"tools": tools, **({"tool_choice": choice} if choice else {})}
