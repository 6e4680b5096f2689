from __future__ import annotations

import json

from open_speech.http.ws_messages import Close, written


def test_half_a_surrogate_pair_is_written_and_read_as_it_was() -> None:
    message = {"type": "ready", "voice": "caf\u00e9 \ud83d"}
    assert written(message).isascii()
    assert json.loads(written(message)) == message


def test_a_close_is_a_usual_one_unless_it_says_otherwise() -> None:
    assert (Close().code, Close().reason) == (1000, "")
