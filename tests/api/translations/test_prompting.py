"""The request to the language model."""

from __future__ import annotations

from open_speech.api.translations.prompting import request


def test_the_clause_is_the_last_message_after_earlier_ones_with_their_translations() -> None:
    body = request("es", [("Hello.", "Hola.")], "What is your name?")
    system, *rest = body["messages"]
    assert system["role"] == "system" and "into Spanish" in system["content"]
    assert rest == [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hola."},
        {"role": "user", "content": "What is your name?"},
    ]
