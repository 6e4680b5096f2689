from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.live.config import Config, ResponsesDelegation, started, updated
from open_speech.errors import InvalidRequest

FUNCTION = {"type": "function", "name": "light", "parameters": {"type": "object"}}
OUTPUT = {"type": "output_text", "text": "x"}
RESPONSES = {"type": "responses", "responses": {"model": "backend", "tools": [FUNCTION]}}


def start(*, has_llm: bool = True, is_call: bool = False, **session: Any) -> Config:
    return started(
        {"model": "gpt-live-1", **session}, default_voice="ann", knows_voice=lambda name: name != "nobody", has_llm=has_llm, is_call=is_call
    )


def refused(**session: Any) -> tuple[str | None, str | None]:
    with pytest.raises(InvalidRequest) as refusal:
        start(**session)
    return refusal.value.code, refusal.value.param


def test_the_defaults_are_in_the_resource() -> None:
    body = start().resource("live_1", 1234)
    assert body["audio"] == {"format": {"type": "audio/pcm", "rate": 24_000}, "output": {"voice": "ann"}}
    assert (body["delegation"], body["input"], body["status"]) == ({"type": "client"}, [], "active")


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"voice": "ann"}, "session.voice"),
        ({"audio": {"input": {}}}, "session.audio.input"),
        ({"audio": {"output": {"voice": "ann", "speed": 1}}}, "session.audio.output.speed"),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 24_000, "channels": 1}}}, "session.audio.format.channels"),
        ({"delegation": {"type": "client", "foo": 1}}, "session.delegation.foo"),
        ({"delegation": {**RESPONSES, "foo": 1}}, "session.delegation.foo"),
        ({"delegation": {"type": "responses", "responses": {"model": "x", "temperature": 1}}}, "session.delegation.responses.temperature"),
        ({"input": [{"role": "user", "content": [{"text": "hi", "image": ""}]}]}, "session.input[0].content[0].image"),
        ({"idle_timeout_s": 5}, "session.idle_timeout_s"),
    ],
)
def test_an_unknown_field_anywhere_is_refused_by_name(session: dict[str, Any], param: str) -> None:
    assert refused(**session) == ("unknown_parameter", param)


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"model": None}, "invalid_value", "session.model"),
        ({"store": True}, "unsupported_value", "session.store"),
        ({"triggers": [{"type": "decisions"}]}, "unsupported_value", "session.triggers"),
        ({"client": {"data_channel": {}}}, "unsupported_value", "session.client"),
        ({"delegation": {"type": "decisions", "decisions": {}}}, "unsupported_value", "session.delegation.type"),
        ({"delegation": {"type": "other"}}, "invalid_value", "session.delegation.type"),
        ({"delegation": {}}, "missing_required_parameter", "session.delegation.type"),
        ({"delegation": {"type": "responses", "responses": {}}}, "missing_required_parameter", "session.delegation.responses.model"),
        ({"delegation": RESPONSES, "has_llm": False}, "unsupported_value", "session.delegation.type"),
        ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "session.audio.output.voice"),
        ({"audio": {"output": {"voice": {"id": "nobody"}}}}, "invalid_value", "session.audio.output.voice.id"),
        ({"audio": {"format": {"type": "audio/pcm", "rate": 48_000}}}, "invalid_value", "session.audio.format.rate"),
        ({"audio": {"format": {"type": "audio/opus"}}}, "invalid_value", "session.audio.format.type"),
        ({"input": [{"role": "system", "content": [{"text": "x"}]}]}, "invalid_value", "session.input[0].role"),
        ({"input": [{"role": "user", "content": []}]}, "invalid_value", "session.input[0].content"),
        ({"input": [{"role": "user", "content": [OUTPUT]}]}, "invalid_value", "session.input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}] * 129}, "invalid_value", "session.input"),
        ({"instructions": "x" * 65_537}, "invalid_value", "session.instructions"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_not_offered_is_refused(session: dict[str, Any], code: str, param: str) -> None:
    assert refused(**session) == (code, param)


def test_a_hosted_tool_is_refused_by_its_place() -> None:
    responses = {"model": "x", "tools": [FUNCTION, {"type": "web_search"}]}
    assert refused(delegation={"type": "responses", "responses": responses}) == (
        "unsupported_tool",
        "session.delegation.responses.tools[1].type",
    )


@pytest.mark.parametrize(
    ("format", "rate", "width"),
    [
        (None, 24_000, 2),
        ({"type": "audio/pcm"}, 24_000, 2),
        ({"type": "audio/pcm", "rate": 16_000}, 16_000, 2),
        ({"type": "audio/pcmu", "rate": 8_000}, 8_000, 1),
        ({"type": "audio/pcma"}, 8_000, 1),
    ],
)
def test_the_formats(format: dict[str, Any] | None, rate: int, width: int) -> None:
    found = start(audio={"format": format}).format
    assert (found.rate, found.width) == (rate, width)


def test_the_history_may_have_parts_without_a_type() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    assert len(start(input=[message, {"role": "user", "content": [{"text": "Hi."}]}]).input) == 2


def test_an_update_is_merged_into_responses() -> None:
    config = start(delegation={**RESPONSES, "acknowledgement_delay_ms": 700})
    new = updated(config, {"delegation": {"type": "responses", "responses": {"instructions": "Be brief."}}})
    assert isinstance(new.delegation, ResponsesDelegation)
    assert (new.delegation.responses.instructions, new.delegation.responses.tools) == ("Be brief.", [FUNCTION])
    assert new.delegation.acknowledgement_delay_ms == 700
    assert updated(new, {"delegation": {"type": "responses", "responses": {"tools": []}}}).responses is not None


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"instructions": "x"}, "immutable_field_update", "session.instructions"),
        ({"model": "x"}, "immutable_field_update", "session.model"),
        ({"delegation": RESPONSES}, "immutable_field_update", "session.delegation.type"),
        ({"delegation": {"acknowledgement_delay_ms": 1}}, "missing_required_parameter", "session.delegation.type"),
        ({"voice": "x"}, "unknown_parameter", "session.voice"),
        ({"triggers": [{}]}, "unsupported_value", "session.triggers"),
    ],
)
def test_what_an_update_may_not_change(change: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        updated(start(), change)
    assert (refusal.value.code, refusal.value.param) == (code, param)


def test_a_session_over_webrtc_has_no_format_and_shows_its_client() -> None:
    channel = {"allowed_client_events": [], "allowed_server_events": [{"type": "error"}]}
    config = start(is_call=True, client={"data_channel": channel}, idle_timeout_s=None)
    body = config.resource("live_1", 1234)
    assert (config.format.rate, body["audio"], body["client"]) == (48_000, {"output": {"voice": "ann"}}, {"data_channel": channel})
    assert "client" not in start(is_call=True).resource("live_1", 1234)


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"audio": {"format": {"type": "audio/pcm", "rate": 24_000}}}, "unsupported_value", "session.audio.format"),
        ({"idle_timeout_s": 5}, "unsupported_value", "session.idle_timeout_s"),
        ({"wake_policy": {"type": "speech"}}, "unsupported_value", "session.wake_policy"),
        ({"client": {}}, "missing_required_parameter", "session.client.data_channel"),
        ({"client": {"data_channel": {"foo": 1}}}, "unknown_parameter", "session.client.data_channel.foo"),
        ({"voice": "ann"}, "unknown_parameter", "session.voice"),
    ],
)
def test_what_is_refused_over_webrtc(session: dict[str, Any], code: str, param: str) -> None:
    assert refused(is_call=True, **session) == (code, param)


def test_the_client_of_a_session_over_webrtc_cannot_change() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        updated(start(is_call=True), {"wake_policy": None})
    assert (refusal.value.code, refusal.value.param) == ("immutable_field_update", "session.wake_policy")
