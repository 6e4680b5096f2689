from __future__ import annotations

from open_speech.api.openai.schemas import DurationUsage, SpeechRequest, TokenUsage
from open_speech.http.errors import validated
from open_speech.transcript import TranscriptInfo


def test_unknown_fields_are_ignored() -> None:
    assert validated(SpeechRequest, {"model": "m", "input": "x", "lang_code": "a", "instructions": None}).voice_id is None


def test_a_voice_may_be_named_or_referred_to() -> None:
    assert validated(SpeechRequest, {"model": "m", "input": "x", "voice": "alloy"}).voice_id == "alloy"
    assert validated(SpeechRequest, {"model": "m", "input": "x", "voice": {"id": "voice_1"}}).voice_id == "voice_1"


def test_usage_is_rounded_up() -> None:
    assert DurationUsage.of(TranscriptInfo("en", 1.0, 2.01)).seconds == 3
    assert TokenUsage.of_transcription(2.01, "eight ch") == TokenUsage(input_tokens=21, output_tokens=2, total_tokens=23)
    assert TokenUsage.of_synthesis("hello", 0.5) == TokenUsage(input_tokens=2, output_tokens=10, total_tokens=12)
