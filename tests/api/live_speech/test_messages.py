from __future__ import annotations

import json

import pytest

from open_speech.api.live_speech.messages import MESSAGE_BYTES, Cancel, Config, End, Flush, Text, audio, parse
from open_speech.errors import SpeechError
from open_speech.http.ws_messages import written


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "config"}, Config()),
        ({"type": "config", "voice": "ann", "speed": 1.5, "sample_rate": 8000}, Config(voice="ann", speed=1.5, sample_rate=8000)),
        ({"type": "text", "text": "Hé"}, Text(text="Hé")),
        ({"type": "flush", "more": "is ignored"}, Flush()),
        ({"type": "cancel"}, Cancel()),
        ({"type": "end"}, End()),
    ],
    ids=str,
)
def test_messages_are_read(data: dict[str, object], message: object) -> None:
    assert parse(json.dumps(data)) == message


@pytest.mark.parametrize(
    ("data", "param", "code"),
    [
        ('{"type": "text"', None, None),
        ("[" * 100_000, "text", "string_above_max_length"),
        ("[" * 60_000, None, None),
        ("[]", None, None),
        ("", None, None),
        ("{}", "type", "missing_required_parameter"),
        ('{"type": "sing"}', "type", "invalid_value"),
        ('{"type": ["text"]}', "type", "invalid_value"),
        ('{"type": "text"}', "text", "missing_required_parameter"),
        ('{"type": "text", "text": 5}', "text", "invalid_value"),
        ('{"type": "config", "speed": 9}', "speed", "decimal_out_of_range"),
        ('{"type": "config", "speed": NaN}', "speed", "decimal_out_of_range"),
        ('{"type": "config", "response_format": "ogg"}', "response_format", "invalid_value"),
        ('{"type": "config", "sample_rate": 1}', "sample_rate", "decimal_out_of_range"),
        ('{"type": "config", "encoding": "hex"}', "encoding", "invalid_value"),
        (json.dumps({"type": "text", "text": "é" * MESSAGE_BYTES}, ensure_ascii=False), "text", "string_above_max_length"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_cannot_be_read_is_named(data: str, param: str | None, code: str | None) -> None:
    with pytest.raises(SpeechError) as caught:
        parse(data)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_messages_are_written_so_that_every_text_can_be_sent() -> None:
    assert written(audio(b"\x00\xff")) == '{"type":"audio","audio":"AP8="}'
    text = "Hé \ud800"
    assert json.loads(written({"type": "sentence", "text": text}).encode()) == {"type": "sentence", "text": text}
