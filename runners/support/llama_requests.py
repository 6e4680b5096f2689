"""Requests to llama.cpp's server, and its errors. Pure.

That server has many fields of its own, for slots, files and its cache. Only the fields below reach it: no client can use the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from open_speech.errors import BackendFailed, ContextOverflow, InvalidRequest, InvalidValue, OutOfRange, SpeechError, UnsupportedValue

RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repeat_penalty": (0, 10),
}
WHOLE_RANGES: Mapping[str, tuple[int, int]] = {
    "top_k": (0, 1 << 20),
    "top_logprobs": (0, 20),
    "seed": (-(1 << 31), (1 << 32) - 1),
    "max_tokens": (1, 1 << 20),
    "max_completion_tokens": (1, 1 << 20),
    "n": (1, 1),
}
SWITCHES = ("logprobs", "parallel_tool_calls")
MOST_STOPS, STOP_CHARS = 16, 256
MOST_BIASES = 1024
SCHEMA_CHARS, SCHEMA_DEPTH = 65_536, 32
"""Limits of the tools, and of the schema of an answer, as JSON: llama.cpp makes a grammar of them, and its cost grows with their size."""
_MESSAGE_FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content")
_ROLES = {"developer": "system"}
"""OpenAI's newer name, which chat templates do not have."""


def body_of(request: Mapping[str, Any], *, stops: Sequence[str] = ()) -> dict[str, Any]:
    """Return the body for llama.cpp's server: the answer to `messages`, or the continuation of a `prompt`, streamed.

    `stops` are the texts at which every answer of the model ends. Raises InvalidValue, OutOfRange and UnsupportedValue, with the field in
    `param`. JSON schemas are checked for their size only: llama.cpp raises an exception for one that it cannot use (`refusal`).
    """
    given = {name: value for name, value in request.items() if value is not None}
    body: dict[str, Any] = {name: _number(given[name], name, RANGES[name]) for name in RANGES if name in given}
    body |= {name: _whole(given[name], name) for name in WHOLE_RANGES if name in given}
    body |= {name: _switch(given[name], name) for name in SWITCHES if name in given}
    limits = [body.pop(name) for name in ("max_tokens", "max_completion_tokens") if name in body]
    body |= {"max_tokens": min(limits)} if limits else {}
    if "logit_bias" in given:
        body["logit_bias"] = _biases(given["logit_bias"])
    if is_continuation(given):
        body["prompt"] = _text(given["prompt"], "prompt")
        stops = ()
    else:
        body |= _conversation(given)
    if all_stops := [*_stops(given.get("stop", [])), *stops]:
        body["stop"] = all_stops
    # Progress is reported after each batch of the prompt: the only moments before the first token at which llama.cpp can be stopped.
    return body | {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}


def is_continuation(request: Mapping[str, Any]) -> bool:
    """Return whether a request continues a text, instead of answering a conversation."""
    return "prompt" in request


def error_of(error: Mapping[str, Any]) -> SpeechError:
    """Convert an error that llama.cpp's server returned."""
    message = str(error.get("message", "no reason given"))
    if error.get("type") == "exceed_context_size_error":
        asked, size = error.get("n_prompt_tokens"), error.get("n_ctx")
        return ContextOverflow(
            f"The conversation has {asked} tokens, and the context of the language model {size} (LLM_CONTEXT_SIZE).", param="messages"
        )
    if error.get("code") in range(400, 500):
        return InvalidRequest(f"The language model refused the request: {message}", param="messages")
    return BackendFailed(f"The language model failed: {message}")


def refusal(error: Exception, body: Mapping[str, Any]) -> SpeechError:
    """Convert an exception that llama.cpp raised before the answer.

    For example a role that the template does not know, an invalid tool call, or a JSON schema of an unknown type.
    """
    message = str(error).rpartition("failed: ")[2]
    name = "prompt" if is_continuation(body) else "messages"
    if "schema" in message:
        name = next((field for field in ("response_format", "tools") if field in body), name)
    return InvalidValue(f"The language model cannot use the request: {message}", param=name)


def _conversation(given: Mapping[str, Any]) -> dict[str, Any]:
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidValue("`messages` must be a list with at least one message.", param="messages")
    found: dict[str, Any] = {"messages": [_message(message) for message in messages]}
    if tools := given.get("tools"):
        found["tools"] = _tools(tools)
        if "tool_choice" in given:
            found["tool_choice"] = _tool_choice(given["tool_choice"])
    if "response_format" in given:
        found["response_format"] = _response_format(given["response_format"])
    if "chat_template_kwargs" in given:
        found["chat_template_kwargs"] = _template_values(given["chat_template_kwargs"])
    return found


def _message(message: Any) -> dict[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise InvalidValue("Each of `messages` must be an object with a `role`.", param="messages")
    found = {name: message[name] for name in _MESSAGE_FIELDS if name in message}
    found["role"] = _ROLES.get(message["role"], message["role"])
    content = message.get("content")
    if isinstance(content, list):
        found["content"] = "".join(_part(part) for part in content)
    elif content is not None:
        found["content"] = _text(content, "messages")
    _bounded(found.get("tool_calls"), "messages", chars=None)
    return found


def _part(part: Any) -> str:
    """Return the text of one part of a message. Of images and files llama.cpp would fetch the URLs."""
    if not isinstance(part, Mapping) or part.get("type") != "text":
        raise UnsupportedValue("The language model reads text: parts of `content` must be of type `text`.", param="messages")
    return _text(part.get("text"), "messages")


def _tools(tools: Any) -> list[Any]:
    functions = [tool.get("function") if isinstance(tool, Mapping) else None for tool in tools] if isinstance(tools, list) else [None]
    named = [function for function in functions if isinstance(function, Mapping) and isinstance(function.get("name"), str)]
    if len(named) < len(functions):
        raise InvalidValue("Each of `tools` must be an object with a `function`, which has a `name`.", param="tools")
    for function in named:
        _schema(function.get("parameters", {}), "tools")
    _bounded(tools, "tools")
    return list(tools)


def _tool_choice(choice: Any) -> Any:
    is_function = isinstance(choice, Mapping) and isinstance(choice.get("function"), Mapping)
    if not is_function and choice not in ("auto", "none", "required"):
        raise InvalidValue("`tool_choice` must be `auto`, `none`, `required` or an object with a `function`.", param="tool_choice")
    return choice


def _response_format(form: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = form if isinstance(form, Mapping) else {}
    kind = fields.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidValue("The `type` of `response_format` must be `text`, `json_object` or `json_schema`.", param="response_format")
    if kind != "json_schema":
        return {"type": kind}
    described = fields.get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    return {"type": kind, "json_schema": {"schema": _schema(schema, "response_format")}}


def _schema(schema: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        raise InvalidValue(f"A JSON schema in `{name}` must be an object.", param=name)
    _bounded(schema, name)
    return schema


def _bounded(value: Any, name: str, *, chars: int | None = SCHEMA_CHARS) -> None:
    """Raise InvalidValue for a value that as JSON is longer than `chars`, nested too deeply, or contains a number like NaN."""
    if _is_deep(value, SCHEMA_DEPTH):
        raise InvalidValue(f"`{name}` is nested more than {SCHEMA_DEPTH} levels deep.", param=name)
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"`{name}` is not valid JSON: {error}.", param=name) from error
    if chars is not None and len(text) > chars:
        raise InvalidValue(f"`{name}` has {len(text)} characters as JSON; the maximum is {chars}.", param=name)


def _is_deep(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return levels < 0 or any(_is_deep(item, levels - 1) for item in inner)


def _template_values(values: Any) -> dict[str, Any]:
    """Return values for the chat template, such as `enable_thinking`."""
    is_plain = isinstance(values, Mapping) and all(isinstance(value, (bool, int, float, str)) for value in values.values())
    if not is_plain or len(values) > 16:
        raise InvalidValue("`chat_template_kwargs` must be an object with at most 16 plain values.", param="chat_template_kwargs")
    return dict(values)


def _stops(stop: Any) -> Iterator[str]:
    found = [stop] if isinstance(stop, str) else stop
    if not isinstance(found, list) or len(found) > MOST_STOPS or not all(_is_stop(text) for text in found):
        message = f"`stop` must be a text, or a list of at most {MOST_STOPS} texts, each of 1 to {STOP_CHARS} characters."
        raise InvalidValue(message, param="stop")
    return iter(found)


def _is_stop(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= STOP_CHARS and _is_unicode(text)


def _biases(biases: Any) -> dict[str, float]:
    are_valid = isinstance(biases, Mapping) and len(biases) <= MOST_BIASES and all(str(token).isdecimal() for token in biases)
    if not are_valid:
        message = f"`logit_bias` must be an object with at most {MOST_BIASES} token ids."
        raise InvalidValue(message, param="logit_bias")
    return {str(token): _number(bias, "logit_bias", (-100, 100)) for token, bias in biases.items()}


def _text(text: Any, name: str) -> str:
    if not isinstance(text, str) or not _is_unicode(text):
        raise InvalidValue(f"`{name}` must contain valid text.", param=name)
    return text


def _is_unicode(text: str) -> bool:
    """Return whether a text can be encoded: JSON may contain half of a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _number(value: Any, name: str, limits: tuple[float, float]) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValue(f"`{name}` must be a number.", param=name)
    low, high = limits
    if not low <= value <= high:
        raise OutOfRange(f"`{name}` must be between {low:g} and {high:g}.", param=name)
    return value


def _whole(value: Any, name: str) -> int:
    if isinstance(value, float):
        raise InvalidValue(f"`{name}` must be a whole number.", param=name)
    return int(_number(value, name, WHOLE_RANGES[name]))


def _switch(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(f"`{name}` must be true or false.", param=name)
    return value
