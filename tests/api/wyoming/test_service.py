from __future__ import annotations

import pytest
from wyoming.asr import Transcribe, VadSensitivity

from open_speech.api.wyoming.service import HOTWORDS_CHARS, silence_ms, text_format, transcribe_options
from open_speech.backends import TranscribeOptions
from open_speech.errors import InvalidValue


def test_names_come_before_terms_as_hotwords() -> None:
    asked = Transcribe(transcript_names=["Ada", " "], transcript_terms=["lamp", "heater"])
    assert transcribe_options(asked, TranscribeOptions()).hotwords == "Ada, lamp, heater"


def test_a_house_with_many_things_has_hotwords_of_a_bounded_length() -> None:
    asked = Transcribe(transcript_terms=[f"thing {number}" for number in range(10_000)])
    assert len(transcribe_options(asked, TranscribeOptions()).hotwords or "") == HOTWORDS_CHARS


@pytest.mark.parametrize(
    ("said", "heard"), [(None, None), ("", None), ("auto", None), ("de", "de"), ("deu", "de"), ("en-US", "en"), ("German", "de")]
)
def test_a_language_is_passed_on_and_otherwise_detected(said: str | None, heard: str | None) -> None:
    assert transcribe_options(Transcribe(language=said), TranscribeOptions(language="fr")).language == heard


def test_what_the_server_was_told_stays_where_the_client_says_nothing() -> None:
    ours = TranscribeOptions(prompt="In the style of a poem.", temperatures=(0.3,), hotwords="lamp")
    assert transcribe_options(Transcribe(), ours) == ours


def test_a_client_says_how_soon_a_silence_is_an_end() -> None:
    patience = [silence_ms(Transcribe(vad_sensitivity=how)) for how in ("aggressive", None, "unheard of", VadSensitivity.RELAXED)]
    assert patience == sorted(patience)
    assert patience[1] == patience[2] == silence_ms(Transcribe(vad_sensitivity="default"))


def test_the_configured_silence_ends_a_turn_unless_the_client_names_a_sensitivity() -> None:
    assert [silence_ms(Transcribe(vad_sensitivity=how), 4000) for how in (None, "unheard of")] == [4000, 4000]
    assert silence_ms(Transcribe(vad_sensitivity="aggressive"), 4000) == silence_ms(Transcribe(vad_sensitivity="aggressive"))


def test_a_text_is_plain_or_ssml() -> None:
    assert [text_format(said) for said in (None, "text", "ssml")] == [None, "text", "ssml"]
    with pytest.raises(InvalidValue):
        text_format("html")
