from __future__ import annotations

import json

from open_speech.openai.sse import event


def test_an_event_is_one_data_line_and_a_blank_line() -> None:
    assert event({"type": "x", "delta": "a\nb\r\nc"}) == b'data: {"type":"x","delta":"a\\nb\\r\\nc"}\n\n'


def test_text_beyond_ascii_stays_as_it_is() -> None:
    data = event({"delta": "żółw 龜 \u2028"})
    assert "żółw 龜".encode() in data
    assert json.loads(data.removeprefix(b"data: ")) == {"delta": "żółw 龜 \u2028"}
