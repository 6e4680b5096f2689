from __future__ import annotations

import copy
from typing import Any

import pytest

from open_speech.errors import BackendFailed, ContextOverflow, InvalidRequest, InvalidValue, OutOfRange, SpeechError, UnsupportedValue
from runners.support.llama_requests import SCHEMA_DEPTH, body_of, error_of, refusal

USER = {"role": "user", "content": "Hello"}
OURS = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}


def asked(**fields: Any) -> dict[str, Any]:
    return body_of({"messages": [USER], **fields})


def test_a_conversation_is_passed_on() -> None:
    assert asked() == {"messages": [USER], **OURS}


def test_every_field_of_openai_that_has_a_meaning_is_passed_on() -> None:
    fields = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "frequency_penalty": -1, "presence_penalty": 1, "repeat_penalty": 1.1,
        "seed": 7, "max_tokens": 5, "logprobs": True, "top_logprobs": 3, "logit_bias": {"15": -100}, "stop": ["."], "n": 1,
        "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False, "chat_template_kwargs": {"enable_thinking": False},
        "response_format": {"type": "json_object"},
    }  # fmt: skip
    assert asked(**fields) == {"messages": [USER], **fields, **OURS}


@pytest.mark.parametrize(
    "name",
    [
        "id_slot", "cache_prompt", "n_predict", "n_keep", "n_discard", "slot_id", "filename", "grammar", "grammar_lazy", "json_schema",
        "lora", "samplers", "return_tokens", "timings_per_token", "post_sampling_probs", "n_probs", "n_cache_reuse", "t_max_predict_ms",
        "ignore_eos", "speculative.n_max", "model", "user", "metadata", "store", "chat_template", "preserved_tokens", "stream_options",
        "return_progress",
    ],
)  # fmt: skip
def test_a_field_of_llama_cpps_own_does_not_reach_it(name: str) -> None:
    assert asked(**{name: -1}) == asked()


def test_fields_that_are_null_are_left_out() -> None:
    assert asked(temperature=None, stop=None, tools=None, response_format=None, max_tokens=None) == asked()


def test_the_lower_limit_of_tokens_counts() -> None:
    assert asked(max_tokens=9, max_completion_tokens=5)["max_tokens"] == 5
    assert "max_completion_tokens" not in asked(max_completion_tokens=5)


def test_a_prompt_is_continued_without_the_stops_of_conversations() -> None:
    body = body_of({"prompt": "Once", "stop": "end", "tools": "broken", "messages": 5}, stops=["\nQ:"])
    assert body == {"prompt": "Once", "stop": ["end"], **OURS}


def test_the_stops_of_the_model_are_added() -> None:
    assert body_of({"messages": [USER], "stop": "x"}, stops=["\nQ:"])["stop"] == ["x", "\nQ:"]
    assert body_of({"messages": [USER]}, stops=["\nQ:"])["stop"] == ["\nQ:"]


def test_parts_of_text_become_one_text_and_other_fields_of_a_message_are_dropped() -> None:
    message = {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "audio": {"id": "1"}}
    assert body_of({"messages": [message]})["messages"] == [{"role": "system", "content": "ab"}]


def test_a_request_is_not_changed() -> None:
    request = {"messages": [{"role": "developer", "content": "a"}], "tools": [TOOL], "stop": "x"}
    before = copy.deepcopy(request)
    body_of(request, stops=["y"])
    assert request == before


DEEP: Any = {}
for _ in range(SCHEMA_DEPTH + 1):
    DEEP = {"items": DEEP}


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("messages", None, InvalidValue),
        ("messages", [], InvalidValue),
        ("messages", "Hello", InvalidValue),
        ("messages", ["Hello"], InvalidValue),
        ("messages", [{"content": "Hello"}], InvalidValue),
        ("messages", [{"role": "user", "content": 5}], InvalidValue),
        ("messages", [{"role": "user", "content": "\ud800"}], InvalidValue),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}], UnsupportedValue),
        ("messages", [{"role": "user", "content": ["text"]}], UnsupportedValue),
        ("messages", [{"role": "assistant", "tool_calls": DEEP}], InvalidValue),
        ("temperature", "hot", InvalidValue),
        ("temperature", True, InvalidValue),
        ("temperature", 2.5, OutOfRange),
        ("temperature", float("nan"), OutOfRange),
        ("top_p", -0.1, OutOfRange),
        ("max_tokens", 0, OutOfRange),
        ("max_tokens", -1, OutOfRange),
        ("max_tokens", 1.5, InvalidValue),
        ("max_completion_tokens", 1 << 40, OutOfRange),
        ("n", 2, OutOfRange),
        ("seed", 1 << 40, OutOfRange),
        ("top_logprobs", 21, OutOfRange),
        ("logprobs", 1, InvalidValue),
        ("logit_bias", {"Hello": 1}, InvalidValue),
        ("logit_bias", {"5": 101}, OutOfRange),
        ("logit_bias", {str(token): 1 for token in range(1025)}, InvalidValue),
        ("stop", [""], InvalidValue),
        ("stop", ["x"] * 17, InvalidValue),
        ("stop", ["x" * 257], InvalidValue),
        ("stop", ["\udfff"], InvalidValue),
        ("stop", {"a": 1}, InvalidValue),
        ("tools", "look", InvalidValue),
        ("tools", [{"type": "function"}], InvalidValue),
        ("tools", [{"type": "function", "function": {"name": 5}}], InvalidValue),
        ("tools", [{"type": "function", "function": {"name": "look", "parameters": "none"}}], InvalidValue),
        ("tools", [{"type": "function", "function": {"name": "look", "parameters": DEEP}}], InvalidValue),
        ("tools", [{**TOOL, "more": "x" * 70_000}], InvalidValue),
        ("tools", [{**TOOL, "more": float("inf")}], InvalidValue),
        ("response_format", "json", InvalidValue),
        ("response_format", {"type": "xml"}, InvalidValue),
        ("response_format", {"type": ["text"]}, InvalidValue),
        ("response_format", {"type": "json_schema"}, InvalidValue),
        ("response_format", form(DEEP), InvalidValue),
        ("response_format", form({"enum": ["x" * 70_000]}), InvalidValue),
        ("chat_template_kwargs", {"messages": []}, InvalidValue),
        ("chat_template_kwargs", {str(number): 1 for number in range(17)}, InvalidValue),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: Any, error: type[SpeechError]) -> None:
    with pytest.raises(error) as refused:
        asked(**{name: value})
    assert refused.value.param == name


@pytest.mark.parametrize("choice", ["always", 5, {"function": "look"}, ["auto"]])
def test_a_choice_of_a_tool_is_checked(choice: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        asked(tools=[TOOL], tool_choice=choice)
    assert refused.value.param == "tool_choice"
    assert "tool_choice" not in asked(tool_choice=choice)  # without tools it has no meaning


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2, 3], 5, "\ud800"])
def test_a_prompt_must_be_one_text(prompt: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        body_of({"prompt": prompt})
    assert refused.value.param == "prompt"


def test_errors_of_llama_cpp_have_their_kind() -> None:
    overflow = error_of({"code": 400, "type": "exceed_context_size_error", "message": "x", "n_prompt_tokens": 500, "n_ctx": 256})
    assert isinstance(overflow, ContextOverflow)
    assert str(overflow) == "The conversation has 500 tokens, and the context of the language model 256 (LLM_CONTEXT_SIZE)."
    assert type(error_of({"code": 400, "message": "x"})) is InvalidRequest
    assert type(error_of({"code": 500, "message": "x"})) is BackendFailed
    assert type(error_of({})) is BackendFailed


@pytest.mark.parametrize(
    ("message", "body", "param"),
    [
        ("no", {"prompt": "x"}, "prompt"),
        ("unknown role", {"messages": [], "tools": []}, "messages"),
        ("Automatic parser generation failed: JSON schema error", {"messages": [], "tools": []}, "tools"),
        ("Automatic parser generation failed: JSON schema error", {"messages": [], "tools": [], "response_format": {}}, "response_format"),
        ("JSON schema error", {"messages": []}, "messages"),
    ],
)
def test_an_exception_of_llama_cpp_names_the_field(message: str, body: dict[str, Any], param: str) -> None:
    error = refusal(RuntimeError(message), body)
    assert error.param == param
    assert str(error) == f"The language model cannot use the request: {message.removeprefix('Automatic parser generation failed: ')}"
