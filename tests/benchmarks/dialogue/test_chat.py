"""The scripted chat server, by OpenAI's SDK."""

from __future__ import annotations

import time

from openai import OpenAI

from benchmarks.dialogue.chat import serve_chat


def test_it_says_what_it_is_told_to_and_knows_when_its_first_token_was_sent() -> None:
    with serve_chat() as chat, OpenAI(base_url=chat.url, api_key="unused") as client:
        chat.say("One two three.", 100.0)
        began = time.perf_counter()
        stream = client.chat.completions.create(model="scripted", messages=[{"role": "user", "content": "Hi"}], stream=True)
        with stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        ((asked, first),) = chat.requests
        assert text == "One two three."
        assert began <= asked < first <= time.perf_counter()
